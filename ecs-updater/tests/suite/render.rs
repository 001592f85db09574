//! How reports look: on a narrow and a wide terminal, in a pipe, as JSON; and the exit code they lead to.

use std::collections::BTreeMap;

use ecs_updater::exit::ExitStatus;
use ecs_updater::render::json::{self, Layout};
use ecs_updater::render::table;
use jiff::{SignedDuration, Timestamp};
use models::ids::{ImageId, RunId};
use models::location::Location;
use models::plan::{Estimate, Phase};
use models::reason::{FailReason, HoldReason};
use models::report::{
    ClusterEnd, ClusterError, ClusterErrorKind, ClusterReport, GroupReport, InstanceReport, Outcome, PhaseTime,
    RunReport,
};

#[test]
fn a_run_on_a_narrow_terminal() {
    insta::assert_snapshot!(table::render(&run(), Some(80)), @r#"
    Cluster web (eu-west-1, account 123456789012): 9 instances

    instance             zone        version          outcome      out of
                                                                   service
    ──────────────────────────────────────────────────────────────────────
    i-00000000000000007  eu-west-1b  1.26.1 → 1.27.0  failed       4m 12s
    i-00000000000000005  eu-west-1c  1.26.1 → 1.27.0  rolled back  3m
    i-00000000000000002  eu-west-1c  1.26.1 → 1.27.0  held         –
    i-00000000000000004  eu-west-1b  1.26.1 → 1.27.0  held         –
    i-00000000000000006  eu-west-1a  1.26.1 → 1.27.0  held         –
    i-00000000000000009  eu-west-1a  1.26.1 → 1.27.0  gone         –
    i-00000000000000001  eu-west-1b  1.26.1 → 1.27.0  updated      36s
    i-00000000000000008  eu-west-1c  1.26.1 → 1.27.0  updated      4m 48s
    i-00000000000000003  eu-west-1a  1.27.0           current      –

    failed, never_came_back: i-00000000000000007
      nothing was heard from the host since its reboot (ECS agent gone, instance
      status impaired); it is left DRAINING, or as ECS shows it now, and counts
      against max_unavailable. If its console (aws ec2 get-console-output --latest)
      shows no boot, terminate it so that another takes its place. If it runs, check
      whether its SSM agent or host bridge does: the next run goes on once it
      answers. More at docs/operations.md#why-an-update-failed

    rolled back, fell_back_at_boot: i-00000000000000005
      1.27.0 did not boot and the boot loader fell back; marked in its EC2 tag
      ecs-updater:failed and not tried again

    held, drained_by_somebody_else: i-00000000000000002, i-00000000000000006
      somebody else set it DRAINING; set it ACTIVE when that work is done, and the
      next run takes it

    held, standalone_tasks: i-00000000000000004
      it runs tasks that no service would replace (4f1c2b (family:import), 88ab01
      (family:import)); standalone_tasks = "wait" or "stop" would drain it

    Run 01KAQ3X9ZC8W5N3M2T7R6V4B1D: 2 updated, 1 current, 3 held, 1 rolled back, 1
    failed, 1 gone in 38m 5s; longest out of service 4m 12s; 214 AWS calls
    "#);
}

/// The report of a run and of a plan as a person sees them, on terminals of three widths and in a pipe.
#[test]
fn captures_at_three_widths_and_in_a_pipe() {
    let captures = [Some(80), Some(120), Some(200), None].map(|width| {
        let name = width.map_or("a pipe".to_owned(), |width| format!("{width} columns"));
        format!("{name}\n\n{}\n{}", table::render(&run(), width), table::render(&plan(), width))
    });
    insta::assert_snapshot!(captures.join("\n\n"));
}

#[test]
fn a_run_on_a_wide_terminal() {
    insta::assert_snapshot!(table::render(&run(), Some(160)), @r#"
    Cluster web (eu-west-1, account 123456789012): 9 instances

    instance             zone        version          outcome      out of service  reason
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    i-00000000000000007  eu-west-1b  1.26.1 → 1.27.0  failed       4m 12s          never_came_back (see below)
    i-00000000000000005  eu-west-1c  1.26.1 → 1.27.0  rolled back  3m              1.27.0 did not boot and the boot loader fell back; marked in its EC2 tag
                                                                                   ecs-updater:failed and not tried again
    i-00000000000000002  eu-west-1c  1.26.1 → 1.27.0  held         –               somebody else set it DRAINING; set it ACTIVE when that work is done, and the next
                                                                                   run takes it
    i-00000000000000004  eu-west-1b  1.26.1 → 1.27.0  held         –               it runs tasks that no service would replace (4f1c2b (family:import), 88ab01
                                                                                   (family:import)); standalone_tasks = "wait" or "stop" would drain it
    i-00000000000000006  eu-west-1a  1.26.1 → 1.27.0  held         –               somebody else set it DRAINING; set it ACTIVE when that work is done, and the next
                                                                                   run takes it
    i-00000000000000009  eu-west-1a  1.26.1 → 1.27.0  gone         –
    i-00000000000000001  eu-west-1b  1.26.1 → 1.27.0  updated      36s
    i-00000000000000008  eu-west-1c  1.26.1 → 1.27.0  updated      4m 48s
    i-00000000000000003  eu-west-1a  1.27.0           current      –

    failed, never_came_back: i-00000000000000007
      nothing was heard from the host since its reboot (ECS agent gone, instance status impaired); it is left DRAINING, or as ECS shows it now, and counts against
      max_unavailable. If its console (aws ec2 get-console-output --latest) shows no boot, terminate it so that another takes its place. If it runs, check whether
      its SSM agent or host bridge does: the next run goes on once it answers. More at docs/operations.md#why-an-update-failed

    Run 01KAQ3X9ZC8W5N3M2T7R6V4B1D: 2 updated, 1 current, 3 held, 1 rolled back, 1 failed, 1 gone in 38m 5s; longest out of service 4m 12s; 214 AWS calls
    "#);
}

#[test]
fn a_run_in_a_pipe_is_one_line_an_instance() {
    insta::assert_snapshot!(table::render(&run(), None), @r#"
    Cluster web (eu-west-1, account 123456789012): 9 instances

    instance             zone        version          outcome      out of service  reason
    i-00000000000000007  eu-west-1b  1.26.1 → 1.27.0  failed       4m 12s          nothing was heard from the host since its reboot (ECS agent gone, instance status impaired); it is left DRAINING, or as ECS shows it now, and counts against max_unavailable. If its console (aws ec2 get-console-output --latest) shows no boot, terminate it so that another takes its place. If it runs, check whether its SSM agent or host bridge does: the next run goes on once it answers. More at docs/operations.md#why-an-update-failed
    i-00000000000000005  eu-west-1c  1.26.1 → 1.27.0  rolled back  3m              1.27.0 did not boot and the boot loader fell back; marked in its EC2 tag ecs-updater:failed and not tried again
    i-00000000000000002  eu-west-1c  1.26.1 → 1.27.0  held         –               somebody else set it DRAINING; set it ACTIVE when that work is done, and the next run takes it
    i-00000000000000004  eu-west-1b  1.26.1 → 1.27.0  held         –               it runs tasks that no service would replace (4f1c2b (family:import), 88ab01 (family:import)); standalone_tasks = "wait" or "stop" would drain it
    i-00000000000000006  eu-west-1a  1.26.1 → 1.27.0  held         –               somebody else set it DRAINING; set it ACTIVE when that work is done, and the next run takes it
    i-00000000000000009  eu-west-1a  1.26.1 → 1.27.0  gone         –
    i-00000000000000001  eu-west-1b  1.26.1 → 1.27.0  updated      36s
    i-00000000000000008  eu-west-1c  1.26.1 → 1.27.0  updated      4m 48s
    i-00000000000000003  eu-west-1a  1.27.0           current      –

    Run 01KAQ3X9ZC8W5N3M2T7R6V4B1D: 2 updated, 1 current, 3 held, 1 rolled back, 1 failed, 1 gone in 38m 5s; longest out of service 4m 12s; 214 AWS calls
    "#);
}

#[test]
fn a_plan() {
    insta::assert_snapshot!(table::render(&plan(), Some(80)), @r"
    Cluster web (eu-west-1, account 123456789012): 4 instances

    turn  instance             zone        version          outcome
    ─────────────────────────────────────────────────────────────────
    1     i-00000000000000003  eu-west-1a  1.26.1 → 1.27.0  to update
    2     i-00000000000000001  eu-west-1b  1.26.1 → 1.27.0  to update
    –     i-00000000000000002  eu-west-1c  1.26.1 → 1.27.0  held
    –     i-00000000000000004  eu-west-1b  1.27.0           current

    held, wave_not_open: i-00000000000000002
      1.27.0 is not offered to this host yet: its update wave has not opened; a
      later run takes it

    Plan: 2 to update, 1 current, 1 held. About 42 minutes: 2 instances at a time;
    12 minutes to drain and reboot each, as in the last run.
    ");
    insta::assert_snapshot!(table::render(&plan(), Some(160)), @r"
    Cluster web (eu-west-1, account 123456789012): 4 instances

    turn  instance             zone        version          outcome    reason
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    1     i-00000000000000003  eu-west-1a  1.26.1 → 1.27.0  to update
    2     i-00000000000000001  eu-west-1b  1.26.1 → 1.27.0  to update
    –     i-00000000000000002  eu-west-1c  1.26.1 → 1.27.0  held       1.27.0 is not offered to this host yet: its update wave has not opened; a later run takes it
    –     i-00000000000000004  eu-west-1b  1.27.0           current

    Plan: 2 to update, 1 current, 1 held. About 42 minutes: 2 instances at a time; 12 minutes to drain and reboot each, as in the last run.
    ");
}

#[test]
fn a_group_that_launches_old_instances() {
    let group = |name: &str, image: Option<&str>| GroupReport {
        name: name.into(),
        instances: 1,
        youngest: "i-00000000000000003".into(),
        launched_at: at(0),
        image: ImageId::new("ami-0123456789abcdef0"),
        image_version: image.map(|version| version.parse().unwrap()),
        newest: Some("1.27.0".parse().unwrap()),
        launches: None,
    };
    let groups = vec![group("custom", None), group("new", Some("1.27.0")), group("web", Some("1.26.1"))];
    let mut report = run();
    report.clusters =
        vec![ClusterReport { auto_scaling_groups: groups, ..cluster("web", vec![instance(3, Outcome::Current)]) }];
    insta::assert_snapshot!(table::render(&report, Some(80)), @r"
    Cluster web (eu-west-1, account 123456789012): 1 instance

    instance             zone        version  outcome  out of
                                                       service
    ──────────────────────────────────────────────────────────
    i-00000000000000003  eu-west-1a  1.27.0   current  –

    Auto Scaling group web: i-00000000000000003, launched last at
    2026-11-23T03:00:00Z, started from ami-0123456789abcdef0 with 1.26.1; its
    instances run 1.27.0 or would be updated to it. What it launches next starts
    from the image in its launch template, and is drained and rebooted at the next
    run: put a newer image there

    Run 01KAQ3X9ZC8W5N3M2T7R6V4B1D: 0 updated, 1 current, 0 held, 0 rolled back, 0
    failed in 38m 5s; no instance was taken out of service; 0 AWS calls
    ");
    let json = json::render(&report, Layout::Compact).unwrap();
    assert_eq!(serde_json::from_str::<RunReport>(&json).unwrap(), report);
}

#[test]
fn clusters_in_trouble_and_empty_ones() {
    let mut report = run();
    report.interrupted = true;
    let error = ClusterError {
        kind: ClusterErrorKind::ClusterNotFound,
        message: "there is no cluster \"wbe\" in eu-west-1; check the name and the Region (--region or AWS_REGION)"
            .into(),
    };
    report.clusters = vec![
        ClusterReport { error: Some(error), ..cluster("wbe", Vec::new()) },
        cluster("empty", Vec::new()),
        cluster("one", vec![instance(1, Outcome::Current)]),
    ];
    insta::assert_snapshot!(table::render(&report, Some(80)), @r#"
    Cluster wbe (eu-west-1, account 123456789012): not worked on
      there is no cluster "wbe" in eu-west-1; check the name and the Region
      (--region or AWS_REGION)

    Cluster empty (eu-west-1, account 123456789012): interrupted, no container
    instances seen

    Cluster one (eu-west-1, account 123456789012): 1 instance

    instance             zone        version  outcome  out of
                                                       service
    ──────────────────────────────────────────────────────────
    i-00000000000000001  eu-west-1b  1.27.0   current  –

    Run 01KAQ3X9ZC8W5N3M2T7R6V4B1D (interrupted): 0 updated, 1 current, 0 held, 0
    rolled back, 0 failed in 38m 5s; 1 of 3 clusters not worked through; no instance
    was taken out of service; 0 AWS calls
    "#);
}

#[test]
fn the_closing_line_of_a_plan_for_several_clusters_names_them() {
    let mut report = plan();
    let mut other = report.clusters[0].clone();
    other.cluster = "batch".into();
    other.estimate = Some(Estimate { duration: SignedDuration::from_secs(20), rests_on: Vec::new() });
    report.clusters.push(other);
    insta::assert_snapshot!(table::closing(&report), @"Plan: 4 to update, 2 current, 2 held. web: about 42 minutes (2 instances at a time; 12 minutes to drain and reboot each, as in the last run). batch: less than a minute.");
}

#[test]
fn a_line_is_never_wider_than_the_terminal() {
    for width in [80, 100, 104, 120, 160, 200] {
        let mut far = run();
        for instance in &mut far.clusters[0].instances {
            instance.zone = Some("ap-southeast-2a".into());
            instance.to = Some("1.27.0-rc.1".parse().unwrap());
        }
        for report in [run(), plan(), far] {
            let ids = report.clusters[0].instances.iter().map(|instance| instance.ec2_instance_id.as_str());
            let text = table::render(&report, Some(width));
            assert!(ids.into_iter().all(|id| text.contains(id)), "an id is broken at {width}");
            for line in table::render(&report, Some(width)).lines() {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }
}

#[test]
fn every_sentence_is_shown_in_full_at_every_width() {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for width in [Some(80), None] {
        let text = flat(&table::render(&run(), width));
        for instance in &run().clusters[0].instances {
            if let Some(detail) = &instance.detail {
                assert!(text.contains(&flat(detail)), "{width:?}: {detail}");
            }
        }
    }
}

#[test]
fn json_is_one_document_and_reads_back() {
    for layout in [Layout::Pretty, Layout::Compact] {
        let text = json::render(&run(), layout).unwrap();
        assert!(text.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), run());
        assert_eq!(text.lines().count() == 1, layout == Layout::Compact);
    }
}

/// The page shows a report of this version of the shape.
#[test]
fn the_json_example_of_the_page_is_a_report() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let report: RunReport = serde_json::from_str(example).unwrap();
    let written: serde_json::Value = serde_json::from_str(example).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), written, "a key that the report does not have");
    assert_eq!(report.version, 1);
}

#[test]
fn the_exit_code_is_the_gravest_of_the_report() {
    use ClusterErrorKind::{ClusterNotFound, Configuration, NotPermitted, NotReachable, Unexpected};
    use ExitStatus::{Failures, Interrupted, NotReached, Success, Usage};
    let cases: [(&[Outcome], Option<ClusterErrorKind>, bool, ExitStatus); 16] = [
        (&[], None, false, Success),
        (&[Outcome::Updated, Outcome::Current, Outcome::Held, Outcome::Gone], None, false, Success),
        (&[Outcome::WouldUpdate], None, false, Success),
        (&[Outcome::Updated], None, true, Interrupted),
        (&[Outcome::InProgress], None, false, Interrupted),
        (&[Outcome::Updated], Some(ClusterNotFound), false, NotReached),
        (&[Outcome::Updated], Some(NotPermitted), false, NotReached),
        (&[Outcome::Updated], Some(NotReachable), false, NotReached),
        (&[Outcome::InProgress], Some(NotReachable), true, NotReached),
        (&[Outcome::Updated], Some(Unexpected), false, Failures),
        (&[Outcome::Failed, Outcome::Updated], None, false, Failures),
        (&[Outcome::RolledBack], None, false, Failures),
        (&[Outcome::RolledBack], Some(NotPermitted), false, Failures),
        (&[Outcome::Failed], None, true, Failures),
        (&[Outcome::Updated], Some(Configuration), true, Usage),
        (&[Outcome::Failed], Some(Configuration), false, Failures),
    ];
    for (outcomes, error, interrupted, expected) in cases {
        let instances = outcomes.iter().map(|outcome| instance(1, *outcome)).collect();
        let error = error.map(|kind| ClusterError { kind, message: "m".into() });
        let clusters = vec![ClusterReport { error, ..cluster("web", instances) }, cluster("other", Vec::new())];
        let report = RunReport { interrupted, clusters, ..run() };
        assert_eq!(
            ExitStatus::of(&report),
            expected,
            "{outcomes:?} {error:?} {interrupted}",
            error = report.clusters[0].error
        );
    }
}

#[test]
fn exit_codes_are_different_clear_of_the_shells_and_in_the_page() {
    let page = include_str!("../../../docs/operations.md");
    let codes: Vec<u8> = ExitStatus::ALL.iter().map(|status| status.code()).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
    for code in codes {
        assert!(page.contains(&format!("| {code} |")), "no row for exit code {code}");
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(1_795_402_800 + seconds, 0).unwrap()
}

fn run() -> RunReport {
    RunReport {
        version: 1,
        run: RunId::new("01KAQ3X9ZC8W5N3M2T7R6V4B1D"),
        dry_run: false,
        started_at: at(0),
        ended_at: at(2_285),
        interrupted: false,
        clusters: vec![ClusterReport {
            longest_out_of_service_s: Some(252),
            aws_calls: BTreeMap::from([("ecs:DescribeContainerInstances".into(), 64), ("ssm:SendCommand".into(), 150)]),
            ..cluster(
                "web",
                vec![
                    instance(1, Outcome::Updated),
                    held(2, &HoldReason::DrainedBySomebodyElse),
                    instance(3, Outcome::Current),
                    held(
                        4,
                        &HoldReason::StandaloneTasks { tasks: "4f1c2b (family:import), 88ab01 (family:import)".into() },
                    ),
                    failed(5, Outcome::RolledBack, &FailReason::FellBackAtBoot { version: "1.27.0".parse().unwrap() }),
                    held(6, &HoldReason::DrainedBySomebodyElse),
                    failed(
                        7,
                        Outcome::Failed,
                        &FailReason::NeverCameBack { detail: "ECS agent gone, instance status impaired".into() },
                    ),
                    instance(8, Outcome::Updated),
                    instance(9, Outcome::Gone),
                ],
            )
        }],
        nothing_updated: None,
    }
}

fn plan() -> RunReport {
    let turn = |number, turn| InstanceReport {
        turn: Some(turn),
        out_of_service_s: None,
        unknown_tags: vec![],
        ..instance(number, Outcome::WouldUpdate)
    };
    let estimate = Estimate {
        duration: SignedDuration::from_secs(42 * 60 + 10),
        rests_on: vec![
            "2 instances at a time".into(),
            "12 minutes to drain and reboot each, as in the last run.".into(),
        ],
    };
    RunReport {
        dry_run: true,
        clusters: vec![ClusterReport {
            estimate: Some(estimate),
            ..cluster(
                "web",
                vec![
                    turn(1, 2),
                    held(2, &HoldReason::WaveNotOpen { version: "1.27.0".parse().unwrap() }),
                    turn(3, 1),
                    instance(4, Outcome::Current),
                ],
            )
        }],
        ..run()
    }
}

fn cluster(name: &str, instances: Vec<InstanceReport>) -> ClusterReport {
    ClusterReport {
        cluster: name.into(),
        location: Location::of_arn("arn:aws:ecs:eu-west-1:123456789012:cluster/web").unwrap(),
        error: None,
        taken_back: None,
        instances,
        aws_calls: BTreeMap::new(),
        longest_out_of_service_s: None,
        estimate: None,
        ignored_tags: Vec::new(),
        auto_scaling_groups: Vec::new(),
        oldest_release: None,
        timeline: Default::default(),
        notes: Vec::new(),
        end: ClusterEnd::default(),
    }
}

fn instance(number: u32, outcome: Outcome) -> InstanceReport {
    let moved = !matches!(outcome, Outcome::Current);
    let acted = matches!(outcome, Outcome::Updated | Outcome::RolledBack | Outcome::Failed);
    InstanceReport {
        container_instance: format!("arn:aws:ecs:eu-west-1:123456789012:container-instance/web/{number:032x}").into(),
        ec2_instance_id: format!("i-{number:017x}").into(),
        zone: Some(format!("eu-west-1{}", ["a", "b", "c"][number as usize % 3]).into()),
        group: None,
        outcome,
        reason: None,
        detail: None,
        from: Some(if moved { "1.26.1" } else { "1.27.0" }.parse().unwrap()),
        to: moved.then(|| "1.27.0".parse().unwrap()),
        turn: None,
        phases: vec![PhaseTime { phase: Phase::Settled, began_at: at(100), ended_at: None }],
        out_of_service_s: acted.then_some(i64::from(number) * 36),
        unknown_tags: vec![],
    }
}

fn held(number: u32, why: &HoldReason) -> InstanceReport {
    let (reason, detail) = (Some(why.code().to_owned()), Some(why.to_string()));
    InstanceReport { reason, detail, ..instance(number, Outcome::Held) }
}

fn failed(number: u32, outcome: Outcome, why: &FailReason) -> InstanceReport {
    let (reason, detail) = (Some(why.code().to_owned()), Some(why.to_string()));
    InstanceReport { reason, detail, ..instance(number, outcome) }
}
