//! The shipped policies allow what is called, and nothing that is never called. `scenarios.rs` holds every call of every
//! scenario to them; here is the other direction, and the host bridge's agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use fleet_sim::clock::paused;
use fleet_sim::iam::{Need, Policies, Role, shipped};
use fleet_sim::rollout::Rollout;
use fleet_sim::wire::{Caller, Request, Signature};
use fleet_sim::{Region, Scenario, server};
use host_bridge::agent::{Ecs, Imds, Sink, Target};
use host_bridge::transport::from_fn;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Scenarios that together use every right of a run.
const RUNS: [&str; 18] = [
    "hooks_all_ok",
    "events_told",
    "reports_kept",
    "alarm_fires_in_the_middle",
    "launch_configuration",
    "interfaces_of_the_type",
    "cluster_table_wrong",
    "first_named",
    "happy_three",
    "lease_kept",
    "min_age_by_parameter",
    "managed_instances",
    "min_size_held",
    "old_image",
    "protected_tasks",
    "standalone_stop",
    "target_by_parameter",
    "trap6_unhealthy_after_prepare",
];
/// Scenarios that together use every right of a plan.
const PLANS: [&str; 9] = [
    "plan_alarm",
    "plan_interfaces",
    "plan_launch_configuration",
    "plan",
    "plan_by_parameter",
    "plan_groups",
    "plan_old_image",
    "plan_target_by_parameter",
    "plan_too_young",
];

/// Scenarios that together use every right of people who may stop a rollout and not run one.
const PEOPLE: [&str; 2] = ["exclude_and_include", "pause_and_resume"];

/// What IAM was asked in these scenarios, for the calls of a run or of a person.
fn asked(scenarios: &[&str], by: Caller) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    for name in scenarios {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
        let scenario = Scenario::load(path).unwrap();
        let runtime = paused().unwrap();
        needs.extend(runtime.block_on(async {
            let mut rollout = Rollout::start(&scenario).await.unwrap();
            for run in rollout.expect.runs() {
                rollout.run(&run, &()).await;
            }
            rollout.region.needs(by)
        }));
    }
    needs
}

/// What IAM was asked for a status.
fn asked_by_status() -> BTreeSet<Need> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/lease_kept.toml");
    let scenario = Scenario::load(path).unwrap();
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let rollout = Rollout::start(&scenario).await.unwrap();
        rollout.looker().status().await;
        rollout.region.needs(Caller::Updater)
    })
}

fn actions(needs: &BTreeSet<Need>) -> BTreeSet<String> {
    needs.iter().map(|need| need.action.clone()).collect()
}

/// All is allowed, no action is left over, and no statement can be spared.
fn fits(policies: &Policies, needs: &BTreeSet<Need>) {
    for need in needs {
        assert!(policies.allow(need), "not allowed: {need}");
    }
    assert_eq!(policies.actions(), actions(needs));
    for (index, statement) in policies.statements().iter().enumerate() {
        let refused = needs.iter().find(|need| !policies.without(index).allow(need));
        assert!(refused.is_some(), "statement {:?} could be spared", statement.sid);
    }
}

#[test]
fn a_run_has_the_rights_it_uses_and_no_others() {
    let (policies, needs) = (shipped(Role::Run).unwrap(), asked(&RUNS, Caller::Updater));
    assert!(policies.statements().len() >= 12 && needs.len() >= 25, "{} {}", policies.statements().len(), needs.len());
    fits(&policies, &needs);
}

#[test]
fn a_plan_has_the_rights_it_uses_and_no_others() {
    let (policies, mut needs) = (shipped(Role::Plan).unwrap(), asked(&PLANS, Caller::Updater));
    needs.extend(asked_by_status());
    assert!(policies.statements().len() >= 7 && needs.len() >= 12, "{} {}", policies.statements().len(), needs.len());
    fits(&policies, &needs);
    let writes = asked(&RUNS, Caller::Updater).into_iter().filter(|need| !policies.allow(need)).collect();
    assert!(actions(&writes).len() >= 5, "a run needs more: {writes:?}");
}

#[test]
fn people_have_the_rights_to_stop_a_rollout_and_no_others() {
    let (policies, needs) = (shipped(Role::Person).unwrap(), asked(&PEOPLE, Caller::Person));
    fits(&policies, &needs);
    let run = shipped(Role::Run).unwrap();
    let theirs: BTreeSet<Need> = needs.into_iter().filter(|need| !run.allow(need)).collect();
    let written = actions(&theirs);
    assert!(written.len() >= 4, "a run can lift what people have set: {written:?}");
}

/// The cluster, document, tag key and scope that a policy names are what it is limited to.
#[test]
fn nothing_beside_what_is_named_is_allowed() {
    let (run, plan, scoped) =
        (shipped(Role::Run).unwrap(), shipped(Role::Plan).unwrap(), shipped(Role::ScopedRun).unwrap());
    let needs = asked(&RUNS, Caller::Updater);
    let (mut elsewhere, mut other_document, mut other_tag, mut in_scope) = (0, 0, 0, 0);
    for need in &needs {
        let mut changed = need.clone();
        if let Some(cluster) = changed.context.get_mut("ecs:cluster") {
            *cluster = BTreeSet::from(["arn:aws:ecs:eu-central-1:123456789012:cluster/somebody-elses".to_owned()]);
            assert!(!run.allow(&changed), "{changed}");
            elsewhere += 1;
        }
        if need.resource.contains(":document/") {
            changed.resource = "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript".to_owned();
            assert!(!run.allow(&changed), "{changed}");
            assert_eq!(plan.allow(need), need.resource.ends_with("-Inspect"), "{need}");
            other_document += 1;
        }
        if let Some(keys) = changed.context.get_mut("aws:TagKeys") {
            keys.insert("Name".to_owned());
            assert!(!run.allow(&changed), "{changed}");
            changed.context.remove("aws:TagKeys");
            assert!(!run.allow(&changed), "all tags at once: {changed}");
            other_tag += 1;
        }
        if need.resource.contains(":instance/") {
            assert!(run.allow(need) && !scoped.allow(need), "no scope: {need}");
            let mut tagged = need.clone();
            let scope =
                |value: &str| ("aws:ResourceTag/ecs-updater:scope".to_owned(), BTreeSet::from([value.to_owned()]));
            tagged.context.extend([scope("test")]);
            assert!(!scoped.allow(&tagged), "another scope: {tagged}");
            tagged.context.extend([scope("production")]);
            assert!(scoped.allow(&tagged), "{tagged}");
            in_scope += 1;
        } else {
            assert!(scoped.allow(need), "{need}");
        }
    }
    assert!(
        elsewhere >= 8 && other_document >= 3 && other_tag >= 2 && in_scope >= 3,
        "{elsewhere} {other_document} {other_tag} {in_scope}"
    );
}

/// The agent's own request, as it is sent to ECS.
#[tokio::test]
async fn the_agent_has_the_right_it_uses_and_no_other() {
    let region = Region::start(&Scenario::parse("clusters = ['web']\n[[instances]]").unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server::serve(Arc::clone(&region), listener, std::future::pending()));
    let ecs =
        Ecs::new(Arc::new(Imds::over(from_fn("the metadata service", metadata))), Some(endpoint.parse().unwrap()));
    let target =
        Target { cluster: "web".into(), container_instance: region.snapshot_of(0).unwrap().container_instance.into() };
    let attributes = BTreeMap::from([("ecs-updater.os-version", "1.27.0".to_owned())]);
    ecs.put(&target, &attributes, region.clock().now()).await.unwrap();

    let (policies, needs) = (shipped(Role::Agent).unwrap(), region.needs(Caller::Agent));
    assert_eq!((policies.statements().len(), needs.len()), (1, 1), "{needs:?}");
    fits(&policies, &needs);
    let own = needs.first().unwrap();
    for (key, value) in
        [("aws:ResourceTag/ecs-updater:instance-arn", "another instance"), ("ec2:SourceInstanceARN", "-")]
    {
        let mut others = own.clone();
        others.context.insert(key.to_owned(), BTreeSet::from([value.to_owned()]));
        assert!(!policies.allow(&others), "{others}");
        others.context.remove(key);
        assert!(!policies.allow(&others), "{others}");
    }
    let mut elsewhere = own.clone();
    elsewhere.resource = elsewhere.resource.replace("/web/", "/other/");
    assert!(!policies.allow(&elsewhere), "{elsewhere}");
}

/// What a host writes for itself and for the other one, by both policies, with the tags and without.
#[tokio::test]
async fn a_host_reports_on_itself_alone_where_its_role_is_limited_to_that() {
    for (policy, named, by, of, allowed) in [
        ("own-host", true, 0, 0, true),
        ("own-host", true, 0, 1, false),
        ("own-host", true, 1, 1, true),
        ("own-host", false, 0, 0, false),
        ("cluster", true, 0, 1, true),
        ("cluster", false, 0, 1, true),
    ] {
        let scenario = format!(
            "clusters = ['web']\n[region]\nbridge_policy = '{policy}'\ninstances_named = {named}\n[[instances]]\ncount = 2"
        );
        let region = Region::start(&Scenario::parse(&scenario).unwrap()).unwrap();
        let target = region.snapshot_of(of).unwrap().container_instance;
        let attribute = serde_json::json!({ "name": "x", "value": "y", "targetId": target });
        let request = Request {
            is_cbor: false,
            rest: None,
            function: None,
            target: Some("AmazonEC2ContainerServiceV20141113.PutAttributes".to_owned()),
            body: serde_json::json!({ "cluster": "web", "attributes": [attribute] }).to_string().into(),
            by: Caller::Agent,
            signature: Some(Signature { access_key: format!("ASIAHOST{by:012}"), region: String::new() }),
        };
        let answer = region.call(request).await.unwrap();
        let said = (answer.status, String::from_utf8_lossy(&answer.body).contains("AccessDeniedException"));
        assert_eq!(
            said,
            if allowed { (200, false) } else { (400, true) },
            "{policy} {named} {by} {of}: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }
}

/// The page shows the policy that the demonstration's template has.
#[test]
fn the_agents_page_has_the_policy_of_the_template() {
    let page = include_str!("../../../docs/host-bridge.md");
    let (_, rest) = page.split_once("The instance role's policy").unwrap();
    let (_, rest) = rest.split_once("```json\n").unwrap();
    let (statement, _) = rest.split_once("```").unwrap();
    let statement =
        statement.replace("REGION", "eu-central-1").replace("ACCOUNT", "123456789012").replace("CLUSTER", "web");
    let statement: serde_json::Value = serde_json::from_str(&statement).unwrap();
    let shipped: serde_json::Value =
        serde_json::from_str(include_str!("../../../cloudformation/tests/policies.json")).unwrap();
    assert_eq!(shipped["agent"]["reports"]["Statement"], serde_json::json!([statement]));
}

/// A metadata service that knows the Region and a role.
fn metadata() -> std::io::Result<tokio::io::DuplexStream> {
    const ROLE: &str = r#"{"Code": "Success", "AccessKeyId": "ASIAHOST000000000000", "SecretAccessKey": "s", "Token": "t",
        "Expiration": "2100-01-01T00:00:00Z"}"#;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let (status, text) = match request.uri().path() {
            "/latest/api/token" => (200, "token"),
            "/latest/meta-data/placement/region" => (200, "eu-central-1"),
            "/latest/meta-data/iam/security-credentials/" => (200, "role"),
            "/latest/meta-data/iam/security-credentials/role" => (200, ROLE),
            _ => (404, ""),
        };
        http::Response::builder().status(status).body(Full::new(bytes::Bytes::from(text)))
    });
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service));
    Ok(ours)
}
