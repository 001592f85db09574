//! EC2 Auto Scaling, and what its groups do.

use std::time::Duration;

use super::{arns, region};
use crate::Region;
use crate::wire::Request;

async fn autoscaling(region: &Region, form: &str) -> (u16, String) {
    let body = format!("{form}&Version=2011-01-01");
    let response = region.call(Request { body: body.into(), ..Request::default() }).await.expect("no connection reset");
    (response.status, String::from_utf8(response.body).unwrap())
}

fn id(host: usize) -> String {
    format!("i-{host:017}")
}

const GROUPS: &str = "[[instances]]\ncluster = \"web\"\ncount = 3\nasg = \"workers\"\n[[host]]\nindex = 2\n\
                      group_state = \"Standby\"\n[groups.workers]\nhealth_check_type = \"EC2,ELB\"\ntarget_group = true\n\
                      refresh = \"Baking\"\n[[service]]\nname = \"shop\"\ndesired = 2\n\
                      [[event]]\nat = \"10s\"\ndo = \"scale_in\"\nhost = 0";

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_answered() {
    let region = region(GROUPS);
    let named = format!("InstanceIds.member.1={}&InstanceIds.member.2=i-0a1b2c3d4e5f60718", id(2));
    let (status, body) = autoscaling(&region, &format!("Action=DescribeAutoScalingInstances&{named}")).await;
    assert_eq!((status, body.matches("<InstanceId>").count()), (200, 1), "unknown ids are passed over: {body}");
    assert!(body.contains("<LifecycleState>Standby</LifecycleState>"), "{body}");
    let (_, body) = autoscaling(&region, "Action=DescribeAutoScalingInstances&MaxRecords=2").await;
    assert!(body.matches("<InstanceId>").count() == 2 && body.contains("<NextToken>"), "{body}");
    let many: String = (1..=51).map(|n| format!("&InstanceIds.member.{n}={}", id(n))).collect();
    let (status, body) = autoscaling(&region, &format!("Action=DescribeAutoScalingInstances{many}")).await;
    assert!(status == 400 && body.contains("<Code>ValidationError</Code>"), "{body}");
    let (_, body) = autoscaling(&region, "Action=DescribeAutoScalingGroups&IncludeInstances=false").await;
    assert!(body.contains("<HealthCheckType>EC2,ELB</HealthCheckType>") && !body.contains("<InstanceId>"), "{body}");
    let refreshes = "Action=DescribeInstanceRefreshes&AutoScalingGroupName";
    let (_, body) = autoscaling(&region, &format!("{refreshes}=workers")).await;
    assert!(body.contains("<Status>Baking</Status>"), "{body}");
    let (status, _) = autoscaling(&region, &format!("{refreshes}=others")).await;
    assert_eq!(status, 400);
    assert!(region.unknown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_group_ends_is_drained_and_then_terminated() {
    let region = region(GROUPS);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asks = format!("Action=DescribeAutoScalingInstances&InstanceIds.member.1={}", id(0));
    let (_, body) = autoscaling(&region, &asks).await;
    assert!(body.contains("<LifecycleState>Terminating:Wait</LifecycleState>"), "{body}");
    let of_host = |instances: Vec<serde_json::Value>| {
        instances.into_iter().find(|one| one["ec2InstanceId"] == id(0)).map(|one| one["status"].clone())
    };
    assert_eq!(of_host(arns(&region).await), Some("DRAINING".into()));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let (_, body) = autoscaling(&region, &asks).await;
    assert!(!body.contains("<InstanceId>"), "it is no member any more: {body}");
    assert_eq!(of_host(arns(&region).await), None);
}
