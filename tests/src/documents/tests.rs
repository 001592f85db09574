//! Each document on a host of its own: the happy path and each way to end early.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::host::{AgentState, ErrorCode, HostReport, UpdateState};
use semver::Version;

use super::*;
use crate::host::introspection::{Metadata, Task, Tasks};
use crate::host::{Durations, Host, HostSpec, Release, Repository, Request};

const OLD: Version = Version::new(1, 26, 1);
const NEW: Version = Version::new(1, 27, 0);
const NEWER: Version = Version::new(1, 28, 0);

fn machine(spec: HostSpec) -> LoneMachine {
    let now: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
    let machine = LoneMachine::new(Host::new(spec, 5, now), Repository::of(&[OLD, NEW]), now);
    machine.open().agent = Some((
        Metadata {
            cluster: "web".to_owned(),
            container_instance_arn: Some("arn:aws:ecs:eu-west-1:1:container-instance/web/a".to_owned()),
            version: "Amazon ECS Agent - v1.98.0 (*1a2b3c4d)".to_owned(),
        },
        Tasks { tasks: vec![task("STOPPED")] },
    ));
    machine
}

fn task(known_status: &str) -> Task {
    Task {
        arn: "arn:aws:ecs:eu-west-1:1:task/web/t".to_owned(),
        desired_status: "STOPPED".to_owned(),
        known_status: known_status.to_owned(),
        family: "web".to_owned(),
        version: "3".to_owned(),
        containers: Vec::new(),
    }
}

fn default_machine() -> LoneMachine {
    machine(HostSpec::default())
}

async fn output(machine: &LoneMachine, script: Script, parameters: &[(&str, &str)]) -> Output {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    run(machine, &script, &parameters.collect::<BTreeMap<_, _>>()).await
}

/// Runs a document; the exit code must agree with the report.
async fn report(machine: &LoneMachine, script: Script, parameters: &[(&str, &str)]) -> HostReport {
    let output = output(machine, script, parameters).await;
    let report = HostReport::parse(&output.stdout).unwrap();
    assert!(output.stdout.lines().all(|line| line.len() <= HostReport::MAX_BYTES));
    assert_eq!(output.exit_code, i32::from(report.error.is_some()), "{report:?}");
    report
}

fn error(report: &HostReport) -> (&str, ErrorCode) {
    let error = report.error.as_ref().unwrap();
    (&error.at, error.code.clone())
}

fn lock(report: &HostReport) -> Option<&str> {
    report.settings.as_ref()?.version_lock.as_deref()
}

async fn staged(spec: HostSpec) -> LoneMachine {
    let machine = machine(spec);
    let stage = report(&machine, Script::Stage, &[("Version", "1.27.0")]).await;
    assert_eq!((stage.error, stage.wrote.as_deref()), (None, Some("1.27.0")));
    machine
}

fn boot(machine: &LoneMachine) -> String {
    machine.boot_id().unwrap()
}

#[tokio::test(start_paused = true)]
async fn inspect_reads_without_a_refresh() {
    let machine = default_machine();
    let report = report(&machine, Script::Inspect, &[("Refresh", "no")]).await;
    assert_eq!((report.v, report.step.as_str(), report.error.clone()), (1, "inspect", None));
    assert_eq!(report.boot_id.as_ref().map(|id| id.as_str().to_owned()), machine.boot_id());
    assert_eq!(report.booted_at, machine.btime());
    assert_eq!((report.running(), report.update.clone()), (Some(OLD), None));
    assert_eq!(lock(&report), Some("latest"));
    let agent = report.agent.unwrap();
    assert_eq!((agent.state, agent.tasks), (AgentState::Registered, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn inspect_refreshes() {
    let report = report(&default_machine(), Script::Inspect, &[("Refresh", "yes")]).await;
    assert_eq!((report.error.clone(), report.chosen()), (None, Some(NEW)));
    assert_eq!(report.update.unwrap().available, ["1.27.0", "1.26.1"]);
}

#[tokio::test(start_paused = true)]
async fn inspect_says_why_a_refresh_failed() {
    let refresh = [("Refresh", "yes")];
    let failing =
        report(&machine(HostSpec { refresh_fails: 1, ..HostSpec::default() }), Script::Inspect, &refresh).await;
    assert_eq!(error(&failing), ("refresh", ErrorCode::Failed));
    assert!(failing.update.is_some() && failing.agent.is_some());

    let image = HostSpec { in_place_updates: false, ..HostSpec::default() };
    let refused = report(&machine(image), Script::Inspect, &refresh).await;
    assert_eq!(error(&refused), ("refresh", ErrorCode::NoInPlaceUpdates));

    let dispatcher = HostSpec { dispatcher_fails: 1, ..HostSpec::default() };
    let failed = report(&machine(dispatcher), Script::Inspect, &refresh).await;
    assert_eq!(error(&failed), ("refresh", ErrorCode::DispatcherFailed));

    let killed = HostSpec { workers_killed: 1, ..HostSpec::default() };
    let unsure = report(&machine(killed), Script::Inspect, &refresh).await;
    assert_eq!(error(&unsure), ("refresh", ErrorCode::Unsure));
}

#[tokio::test(start_paused = true)]
async fn inspect_goes_on_without_settings_and_without_an_agent() {
    let machine = machine(HostSpec { lockdown: true, ..HostSpec::default() });
    machine.open().agent = None;
    let report = report(&machine, Script::Inspect, &[]).await;
    assert_eq!((report.error, report.settings, report.locked_down), (None, None, true));
    assert_eq!(report.agent.unwrap().state, AgentState::Down);
}

#[tokio::test(start_paused = true)]
async fn stage_under_api_lockdown_needs_no_settings_but_for_a_pin() {
    let locked = || machine(HostSpec { lockdown: true, ..HostSpec::default() });
    let chosen = report(&locked(), Script::Stage, &[("Version", "1.27.0")]).await;
    assert_eq!((chosen.error, chosen.wrote.as_deref()), (None, Some("1.27.0")));
    let machine = locked();
    machine.open().repository.publish(Release::new(NEWER));
    let pinned = report(&machine, Script::Stage, &[("Version", "1.27.0")]).await;
    assert_eq!(error(&pinned), ("pin", ErrorCode::HostLockedDown));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_api_is_asked_again_and_then_busy() {
    let blocked = |times| machine(HostSpec { api_blocked: times, ..HostSpec::default() });
    let refresh = [("Refresh", "yes"), ("Timeout", "60")];
    assert_eq!(report(&blocked(5), Script::Inspect, &refresh).await.error, None);
    assert_eq!(error(&report(&blocked(1_000), Script::Inspect, &refresh).await), ("os", ErrorCode::Busy));
}

#[tokio::test(start_paused = true)]
async fn inspect_without_an_api_still_prints_its_boot() {
    let machine = machine(HostSpec { api_down: true, ..HostSpec::default() });
    let report = report(&machine, Script::Inspect, &[]).await;
    assert_eq!(error(&report), ("os", ErrorCode::ApiDown));
    assert!(report.boot_id.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_somebody_else_keeps_is_busy() {
    let mut spec = HostSpec::default();
    spec.durations.prepare = SignedDuration::from_mins(10);
    let machine = machine(spec);
    machine.api(&Request::post("/actions/refresh-updates")).unwrap();
    machine.sleep(SignedDuration::from_secs(10)).await;
    machine.api(&Request::post("/actions/prepare-update")).unwrap();
    let report = report(&machine, Script::Inspect, &[("Refresh", "yes"), ("Timeout", "60")]).await;
    assert_eq!(error(&report), ("refresh", ErrorCode::Busy));
}

#[tokio::test(start_paused = true)]
async fn parameters_are_checked() {
    let bad = [
        (Script::Inspect, vec![("Refresh", "perhaps")]),
        (Script::Inspect, vec![("Timeout", "5")]),
        (Script::Stage, vec![]),
        (Script::Stage, vec![("Version", "newest")]),
        (Script::Stage, vec![("Version", "1.27.0"), ("Lock", "never")]),
        (Script::Reboot, vec![("Version", "1.27.0")]),
        (Script::Revert, vec![("Version", "none")]),
    ];
    for (script, parameters) in bad {
        let report = report(&default_machine(), script, &parameters).await;
        assert_eq!(error(&report), ("parameters", ErrorCode::BadParameter), "{parameters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stage_writes_again_what_the_status_calls_staged() {
    let machine = staged(HostSpec::default()).await;
    let again = report(&machine, Script::Stage, &[("Version", "1.27.0"), ("Lock", "keep")]).await;
    assert_eq!((again.error.clone(), again.wrote.as_deref(), again.staged()), (None, Some("1.27.0"), Some(NEW)));
    assert_eq!(again.state().unwrap().as_str(), "Staged");
}

#[tokio::test(start_paused = true)]
async fn stage_pins_another_version_and_puts_the_lock_back() {
    let machine = default_machine();
    machine.open().repository.publish(Release::new(NEWER));
    let report = report(&machine, Script::Stage, &[("Version", "1.27.0"), ("Lock", "keep")]).await;
    assert_eq!((report.error.clone(), report.wrote.as_deref()), (None, Some("1.27.0")));
    assert_eq!(lock(&report), Some("latest"));
}

#[tokio::test(start_paused = true)]
async fn stage_leaves_the_lock_that_it_was_told() {
    let report = report(&default_machine(), Script::Stage, &[("Version", "1.27.0"), ("Lock", "1.27.0")]).await;
    assert_eq!((report.error.clone(), lock(&report)), (None, Some("1.27.0")));
}

#[tokio::test(start_paused = true)]
async fn stage_replaces_another_ready_version() {
    let machine = staged(HostSpec::default()).await;
    machine.api(&Request::post("/actions/activate-update")).unwrap();
    machine.sleep(SignedDuration::from_secs(10)).await;
    machine.open().repository.publish(Release::new(NEWER));
    let report = report(&machine, Script::Stage, &[("Version", "1.28.0")]).await;
    assert_eq!((report.error.clone(), report.staged()), (None, Some(NEWER)));
}

#[tokio::test(start_paused = true)]
async fn stage_refuses_what_is_not_offered_or_runs_already() {
    let machine = default_machine();
    let absent = report(&machine, Script::Stage, &[("Version", "1.99.0")]).await;
    assert_eq!(error(&absent), ("refresh", ErrorCode::NotOffered));
    let running = report(&machine, Script::Stage, &[("Version", "1.26.1")]).await;
    assert_eq!(error(&running), ("os", ErrorCode::OtherBoot));
}

/// Does something to the machine a little before a prepare that follows a refresh of 3 to 4 s.
async fn stage_while(change: impl FnOnce(&LoneMachine)) -> HostReport {
    let mut spec = HostSpec { jitter_percent: 0, ..HostSpec::default() };
    spec.durations.settings_apply = SignedDuration::ZERO;
    let machine = machine(spec);
    let parameters = [("Version", "1.27.0")];
    let stage = report(&machine, Script::Stage, &parameters);
    let change = async {
        // The refresh ends after 3 s and is seen at 4 s, when the prepare begins.
        machine.sleep(SignedDuration::from_millis(3_500)).await;
        change(&machine);
    };
    tokio::join!(stage, change).0
}

#[tokio::test(start_paused = true)]
async fn stage_sees_that_prepare_wrote_another_version() {
    let report = stage_while(|machine| machine.open().repository.publish(Release::new(NEWER))).await;
    assert_eq!((error(&report), report.wrote.as_deref()), (("prepare", ErrorCode::WroteOther), Some("1.28.0")));
}

#[tokio::test(start_paused = true)]
async fn stage_sees_that_prepare_wrote_nothing() {
    let report = stage_while(|machine| machine.open().repository.withdraw(&NEW)).await;
    assert_eq!((error(&report), report.wrote.clone()), (("prepare", ErrorCode::WroteNothing), None));
}

#[tokio::test(start_paused = true)]
async fn reboot_refuses_what_the_last_prepare_did_not_write() {
    let machine = default_machine();
    let stage = report(&machine, Script::Stage, &[("Version", "1.27.0")]).await;
    assert_eq!(stage.error, None);
    machine.open().repository.publish(Release::new(NEWER));
    // The status calls what the last refresh chose staged; the worker writes what it finds.
    machine.api(&Request::post("/actions/prepare-update")).unwrap();
    machine.sleep(SignedDuration::from_mins(2)).await;
    let boot = machine.boot_id().unwrap();
    let rebooted = report(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!(error(&rebooted), ("staged", ErrorCode::Refused));
    assert_eq!(rebooted.error.unwrap().detail, "the last prepare wrote 1.28.0, not 1.27.0");
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_costs_seconds() {
    let machine = machine(HostSpec { workers_killed: 1, ..HostSpec::default() });
    let begun = machine.now();
    let unsure = report(&machine, Script::Inspect, &[("Refresh", "yes"), ("Timeout", "600")]).await;
    assert_eq!(error(&unsure), ("refresh", ErrorCode::Unsure));
    assert!(machine.now().duration_since(begun) < SignedDuration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hangs_costs_the_time_out_and_leaves_the_lock_held() {
    let machine = machine(HostSpec { workers_hang: 1, ..HostSpec::default() });
    let begun = machine.now();
    let unsure = report(&machine, Script::Inspect, &[("Refresh", "yes"), ("Timeout", "60")]).await;
    assert_eq!(error(&unsure), ("refresh", ErrorCode::Unsure));
    assert_eq!(unsure.error.unwrap().detail, "the deadline passed before the command ended");
    let took = machine.now().duration_since(begun);
    assert!((SignedDuration::from_secs(55)..SignedDuration::from_secs(65)).contains(&took), "{took}");
    let busy = report(&machine, Script::Stage, &[("Version", "1.27.0"), ("Timeout", "60")]).await;
    assert_eq!(busy.error.unwrap().code, ErrorCode::Busy);
    let now = machine.now();
    let mut inside = machine.open();
    let (host, repository) = (&mut inside.host, Repository::of(&[NEW, OLD]));
    host.spontaneous_reboot(now, &repository);
    let later = now + SignedDuration::from_mins(5);
    host.advance(later, &repository);
    let refresh = host.handle(later, &repository, &Request::post("/actions/refresh-updates")).unwrap();
    assert_eq!(refresh.status, 204, "the lock ends with the boot");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_offered_undoes_no_activation() {
    let machine = default_machine();
    report(&machine, Script::Stage, &[("Version", "1.27.0")]).await;
    machine.api(&Request::post("/actions/activate-update")).unwrap();
    machine.sleep(SignedDuration::from_secs(5)).await;
    machine.open().host.spec_mut().lockdown = true;
    let refused = report(&machine, Script::Stage, &[("Version", "1.99.0")]).await;
    assert_eq!(refused.update.as_ref().unwrap().state, UpdateState::Ready);
    assert_eq!(error(&refused), ("refresh", ErrorCode::NotOffered));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_under_a_pin_is_tried_again() {
    let machine = default_machine();
    machine.open().repository.publish(Release::new(NEWER));
    // The first refresh of the visit works, and the next one fails.
    let parameters = [("Version", "1.27.0"), ("Timeout", "300")];
    let visit = report(&machine, Script::Stage, &parameters);
    let fail = async {
        while machine.api(&Request::get("/settings?prefix=updates")).unwrap().body.contains("latest") {
            machine.sleep(SignedDuration::from_millis(100)).await;
        }
        machine.open().host.spec_mut().refresh_fails = 1;
    };
    let (staged, ()) = tokio::join!(visit, fail);
    assert_eq!((staged.error, staged.wrote.as_deref()), (None, Some("1.27.0")));
}

#[tokio::test(start_paused = true)]
async fn stage_says_that_prepare_failed() {
    let machine = default_machine();
    machine.open().repository.missing_migrations.insert((OLD, NEW));
    let report = report(&machine, Script::Stage, &[("Version", "1.27.0")]).await;
    assert_eq!(error(&report), ("prepare", ErrorCode::Failed));
    assert!(report.error.unwrap().detail.contains("migration chain"));
}

#[tokio::test(start_paused = true)]
async fn stage_puts_the_lock_back_after_a_failure() {
    let machine = machine(HostSpec { prepare_fails: 1, ..HostSpec::default() });
    machine.open().repository.publish(Release::new(NEWER));
    let report = report(&machine, Script::Stage, &[("Version", "1.27.0")]).await;
    assert_eq!((error(&report), lock(&report)), (("prepare", ErrorCode::Failed), Some("latest")));
}

#[tokio::test(start_paused = true)]
async fn reboot_activates_and_reboots() {
    let machine = staged(HostSpec::default()).await;
    let boot = boot(&machine);
    let report = report(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!(report.error.clone(), None);
    assert_eq!(report.state().unwrap().as_str(), "Ready");
    machine.sleep(SignedDuration::from_mins(5)).await;
    assert_ne!(machine.boot_id().unwrap(), boot);
    assert_eq!(*machine.open().host.running_version(), NEW);

    let late = self::report(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!(error(&late), ("boot", ErrorCode::OtherBoot));
}

#[tokio::test(start_paused = true)]
async fn reboot_takes_no_release_that_was_withdrawn() {
    let machine = staged(HostSpec::default()).await;
    machine.open().repository.withdraw(&NEW);
    let boot = boot(&machine);
    let report = report(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!(error(&report), ("refresh", ErrorCode::NotOffered));
    assert_eq!(report.state().unwrap().as_str(), "Staged");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_before_the_reboot_is_no_withdrawal() {
    let machine = staged(HostSpec::default()).await;
    machine.open().repository.reachable = false;
    let boot = boot(&machine);
    let parameters = [("Version", "1.27.0"), ("Boot", boot.as_str())];
    assert_eq!(error(&report(&machine, Script::Reboot, &parameters).await), ("refresh", ErrorCode::Failed));
    machine.open().repository.reachable = true;
    assert_eq!(report(&machine, Script::Reboot, &parameters).await.error, None);
}

#[tokio::test(start_paused = true)]
async fn reboot_waits_for_no_tasks() {
    let machine = staged(HostSpec::default()).await;
    machine.open().agent.as_mut().unwrap().1.tasks.push(task("RUNNING"));
    let boot = boot(&machine);
    let report = report(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!(error(&report), ("tasks", ErrorCode::TasksRunning));
    assert_eq!(report.state().unwrap().as_str(), "Staged");
}

#[tokio::test(start_paused = true)]
async fn reboot_refuses_another_staged_version() {
    let machine = staged(HostSpec::default()).await;
    let boot = boot(&machine);
    let report = report(&machine, Script::Reboot, &[("Version", "1.28.0"), ("Boot", &boot)]).await;
    assert_eq!(error(&report), ("staged", ErrorCode::Refused));
}

#[tokio::test(start_paused = true)]
async fn reboot_ends_where_activate_fails() {
    let machine = staged(HostSpec { activate_fails: 1, ..HostSpec::default() }).await;
    let boot = boot(&machine);
    let report = report(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!(error(&report), ("activate", ErrorCode::Failed));
    machine.sleep(SignedDuration::from_mins(10)).await;
    assert_eq!(machine.boot_id().unwrap(), boot);
}

#[tokio::test(start_paused = true)]
async fn reboot_prints_a_second_line_when_it_is_inhibited() {
    let machine = staged(HostSpec { reboot_inhibited: 1, ..HostSpec::default() }).await;
    let boot = boot(&machine);
    let output = output(&machine, Script::Reboot, &[("Version", "1.27.0"), ("Boot", &boot)]).await;
    assert_eq!((output.exit_code, output.stdout.lines().count()), (1, 2));
    assert!(output.stdout.len() <= HostReport::MAX_BYTES);
    let report = HostReport::parse(&output.stdout).unwrap();
    assert_eq!(error(&report), ("reboot", ErrorCode::Failed));
    assert_eq!(report.state().unwrap().as_str(), "Ready");
}

#[tokio::test(start_paused = true)]
async fn reboot_is_unsure_where_no_answer_comes() {
    let shutdown = Durations { shutdown: SignedDuration::from_mins(4), ..Durations::default() };
    let slow = HostSpec { durations: shutdown, ..HostSpec::default() };
    let cases = [
        (HostSpec { reboot_unsure: 1, ..slow.clone() }, true),
        (HostSpec { reboot_lost: 1, reboot_inhibited: 1, ..slow }, false),
    ];
    for (spec, taken) in cases {
        let machine = staged(spec).await;
        let (boot, asked) = (boot(&machine), machine.now());
        let parameters = [("Version", "1.27.0"), ("Boot", boot.as_str())];
        let output = output(&machine, Script::Reboot, &parameters).await;
        assert_eq!((output.exit_code, output.stdout.lines().count()), (1, 2));
        let report = HostReport::parse(&output.stdout).unwrap();
        assert_eq!(error(&report), ("reboot", ErrorCode::Unsure));
        assert_eq!(report.error.as_ref().unwrap().detail, "POST /actions/reboot: no answer within 10 s");
        assert_eq!(report.state().unwrap().as_str(), "Ready");
        assert!((10..20).contains(&machine.now().duration_since(asked).as_secs()));
        machine.sleep(SignedDuration::from_mins(3)).await;
        assert_eq!(machine.boot_id().unwrap(), boot, "the old boot answers until the shutdown begins");
        machine.sleep(SignedDuration::from_mins(7)).await;
        assert_eq!(machine.boot_id().unwrap() != boot, taken);
    }
}

#[tokio::test(start_paused = true)]
async fn apiclient_waits_for_an_answer_without_end() {
    let machine = machine(HostSpec { reboot_lost: 1, ..HostSpec::default() });
    let reboot = Script::Shell(vec!["apiclient reboot".to_owned()]);
    let hour = std::time::Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, output(&machine, reboot.clone(), &[])).await.is_err());
    assert_eq!(output(&machine, reboot, &[]).await.exit_code, 0);
}

#[tokio::test(start_paused = true)]
async fn revert_none_undoes_an_activation() {
    let machine = staged(HostSpec::default()).await;
    machine.api(&Request::post("/actions/activate-update")).unwrap();
    machine.sleep(SignedDuration::from_secs(10)).await;
    let boot = boot(&machine);
    let parameters = [("Version", "none"), ("Lock", "1.26.1"), ("Boot", boot.as_str())];
    let reverted = report(&machine, Script::Revert, &parameters).await;
    assert_eq!((reverted.error.clone(), lock(&reverted)), (None, Some("1.26.1")));
    assert_eq!(reverted.state().unwrap().as_str(), "Staged");

    let parameters = [("Version", "none"), ("Boot", "another")];
    let other = report(&machine, Script::Revert, &parameters).await;
    assert_eq!(error(&other), ("boot", ErrorCode::OtherBoot));
}

#[tokio::test(start_paused = true)]
async fn revert_writes_and_activates_the_old_version() {
    let machine = machine(HostSpec { version: NEW, ..HostSpec::default() });
    let boot = boot(&machine);
    let parameters = [("Version", "1.26.1"), ("Lock", "keep"), ("Boot", boot.as_str())];
    let report = report(&machine, Script::Revert, &parameters).await;
    assert_eq!((report.error.clone(), report.wrote.as_deref()), (None, Some("1.26.1")));
    assert_eq!((report.state().unwrap().as_str(), lock(&report)), ("Ready", Some("latest")));
}

#[tokio::test(start_paused = true)]
async fn a_shell_stops_at_an_error_only_when_told_and_is_loud_about_what_it_does_not_know() {
    let lines = |lines: &[&str]| Script::Shell(lines.iter().map(|line| (*line).to_owned()).collect());
    let machine = default_machine();
    let patient = output(&machine, lines(&["apiclient update cancel", "", "# next", "apiclient get os"]), &[]).await;
    assert_eq!(patient.exit_code, 0);
    let strict = output(&machine, lines(&["set -e", "apiclient update cancel", "apiclient get os"]), &[]).await;
    assert_eq!((strict.exit_code, strict.stdout.as_str()), (1, ""));
    for line in ["yum update", "apiclient get os | jq .", "apiclient exec admin ls"] {
        let loud = output(&machine, lines(&[line]), &[]).await;
        assert_eq!(loud.exit_code, 127, "{line}");
        assert!(loud.stderr.contains(line), "{}", loud.stderr);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_report_is_cut_to_fit() {
    let many = (0..200).map(|patch| Version::new(1, 30, patch)).collect::<Vec<_>>();
    let machine = machine(HostSpec { activate_fails: 1, ..HostSpec::default() });
    machine.open().repository = Repository::of(&many);
    report(&machine, Script::Stage, &[("Version", "1.30.199")]).await;
    let boot = boot(&machine);
    let long = report(&machine, Script::Reboot, &[("Version", "1.30.199"), ("Boot", &boot)]).await;
    assert_eq!(long.update.unwrap().available.len(), HostReport::MAX_AVAILABLE);
    assert_eq!(long.error.unwrap().detail.chars().count(), HostReport::MAX_DETAIL);
}

#[tokio::test(start_paused = true)]
async fn a_script_can_be_sent_to_a_task_and_dropped_when_its_host_goes_down() {
    let machine = std::sync::Arc::new(default_machine());
    let (on, parameters) = (machine.clone(), BTreeMap::from([("Version".to_owned(), "1.27.0".to_owned())]));
    let script = tokio::spawn(async move { run(&*on, &Script::Stage, &parameters).await });
    machine.sleep(SignedDuration::from_secs(20)).await;
    let now = machine.now();
    let Inside { host, repository, .. } = &mut *machine.open();
    host.spontaneous_reboot(now, repository);
    script.abort();
    assert!(!host.disk().inactive().will_boot());
}
