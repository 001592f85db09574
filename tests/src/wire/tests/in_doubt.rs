//! Where AWS leaves something out, is late, or does half of what it was asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ec2, ecs, ecs_error, region};

#[tokio::test(start_paused = true)]
async fn what_fails_by_the_scenario_stands_beside_the_rest() {
    let region = region("[[instances]]\ncluster = \"web\"\ncount = 2\n[[fault]]\noperation = \"ecs:*\"\nfails = 1");
    let clusters = ecs(&region, "DescribeClusters", json!({ "clusters": ["web"] })).await;
    assert_eq!(clusters["clusters"], json!([]));
    let arn = clusters["failures"][0]["arn"].as_str().unwrap();
    assert!(arn.ends_with(":cluster/web"), "{arn}");
    assert_eq!(clusters["failures"][0]["reason"], "MISSING");
    let arns: Vec<String> = (0..2).map(|host| region.snapshot_of(host).unwrap().container_instance).collect();
    let body = json!({ "cluster": "web", "containerInstances": arns });
    let instances = ecs(&region, "DescribeContainerInstances", body).await;
    assert_eq!(instances["failures"][0]["arn"], arns[0]);
    assert_eq!(instances["containerInstances"][0]["containerInstanceArn"], arns[1]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_of_tags_changes_nothing_or_half() {
    for (switch, kept) in [("", 0), ("refused_tags_stay = true", 1)] {
        let text = format!("[region]\n{switch}\n[[instances]]\ncount = 3\n[[host]]\nindex = 1\nother_tags = 50");
        let region = region(&text);
        let ids: String = (0..3).map(|host| format!("&ResourceId.{}=i-{host:017}", host + 1)).collect();
        let (_, body) = ec2(&region, &format!("Action=CreateTags{ids}&Tag.1.Key=k&Tag.1.Value=v")).await;
        assert!(body.contains("TagLimitExceeded"), "{body}");
        let has = |host: &usize| region.snapshot_of(*host).unwrap().tags.contains_key("k");
        assert_eq!((0..3).filter(has).count(), kept, "{switch}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_may_not_see_is_left_out_without_an_error() {
    let region = region("[[instances]]\ncount = 2\n[[host]]\nindex = 1\nhidden = true");
    let named: String = (0..2).map(|host| format!("&InstanceId.{}=i-{host:017}", host + 1)).collect();
    for ids in ["", named.as_str()] {
        let (status, body) = ec2(&region, &format!("Action=DescribeInstances{ids}")).await;
        assert_eq!((status, body.matches("<instanceId>").count()), (200, 1), "{body}");
        let (_, body) = ec2(&region, &format!("Action=DescribeInstanceStatus&IncludeAllInstances=true{ids}")).await;
        assert_eq!(body.matches("<instanceId>").count(), 1, "{body}");
    }
    let tag = format!("Action=CreateTags&ResourceId.1=i-{:017}&Tag.1.Key=k&Tag.1.Value=v", 1);
    assert!(ec2(&region, &tag).await.1.contains("InvalidInstanceID.NotFound"));
    let (arn, body) = (region.snapshot_of(1).unwrap().container_instance, json!({ "cluster": "main" }));
    assert!(ecs(&region, "ListContainerInstances", body).await.to_string().contains(&arn), "ECS knows it");
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_older_than_the_write_before_it() {
    for (lag, stale) in [("0s", false), ("20s", true)] {
        let region = region(&format!("[region]\ndescribes_lag = \"{lag}\"\n[[instances]]\ncluster = \"web\""));
        let arn = region.snapshot_of(0).unwrap().container_instance;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let drain = json!({ "cluster": "web", "containerInstances": [&arn], "status": "DRAINING" });
        let written = ecs(&region, "UpdateContainerInstancesState", drain).await;
        assert_eq!(written["containerInstances"][0]["status"], "DRAINING", "the write itself tells");
        let mut seen = Vec::new();
        for _ in 0..40 {
            let body = json!({ "cluster": "web", "containerInstances": [&arn] });
            let answer = ecs(&region, "DescribeContainerInstances", body).await;
            seen.push(answer["containerInstances"][0]["status"] == "ACTIVE");
            tokio::time::sleep(Duration::from_millis(490)).await;
        }
        assert_eq!(seen.contains(&true), stale, "{lag}");
        let body = json!({ "cluster": "web", "containerInstances": [&arn] });
        tokio::time::sleep(Duration::from_secs(20)).await;
        let answer = ecs(&region, "DescribeContainerInstances", body).await;
        assert_eq!(answer["containerInstances"][0]["status"], "DRAINING");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_service_is_inactive_and_then_unknown() {
    let region = region(
        r#"
        [[instances]]
        cluster = "web"
        count = 2
        [[service]]
        name = "shop"
        desired = 2
        [[service]]
        name = "logs"
        kind = "DAEMON"
        [[event]]
        at = "1m"
        do = "delete_service"
        service = "shop"
        [[event]]
        at = "1m"
        do = "delete_service"
        service = "logs"
        "#,
    );
    let services = json!({ "cluster": "web", "services": ["shop", "logs"] });
    let statuses = |answer: &Value| {
        let all = answer["services"].as_array().unwrap();
        all.iter().map(|service| service["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&ecs(&region, "DescribeServices", services.clone()).await), ["ACTIVE", "ACTIVE"]);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(statuses(&ecs(&region, "DescribeServices", services.clone()).await), ["DRAINING", "DRAINING"]);
    assert_eq!(ecs(&region, "ListServices", json!({ "cluster": "web" })).await["serviceArns"], json!([]));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let answer = ecs(&region, "DescribeServices", services.clone()).await;
    assert_eq!(statuses(&answer), ["INACTIVE", "INACTIVE"]);
    assert!(answer["services"].as_array().unwrap().iter().all(|service| service["desiredCount"] == 0));
    assert_eq!(region.look(|world| world.tasks().iter().filter(|task| task.last.name() != "STOPPED").count()), 0);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let answer = ecs(&region, "DescribeServices", services).await;
    assert_eq!((&answer["services"], answer["failures"].as_array().unwrap().len()), (&json!([]), 2));
    let tasks = json!({ "cluster": "web", "serviceName": "shop" });
    assert_eq!(ecs_error(&region, "ListTasks", tasks).await, "ServiceNotFoundException");
}
