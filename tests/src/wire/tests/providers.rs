//! Capacity providers and strategies in ECS's answers.

use serde_json::json;

use super::{ecs, region};

const PROVIDERS: &str = "[default_strategy]\nweb = [{ provider = \"on-demand\", base = 1 }]\n\
    [providers.on-demand]\nmanaged_scaling = { target = 90, warm_up = \"1m\" }\ntermination_protection = true\n\
    [[instances]]\ncluster = \"web\"\nasg = \"workers\"\nprovider = \"on-demand\"\n\
    [[instances]]\ncluster = \"web\"\nmanaged = true\n\
    [[service]]\nname = \"shop\"\n[[service]]\nname = \"old\"\nstrategy = []\n\
    [[task]]\nfamily = \"batch\"\nhost = 0\n";

#[tokio::test(start_paused = true)]
async fn providers_and_strategies_are_shown() {
    let region = region(PROVIDERS);
    let cluster = ecs(&region, "DescribeClusters", json!({ "clusters": ["web"] })).await;
    let item = json!([{ "capacityProvider": "on-demand", "base": 1, "weight": 1 }]);
    assert_eq!(cluster["clusters"][0]["capacityProviders"], json!(["on-demand"]));
    assert_eq!(cluster["clusters"][0]["defaultCapacityProviderStrategy"], item);
    let named = json!({ "cluster": "web", "services": ["shop", "old"] });
    let services = ecs(&region, "DescribeServices", named).await["services"].clone();
    assert_eq!((&services[0]["capacityProviderStrategy"], &services[0]["launchType"]), (&item, &json!(null)));
    assert_eq!(services[0]["deployments"][0]["capacityProviderStrategy"], item);
    assert_eq!((&services[1]["capacityProviderStrategy"], &services[1]["launchType"]), (&json!(null), &json!("EC2")));
    let providers = ecs(&region, "DescribeCapacityProviders", json!({ "cluster": "web" })).await;
    let of_managed = &providers["capacityProviders"][0];
    assert_eq!(of_managed["type"], "MANAGED_INSTANCES");
    let own = &providers["capacityProviders"][1]["autoScalingGroupProvider"];
    let scaling = json!({
        "status": "ENABLED", "targetCapacity": 90, "minimumScalingStepSize": 1, "maximumScalingStepSize": 10_000,
        "instanceWarmupPeriod": 60,
    });
    assert_eq!((&own["managedScaling"], &own["managedTerminationProtection"]), (&scaling, &json!("ENABLED")));
    assert!(own["autoScalingGroupArn"].as_str().unwrap().ends_with(":autoScalingGroupName/workers"));
    let named = json!({ "cluster": "web", "capacityProviders": ["none"] });
    let none = ecs(&region, "DescribeCapacityProviders", named).await;
    assert_eq!((&none["capacityProviders"], &none["failures"][0]["reason"]), (&json!([]), &json!("MISSING")));
    let listed = ecs(&region, "ListTasks", json!({ "cluster": "web" })).await["taskArns"].clone();
    let tasks = ecs(&region, "DescribeTasks", json!({ "cluster": "web", "tasks": listed })).await;
    let of = |group: &str| {
        let mut tasks = tasks["tasks"].as_array().unwrap().iter();
        tasks.find(|task| task["group"] == group).map(|task| task["capacityProviderName"].clone())
    };
    assert_eq!(of("service:shop"), Some(json!("on-demand")));
    assert_eq!(of("service:old"), Some(json!(null)));
    assert_eq!(of("family:batch"), Some(json!("on-demand")));
    assert!(region.unknown().is_empty());
}
