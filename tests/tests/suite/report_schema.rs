//! What `docs/report.schema.json` says of the report is what there is, and it refuses what is not.

use models::plan::Phase;
use models::report::{ClusterErrorKind, Outcome, RunReport};
use serde_json::{Value, json};

#[path = "../report_schema.rs"]
pub(crate) mod schema;

const KINDS: [ClusterErrorKind; 7] = [
    ClusterErrorKind::ClusterNotFound,
    ClusterErrorKind::NotPermitted,
    ClusterErrorKind::NotReachable,
    ClusterErrorKind::Unexpected,
    ClusterErrorKind::AnotherRun,
    ClusterErrorKind::LeaseLost,
    ClusterErrorKind::Configuration,
];

fn report() -> Value {
    json!({
        "version": 1, "run": "01KAQ3X9ZC8W5N3M2T7R6V4B1D", "dry_run": false,
        "started_at": "2026-11-23T03:00:00Z", "ended_at": "2026-11-23T03:10:00.25Z", "interrupted": false,
        "clusters": [{
            "cluster": "web", "account": "123456789012", "region": "eu-central-1",
            "instances": [{
                "container_instance": "arn:aws:ecs:eu-central-1:123456789012:container-instance/web/1",
                "ec2_instance_id": "i-0", "zone": "eu-central-1a", "outcome": "updated", "reason": null, "detail": null,
                "from": "1.26.1", "to": "1.27.0", "out_of_service_s": 95,
                "phases": [{ "phase": "unseen", "began_at": "2026-11-23T03:00:00Z", "ended_at": null }],
            }],
            "aws_calls": { "ecs:DescribeTasks": 2 }, "longest_out_of_service_s": 95,
        }],
    })
}

#[test]
fn what_fits_is_a_report() {
    assert_eq!(schema::misfits_of(&report()), Vec::<String>::new());
    let read: RunReport = serde_json::from_value(report()).unwrap();
    assert_eq!(schema::misfits(&read), Vec::<String>::new());
}

#[test]
fn what_does_not_fit_is_named() {
    let table: [(&str, Value, &str); 8] = [
        ("/version", json!(2), "/version"),
        ("/ended_at", json!("yesterday"), "/ended_at"),
        ("/clusters/0/account", json!("12"), "/clusters/0/account"),
        ("/clusters/0/instances/0/outcome", json!("better"), "/clusters/0/instances/0/outcome"),
        ("/clusters/0/instances/0/from", json!("1.27"), "/clusters/0/instances/0/from"),
        ("/clusters/0/instances/0/reason", json!("Not Good"), "/clusters/0/instances/0/reason"),
        ("/clusters/0/instances/0/phases/0/phase", json!("asleep"), "/clusters/0/instances/0/phases/0/phase"),
        ("/clusters/0/aws_calls/ecs:DescribeTasks", json!(0), "/clusters/0/aws_calls/ecs:DescribeTasks"),
    ];
    for (pointer, wrong, place) in table {
        let mut report = report();
        *report.pointer_mut(pointer).unwrap() = wrong;
        let misfits = schema::misfits_of(&report);
        assert!(misfits.iter().any(|misfit| misfit.contains(&format!(" at {place}: "))), "{pointer}: {misfits:?}");
    }
    for object in ["", "/clusters/0", "/clusters/0/instances/0", "/clusters/0/instances/0/phases/0"] {
        let mut more = report();
        more.pointer_mut(object).unwrap()["more"] = json!(1);
        assert_eq!(schema::misfits_of(&more).len(), 1, "an unknown key in {object:?}");
        let keys: Vec<String> = report().pointer(object).unwrap().as_object().unwrap().keys().cloned().collect();
        for key in keys.iter().filter(|key| !["zone", "out_of_service_s"].contains(&key.as_str())) {
            let mut less = report();
            less.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(key);
            assert_eq!(schema::misfits_of(&less).len(), 1, "{object:?} without {key}");
        }
    }
}

#[test]
fn its_lists_are_those_of_the_program() {
    let text = include_str!("../../../docs/report.schema.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let listed =
        |pointer: &str| -> Vec<String> { serde_json::from_value(schema.pointer(pointer).unwrap().clone()).unwrap() };
    let outcomes: Vec<String> = Outcome::ALL.iter().map(|outcome| outcome.as_str().to_owned()).collect();
    assert_eq!(listed("/$defs/instance/properties/outcome/enum"), outcomes);
    let phases: Vec<String> = Phase::ALL.iter().map(|phase| phase.as_str().to_owned()).collect();
    assert_eq!(listed("/$defs/phase/properties/phase/enum"), phases);
    let kinds: Vec<String> = KINDS.iter().map(|kind| json!(kind).as_str().unwrap().to_owned()).collect();
    assert_eq!(listed("/$defs/error/properties/kind/enum"), kinds);
}
