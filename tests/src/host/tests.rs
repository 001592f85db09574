//! The traps of the host API, one test each by its number in docs/facts/host-api.md#traps, and what boots do.

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde_json::Value;

use super::*;

const OLD: Version = Version::new(1, 26, 1);
const NEW: Version = Version::new(1, 27, 0);
const NEWER: Version = Version::new(1, 28, 0);

/// A host, its repository, and a clock.
struct Life {
    host: Host,
    repository: Repository,
    now: Timestamp,
    events: Vec<HostEvent>,
}

impl Life {
    fn of(spec: HostSpec) -> Self {
        let now = "2026-11-23T03:00:00Z".parse().unwrap();
        Self { host: Host::new(spec, 11, now), repository: Repository::of(&[OLD, NEW]), now, events: Vec::new() }
    }

    fn new() -> Self {
        Self::of(HostSpec::default())
    }

    fn ask(&mut self, request: &Request) -> Response {
        self.host.handle(self.now, &self.repository, request).unwrap()
    }

    fn post(&mut self, path: &str) -> u16 {
        self.ask(&Request::post(path)).status
    }

    fn get(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.ask(&Request::get(path)).body).unwrap()
    }

    /// Lets time pass, by the host's own events.
    fn wait(&mut self, seconds: i64) {
        let until = self.now + SignedDuration::from_secs(seconds);
        while let Some(next) = self.host.next_event().filter(|next| *next <= until) {
            self.events.extend(self.host.advance(next, &self.repository));
        }
        self.events.extend(self.host.advance(until, &self.repository));
        self.now = until;
    }

    fn action(&mut self, name: &str) -> Value {
        assert_eq!(self.post(&format!("/actions/{name}")), 204, "{name}");
        self.wait(60);
        self.get("/updates/status")
    }

    fn stage(&mut self) -> Value {
        self.action("refresh-updates");
        self.action("prepare-update")
    }

    fn activate(&mut self) -> Value {
        self.stage();
        self.action("activate-update")
    }

    fn reboot(&mut self) {
        assert_eq!(self.post("/actions/reboot"), 204);
        self.wait(300);
    }

    fn lock(&mut self, version: &str) {
        let change = format!(r#"{{"updates":{{"version-lock":"{version}"}}}}"#);
        assert_eq!(self.ask(&Request::patch("/settings?tx=t", &change)).status, 204);
        assert_eq!(self.post("/tx/commit_and_apply?tx=t"), 200);
    }

    fn running(&mut self) -> String {
        self.get("/os")["version_id"].as_str().unwrap().to_owned()
    }
}

fn last<'a>(status: &'a Value, field: &str) -> &'a str {
    status["most_recent_command"][field].as_str().unwrap()
}

#[test]
fn trap_1_prepare_succeeds_and_writes_nothing_when_the_lock_changed_since_the_refresh() {
    let mut life = Life::new();
    life.action("refresh-updates");
    life.lock("1.26.1");
    life.wait(10);
    let status = life.action("prepare-update");
    assert_eq!((last(&status, "cmd_status"), last(&status, "stderr")), ("Success", "No update required\n"));
    assert_eq!(status["update_state"], "Staged");
    assert_eq!(life.host.disk().inactive(), &PartitionSet::default());

    let status = life.action("activate-update");
    assert_eq!(last(&status, "cmd_status"), "Failed");
    assert!(last(&status, "stderr").contains("has not been marked valid for upgrade"));
    assert_eq!(status["update_state"], "Staged");
}

#[test]
fn trap_2_prepare_chooses_again_and_the_status_does_not_say_so() {
    let mut life = Life::new();
    life.action("refresh-updates");
    life.repository.publish(Release::new(NEWER));
    let status = life.action("prepare-update");
    assert_eq!(last(&status, "stderr"), "Starting update to 1.28.0\n");
    assert_eq!(status["staging_partition"]["image"]["version"], "1.27.0");
    life.action("activate-update");
    life.reboot();
    assert_eq!(life.running(), "1.28.0");
}

#[test]
fn trap_3_activate_and_deactivate_need_the_repository() {
    let mut life = Life::new();
    life.stage();
    life.repository.reachable = false;
    let status = life.action("activate-update");
    assert_eq!((last(&status, "cmd_type"), last(&status, "cmd_status")), ("activate", "Failed"));
    assert!(last(&status, "stderr").lines().count() > 5);
    assert_eq!(status["update_state"], "Staged");

    life.repository.reachable = true;
    assert_eq!(life.action("activate-update")["update_state"], "Ready");
    life.host.spec_mut().repo_unreachable_from = Some(life.now);
    let status = life.action("deactivate-update");
    assert_eq!((last(&status, "cmd_status"), &status["update_state"]), ("Failed", &Value::from("Ready")));
}

#[test]
fn trap_4_a_withdrawn_release_makes_a_downgrade_available() {
    let mut life = Life::of(HostSpec { version: NEW, ..HostSpec::default() });
    assert_eq!(life.action("refresh-updates")["update_state"], "Idle");
    life.repository.withdraw(&NEW);
    let status = life.action("refresh-updates");
    assert_eq!(status["update_state"], "Available");
    assert_eq!(status["chosen_update"]["version"], "1.26.1");
}

#[test]
fn trap_5_prepare_fails_without_a_migration_path() {
    let mut life = Life::new();
    life.repository.missing_migrations.insert((OLD, NEW));
    let status = life.stage();
    assert_eq!(last(&status, "cmd_status"), "Failed");
    assert!(last(&status, "stderr").contains("Reached end of migration chain at 1.26.1 but target is 1.27.0"));
    assert_eq!(status["update_state"], "Available");
}

#[test]
fn trap_6_prepare_takes_the_previous_version_away_at_once() {
    let mut life = Life::of(HostSpec { previous_version: Some(Version::new(1, 26, 0)), ..HostSpec::default() });
    life.action("refresh-updates");
    life.host.signpost_rollback_to_inactive().unwrap();
    assert_eq!(life.post("/actions/prepare-update"), 204);
    let refused = life.host.signpost_rollback_to_inactive().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Inactive partition is not valid to roll back to (priority=0 tries_left=0 successful=false)"
    );
    life.wait(60);
    let refused = life.host.signpost_rollback_to_inactive().unwrap_err();
    assert!(refused.to_string().contains("tries_left=1 successful=false"));
}

#[test]
fn trap_7_settings_reach_the_update_tools_after_the_answer() {
    let mut life = Life::of(HostSpec { version: NEW, ..HostSpec::default() });
    life.host.spec_mut().durations.settings_apply = SignedDuration::from_secs(30);
    life.lock("1.26.1");
    assert_eq!(life.get("/settings?prefix=updates")["updates"]["version-lock"], "1.26.1");
    assert_eq!(life.action("refresh-updates")["chosen_update"], Value::Null);
    assert_eq!(life.action("refresh-updates")["chosen_update"]["version"], "1.26.1");
    assert!(life.events.iter().any(|event| matches!(event, HostEvent::SettingsApplied { .. })));
}

#[test]
fn trap_8_waves_open_by_seed_and_can_be_ignored() {
    let mut life = Life::of(HostSpec { update_seed: 1_000, ..HostSpec::default() });
    let hours = |hours| life.now + SignedDuration::from_hours(hours);
    let waves = [(0, 1), (500, 2), (1_500, 4)];
    let waves = waves.map(|(bound, opens)| Wave { bound, opens_at: hours(opens) }).to_vec();
    let release = Release { waves, ..Release::new(NEW) };
    let open = |seed, hour| release.is_open(seed, hours(hour));
    assert_eq!([open(0, 0), open(100, 1), open(400, 1), open(400, 2)], [true, false, false, true]);
    assert_eq!([open(1_000, 2), open(1_000, 4), open(2_000, 3), open(2_000, 4)], [false, true, false, true]);

    life.repository.publish(release);
    assert_eq!(life.action("refresh-updates")["available_updates"], serde_json::json!(["1.26.1"]));
    life.ask(&Request::patch("/settings", r#"{"updates":{"ignore-waves":true}}"#));
    life.post("/tx/commit_and_apply");
    life.wait(10);
    assert_eq!(life.action("refresh-updates")["update_state"], "Available");
}

#[test]
fn trap_10_images_without_in_place_updates_and_lockdown_answer_500() {
    const MISSING: &str = "Unable to start the update dispatcher: No such file or directory (os error 2) ";
    let mut life = Life::of(HostSpec { in_place_updates: false, lockdown: true, ..HostSpec::default() });
    for action in ["refresh-updates", "prepare-update", "activate-update", "deactivate-update"] {
        let answer = life.ask(&Request::post(&format!("/actions/{action}")));
        assert_eq!((answer.status, answer.body.as_str()), (500, MISSING));
    }
    assert_eq!(life.ask(&Request::get("/settings?prefix=updates")).status, 500);
    assert_eq!(life.running(), "1.26.1");
}

#[test]
fn a_failed_refresh_leaves_idle_with_a_stale_choice() {
    let mut life = Life::new();
    life.action("refresh-updates");
    life.host.spec_mut().refresh_fails = 1;
    let status = life.action("refresh-updates");
    assert_eq!((&status["update_state"], last(&status, "cmd_status")), (&Value::from("Idle"), "Failed"));
    assert_eq!(status["chosen_update"]["version"], "1.27.0");
}

#[test]
fn a_choice_that_is_gone_is_a_404() {
    let mut life = Life::new();
    life.stage();
    life.lock("9.9.9");
    life.wait(10);
    assert_eq!(life.action("refresh-updates")["update_state"], "Staged");
    let answer = life.ask(&Request::post("/actions/prepare-update"));
    assert_eq!((answer.status, answer.body.as_str()), (404, "Previously chosen Update no longer exists"));
}

#[test]
fn a_killed_worker_frees_the_lock_and_leaves_the_old_status() {
    let mut life = Life::new();
    let before = life.action("refresh-updates");
    life.host.spec_mut().workers_killed = 1;
    assert_eq!(life.action("prepare-update"), before);
    assert!(life.events.iter().any(|event| matches!(event, HostEvent::WorkerKilled { .. })));
    assert_eq!(life.action("prepare-update")["update_state"], "Staged");
}

#[test]
fn a_prepare_that_breaks_while_writing_leaves_nothing_to_boot() {
    let mut life = Life::of(HostSpec { previous_version: Some(Version::new(1, 26, 0)), ..HostSpec::default() });
    life.host.spec_mut().prepare_fails = 1;
    let status = life.stage();
    assert_eq!((last(&status, "cmd_status"), &status["update_state"]), ("Failed", &Value::from("Available")));
    assert!(!life.host.disk().inactive().will_boot());
    assert_eq!(life.action("prepare-update")["update_state"], "Staged");
}

#[test]
fn an_update_boots_a_new_kernel_and_the_old_set_can_be_rolled_back_to() {
    let mut life = Life::new();
    let (boot_id, btime) = (life.host.boot_id().to_owned(), life.host.btime());
    life.activate();
    assert_eq!(life.post("/actions/reboot"), 204);
    let asked_at = life.now;
    life.wait(300);
    assert_eq!(life.running(), "1.27.0");
    assert_ne!(life.host.boot_id(), boot_id);
    assert!(life.host.btime() > btime && life.host.btime() >= asked_at.as_second());
    assert!(life.host.ssm_agent_up(life.now) && life.host.ecs_agent_up(life.now));
    assert_eq!(life.ask(&Request::get("/updates/status")).status, 404);

    life.host.signpost_rollback_to_inactive().unwrap();
    life.reboot();
    assert_eq!(life.running(), "1.26.1");
}

#[test]
fn the_host_answers_until_the_shutdown_begins_and_then_refuses() {
    let mut life = Life::new();
    life.host.spec_mut().durations.shutdown = SignedDuration::from_secs(100);
    life.post("/actions/reboot");
    life.wait(99);
    assert_eq!(life.running(), "1.26.1");
    life.wait(30);
    assert!(!life.host.is_up(life.now));
    assert_eq!(life.host.handle(life.now, &life.repository, &Request::get("/os")), Err(NoAnswer::Refused));
}

#[test]
fn a_reboot_whose_answer_is_lost_comes_if_it_was_taken() {
    for (unsure, lost, taken) in [(1, 0, true), (0, 1, false)] {
        let spec = HostSpec { reboot_unsure: unsure, reboot_lost: lost, ..HostSpec::default() };
        let mut life = Life::of(spec);
        let boot_id = life.host.boot_id().to_owned();
        let answer = life.host.handle(life.now, &life.repository, &Request::post("/actions/reboot"));
        assert_eq!(answer, Err(NoAnswer::Silence { taken }));
        life.wait(300);
        assert_eq!(life.host.boot_id() != boot_id, taken);
        assert_eq!(life.post("/actions/reboot"), 204, "once");
    }
}

#[test]
fn a_version_that_does_not_boot_falls_back_and_is_offered_again() {
    let mut life = Life::of(HostSpec { fails_to_boot: vec![NEW], ..HostSpec::default() });
    life.activate();
    life.reboot();
    assert_eq!(life.running(), "1.26.1");
    assert!(life.events.iter().any(|event| matches!(event, HostEvent::BootFailed { version, .. } if *version == NEW)));
    let status = life.action("refresh-updates");
    assert_eq!(status["chosen_update"]["version"], "1.27.0");
    assert_eq!(status["staging_partition"], Value::Null);
}

#[test]
fn a_staged_version_is_not_booted_and_a_ready_one_is_even_by_a_crash() {
    let mut life = Life::new();
    life.stage();
    life.host.spontaneous_reboot(life.now, &life.repository);
    life.wait(300);
    assert_eq!(life.running(), "1.26.1");
    life.activate();
    life.host.spontaneous_reboot(life.now, &life.repository);
    life.wait(300);
    assert_eq!(life.running(), "1.27.0");
}

#[test]
fn a_deactivated_version_is_not_booted() {
    let mut life = Life::new();
    life.activate();
    life.action("deactivate-update");
    life.reboot();
    assert_eq!(life.running(), "1.26.1");
}

#[test]
fn a_machine_can_go_dark_or_be_switched_off() {
    let mut life = Life::of(HostSpec { never_boots_on: vec![NEW], ..HostSpec::default() });
    life.activate();
    life.reboot_into_nothing();
    assert!(life.host.is_dark() && life.host.next_event().is_none());

    let mut life = Life::new();
    life.host.power_off(life.now, &life.repository);
    assert!(!life.host.is_up(life.now));
    life.host.power_on(life.now);
    life.wait(300);
    assert_eq!(life.running(), "1.26.1");
}

impl Life {
    fn reboot_into_nothing(&mut self) {
        assert_eq!(self.post("/actions/reboot"), 204);
        self.wait(600);
        assert!(self.events.iter().any(|event| matches!(event, HostEvent::WentDark { .. })));
    }
}

#[test]
fn agents_can_stay_away_on_a_version() {
    let mut life = Life::of(HostSpec { agent_dead_on: vec![NEW], ssm_away_on: vec![NEW], ..HostSpec::default() });
    assert!(life.host.ecs_agent_up(life.now) && life.host.ssm_agent_up(life.now));
    life.activate();
    life.reboot();
    assert!(life.host.is_up(life.now));
    assert!(!life.host.ecs_agent_up(life.now) && !life.host.ssm_agent_up(life.now));
}

#[test]
fn one_seed_is_one_life() {
    let lives = [(); 2].map(|()| {
        let mut life = Life::new();
        life.activate();
        life.reboot();
        (life.events, life.host.boot_id().to_owned())
    });
    assert_eq!(lives[0], lives[1]);
}

#[test]
fn a_spec_reads_from_a_scenario() {
    let spec: HostSpec = toml::from_str(
        "version = \"1.26.1\"\nfails_to_boot = [\"1.27.0\"]\nagent_start_delay = \"90s\"\n\
         repo_unreachable_until = \"2026-11-23T04:00:00Z\"\n[durations]\nprepare = \"2m\"\n",
    )
    .unwrap();
    assert_eq!(spec.durations.prepare, SignedDuration::from_mins(2));
    assert_eq!(spec.agent_start_delay, SignedDuration::from_secs(90));
    assert!(toml::from_str::<HostSpec>("typo = 1").is_err());
}

#[test]
fn a_patch_without_json_content_type_is_refused() {
    let mut life = Life::new();
    let request = Request { content_type: None, ..Request::patch("/settings", r#"{"motd":"x"}"#) };
    assert_eq!(life.ask(&request).status, 400);
}
