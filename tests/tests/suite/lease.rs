//! Two runs on one cluster, at every moment that matters: never do both write.

use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::processes::{Pause, ProcessSpec};
use fleet_sim::rollout::{Ran, Rollout};
use jiff::SignedDuration;
use models::report::{ClusterErrorKind, Outcome};

const CLUSTER: &str = r#"
tables = { leases = "lease" }
updater = { lease_table = "leases" }
repository = { versions = ["1.26.1", "1.27.0"] }
[[instances]]
count = 3
[[service]]
name = "shop"
desired = 4
"#;

fn side_by_side(seed: u64, processes: &[ProcessSpec]) -> (Vec<Ran>, Vec<String>) {
    let scenario = Scenario::parse(&format!("seed = {seed}\n{CLUSTER}")).unwrap();
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let rollout = Rollout::start(&scenario).await.unwrap();
        let ran = rollout.side_by_side(processes).await;
        let mut broken: Vec<String> = rollout.region.violations().iter().map(ToString::to_string).collect();
        broken.extend(rollout.region.unknown());
        (ran, broken)
    })
}

fn error(ran: &Ran) -> Option<ClusterErrorKind> {
    ran.report.as_ref()?.clusters[0].error.as_ref().map(|error| error.kind)
}

fn updated(ran: &Ran) -> usize {
    ran.report.as_ref().map_or(0, |report| report.clusters[0].count(Outcome::Updated))
}

#[test]
fn of_two_runs_started_in_the_same_instant_exactly_one_works() {
    for seed in 0..12 {
        let second =
            ProcessSpec { at: SignedDuration::from_millis(i64::try_from(seed).unwrap() * 4), ..Default::default() };
        let (ran, broken) = side_by_side(seed, &[ProcessSpec::default(), second]);
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
        let mut ends: Vec<_> = ran.iter().map(|ran| (updated(ran), error(ran))).collect();
        ends.sort_by_key(|(updated, _)| *updated);
        assert_eq!(ends, [(0, Some(ClusterErrorKind::AnotherRun)), (3, None)], "seed {seed}");
    }
}

/// A run is suspended at some moment, for longer than its lease; another one, whose clock may be a minute off, takes
/// over; the first wakes while the second is at work.
#[test]
fn a_run_that_wakes_after_its_lease_was_taken_writes_nothing_more() {
    for at_s in (15..=500).step_by(39) {
        for skew_s in [-60, 0, 60] {
            let at = SignedDuration::from_secs(at_s);
            let pause = Some(Pause { at, lasts: SignedDuration::from_secs(14 * 60) });
            let first = ProcessSpec { pause, ..Default::default() };
            let second = ProcessSpec {
                at: at + SignedDuration::from_secs(12 * 60 + 30),
                skew: SignedDuration::from_secs(skew_s),
                ..Default::default()
            };
            let (ran, broken) = side_by_side(7, &[first, second]);
            let case = format!("suspended after {at_s} s, the other's clock {skew_s} s ahead");
            assert!(broken.is_empty(), "{case}: {broken:?}");
            assert_eq!((error(&ran[0]), error(&ran[1])), (Some(ClusterErrorKind::LeaseLost), None), "{case}");
        }
    }
}

/// Without a lease both work: what docs/operations.md says of two runs at once may happen, and both end.
#[test]
fn two_runs_without_a_lease_both_end() {
    for (transport, times) in [("ssm", 60), ("bridge", 60)] {
        let failed: Vec<String> = (0..times).filter_map(|number| without_a_lease(transport, number)).collect();
        assert!(failed.is_empty(), "{} by {transport}:\n{}", failed.len(), failed.join("\n"));
    }
}

/// What is wrong with two runs when the second starts so late; the offsets are spread over the time of one run.
fn without_a_lease(transport: &str, number: i64) -> Option<String> {
    // What may be broken: each counts the budget without the place that the other takes in that second, and of two claims
    // that are written on one instance in the same second the later one stands.
    const MAY: [&str; 2] = ["Budget", "Claim"];
    let scenario = CLUSTER.lines().filter(|line| !line.starts_with("tables") && !line.starts_with("updater"));
    let scenario = format!("seed = {number}\n{}", scenario.collect::<Vec<_>>().join("\n"));
    let scenario = Scenario::parse(&scenario).unwrap();
    let scenario = if transport == "bridge" { scenario.by_bridge() } else { scenario };
    let late = SignedDuration::from_millis(number * 13_337);
    let processes = [ProcessSpec::default(), ProcessSpec { at: late, ..ProcessSpec::default() }];
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let rollout = Rollout::start(&scenario).await.unwrap();
        let both = rollout.side_by_side(&processes);
        let Ok(ran) = tokio::time::timeout(std::time::Duration::from_secs(12 * 3600), both).await else {
            return Some(format!("{late:#}: did not end within 12 hours"));
        };
        let last = ran.iter().filter_map(|ran| ran.report.as_ref()).max_by_key(|report| report.ended_at)?;
        let mut broken: Vec<String> = rollout
            .violations(last)
            .iter()
            .filter(|violation| !MAY.contains(&format!("{:?}", violation.rule).as_str()))
            .map(ToString::to_string)
            .collect();
        broken.extend(rollout.region.unknown());
        let failures =
            ran.iter().filter_map(|ran| ran.report.as_ref()).map(|report| report.clusters[0].count(Outcome::Failed));
        if failures.sum::<usize>() > 0 {
            broken.push("an update failed for want of the other's place".to_owned());
        }
        (!broken.is_empty()).then(|| format!("{late:#}: {}", broken.join("; ")))
    })
}
