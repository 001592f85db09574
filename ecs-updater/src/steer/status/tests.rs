//! What facts come to, in tables; `tests/tests/suite/status.rs` plays the same on simulated Regions.

use jiff::{SignedDuration, Timestamp};
use models::claim::{BadClaim, Claim, FailedVersions};
use models::fleet::{Ec2, FleetSnapshot, Instance, InstanceStatus, MachineState, RunMemory, Tags};
use models::ids::Epoch;
use models::min_size::HeldMinSize;
use models::policy::{Hooks, MaxUnavailable, Policy};
use models::status::{ClusterStatus, LeaseStatus, OutBy, VersionSource};
use models::summary::{Heard, OutAs, SeenOut, Summary, SummaryError, Troubled};
use models::time::after;
use semver::Version;

use super::gather::{Facts, lease_status};
use super::report::report;
use super::typed::Typed;
use crate::lease::{Entry, LASTS};

const RUN: &str = "01KAQ3X9ZC8W5N3M2T7R6V4B1D";

fn at(minutes: i64) -> Timestamp {
    after("2026-11-23T03:00:00Z".parse().unwrap(), SignedDuration::from_mins(minutes))
}

fn instance(number: usize) -> Instance {
    Instance {
        host: format!("i-{number:017x}").into(),
        container_instance: format!("arn:aws:ecs:eu-west-1:123456789012:container-instance/web/{number}").into(),
        status: InstanceStatus::Active,
        agent_connected: true,
        disconnected_since: None,
        running_tasks: 0,
        pending_tasks: 0,
        variant: Some("aws-ecs-2".into()),
        zone: Some("eu-west-1a".into()),
        provider: None,
        managed_by_aws: false,
        auto_scaling: None,
        attributes: Default::default(),
        instance_tag: None,
        agent_version: None,
        registered_at: None,
        registered: Default::default(),
        remaining: Default::default(),
        seen_at: at(0),
        undescribed_since: None,
        ec2: Some(Ec2 { state: MachineState::Running, ..Ec2::default() }),
        left_out_since: None,
        tags: Tags::default(),
        tasks: None,
        bridge: None,
        reach: None,
        report: None,
        visit: None,
        command: None,
        run: RunMemory::default(),
    }
}

fn claim(text: &str) -> Option<Result<Claim, BadClaim>> {
    Some(text.parse().map_err(|error| BadClaim { value: text.to_owned(), error }))
}

fn drained_by(run: &str, since: &str) -> Instance {
    let mut one = instance(0);
    one.status = InstanceStatus::Draining;
    one.tags.claim = claim(&format!("v1/drain/{run}/1.26.1/1.27.0/{since}"));
    one
}

fn held(run: &str) -> LeaseStatus {
    LeaseStatus::Held { run: run.into(), epoch: Epoch::new(7), until: at(70), renewed_at: at(60) }
}

fn free() -> LeaseStatus {
    LeaseStatus::Free { run: RUN.into() }
}

fn summary(minutes: i64) -> Summary {
    Summary {
        version: models::summary::VERSION,
        run: RUN.into(),
        started_at: at(minutes - 5),
        written_at: at(minutes),
        ended: true,
        interrupted: false,
        error: None,
        outcomes: Default::default(),
        held: Default::default(),
        until: Default::default(),
        troubled: Vec::new(),
        out: Vec::new(),
        versions: Vec::new(),
        left_out: 0,
    }
}

/// An hour after the beginning, with a budget of two.
fn status(instances: Vec<Instance>, lease: LeaseStatus, summary: Result<Summary, String>) -> ClusterStatus {
    let fleet = FleetSnapshot {
        instances: instances.into_iter().map(|one| (one.host.clone(), one)).collect(),
        ..FleetSnapshot::nothing_seen(&"web".into(), at(60))
    };
    let policy = Policy { max_unavailable: MaxUnavailable::Count(2), ..Policy::default() };
    let facts = Facts { fleet, policy: &policy, no_tags: None, lease, summary, held: Default::default(), now: at(60) };
    report(&facts, &Typed::default())
}

fn codes(status: &ClusterStatus) -> Vec<&str> {
    status.needs.iter().map(|need| need.code.as_str()).collect()
}

#[test]
fn an_item_says_who_holds_the_lease_and_when_it_was_renewed() {
    let entry = |expires| Some(Entry { holder: RUN.into(), epoch: Epoch::new(7), expires });
    assert_eq!(lease_status(None, at(60)), LeaseStatus::Never);
    assert_eq!(lease_status(entry(Timestamp::UNIX_EPOCH), at(60)), free());
    assert_eq!(lease_status(entry(after(at(60), LASTS)), at(60)), held(RUN));
    let expired = LeaseStatus::Expired { run: RUN.into(), epoch: Epoch::new(7), at: at(60) };
    assert_eq!(lease_status(entry(at(60)), at(60)), expired);
}

/// Whether the claim of a drain is in hand, by its run, its age and the lease.
#[test]
fn whose_claim_needs_somebody() {
    let (young, old) = ("2026-11-23T03:50:00Z", "2026-11-23T02:00:00Z");
    let with_epoch = format!("{RUN}+7");
    let not_known = || LeaseStatus::NotKnown { why: "away".to_owned() };
    let table = [
        ("its run is at work", with_epoch.as_str(), old, held(RUN), vec![]),
        ("another run is at work, and goes on with it", with_epoch.as_str(), old, held("01OTHER"), vec![]),
        ("its run gave the lease back", with_epoch.as_str(), young, free(), vec!["dead_run"]),
        ("no run ever had the lease", with_epoch.as_str(), young, LeaseStatus::Never, vec!["dead_run"]),
        ("a run without a lease may be at work", RUN, young, free(), vec![]),
        ("not for so long", RUN, old, free(), vec!["dead_run"]),
        ("nothing tells of the lease", with_epoch.as_str(), young, not_known(), vec![]),
        ("nothing tells of the lease, for long", with_epoch.as_str(), old, not_known(), vec!["dead_run"]),
        ("there is no table", RUN, young, LeaseStatus::NoTable, vec![]),
        ("there is no table, for long", RUN, old, LeaseStatus::NoTable, vec!["dead_run"]),
    ];
    for (name, run, since, lease, expected) in table {
        let status = status(vec![drained_by(run, since)], lease, Ok(summary(30)));
        assert_eq!(codes(&status), expected, "{name}");
        let out = status.instances[0].out.clone().unwrap();
        assert_eq!((out.by, out.since), (OutBy::Run { run: RUN.into() }, Some(since.parse().unwrap())), "{name}");
    }
}

/// The functions that are asked in the middle of an update take their time too.
#[test]
fn a_claim_that_a_function_keeps_is_in_hand() {
    let needs = |hooks: Hooks| {
        let one = drained_by(RUN, "2026-11-23T02:00:00Z");
        let fleet = FleetSnapshot {
            instances: [(one.host.clone(), one)].into(),
            ..FleetSnapshot::nothing_seen(&"web".into(), at(60))
        };
        let policy = Policy { hooks, ..Policy::default() };
        let (lease, summary) = (LeaseStatus::NoTable, Ok(summary(30)));
        let facts =
            Facts { fleet, policy: &policy, no_tags: None, lease, summary, held: Default::default(), now: at(60) };
        report(&facts, &Typed::default()).needs.len()
    };
    let function = || Some("arn:aws:lambda:eu-central-1:111122223333:function:ready".parse().unwrap());
    let timeout = SignedDuration::from_hours(2);
    assert_eq!(needs(Hooks { timeout, ..Hooks::default() }), 1);
    assert_eq!(needs(Hooks { timeout, before_drain: function(), ..Hooks::default() }), 1);
    assert_eq!(needs(Hooks { timeout, before_active: function(), ..Hooks::default() }), 0);
}

#[test]
fn what_was_left_draining_is_told_with_its_failure_also_while_a_run_is_at_work() {
    let mut by_tag = drained_by(&format!("{RUN}+7"), "2026-11-23T02:00:00Z");
    by_tag.tags.last = Some("never_came_back/1.26.1/1.27.0/2026-11-23T02:20:00Z".parse().unwrap());
    for lease in [free(), held("01OTHER")] {
        let status = status(vec![by_tag.clone()], lease, Err("none".to_owned()));
        assert_eq!(codes(&status), ["left_draining"]);
        assert_eq!(
            status.needs[0].commands,
            [
                "aws ec2 get-console-output --latest --instance-id i-00000000000000000",
                "ecs-updater release i-00000000000000000 --cluster web"
            ]
        );
    }
    // From an update before this claim.
    by_tag.tags.last = Some("stage_failed/1.26.1/1.27.0/2026-11-22T02:20:00Z".parse().unwrap());
    assert_eq!(codes(&status(vec![by_tag.clone()], free(), Err("none".to_owned()))), ["dead_run"]);
    by_tag.tags.last = None;
    let (reason, detail) = (Some("act_refused".to_owned()), None);
    let one = Troubled { host: by_tag.host.clone(), outcome: "failed".to_owned(), reason, detail };
    let told = Summary { troubled: vec![one], ..summary(30) };
    let status = status(vec![by_tag], free(), Ok(told));
    assert_eq!(
        (codes(&status), status.needs[0].commands[0].as_str()),
        (vec!["left_draining"], "ecs-updater run --cluster web")
    );
}

/// Who else is out of service, since how many minutes before now as the summary says, how old that is, and what is needed.
#[test]
fn who_is_out_of_service_by_no_run() {
    let how = |draining: bool| if draining { OutAs::Draining } else { OutAs::Disconnected };
    type Case = (&'static str, bool, Option<i64>, Option<i64>, usize, &'static [&'static str]);
    let table: [Case; 9] = [
        ("a drain that was seen a while ago", true, Some(30), Some(10), 1, &[]),
        ("for days", true, Some(3_000), Some(10), 1, &["foreign_drain"]),
        ("nobody has seen it before", true, None, Some(10), 1, &[]),
        ("two take the whole budget", true, Some(90), Some(10), 2, &["budget_used_up"]),
        ("and that is not known", true, None, None, 2, &["budget_used_up"]),
        ("an agent that was lost a while ago", false, Some(30), Some(10), 1, &[]),
        ("for hours", false, Some(90), Some(10), 1, &["agent_disconnected"]),
        ("it was connected when a run looked just now", false, None, Some(10), 1, &[]),
        ("nobody can tell", false, None, None, 1, &["agent_disconnected"]),
    ];
    for (name, draining, seen, summarized, count, expected) in table {
        let lines: Vec<Instance> = (0..count)
            .map(|number| {
                let mut one = instance(number);
                if draining {
                    one.status = InstanceStatus::Draining;
                } else {
                    one.agent_connected = false;
                }
                one
            })
            .collect();
        let out = lines
            .iter()
            .filter_map(|one| Some(SeenOut { host: one.host.clone(), how: how(draining), since: at(60 - seen?) }));
        let left = summarized.map(|ago| Summary { out: out.collect(), ..summary(60 - ago) });
        let status = status(lines, free(), left.ok_or_else(|| "none".to_owned()));
        assert_eq!(codes(&status), expected, "{name}");
        let out = status.instances[0].out.clone().unwrap();
        assert_eq!((out.since, out.seen), (seen.map(|ago| at(60 - ago)), seen.is_some()), "{name}");
    }
}

#[test]
fn machines_and_tags_that_need_somebody() {
    let mut gone = instance(0);
    gone.agent_connected = false;
    gone.ec2 = Some(Ec2 { state: MachineState::Terminated, ..Ec2::default() });
    let mut stopped = instance(1);
    stopped.ec2 = Some(Ec2 { state: MachineState::Stopped, ..Ec2::default() });
    let mut malformed = instance(2);
    malformed.status = InstanceStatus::Draining;
    malformed.tags.claim = claim("v2/anything");
    let mut mistyped = instance(3);
    mistyped.tags.unknown = vec!["ecs-updater:skip".to_owned()];
    let status = status(vec![gone, stopped, malformed, mistyped], free(), Ok(summary(30)));
    assert_eq!(codes(&status), ["malformed_claim", "registration_left", "unknown_tag"]);
    let by: Vec<_> = status.instances.iter().map(|line| line.out.as_ref().map(|out| out.by.clone())).collect();
    assert_eq!(by, [Some(OutBy::Itself), Some(OutBy::Itself), Some(OutBy::NotKnown), None]);
    assert_eq!(
        status.needs[1].commands,
        ["aws ecs deregister-container-instance --force --cluster web --container-instance \
          arn:aws:ecs:eu-west-1:123456789012:container-instance/web/0"]
    );
}

#[test]
fn releases_and_updates_that_failed() {
    let failed = |number: usize| {
        let mut one = instance(number);
        one.tags.failed = FailedVersions::parse("1.27.0");
        one.tags.last = Some("fell_back_at_boot/1.26.1/1.27.0/2026-11-23T02:20:00Z".parse().unwrap());
        one
    };
    let one = status(vec![failed(0), instance(1)], free(), Ok(summary(30)));
    assert_eq!(codes(&one), ["update_failed"]);
    let two = status(vec![failed(0), failed(1)], free(), Ok(summary(30)));
    assert_eq!(codes(&two), ["release_failed", "update_failed"]);
    assert_eq!(
        two.needs[0].commands,
        ["aws ec2 describe-instances --filters 'Name=tag:ecs-updater:failed,Values=*1.27.0*'"]
    );
    // It runs that version now all the same.
    let versions = vec![Heard { version: Version::new(1, 27, 0), at: at(30), hosts: vec![instance(0).host] }];
    let since = status(vec![failed(0)], free(), Ok(Summary { versions, ..summary(35) }));
    assert_eq!(codes(&since), Vec::<&str>::new());
}

#[test]
fn a_release_that_is_skipped_and_runs_all_the_same() {
    let mut one = instance(0);
    one.tags.last = Some("updated/1.26.1/1.27.0/2026-11-23T02:20:00Z".parse().unwrap());
    let said = |skipped: &[Version]| {
        let fleet = FleetSnapshot {
            instances: [(one.host.clone(), one.clone())].into(),
            skipped: skipped.iter().cloned().collect(),
            ..FleetSnapshot::nothing_seen(&"web".into(), at(60))
        };
        let (lease, summary) = (free(), Ok(summary(30)));
        let facts = Facts {
            fleet,
            policy: &Policy::default(),
            no_tags: None,
            lease,
            summary,
            held: Default::default(),
            now: at(60),
        };
        report(&facts, &Typed::default())
    };
    assert_eq!(codes(&said(&[Version::new(1, 28, 0)])), Vec::<&str>::new());
    let needs = said(&[Version::new(1, 27, 0)]).needs;
    assert_eq!(needs[0].code, "release_skipped");
    assert_eq!(
        needs[0].commands,
        ["ecs-updater rollback --release 1.27.0 --cluster web", "ecs-updater unskip 1.27.0 --cluster web"]
    );
}

#[test]
fn a_run_that_did_not_come_to_its_end() {
    let error = |kind: &str| SummaryError { kind: kind.to_owned(), message: "words".to_owned() };
    for (kind, lease, expected) in [
        ("not_permitted", free(), vec!["last_run_failed"]),
        ("not_permitted", held("01OTHER"), vec![]),
        ("lease_lost", free(), vec![]),
    ] {
        let left = Summary { error: Some(error(kind)), ..summary(30) };
        assert_eq!(codes(&status(vec![instance(0)], lease, Ok(left))), expected, "{kind}");
    }
}

/// What stands on the instance goes before what the last run left.
#[test]
fn who_tells_a_version() {
    let heard = |minutes: i64, minor: u64| Heard {
        version: Version::new(1, minor, 0),
        at: at(minutes),
        hosts: vec![instance(0).host],
    };
    let last = |minutes: i64| format!("updated/1.26.1/1.27.0/{}", at(minutes));
    let table = [
        ("the tag is newer", last(50), 40, "1.27.0", VersionSource::Last),
        ("the summary is newer: the tag is on the instance", last(30), 40, "1.27.0", VersionSource::Last),
        (
            "the tag tells of a failure",
            last(50).replace("updated", "stage_failed"),
            40,
            "1.28.0",
            VersionSource::Summary,
        ),
    ];
    for (name, tag, summarized, version, source) in table {
        let mut one = instance(0);
        one.tags.last = Some(tag.parse().unwrap());
        let left = Summary { versions: vec![heard(summarized, 28)], ..summary(45) };
        let status = status(vec![one], free(), Ok(left));
        let known = status.instances[0].version.clone().unwrap();
        assert_eq!((known.version.to_string().as_str(), known.source), (version, source), "{name}");
        assert_eq!(status.versions[0].instances, 1);
    }
}

/// Names of others stand in commands as one word each, and nothing else does.
#[test]
fn hostile_names_do_nothing() {
    let evil = "i-1'; $(reboot) `reboot` \u{1b}[2J";
    let mut one = drained_by(&format!("{RUN}+7"), "2026-11-23T02:00:00Z");
    one.host = evil.into();
    one.container_instance = format!("arn/{evil}").into();
    one.tags.unknown = vec![evil.to_owned()];
    let mut foreign = instance(1);
    foreign.status = InstanceStatus::Draining;
    foreign.host = format!("{evil}2").into();
    foreign.container_instance = format!("arn/{evil}").into();
    let status = status(vec![one, foreign.clone()], free(), Err("none".to_owned()));
    assert_eq!(codes(&status), ["dead_run", "unknown_tag"]);
    let commands: Vec<&String> = status.needs.iter().flat_map(|need| &need.commands).collect();
    assert_eq!(commands.len(), 3);
    for command in commands {
        let outside: String = command.replace(r"'\''", "").split('\'').step_by(2).collect();
        assert!(!outside.contains(['$', '`', ';', '\u{1b}']), "{command}: {outside}");
    }
}

#[test]
fn a_least_size_that_a_dead_run_holds_is_put_back() {
    let tag: HeldMinSize = "2/10/01RUN/2026-11-23T03:00:00Z".parse().unwrap();
    let table = [(free(), vec!["min_size_held"]), (held("01RUN"), vec![]), (LeaseStatus::NoTable, vec![])];
    for (lease, expected) in table {
        let facts = Facts {
            fleet: FleetSnapshot::nothing_seen(&"web".into(), at(0)),
            policy: &Policy::default(),
            no_tags: None,
            lease: lease.clone(),
            summary: Err("none".to_owned()),
            held: [("web-asg".into(), HeldMinSize { since: at(0), ..tag.clone() })].into(),
            now: at(60),
        };
        let status = report(&facts, &Typed::default());
        assert_eq!(codes(&status), expected, "{lease:?}");
        if let Some(need) = status.needs.first() {
            assert!(need.commands[1].contains("--min-size 2"), "{:?}", need.commands);
        }
    }
}
