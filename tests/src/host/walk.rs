//! Random lives: whatever is asked of a host in whatever order, it keeps what a machine cannot lose.
//!
//! A failure names its seed; `HOST_SEED=<seed> cargo test -p fleet-sim host::walk` lives that life alone.

use jiff::{SignedDuration, Timestamp};
use models::host::{CommandStatus, CommandType, UpdateState as ReadState, UpdateStatus};
use semver::Version;

use super::*;

const LIVES: u64 = 150;
const STEPS: u64 = 150;

#[test]
fn a_host_survives_any_order_of_requests() {
    let one = std::env::var("HOST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = one.map_or(0..LIVES, |seed| seed..seed + 1);
    let mut booted_new = 0;
    for seed in seeds {
        booted_new += u32::from(live(seed));
    }
    assert!(one.is_some() || booted_new > 15, "the walk reaches updates: {booted_new} lives ran another version");
}

/// Lives one life; whether it ever ran another version.
fn live(seed: u64) -> bool {
    let mut dice = Rng::new(seed);
    let versions = [Version::new(1, 26, 1), Version::new(1, 27, 0), Version::new(1, 28, 0)];
    let spec = HostSpec {
        fails_to_boot: if dice.below(4) == 0 { vec![versions[2].clone()] } else { Vec::new() },
        previous_version: (dice.below(2) == 0).then(|| Version::new(1, 26, 0)),
        ..HostSpec::default()
    };
    let mut now: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
    let mut host = Host::new(spec, seed, now);
    let mut repository = Repository::of(&versions[..2]);
    let mut changed = false;
    for step in 0..STEPS {
        let request = drawn(&mut dice, &mut host, &mut repository, now);
        if let Some(request) = request {
            let answer = host.handle(now, &repository, &request);
            assert_eq!(answer.is_ok(), host.is_up(now), "HOST_SEED={seed}, step {step}");
        }
        if dice.below(2) == 0 {
            now += SignedDuration::from_secs(i64::try_from(dice.below(200)).unwrap());
            host.advance(now, &repository);
        }
        invariants(&mut host, &repository, now, &format!("HOST_SEED={seed}, step {step}"));
        changed |= *host.running_version() != versions[0];
    }
    changed
}

/// What happens next: a request, or something that needs none.
fn drawn(dice: &mut Rng, host: &mut Host, repository: &mut Repository, now: Timestamp) -> Option<Request> {
    let newest = || Version::new(1, 28, 0);
    match dice.below(20) {
        0..=3 => Some(Request::post("/actions/refresh-updates")),
        4..=6 => Some(Request::post("/actions/prepare-update")),
        7..=9 => Some(Request::post("/actions/activate-update")),
        10 => Some(Request::post("/actions/deactivate-update")),
        11 => Some(Request::post("/actions/reboot")),
        12 => {
            let lock = ["latest", "1.26.1", "v1.27.0", "9.9.9"][usize::try_from(dice.below(4)).unwrap()];
            Some(Request::patch("/settings", &format!(r#"{{"updates":{{"version-lock":"{lock}"}}}}"#)))
        }
        13 => Some(Request::post("/tx/commit_and_apply")),
        14 => {
            host.spontaneous_reboot(now, repository);
            None
        }
        15 => {
            match dice.below(4) {
                0 => repository.publish(Release::new(newest())),
                1 => repository.withdraw(&newest()),
                2 => repository.reachable = !repository.reachable,
                _ => repository.reachable = true,
            }
            None
        }
        16 => {
            let spec = host.spec_mut();
            match dice.below(5) {
                0 => spec.workers_killed = 1,
                1 => spec.refresh_fails = 1,
                2 => spec.prepare_fails = 1,
                3 => spec.activate_fails = 1,
                _ => spec.reboot_inhibited = 1,
            }
            None
        }
        17 => {
            // A refusal changes nothing, which the invariants see.
            let _ = host.signpost_rollback_to_inactive();
            None
        }
        _ => Some(Request::get("/updates/status")),
    }
}

fn invariants(host: &mut Host, repository: &Repository, now: Timestamp, at: &str) {
    assert!(host.next_event().is_none_or(|next| next > now) || !host.advance(now, repository).is_empty(), "{at}");
    assert!(!host.is_dark(), "{at}: there is always a set that boots");
    let disk = host.disk();
    assert!(disk.next().is_some(), "{at}");
    assert!(disk.sets().iter().all(|set| !set.will_boot() || set.image.is_some()), "{at}: no half-written set boots");
    assert!(disk.active().successful, "{at}: what runs has booted");
    assert_eq!(disk.active().image.as_ref().map(|image| &image.version), Some(host.running_version()), "{at}");
    let Some(status) = host.update_status() else { return };
    let read: UpdateStatus = serde_json::from_str(&serde_json::to_string(status).unwrap()).unwrap();
    assert!(!matches!(read.update_state, ReadState::Unknown(_) | ReadState::Missing), "{at}");
    if let Some(last) = &read.most_recent_command {
        assert!(!matches!(last.cmd_type, CommandType::Unknown(_) | CommandType::Missing), "{at}");
        assert!(!matches!(last.cmd_status, CommandStatus::Unknown(_) | CommandStatus::Missing), "{at}");
    }
    let staged = matches!(read.update_state, ReadState::Staged | ReadState::Ready);
    assert_eq!(staged, read.staging_partition.is_some(), "{at}");
}
