//! The real AWS SDK on the simulated Region: what it serializes is understood, what it is answered it can read, its
//! retries and paginators work.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region as AwsRegion, SdkConfig};
use aws_sdk_ec2::types::Tag;
use aws_sdk_ecs::types::{ContainerInstanceField, ContainerInstanceStatus, DesiredStatus};
use aws_sdk_ssm::types::CommandInvocationStatus;
use fleet_sim::{Region, Scenario};
use tokio::time::{Duration, Instant, sleep};

async fn start(text: &str) -> (Arc<Region>, SdkConfig) {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let region = Region::start(&scenario).unwrap();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(region.http_client())
        .test_credentials()
        .region(AwsRegion::new("eu-central-1"))
        .load()
        .await;
    (region, config)
}

const FLEET: &str = "[repository]\nversions = [\"1.26.1\", \"1.27.0\"]\n[[instances]]\ncluster = \"web\"\ncount = 120\n\
    zones = [\"a\", \"b\"]\ntags = { Name = \"a & b\" }\n[[service]]\nname = \"shop\"\ndesired = 120";

#[tokio::test(start_paused = true)]
async fn ecs_is_read_and_written() {
    let (region, config) = start(FLEET).await;
    let ecs = aws_sdk_ecs::Client::new(&config);
    let arns: Vec<String> = ecs
        .list_container_instances()
        .cluster("web")
        .filter("attribute:bottlerocket.variant exists")
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    assert_eq!(arns.len(), 120);
    let described = ecs
        .describe_container_instances()
        .cluster("web")
        .set_container_instances(Some(arns[..100].to_vec()))
        .include(ContainerInstanceField::Tags)
        .send()
        .await
        .unwrap();
    let first = &described.container_instances()[0];
    assert_eq!(first.status(), Some("ACTIVE"));
    assert!(first.agent_connected());
    assert_eq!(first.running_tasks_count(), 1);
    assert_eq!(first.registered_at().unwrap().to_string(), "2026-11-22T03:00:00Z");
    let ports = first.remaining_resources().iter().find(|resource| resource.name() == Some("PORTS")).unwrap();
    assert!(ports.string_set_value().contains(&"22".to_owned()));

    let arn = first.container_instance_arn().unwrap();
    let update = ecs.update_container_instances_state().cluster("web").container_instances(arn);
    let updated = update.status(ContainerInstanceStatus::Draining).send().await.unwrap();
    assert_eq!(updated.container_instances()[0].status(), Some("DRAINING"));
    sleep(Duration::from_secs(120)).await;
    let stopped = ecs.list_tasks().cluster("web").container_instance(arn).desired_status(DesiredStatus::Stopped);
    let stopped = stopped.send().await.unwrap();
    let tasks = ecs.describe_tasks().cluster("web").set_tasks(stopped.task_arns).send().await.unwrap();
    assert_eq!(tasks.tasks()[0].last_status(), Some("STOPPED"));
    assert_eq!(tasks.tasks()[0].group(), Some("service:shop"));
    assert!(region.unknown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn errors_are_typed() {
    let (_region, config) = start(FLEET).await;
    let ecs = aws_sdk_ecs::Client::new(&config);
    let error = ecs.list_tasks().cluster("nowhere").send().await.unwrap_err().into_service_error();
    assert!(error.is_cluster_not_found_exception(), "{error:?}");
    let ssm = aws_sdk_ssm::Client::new(&config);
    let sent = ssm.send_command().document_name("EcsUpdater-Inspect").instance_ids("i-00000000000000999").send().await;
    let error = sent.unwrap_err().into_service_error();
    assert!(error.is_invalid_instance_id(), "{error:?}");
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let error = ec2.describe_instances().instance_ids("i-00000000000000999").send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidInstanceID.NotFound"));
}

#[tokio::test(start_paused = true)]
async fn ec2_is_read_and_written() {
    let (region, config) = start(FLEET).await;
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let pages: Vec<_> = ec2
        .describe_instances()
        .into_paginator()
        .page_size(50)
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .unwrap();
    assert_eq!(pages.len(), 120);
    let value = "v1/drain/01JDBX/1.26.1/1.27.0/2026-11-23T03:00:00Z";
    let tag = Tag::builder().key("ecs-updater:claim").value(value).build();
    ec2.create_tags().resources("i-00000000000000003").tags(tag).send().await.unwrap();
    let read = ec2.describe_instances().instance_ids("i-00000000000000003").send().await.unwrap();
    let instance = &read.reservations()[0].instances()[0];
    let tags: Vec<_> = instance.tags().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    assert_eq!(tags, [("Name", "a & b"), ("ecs-updater:claim", value)]);
    assert_eq!(instance.placement().unwrap().availability_zone(), Some("eu-central-1b"));
    let status = ec2.describe_instance_status().instance_ids("i-00000000000000003").send().await.unwrap();
    let check = status.instance_statuses()[0].instance_status().unwrap().status().unwrap();
    assert_eq!(check.as_str(), "ok");
    ec2.delete_tags()
        .resources("i-00000000000000003")
        .tags(Tag::builder().key("ecs-updater:claim").build())
        .send()
        .await
        .unwrap();
    assert_eq!(region.snapshot_of(3).unwrap().tags.len(), 1);
    assert!(region.unknown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_command_runs_on_a_host() {
    let (region, config) = start(FLEET).await;
    let ssm = aws_sdk_ssm::Client::new(&config);
    let online = ssm.describe_instance_information().into_paginator().items().send();
    assert_eq!(online.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 120);
    let sent = ssm
        .send_command()
        .document_name("EcsUpdater-Inspect")
        .instance_ids("i-00000000000000007")
        .parameters("Refresh", vec!["yes".to_owned()])
        .timeout_seconds(60)
        .send()
        .await
        .unwrap();
    let id = sent.command().unwrap().command_id().unwrap().to_owned();
    sleep(Duration::from_secs(20)).await;
    let list = ssm.list_command_invocations().command_id(id).details(true).send().await.unwrap();
    let invocation = &list.command_invocations()[0];
    assert_eq!(invocation.status(), Some(&CommandInvocationStatus::Success));
    let output = invocation.command_plugins()[0].output().unwrap();
    let report = models::host::HostReport::parse(output).unwrap();
    assert_eq!(report.chosen().unwrap().to_string(), "1.27.0");
    assert_eq!(report.boot_id.unwrap().as_str(), region.snapshot_of(7).unwrap().boot_id);
    assert!(region.unknown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_sdk_retries_what_is_throttled_and_reset() {
    let text = format!(
        "{FLEET}\n[[fault]]\noperation = \"ecs:ListClusters\"\nnth = [1, 2]\nerror = \"ThrottlingException\"\n\
         [[fault]]\noperation = \"ec2:DescribeInstances\"\nnth = 1\nerror = \"RequestLimitExceeded\"\n\
         [[fault]]\noperation = \"ssm:DescribeInstanceInformation\"\nnth = 1\nreset = \"before\"\n\
         [[fault]]\noperation = \"ecs:ListServices\"\nnth = 1\nstatus = 503"
    );
    let (region, config) = start(&text).await;
    let (began, real) = (Instant::now(), std::time::Instant::now());
    let ecs = aws_sdk_ecs::Client::new(&config);
    assert_eq!(ecs.list_clusters().send().await.unwrap().cluster_arns().len(), 1);
    ecs.list_services().cluster("web").send().await.unwrap();
    aws_sdk_ec2::Client::new(&config).describe_instances().send().await.unwrap();
    aws_sdk_ssm::Client::new(&config).describe_instance_information().send().await.unwrap();
    let counts: Vec<_> = region.call_counts().into_iter().collect();
    let expected = [
        ("ec2:DescribeInstances", 2),
        ("ecs:ListClusters", 3),
        ("ecs:ListServices", 2),
        ("ssm:DescribeInstanceInformation", 2),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)));
    assert!(began.elapsed() > Duration::from_millis(240), "in simulated time");
    assert!(real.elapsed() < Duration::from_secs(20));
}
