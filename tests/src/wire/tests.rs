//! Raw requests, as any client sends them, against a whole Region.

use std::sync::Arc;
use std::time::Duration;

use models::host::HostReport;
use serde_json::{Value, json};

use super::{Outcome, Request};
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
    let request = Request { target: Some(target.to_owned()), body: body.to_string().into() };
    let response = region.call(request).await.expect("no connection reset");
    (response.status, serde_json::from_str(&response.body).unwrap())
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
    let response = region.call(Request { target: None, body: body.into() }).await.expect("no connection reset");
    (response.status, response.body)
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
    let (_, body) = send(&region, "DynamoDB_20120810.GetItem", json!({})).await;
    assert_eq!(body["__type"], "SimulatorUnknownService");
    assert_eq!(region.unknown().len(), 4);
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
