//! Raw requests, as any client sends them, against a whole Region.

mod as_the_models_say;
mod functions;
mod groups;
mod in_doubt;
mod providers;
mod s3;

use std::sync::Arc;
use std::time::Duration;

use models::host::HostReport;
use serde_json::{Value, json};

use super::{Outcome, Request, Rest};
use crate::invariants::Rule;
use crate::{Region, Scenario};

const SCENARIO: &str = r#"
    [repository]
    versions = ["1.26.1", "1.27.0"]
    [[instances]]
    cluster = "web"
    count = 3
    zones = ["a", "b", "c"]
    version = "1.26.1"
    [[host]]
    index = 1
    tags = { Name = "the middle <one>" }
    [[service]]
    name = "shop"
    desired = 3
    [[task]]
    family = "batch"
    host = 2
"#;

fn region(text: &str) -> Arc<Region> {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
    Region::start(&scenario).unwrap()
}

async fn send(region: &Region, target: &str, body: Value) -> (u16, Value) {
    let request = Request { target: Some(target.to_owned()), body: body.to_string().into(), ..Request::default() };
    let response = region.call(request).await.expect("no connection reset");
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

async fn ecs(region: &Region, operation: &str, body: Value) -> Value {
    let (status, body) = send(region, &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).await;
    assert_eq!(status, 200, "{operation}: {body}");
    body
}

async fn ecs_error(region: &Region, operation: &str, body: Value) -> String {
    let (status, body) = send(region, &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).await;
    assert_eq!(status, 400, "{operation}: {body}");
    body["__type"].as_str().unwrap().to_owned()
}

async fn ssm(region: &Region, operation: &str, body: Value) -> Result<Value, String> {
    let (status, body) = send(region, &format!("AmazonSSM.{operation}"), body).await;
    match status {
        200 => Ok(body),
        _ => Err(body["__type"].as_str().unwrap().to_owned()),
    }
}

async fn ec2(region: &Region, form: &str) -> (u16, String) {
    let body = format!("{form}&Version=2016-11-15");
    let response = region.call(Request { body: body.into(), ..Request::default() }).await.expect("no connection reset");
    (response.status, String::from_utf8(response.body).unwrap())
}

async fn arns(region: &Region) -> Vec<Value> {
    let list = ecs(region, "ListContainerInstances", json!({ "cluster": "web" })).await;
    let arns = list["containerInstanceArns"].clone();
    let body = json!({ "cluster": "web", "containerInstances": arns });
    let described = ecs(region, "DescribeContainerInstances", body).await;
    let mut instances = described["containerInstances"].as_array().unwrap().clone();
    instances.sort_by_key(|instance| instance["ec2InstanceId"].to_string());
    instances
}

async fn command(region: &Region, document: &str, parameters: Value, host: usize) -> Value {
    let id = format!("i-{host:017}");
    let body = json!({ "DocumentName": document, "InstanceIds": [id], "Parameters": parameters, "TimeoutSeconds": 60 });
    let sent = ssm(region, "SendCommand", body).await.unwrap();
    let command = sent["Command"]["CommandId"].clone();
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let body = json!({ "CommandId": command, "Details": true });
        let list = ssm(region, "ListCommandInvocations", body).await.unwrap();
        let invocation = list["CommandInvocations"][0].clone();
        match invocation["Status"].as_str() {
            None | Some("Pending" | "InProgress" | "Delayed") => {}
            Some(_) => return invocation,
        }
    }
}

fn report(invocation: &Value) -> HostReport {
    HostReport::parse(invocation["CommandPlugins"][0]["Output"].as_str().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_instance_by_hand() {
    let region = region(SCENARIO);
    let instances = arns(&region).await;
    assert_eq!(instances.len(), 3);
    let first = &instances[0];
    assert_eq!(first["status"], "ACTIVE");
    assert_eq!(first["agentConnected"], true);
    assert_eq!(first["runningTasksCount"], 1);
    let variant = first["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "bottlerocket.variant");
    assert_eq!(variant.unwrap()["value"], "aws-ecs-2");

    let inspected = command(&region, "EcsUpdater-Inspect", json!({ "Refresh": ["yes"], "Timeout": ["60"] }), 0).await;
    let before = report(&inspected);
    assert_eq!(before.chosen().unwrap().to_string(), "1.27.0");

    let claim = |step: &str, boot: &str| format!("v1/{step}/RUN1/1.26.1/1.27.0/2026-11-23T03:00:00Z{boot}");
    let tag = |value: String| {
        let value = value.replace('/', "%2F").replace(':', "%3A");
        format!("Action=CreateTags&ResourceId.1=i-{:017}&Tag.1.Key=ecs-updater%3Aclaim&Tag.1.Value={value}", 0)
    };
    assert_eq!(ec2(&region, &tag(claim("stage", ""))).await.0, 200);
    let parameters = json!({ "Version": ["1.27.0"], "Lock": ["keep"], "Timeout": ["600"] });
    let staged = report(&command(&region, "EcsUpdater-Stage", parameters, 0).await);
    assert_eq!(staged.staged().unwrap().to_string(), "1.27.0", "{staged:?}");

    ec2(&region, &tag(claim("drain", ""))).await;
    let arn = first["containerInstanceArn"].clone();
    let state = |status: &str| json!({ "cluster": "web", "containerInstances": [arn.clone()], "status": status });
    ecs(&region, "UpdateContainerInstancesState", state("DRAINING")).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(region.snapshot_of(0).unwrap().tasks.is_empty());

    let boot = before.boot_id.unwrap();
    ec2(&region, &tag(claim("reboot", &format!("/{boot}")))).await;
    let parameters = json!({ "Version": ["1.27.0"], "Boot": [boot.as_str()], "Timeout": ["60"] });
    let body = json!({ "DocumentName": "EcsUpdater-Reboot", "InstanceIds": [format!("i-{:017}", 0)], "Parameters": parameters });
    ssm(&region, "SendCommand", body).await.unwrap();
    tokio::time::sleep(Duration::from_secs(150)).await;
    let after = region.snapshot_of(0).unwrap();
    assert_eq!(after.version.to_string(), "1.27.0");
    assert_ne!(after.boot_id, boot.as_str());
    assert!(after.connected, "a quick reboot never shows");

    ecs(&region, "UpdateContainerInstancesState", state("ACTIVE")).await;
    assert_eq!(region.finish(&Default::default()).iter().map(|one| one.rule).collect::<Vec<_>>(), [Rule::ClaimLeft]);
    ec2(&region, &format!("Action=DeleteTags&ResourceId.1=i-{:017}&Tag.1.Key=ecs-updater%3Aclaim", 0)).await;
    assert!(region.unknown().is_empty());
    assert_eq!(region.violations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_there() {
    let region = region(SCENARIO);
    let error = ecs_error(&region, "ListContainerInstances", json!({ "cluster": "shop" })).await;
    assert_eq!(error, "ClusterNotFoundException");
    let answer = ecs(&region, "DescribeClusters", json!({ "clusters": ["web", "shop"] })).await;
    assert_eq!(answer["clusters"][0]["registeredContainerInstancesCount"], 3);
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_modelled_is_loud() {
    let region = region(SCENARIO);
    let error = ecs_error(&region, "RunTask", json!({})).await;
    assert_eq!(error, "SimulatorUnknownOperation");
    let error = ecs_error(&region, "ListTasks", json!({ "cluster": "web", "nonsense": 1 })).await;
    assert_eq!(error, "SimulatorUnknownParameter");
    let (status, body) = ec2(&region, "Action=RebootInstances").await;
    assert!(status == 400 && body.contains("<Code>SimulatorUnknownOperation</Code>"), "{body}");
    let (_, body) = send(&region, "DynamoDB_20120810.DeleteItem", json!({})).await;
    assert_eq!(body["__type"], "com.amazonaws.dynamodb.v20120810#SimulatorUnknownOperation");
    let (_, body) = send(&region, "Kinesis_20131202.ListStreams", json!({})).await;
    assert_eq!(body["__type"], "SimulatorUnknownService");
    assert_eq!(region.unknown().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn every_call_is_logged() {
    let region = region(SCENARIO);
    ecs(&region, "ListClusters", json!({})).await;
    ecs_error(&region, "ListTasks", json!({ "cluster": "nowhere" })).await;
    let calls = region.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].outcome, Outcome::Success);
    assert_eq!(calls[1].outcome, Outcome::Error("ClusterNotFoundException".to_owned()));
    assert_eq!(calls[1].name(), "ecs:ListTasks");
    assert!(calls.iter().all(|call| (30..=60).contains(&call.latency.as_millis())));
    assert_eq!(region.call_counts()["ecs:ListClusters"], 1);
}

#[tokio::test(start_paused = true)]
async fn pages_limits_and_filters() {
    let region = region(
        "[[instances]]\ncluster = \"web\"\ncount = 230\nzones = [\"a\", \"b\"]\n[[host]]\nindex = 7\nbottlerocket = false",
    );
    let (mut found, mut token) = (Vec::new(), Value::Null);
    loop {
        let body = json!({ "cluster": "web", "nextToken": token, "filter": "attribute:bottlerocket.variant exists" });
        let page = ecs(&region, "ListContainerInstances", body).await;
        found.extend(page["containerInstanceArns"].as_array().unwrap().clone());
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(found.len(), 229);
    let describe = |ids: &[Value]| json!({ "cluster": "web", "containerInstances": ids });
    let error = ecs_error(&region, "DescribeContainerInstances", describe(&found[..101])).await;
    assert_eq!(error, "InvalidParameterException");
    let some = ecs(&region, "DescribeContainerInstances", describe(&found[..100])).await;
    assert_eq!(some["containerInstances"].as_array().unwrap().len(), 100);
    let short = found[0].as_str().unwrap().rsplit('/').next().unwrap();
    let mixed = describe(&[json!(short), json!("0123")]);
    let mixed = ecs(&region, "DescribeContainerInstances", mixed).await;
    assert_eq!(mixed["containerInstances"][0]["containerInstanceArn"], found[0]);
    assert_eq!(mixed["failures"][0]["reason"], "MISSING");
    let update = json!({ "cluster": "web", "containerInstances": found[..11], "status": "DRAINING" });
    assert_eq!(ecs_error(&region, "UpdateContainerInstancesState", update).await, "InvalidParameterException");
    for body in [
        json!({ "cluster": "web", "filter": "attribute:x ==" }),
        json!({ "cluster": "web", "nextToken": "odd" }),
        json!({ "cluster": "web", "maxResults": 101 }),
        json!({ "cluster": "web", "status": "ODD" }),
    ] {
        assert_eq!(ecs_error(&region, "ListContainerInstances", body).await, "InvalidParameterException");
    }
    let none = json!({ "cluster": "web", "status": "DRAINING" });
    assert_eq!(ecs(&region, "ListContainerInstances", none).await["containerInstanceArns"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn tasks_and_services() {
    let region = region(SCENARIO);
    let instances = arns(&region).await;
    let on = &instances[2]["containerInstanceArn"];
    let list = ecs(&region, "ListTasks", json!({ "cluster": "web", "containerInstance": on })).await;
    let tasks = list["taskArns"].clone();
    assert_eq!(tasks.as_array().unwrap().len(), 2);
    let described = ecs(&region, "DescribeTasks", json!({ "cluster": "web", "tasks": tasks })).await;
    let groups: std::collections::BTreeSet<&str> =
        described["tasks"].as_array().unwrap().iter().map(|task| task["group"].as_str().unwrap()).collect();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["family:batch", "service:shop"]);
    let pending = json!({ "cluster": "web", "desiredStatus": "PENDING" });
    assert_eq!(ecs(&region, "ListTasks", pending).await["taskArns"], json!([]), "as documented");
    let of_service = json!({ "cluster": "web", "serviceName": "shop", "maxResults": 2 });
    let page = ecs(&region, "ListTasks", of_service).await;
    assert_eq!(page["taskArns"].as_array().unwrap().len(), 2);
    assert!(page["nextToken"].is_string());
    let batch = json!({ "cluster": "web", "family": "batch" });
    let batch = ecs(&region, "ListTasks", batch).await["taskArns"][0].clone();
    let protection =
        ecs(&region, "GetTaskProtection", json!({ "cluster": "web", "tasks": [batch, page["taskArns"][0]] })).await;
    assert_eq!(protection["failures"][0]["reason"], "TASK_NOT_VALID");
    assert_eq!(protection["protectedTasks"][0]["protectionEnabled"], false);
    let stopped = ecs(&region, "StopTask", json!({ "cluster": "web", "task": batch, "reason": "make room" })).await;
    assert_eq!(stopped["task"]["desiredStatus"], "STOPPED");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let stopped = json!({ "cluster": "web", "desiredStatus": "STOPPED", "containerInstance": on });
    assert_eq!(ecs(&region, "ListTasks", stopped).await["taskArns"], json!([batch]));
    let services = ecs(&region, "ListServices", json!({ "cluster": "web" })).await["serviceArns"].clone();
    let services = json!({ "cluster": "web", "services": [services[0], "nothing"] });
    let services = ecs(&region, "DescribeServices", services).await;
    assert_eq!(services["services"][0]["runningCount"], 3);
    assert_eq!(services["services"][0]["deploymentConfiguration"]["minimumHealthyPercent"], 100);
    assert_eq!(services["failures"][0]["reason"], "MISSING");
    let error = ecs_error(&region, "ListTasks", json!({ "cluster": "web", "serviceName": "nothing" })).await;
    assert_eq!(error, "ServiceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn attributes_have_limits() {
    let region = region(SCENARIO);
    let instances = arns(&region).await;
    let on = instances[0]["containerInstanceArn"].clone();
    let attribute = |name: &str, value: &str| json!({ "name": name, "value": value, "targetId": on });
    let put = |attributes: Vec<Value>| json!({ "cluster": "web", "attributes": attributes });
    let ten: Vec<Value> = (0..10).map(|n| attribute(&format!("own.{n}"), "x")).collect();
    ecs(&region, "PutAttributes", put(ten)).await;
    let error = ecs_error(&region, "PutAttributes", put(vec![attribute("one.more", "x")])).await;
    assert_eq!(error, "AttributeLimitExceededException");
    for bad in [attribute("a b", "x"), attribute("a", " x"), attribute("a", "x=y")] {
        assert_eq!(ecs_error(&region, "PutAttributes", put(vec![bad])).await, "InvalidParameterException");
    }
    let gone = json!({ "name": "a", "value": "x", "targetId": "0123" });
    assert_eq!(ecs_error(&region, "PutAttributes", put(vec![gone])).await, "TargetNotFoundException");
    ecs(&region, "DeleteAttributes", put(vec![json!({ "name": "own.3", "targetId": on })])).await;
    let list = |more: Value| {
        let mut body = json!({ "cluster": "web", "targetType": "container-instance" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let all = ecs(&region, "ListAttributes", list(json!({}))).await["attributes"].as_array().unwrap().clone();
    assert_eq!(all.iter().filter(|one| one["value"] == "x").count(), 9);
    let one = list(json!({ "attributeName": "own.4", "attributeValue": "x" }));
    assert_eq!(ecs(&region, "ListAttributes", one).await["attributes"].as_array().unwrap().len(), 1);
    let value_alone = list(json!({ "attributeValue": "x" }));
    assert_eq!(ecs_error(&region, "ListAttributes", value_alone).await, "InvalidParameterException");
    let filter = json!({ "cluster": "web", "filter": "attribute:own.4 == x" });
    assert_eq!(ecs(&region, "ListContainerInstances", filter).await["containerInstanceArns"], json!([on]));
}

#[tokio::test(start_paused = true)]
async fn ec2_in_xml() {
    let region = region(SCENARIO);
    let (status, body) = ec2(&region, &format!("Action=DescribeInstances&InstanceId.1=i-{:017}", 1)).await;
    assert_eq!(status, 200);
    assert!(body.contains("<value>the middle &lt;one&gt;</value>"), "{body}");
    assert_eq!(body.matches("<instanceId>").count(), 1);
    let (status, body) = ec2(&region, "Action=DescribeInstances&InstanceId.1=i-00000000000000099").await;
    assert_eq!(status, 400);
    assert!(body.contains("<Code>InvalidInstanceID.NotFound</Code>"), "{body}");
    assert!(body.contains("The instance ID &apos;i-00000000000000099&apos; does not exist"), "{body}");
    let (_, body) = ec2(&region, "Action=DescribeInstances&InstanceId.1=odd").await;
    assert!(body.contains("InvalidInstanceID.Malformed"), "{body}");
    let (_, body) = ec2(&region, "Action=DescribeInstances&Filter.1.Name=tag-key&Filter.1.Value.1=Na*").await;
    assert_eq!(body.matches("<instanceId>").count(), 1);
    let (_, body) = ec2(&region, "Action=DescribeInstances&Filter.1.Name=odd&Filter.1.Value.1=x").await;
    assert!(body.contains("SimulatorUnknownParameter"), "{body}");
    let (_, body) = ec2(&region, &format!("Action=DescribeInstances&InstanceId.1=i-{:017}", 1)).await;
    let (_, image) = body.split_once("<imageId>").unwrap();
    let (image, _) = image.split_once('<').unwrap();
    let images =
        |id: &str| format!("Action=DescribeImages&IncludeDeprecated=true&Filter.1.Name=image-id&Filter.1.Value.1={id}");
    let (_, body) = ec2(&region, &images(image)).await;
    assert!(body.contains("<name>bottlerocket-aws-ecs-2-x86_64-v1.26.1-"), "{body}");
    let (status, body) = ec2(&region, &images("ami-0123456789abcdef0")).await;
    assert_eq!((status, body.matches("<imageId>").count()), (200, 0), "a filter that nothing passes is no error");
    let (_, body) = ec2(&region, "Action=DescribeImages").await;
    assert!(body.matches("<imageId>").count() >= 1, "{body}");
    let (_, body) = ec2(&region, "Action=DescribeImages&ImageId.1=ami-0123456789abcdef0").await;
    assert!(body.contains("SimulatorUnknownParameter"), "{body}");
    let (_, body) = ec2(&region, "Action=DescribeInstanceStatus&IncludeAllInstances=true").await;
    assert_eq!(body.matches("<instanceStatus><status>ok</status>").count(), 3);
    let tag = |key: &str, value: &str| {
        format!("Action=CreateTags&ResourceId.1=i-{:017}&Tag.1.Key={key}&Tag.1.Value={value}", 0)
    };
    let (_, body) = ec2(&region, &tag("aws:x", "1")).await;
    assert!(body.contains("InvalidParameterValue"), "{body}");
    let (_, body) = ec2(&region, &tag("x", &"v".repeat(257))).await;
    assert!(body.contains("InvalidParameterValue"), "{body}");
    for n in 0..50 {
        assert_eq!(ec2(&region, &tag(&format!("k{n}"), "1")).await.0, 200);
    }
    assert!(ec2(&region, &tag("k50", "1")).await.1.contains("TagLimitExceeded"));
    assert_eq!(ec2(&region, &tag("k1", "2")).await.0, 200, "a new value for an old key");
    assert_eq!(region.snapshot_of(0).unwrap().tags["k1"], "2");
    assert_eq!(region.unknown().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_command() {
    let region = region(SCENARIO);
    let ids: Vec<String> = (0..3).map(|host| format!("i-{host:017}")).collect();
    let send = |ids: &[String]| json!({ "DocumentName": "EcsUpdater-Inspect", "InstanceIds": ids, "Parameters": { "Refresh": ["yes"] } });
    let sent = ssm(&region, "SendCommand", send(&ids)).await.unwrap();
    let command = sent["Command"]["CommandId"].clone();
    let get = || json!({ "CommandId": command, "InstanceId": ids[0] });
    assert_eq!(ssm(&region, "GetCommandInvocation", get()).await.unwrap_err(), "InvocationDoesNotExist");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let running = ssm(&region, "GetCommandInvocation", get()).await.unwrap();
    assert_eq!((&running["Status"], &running["ResponseCode"]), (&json!("InProgress"), &json!(-1)));
    assert_eq!(running["StandardOutputContent"], "");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ended = ssm(&region, "GetCommandInvocation", get()).await.unwrap();
    assert_eq!((&ended["Status"], &ended["ResponseCode"]), (&json!("Success"), &json!(0)));
    assert!(ended["StandardOutputContent"].as_str().unwrap().contains("\"chosen\":\"1.27.0\""));
    let list = json!({ "CommandId": command, "MaxResults": 2 });
    let page = ssm(&region, "ListCommandInvocations", list).await.unwrap();
    assert_eq!(page["CommandInvocations"].as_array().unwrap().len(), 2);
    assert!(page["NextToken"].is_string());
    assert_eq!(page["CommandInvocations"][0]["CommandPlugins"], json!([]), "no details unless asked for");

    let with_stranger = [ids[0].clone(), "i-00000000000000099".to_owned()];
    assert_eq!(ssm(&region, "SendCommand", send(&with_stranger)).await.unwrap_err(), "InvalidInstanceId");
    assert_eq!(
        ssm(&region, "SendCommand", json!({ "DocumentName": "Odd", "InstanceIds": ids })).await.unwrap_err(),
        "InvalidDocument"
    );
    let odd = json!({ "DocumentName": "EcsUpdater-Inspect", "InstanceIds": ids, "Parameters": { "Odd": ["1"] } });
    assert_eq!(ssm(&region, "SendCommand", odd).await.unwrap_err(), "InvalidParameters");
    let short = json!({ "DocumentName": "EcsUpdater-Inspect", "InstanceIds": ids, "TimeoutSeconds": 29 });
    assert_eq!(ssm(&region, "SendCommand", short).await.unwrap_err(), "ValidationException");
    let many: Vec<String> = (0..51).map(|host| format!("i-{host:017}")).collect();
    assert_eq!(ssm(&region, "SendCommand", send(&many)).await.unwrap_err(), "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_under_a_command() {
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..6 {
        let text = format!(
            "seed = {seed}\n{SCENARIO}\n[[host]]\nindex = 0\ndurations = {{ refresh = \"5m\" }}\n\
             [[event]]\nat = \"20s\"\ndo = \"reboot\"\nhost = 0"
        );
        let region = region(&text);
        let ended = command(&region, "EcsUpdater-Inspect", json!({ "Refresh": ["yes"], "Timeout": ["600"] }), 0).await;
        ends.insert(ended["Status"].as_str().unwrap().to_owned());
        assert_eq!(ended["CommandPlugins"][0]["Output"], "", "{ended}");
        let took = region.clock().now().duration_since(region.clock().base()).as_secs();
        assert!(took > 60, "InProgress until the agent is back: {took} s");
    }
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), ["Failed", "Success"], "reported by chance");
}

#[tokio::test(start_paused = true)]
async fn a_host_without_its_agent() {
    let text = format!("{SCENARIO}\n[[host]]\nindex = 0\nssm_away = true\n[[host]]\nindex = 1\nssm_registered = false");
    let region = region(&text);
    let filter = json!({ "Filters": [{ "Key": "PingStatus", "Values": ["Online"] }] });
    let online = ssm(&region, "DescribeInstanceInformation", filter).await.unwrap();
    assert_eq!(online["InstanceInformationList"].as_array().unwrap().len(), 1);
    let all = ssm(&region, "DescribeInstanceInformation", json!({})).await.unwrap();
    let list = all["InstanceInformationList"].as_array().unwrap();
    assert_eq!(list.len(), 2, "one was never registered");
    assert_eq!(list[0]["PingStatus"], "ConnectionLost");
    let odd = json!({ "MaxResults": 4 });
    assert_eq!(ssm(&region, "DescribeInstanceInformation", odd).await.unwrap_err(), "ValidationException");
    let ended = command(&region, "EcsUpdater-Inspect", json!({ "Refresh": ["no"] }), 0).await;
    assert_eq!((&ended["Status"], &ended["StatusDetails"]), (&json!("TimedOut"), &json!("DeliveryTimedOut")));
    let body = json!({ "DocumentName": "EcsUpdater-Inspect", "InstanceIds": [format!("i-{:017}", 1)] });
    assert_eq!(ssm(&region, "SendCommand", body).await.unwrap_err(), "InvalidInstanceId");
}

#[tokio::test(start_paused = true)]
async fn commands_time_out_and_long_output_is_cut() {
    let text = format!(
        "{SCENARIO}\n[[host]]\nindex = 0\ndurations = {{ refresh = \"20m\" }}\n\
         [[host]]\nindex = 2\ndurations = {{ prepare = \"20m\" }}"
    );
    let region = region(&text);
    let parameters = json!({ "commands": ["apiclient update check"], "executionTimeout": ["60"] });
    let ended = command(&region, "AWS-RunShellScript", parameters, 0).await;
    assert_eq!(ended["StatusDetails"], "Failed", "apiclient gives up after 10 s: {ended}");
    let lines: Vec<&str> = std::iter::repeat_n("apiclient get settings", 200).collect();
    let ended = command(&region, "AWS-RunShellScript", json!({ "commands": lines }), 1).await;
    let output = ended["CommandPlugins"][0]["Output"].as_str().unwrap();
    assert_eq!(output.chars().count(), 2_500);
    assert!(output.ends_with("---Output truncated---"));
    let parameters = json!({ "commands": ["apiclient update apply --check"], "executionTimeout": ["60"] });
    let ended = command(&region, "AWS-RunShellScript", parameters, 2).await;
    assert_eq!((&ended["Status"], &ended["StatusDetails"]), (&json!("TimedOut"), &json!("ExecutionTimedOut")));
}

#[tokio::test(start_paused = true)]
async fn parameters_are_read() {
    let region = region("[parameters]\n\"/fleet/approved\" = \"1.27.0\"");
    let read = ssm(&region, "GetParameter", json!({ "Name": "/fleet/approved" })).await.unwrap();
    assert_eq!(read["Parameter"]["Value"], "1.27.0");
    assert_eq!(ssm(&region, "GetParameter", json!({ "Name": "odd" })).await.unwrap_err(), "ParameterNotFound");
    let names: Vec<String> = (0..11).map(|n| format!("p{n}")).collect();
    assert_eq!(ssm(&region, "GetParameters", json!({ "Names": names })).await.unwrap_err(), "ValidationException");
    let several = json!({ "Names": ["odd", "/fleet/approved"] });
    let read = ssm(&region, "GetParameters", several).await.unwrap();
    assert_eq!((&read["Parameters"][0]["Value"], &read["InvalidParameters"]), (&json!("1.27.0"), &json!(["odd"])));
}

/// An image has a name, a date and an owner, each kind of host its own, and a parameter names it.
#[tokio::test(start_paused = true)]
async fn releases_have_images_and_public_parameters() {
    let region = region(
        r#"
        [repository]
        releases = [
          { version = "1.28.0", image = { is_there = false, parameter_at = "2026-11-02T00:00:00Z" } },
          { version = "1.27.0", image = { created_at = "2026-11-01T00:00:00Z", copied_at = "2020-01-01T00:00:00Z" } },
        ]
        [[instances]]
        count = 2
        version = "1.26.1"
        [[host]]
        index = 1
        arch = "aarch64"
        "#,
    );
    let images = |rest: &str| format!("Action=DescribeImages&Filter.1.Name=name&Filter.1.Value.1={rest}");
    let (_, all) = ec2(&region, &images("bottlerocket-aws-ecs-2-x86_64-v1.27.0-*")).await;
    assert_eq!(all.matches("<imageId>").count(), 2, "{all}");
    let (_, own) = ec2(&region, &images("bottlerocket-aws-ecs-2-x86_64-v1.27.0-*&Owner.1=amazon")).await;
    assert_eq!(own.matches("<imageId>").count(), 1, "{own}");
    assert!(own.contains("<creationDate>2026-11-01T00:00:00.000Z</creationDate>"), "{own}");
    let (_, none) = ec2(&region, &images("bottlerocket-aws-ecs-2-x86_64-v1.28.0-*&Owner.1=amazon")).await;
    assert_eq!(none.matches("<imageId>").count(), 0, "{none}");
    let name = |arch: &str, version: &str| format!("/aws/service/bottlerocket/aws-ecs-2/{arch}/{version}/image_id");
    let names = [name("arm64", "1.28.0"), name("aarch64", "1.28.0"), name("x86_64", "1.29.0")];
    let read = ssm(&region, "GetParameters", json!({ "Names": names })).await.unwrap();
    assert_eq!(read["Parameters"].as_array().map(Vec::len), Some(1), "{read}");
    assert_eq!(read["Parameters"][0]["LastModifiedDate"], json!(1_793_577_600.0));
}

#[tokio::test(start_paused = true)]
async fn somebody_acts_between_two_calls() {
    let event = "[[event]]\nwhen = { call = \"ecs:ListContainerInstances\", nth = 2 }\ndo = \"drain\"\nhost = 0";
    let region = region(&format!("{SCENARIO}\n{event}"));
    let list = json!({ "cluster": "web", "status": "ACTIVE" });
    let mut counts = Vec::new();
    for _ in 0..3 {
        ecs(&region, "ListTasks", json!({ "cluster": "web" })).await;
        let listed = ecs(&region, "ListContainerInstances", list.clone()).await;
        counts.push(listed["containerInstanceArns"].as_array().unwrap().len());
    }
    assert_eq!(counts, [3, 3, 2], "after the second, and not in its answer");
}

#[tokio::test(start_paused = true)]
async fn tasks_are_listed_by_their_family() {
    let region = region(SCENARIO);
    for (family, there) in [("batch", 1), ("shop", 3), ("bat", 0)] {
        let listed = ecs(&region, "ListTasks", json!({ "cluster": "web", "family": family })).await;
        assert_eq!(listed["taskArns"].as_array().unwrap().len(), there, "{family}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_strike_as_the_scenario_says() {
    let region = region(
        r#"
        [region]
        deny = ["ecs:StopTask", "ec2:CreateTags"]
        [[instances]]
        cluster = "web"
        [[fault]]
        operation = "ecs:ListClusters"
        nth = [2, 3]
        error = "ThrottlingException"
        [[fault]]
        operation = "ecs:ListServices"
        from = "1m"
        until = "2m"
        status = 500
        [[fault]]
        operation = "ecs:DescribeClusters"
        nth = 1
        delay = "5s"
        [[fault]]
        operation = "ecs:UpdateContainerInstancesState"
        times = 1
        reset = "after"
        [[fault]]
        operation = "ssm:*"
        nth = 1
        reset = "before"
        "#,
    );
    let list = "AmazonEC2ContainerServiceV20141113.ListClusters";
    let statuses = [send(&region, list, json!({})).await.0, send(&region, list, json!({})).await.0];
    assert_eq!(statuses, [200, 400]);
    assert_eq!(ecs_error(&region, "ListClusters", json!({})).await, "ThrottlingException");
    let before = region.clock().now();
    ecs(&region, "DescribeClusters", json!({ "clusters": ["web"] })).await;
    assert!(region.clock().now().duration_since(before).as_secs() >= 5);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let target = "AmazonEC2ContainerServiceV20141113.ListServices".to_owned();
    let request = Request { target: Some(target), body: "{\"cluster\":\"web\"}".into(), ..Request::default() };
    assert_eq!(region.call(request.clone()).await.unwrap().status, 500);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(region.call(request).await.unwrap().status, 200);

    let arn = region.snapshot_of(0).unwrap().container_instance;
    let body = json!({ "cluster": "web", "containerInstances": [arn], "status": "DRAINING" });
    let target = "AmazonEC2ContainerServiceV20141113.UpdateContainerInstancesState".to_owned();
    let request = Request { target: Some(target), body: body.to_string().into(), ..Request::default() };
    assert!(region.call(request).await.is_none());
    assert_eq!(region.snapshot_of(0).unwrap().status.name(), "DRAINING", "it took effect");
    let request =
        Request { target: Some("AmazonSSM.GetParameter".to_owned()), body: "{}".into(), ..Request::default() };
    assert!(region.call(request).await.is_none());
    assert_eq!(region.calls().last().unwrap().outcome, Outcome::Reset);

    let (_, body) = send(&region, "AmazonEC2ContainerServiceV20141113.StopTask", json!({})).await;
    assert_eq!(body["__type"], "AccessDeniedException");
    assert!(body["message"].as_str().unwrap().contains("is not authorized to perform: ecs:StopTask"), "{body}");
    let (status, body) = ec2(&region, "Action=CreateTags").await;
    assert!(status == 403 && body.contains("<Code>UnauthorizedOperation</Code>"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn real_rates_refuse_a_burst() {
    let region = region(SCENARIO);
    let calls: Vec<_> = (0..150)
        .map(|_| {
            let region = Arc::clone(&region);
            let request = Request {
                target: Some("AmazonEC2ContainerServiceV20141113.ListTasks".to_owned()),
                body: "{\"cluster\":\"web\"}".into(),
                ..Request::default()
            };
            tokio::spawn(async move { region.call(request).await.unwrap().status })
        })
        .collect();
    let mut refused = 0;
    for call in calls {
        refused += usize::from(call.await.unwrap() == 400);
    }
    assert_eq!(refused, 50);
    tokio::time::sleep(Duration::from_secs(1)).await;
    ecs(&region, "ListTasks", json!({ "cluster": "web" })).await;
}

/// With nothing in the request an operation that is modelled may refuse it, and one that is not says that it is not.
#[tokio::test(start_paused = true)]
async fn what_is_listed_is_modelled() {
    let region = region(SCENARIO);
    for name in super::service::OPERATIONS {
        let (service, operation) = name.split_once(':').unwrap();
        let query = |version: &str| Request {
            body: format!("Action={operation}&Version={version}").into(),
            ..Request::default()
        };
        let json = |target: &str| Request {
            target: Some(format!("{target}.{operation}")),
            body: "{}".into(),
            ..Request::default()
        };
        let cbor = || Request {
            target: Some(format!("{}.{operation}", super::cloudwatch::TARGET)),
            is_cbor: true,
            ..Request::default()
        };
        let request = match service {
            "cloudwatch" => cbor(),
            "dynamodb" => json("DynamoDB_20120810"),
            "ec2" => query("2016-11-15"),
            "ecs" => json("AmazonEC2ContainerServiceV20141113"),
            "events" => json("AWSEvents"),
            "s3" => {
                let rest = Rest { method: "PUT".to_owned(), path: "/bucket/key".to_owned(), ..Rest::default() };
                Request { rest: Some(rest), ..Request::default() }
            }
            "ssm" => json("AmazonSSM"),
            "lambda" => Request { function: Some("ready".to_owned()), body: "{}".into(), ..Request::default() },
            "autoscaling" => query("2011-01-01"),
            _ => query("2011-06-15"),
        };
        assert_eq!(request.name(), name);
        region.call(request).await.unwrap();
        assert!(!region.unknown().contains(&format!("{name}: {name} is not modelled")), "{name}");
    }
}
