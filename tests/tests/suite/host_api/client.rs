//! The client of `host-bridge` beside the real host: it makes the requests of each recorded section to a host in the
//! same state, over an in-memory pipe, and must get the outcome that the page gives the recorded answer. What the
//! client has no method for (a wrong method, other endpoints) goes through its transport and must arrive byte for byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fleet_sim::documents::{LoneMachine, Machine};
use fleet_sim::host::HostSpec;
use fleet_sim::pipe::{on_the_wire, pipe};
use host_bridge::client::{Action, Client, SettingsAnswer, StatusAnswer};
use host_bridge::transport::{Call, Limits, Sent, Transport, from_fn};
use host_bridge::update::{LockAfter, StageRequest, Switched, UpdateError, Visit};
use semver::Version;

use super::{Exchange, exchanges, host_of, machine, masked, recording, replay, shell};

/// A transport to the machine: each connection is a pipe, refused while the host is down.
fn transport(machine: &Arc<LoneMachine>) -> Transport {
    let machine = Arc::clone(machine);
    let connect = from_fn("the simulated host", move || {
        machine.boot_id().ok_or(io::ErrorKind::ConnectionRefused)?;
        let machine = Arc::clone(&machine);
        Ok(pipe(move |asked| on_the_wire(machine.api(&asked.to_host()))))
    });
    Transport::new(connect, Limits::default())
}

/// Plays a section; returns what the client made of each request that it has a method for.
async fn play(section: &str) -> Vec<String> {
    let (machine, before) = host_of(section);
    for recording in before {
        replay(&machine, recording).await;
    }
    let machine = Arc::new(machine);
    let client = Client::with_transactions(transport(&machine), 7);
    let bare = transport(&machine);
    let mut outcomes = Vec::new();
    for Exchange { call, answer, wait } in exchanges(recording(section)) {
        if call.starts_with("apiclient") {
            shell(&machine, call).await;
        } else if let Some(outcome) = by_method(&client, call).await {
            outcomes.push(outcome);
        } else {
            by_transport(&bare, call, answer).await;
        }
        machine.sleep(wait).await;
    }
    outcomes
}

/// What the client makes of the answer; `None` where it has no method for the request.
async fn by_method(client: &Client, call: &str) -> Option<String> {
    let (request, body) = call.split_once("  <- ").unwrap_or((call, ""));
    let action =
        |action| async move { format!("{action}: {:?}", client.update_action(action).await.expect("an outcome")) };
    let transaction = || request.split_once("?tx=").map_or("bottlerocket-launch", |(_, name)| name);
    Some(match request {
        "GET /os" => format!("os: {}", client.os().await.expect("the OS").version_id),
        "GET /updates/status" => match client.update_status().await.expect("an outcome") {
            StatusAnswer::Known(status) => told(&status),
            other => format!("status: {other:?}"),
        },
        "POST /actions/refresh-updates" => action(Action::Refresh).await,
        "POST /actions/prepare-update" => action(Action::Prepare).await,
        "POST /actions/activate-update" => action(Action::Activate).await,
        "POST /actions/deactivate-update" => action(Action::Deactivate).await,
        "POST /actions/reboot" => format!("reboot: {:?}", client.reboot().await.expect("an outcome")),
        "GET /settings?prefix=updates" => format!("{:?}", client.update_settings().await.expect("an outcome")),
        _ if request.starts_with("PATCH /settings") && !request.contains("keypair") => {
            // What is no JSON the client cannot be made to send.
            let settings = serde_json::from_str(body).ok()?;
            format!("patch: {:?}", client.patch_settings(transaction(), &settings).await.expect("an outcome"))
        }
        _ if request.starts_with("POST /tx/commit_and_apply") => {
            format!("commit: {:?}", client.commit_and_apply(transaction()).await.expect("an outcome"))
        }
        _ if request.starts_with("DELETE /tx") => {
            format!("deleted: {:?}", client.delete_transaction(transaction()).await.expect("the keys"))
        }
        _ => return None,
    })
}

fn told(status: &models::host::UpdateStatus) -> String {
    let version = |image: &models::host::Image| image.version.clone();
    let chosen = status.chosen_update.as_ref().map_or("-".to_owned(), version);
    let staged = status.staging_partition.as_ref().map_or("-".to_owned(), |set| version(&set.image));
    let last = status.most_recent_command.as_ref().map_or("-".to_owned(), |last| {
        format!("{} {} {:?}", last.cmd_type, last.cmd_status, last.stderr.as_deref().unwrap_or_default())
    });
    format!("status: {}, chosen {chosen}, staged {staged}, last {last}", status.update_state)
}

async fn by_transport(bare: &Transport, call: &str, recorded: &str) {
    let (request, body) = call.split_once("  <- ").unwrap_or((call, ""));
    let (method, target) = request.split_once(' ').expect("method and target");
    let json = (!body.is_empty()).then(|| bytes::Bytes::copy_from_slice(body.as_bytes()));
    let method = method.parse().expect("a method");
    let answer =
        bare.send(&Call { method, target: target.to_owned(), json, ..Call::default() }).await.expect("an answer");
    let (head, text) = recorded.split_once("\n\n").unwrap_or((recorded, ""));
    assert_eq!(head.split(' ').nth(1), Some(answer.status.as_str()), "{call}");
    let body = String::from_utf8(answer.body.to_vec()).expect("text");
    assert_eq!(masked(&body, "timestamp\":\"", 30, "TIMESTAMP"), text, "{call}");
}

const UNINITIALIZED: &str = "status: Uninitialized";
const AVAILABLE: &str = "status: Available, chosen 1.27.0, staged -, last refresh Success \"\"";

#[tokio::test(start_paused = true)]
async fn section_1_os() {
    assert_eq!(play("os").await, ["os: 1.26.1"]);
}

#[tokio::test(start_paused = true)]
async fn section_2_before_any_refresh() {
    assert_eq!(
        play("before-refresh").await,
        [
            UNINITIALIZED,
            "prepare: NotAllowed",
            "status: Idle, chosen -, staged -, last -",
            "activate: NotAllowed",
            "deactivate: NotAllowed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn section_3_refresh_and_its_lock() {
    assert_eq!(
        play("refresh").await,
        ["refresh: Started", "status: Locked", "refresh: Locked", "prepare: Locked", "os: 1.26.1", AVAILABLE]
    );
}

#[tokio::test(start_paused = true)]
async fn section_4_prepare() {
    assert_eq!(
        play("prepare").await,
        [
            "activate: NotAllowed",
            "prepare: Started",
            r#"status: Staged, chosen 1.27.0, staged 1.27.0, last prepare Success "Starting update to 1.27.0\n""#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn section_5_activate_and_what_ready_refuses() {
    assert_eq!(
        play("activate").await,
        [
            "activate: Started",
            r#"status: Ready, chosen 1.27.0, staged 1.27.0, last activate Success """#,
            "prepare: NotAllowed",
            "activate: NotAllowed",
            "refresh: Started",
            r#"status: Ready, chosen 1.27.0, staged 1.27.0, last refresh Success """#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn section_6_deactivate_and_activate_again() {
    assert_eq!(
        play("deactivate").await,
        [
            "deactivate: Started",
            r#"status: Staged, chosen 1.27.0, staged 1.27.0, last deactivate Success """#,
            "activate: Started",
            r#"status: Ready, chosen 1.27.0, staged 1.27.0, last activate Success """#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn section_7_reboot_refused_then_accepted() {
    let refused = r#"Failed to reboot, exit code: 1, stderr: Operation inhibited by \"test\" (PID 1 \"x\", user root), reason is \"test\"."#;
    assert_eq!(
        play("reboot").await,
        [
            &format!("reboot: Refused(\"{refused}\")"),
            "reboot: Accepted",
            "os: 1.27.0",
            UNINITIALIZED,
            "refresh: Started",
            r#"status: Idle, chosen -, staged -, last refresh Success """#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn section_8_version_lock() {
    const LOCK: &str = r#"commit: Committed(["settings.updates.version-lock"])"#;
    const IDLE: &str = r#"status: Idle, chosen -, staged -, last refresh Success """#;
    assert_eq!(
        play("version-lock").await,
        [
            "patch: Pending",
            LOCK,
            "refresh: Started",
            r#"status: Available, chosen 1.26.1, staged -, last refresh Success """#,
            "prepare: Started",
            "activate: Started",
            r#"status: Ready, chosen 1.26.1, staged 1.26.1, last activate Success """#,
            "reboot: Accepted",
            "os: 1.26.1",
            "refresh: Started",
            IDLE,
            "patch: Pending",
            LOCK,
            "refresh: Started",
            IDLE,
            r#"patch: Rejected("Json deserialize error: Unable to deserialize into FriendlyVersion: Invalid version string 'newest' at line 1 column 36")"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn section_10_waves() {
    const WAITS: &str = r#"status: Idle, chosen -, staged -, last refresh Success """#;
    assert_eq!(
        play("waves").await,
        [
            "refresh: Started",
            WAITS,
            "prepare: NotAllowed",
            WAITS,
            "patch: Pending",
            r#"commit: Committed(["settings.updates.ignore-waves"])"#,
            "refresh: Started",
            AVAILABLE,
        ]
    );
}

/// All calls of `apiclient`, with nothing for a method of the client; `an_update_its_undoing_and_the_way_back` has the
/// same walk by `update`.
#[tokio::test(start_paused = true)]
async fn section_12_apiclient() {
    assert_eq!(play("apiclient").await, [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn section_15_settings_and_transactions() {
    let unknown = "Json deserialize error: unknown field `nope`, expected one of `metadata-base-url`, `targets-base-url`, `seed`, `version-lock`, `ignore-waves` at line 1 column 18";
    let container = ["user-data", "superpowered", "source", "enabled"]
        .map(|key| format!("\"settings.host-containers.rollback.{key}\""))
        .join(", ");
    assert_eq!(
        play("settings").await,
        [
            r#"Known(UpdateSettings { version_lock: Some("latest"), ignore_waves: Some(true) })"#,
            &format!("patch: Rejected(\"{unknown}\")"),
            "patch: Pending",
            r#"deleted: ["settings.motd"]"#,
            "patch: Pending",
            &format!("commit: Committed([{container}])"),
        ]
    );
}

fn bridge(spec: HostSpec) -> (Arc<LoneMachine>, Client) {
    let machine = Arc::new(machine(spec));
    let client = Client::with_transactions(transport(&machine), 7);
    (machine, client)
}

/// What the recorded life did by single requests, by the operations of `update`.
#[tokio::test(start_paused = true)]
async fn an_update_its_undoing_and_the_way_back() {
    let (machine, client) = bridge(HostSpec::default());
    let (old, new) = (Version::new(1, 26, 1), Version::new(1, 27, 0));
    let visit = || Visit::within(&client, Duration::from_secs(1_200));
    let staged = visit().stage(&StageRequest::default()).await.expect("staged");
    assert_eq!((staged.version, staged.written), (new.clone(), true));
    assert_eq!(visit().activate(Some(&new)).await.expect("activated"), Switched::Now);
    assert_eq!(visit().cancel().await.expect("cancelled"), Switched::Now);
    assert_eq!(visit().cancel().await.expect("cancelled"), Switched::Already);
    assert_eq!(visit().activate(None).await.expect("activated"), Switched::Now);
    client.reboot().await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(client.os().await.expect("the OS").version_id, "1.27.0");
    assert!(matches!(visit().activate(None).await, Err(UpdateError::Refused { .. })));
    visit().roll_back(&old, &LockAfter::Pinned).await.expect("rolled back");
    client.reboot().await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(client.os().await.expect("the OS").version_id, "1.26.1");
    assert!(matches!(visit().stage(&StageRequest::default()).await, Err(UpdateError::NoUpdate)));
    let running = machine.open().host.running_version().clone();
    assert_eq!(running, old);
}

/// The client gives up, and knows that the host may be going down (docs/facts/host-api.md#trap-17).
#[tokio::test(start_paused = true)]
async fn a_reboot_without_an_answer_may_come() {
    for (unsure, lost, runs) in [(1, 0, "1.27.0"), (0, 1, "1.26.1")] {
        let spec = HostSpec { reboot_unsure: unsure, reboot_lost: lost, ..HostSpec::default() };
        let (_machine, client) = bridge(spec);
        let visit = || Visit::within(&client, Duration::from_secs(1_200));
        visit().stage(&StageRequest::default()).await.expect("staged");
        visit().activate(None).await.expect("activated");
        let error = client.reboot().await.expect_err("no answer");
        assert_eq!(error.sent(), Sent::Maybe, "{error}");
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(client.os().await.expect("the OS").version_id, runs);
    }
}

/// The one worker of the server is blocked for a while (docs/facts/host-api.md#trap-12).
#[tokio::test(start_paused = true)]
async fn a_blocked_server_is_asked_again() {
    let (_machine, client) = bridge(HostSpec { api_blocked: 3, ..HostSpec::default() });
    let visit = || Visit::within(&client, Duration::from_secs(1_200));
    visit().stage(&StageRequest::default()).await.expect("staged");
    let (_machine, client) = bridge(HostSpec { api_blocked: 1_000, ..HostSpec::default() });
    let error = Visit::within(&client, Duration::from_secs(60)).activate(None).await.expect_err("blocked");
    assert!(matches!(error, UpdateError::Busy { .. }), "{error:?}");
}

/// Codes that the page has and the recordings have not.
#[tokio::test(start_paused = true)]
async fn without_in_place_updates_under_lockdown_and_with_nothing_to_commit() {
    let (_machine, client) = bridge(HostSpec { in_place_updates: false, lockdown: true, ..HostSpec::default() });
    let refreshed = Visit::within(&client, Duration::from_secs(60)).refresh().await;
    assert!(matches!(refreshed, Err(UpdateError::NoInPlaceUpdates { .. })), "{refreshed:?}");
    let settings = client.update_settings().await.expect("an outcome");
    assert!(matches!(settings, SettingsAnswer::LockedDown(_)), "{settings:?}");
    assert_eq!(client.os().await.expect("the OS").version_id, "1.26.1");

    let (_machine, client) = bridge(HostSpec::default());
    let nothing = client.commit_and_apply("nobody").await.expect("an outcome");
    assert_eq!(format!("{nothing:?}"), "NothingPending");
}
