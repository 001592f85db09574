//! A run dies in the middle, and a person's command dies too, at each of its calls, before it is sent and after it was carried
//! out; asked again, it does the rest, and the next run brings everything to an end. Of all these cases a part is taken;
//! `EVERY=1` takes all.
//!
//! `CRASH=before:17 cargo test -p fleet-sim --test suite release_everywhere` repeats that one of each, with its log.

use std::time::Instant;

use fleet_sim::proof::{Proof, jobs, prove};
use fleet_sim::{CrashPoint, Scenario};
use toml::{Table, Value};

/// Of all cases, each so-manyth: odd, so that commands die before calls as well as after them.
const EVERY: usize = 33;

const CLUSTER: &str = r#"
tables = { leases = "lease" }
repository = { versions = ["1.26.1", "1.27.0", "1.28.0"] }
updater = { lease_table = "leases", defaults = { target = "1.27.0", stop_after_failures = "never" } }
[[instances]]
count = 3
zones = ["a", "b", "c"]
version = "1.26.1"
[[service]]
name = "web"
desired = 3
"#;

/// What stands when the first run dies, the command, and what is special about the hosts.
const CASES: [(&str, &str, &str, &str); 5] = [
    ("a drain", "release 0", "host = 0, is = \"draining\"", ""),
    ("a reboot that does not come", "release 0", "host = 0, is = \"activated\"", "reboot_inhibited = 9"),
    ("a reboot that comes late", "release 0", "host = 0, is = \"activated\"", "durations = { shutdown = \"200s\" }"),
    ("a staged one", "release 0", "host = 0, is = \"staged\"", ""),
    ("a failure", "forget-failed", "host = 1, is = \"active\"", "tags = { \"ecs-updater:failed\" = \"1.27.0\" }"),
];

#[test]
fn a_command_that_died_is_asked_again_by_ssm() {
    everywhere(|scenario| scenario, "ssm");
}

#[test]
fn a_command_that_died_is_asked_again_by_bridge() {
    everywhere(Scenario::by_bridge, "bridge");
}

fn everywhere(by: fn(Scenario) -> Scenario, transport: &str) {
    let began = Instant::now();
    let mut all = Vec::new();
    for (name, command, dies, host) in CASES {
        let scenario = Scenario::parse(&format!("{CLUSTER}\n[[host]]\nindex = 0\n{host}\n")).unwrap();
        let scenario = by(scenario);
        let whole = prove(&with_runs(&scenario, command, dies, None), false).unwrap();
        assert!(whole.problems.is_empty(), "{name}, {transport}, without a crash: {}", whole.problems.join("\n"));
        let points = (1..=whole.runs[1].calls).flat_map(|call| [CrashPoint::Before(call), CrashPoint::After(call)]);
        all.extend(points.map(|point| (name, with_runs(&scenario, command, dies, Some(point)), point)));
    }
    if let Ok(at) = std::env::var("CRASH") {
        all.retain(|(_, _, point)| said(*point) == at);
    } else {
        all = all.into_iter().step_by(jobs::every(EVERY)).collect();
    }
    let is_one = std::env::var("CRASH").is_ok();
    let proofs: Vec<Proof> = jobs::all(jobs::threads(), &all, |(_, scenario, _)| prove(scenario, is_one).unwrap());
    let mut failed = Vec::new();
    for ((name, _, point), proof) in all.iter().zip(&proofs).filter(|(_, proof)| !proof.problems.is_empty()) {
        println!("{}", proof.log.join("\n"));
        failed.push(format!("{name}, {transport}, died at {}:\n  {}", said(*point), proof.problems.join("\n  ")));
    }
    println!("{} crashes of commands by {transport}, {} failed, {:.1?}", all.len(), failed.len(), began.elapsed());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The run that dies, the command that dies where it does, the same again, and a run.
fn with_runs(scenario: &Scenario, command: &str, dies: &str, at: Option<CrashPoint>) -> Scenario {
    let kill: Table = format!("kill = {{ {dies} }}").parse().unwrap();
    let asked = Table::from_iter([
        ("command".to_owned(), Value::from(command)),
        // The lease of the run that died is free by then.
        ("after".to_owned(), Value::from("12m")),
    ]);
    let mut first = asked.clone();
    if let Some(point) = at {
        let (key, call) = match point {
            CrashPoint::Before(call) => ("before_call", call),
            CrashPoint::After(call) => ("after_call", call),
        };
        let call = Value::Integer(i64::try_from(call).unwrap());
        first.insert("kill".to_owned(), Table::from_iter([(key.to_owned(), call)]).into());
    }
    let last = Table::from_iter([("after".to_owned(), Value::from("1m"))]);
    let mut expect = scenario.expect.clone();
    let runs = [kill, first, asked, last].map(Value::from).to_vec();
    expect.insert("run".to_owned(), Value::Array(runs));
    Scenario { expect, ..scenario.clone() }
}

fn said(point: CrashPoint) -> String {
    match point {
        CrashPoint::Before(call) => format!("before:{call}"),
        CrashPoint::After(call) => format!("after:{call}"),
    }
}
