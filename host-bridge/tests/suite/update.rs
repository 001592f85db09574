//! The update operations against the scripted host: the plain way, every trap, and what stays unsure.

use std::time::Duration;

use host_bridge::client::{Action, RebootAnswer};
use host_bridge::transport::Sent;
use host_bridge::update::{GONE_AFTER, LockAfter, StageRequest, Staged, Switched, Unsure, UpdateError, Visit};
use models::host::{ErrorCode, UpdateState};
use semver::Version;
use tokio::time::Instant;

use crate::fake::{Fake, NOT_ALLOWED, Shared, client};
use crate::wire::{Reply, answer, text};

const LIMIT: Duration = Duration::from_mins(10);

fn v(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn visit(fake: &Shared) -> Visit {
    Visit::within(&client(fake), LIMIT)
}

fn version(text: &str) -> StageRequest {
    StageRequest { version: Some(v(text)), ..StageRequest::default() }
}

fn staged(text: &str) -> Staged {
    Staged { version: v(text), written: true }
}

fn acts(fake: &Shared) -> Vec<String> {
    fake.lock().unwrap().acts().into_iter().map(str::to_owned).collect()
}

const REFRESH: &str = "POST /actions/refresh-updates";
const PREPARE: &str = "POST /actions/prepare-update";
const ACTIVATE: &str = "POST /actions/activate-update";
const DEACTIVATE: &str = "POST /actions/deactivate-update";
const PATCH: &str = "PATCH /settings?";
const COMMIT: &str = "POST /tx/commit_and_apply?";

/// A host on which `1.27.0` is staged or activated.
fn with_staged(state: &'static str) -> Fake {
    let last = serde_json::json!({"cmd_type": "prepare", "cmd_status": "Success", "timestamp": "t0",
        "stderr": "Starting update to 1.27.0\n"});
    Fake {
        state,
        chosen: Some("1.27.0".into()),
        staged: Some("1.27.0".into()),
        status_exists: true,
        last: Some(last),
        ..Fake::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_from_the_first_refresh_to_ready_and_back() {
    let fake = Fake::default().shared();
    let mut visit = visit(&fake);
    // 404 on the first status is normal.
    assert_eq!(visit.refresh().await.unwrap().update_state, UpdateState::Available);
    assert_eq!(visit.stage(&StageRequest::default()).await.unwrap(), staged("1.27.0"));
    assert_eq!(visit.wrote(), Some(&v("1.27.0")));
    assert_eq!(visit.activate(Some(&v("1.27.0"))).await.unwrap(), Switched::Now);
    assert_eq!(visit.activate(None).await.unwrap(), Switched::Already);
    assert_eq!(visit.cancel().await.unwrap(), Switched::Now);
    assert_eq!(visit.cancel().await.unwrap(), Switched::Already);
    assert_eq!(acts(&fake), [REFRESH, REFRESH, PREPARE, ACTIVATE, DEACTIVATE]);
}

#[tokio::test(start_paused = true)]
async fn what_is_staged_is_not_staged_again() {
    let fake = with_staged("Staged").shared();
    let done = visit(&fake).stage(&version("1.27.0")).await.unwrap();
    assert_eq!(done, Staged { version: v("1.27.0"), written: false });
    assert_eq!(acts(&fake), [REFRESH]);
}

#[tokio::test(start_paused = true)]
async fn staging_another_version_undoes_the_activation_first() {
    let mut fake = with_staged("Ready");
    fake.available.insert(0, "1.28.0".into());
    let fake = fake.shared();
    assert_eq!(visit(&fake).stage(&version("1.28.0")).await.unwrap(), staged("1.28.0"));
    assert_eq!(acts(&fake), [REFRESH, DEACTIVATE, PREPARE]);
}

#[tokio::test(start_paused = true)]
async fn activate_and_cancel_look_at_the_state() {
    let refused = |error: UpdateError, words: &str| {
        assert_eq!(error.code(), ErrorCode::Refused);
        assert!(error.to_string().contains(words), "{error}");
    };
    let fake = Fake::default().shared();
    refused(visit(&fake).activate(None).await.unwrap_err(), "nothing is staged since this boot");
    assert_eq!(visit(&fake).cancel().await.unwrap(), Switched::Already);
    visit(&fake).refresh().await.unwrap();
    refused(visit(&fake).activate(None).await.unwrap_err(), "nothing is staged (state Available)");
    let fake = with_staged("Staged").shared();
    refused(visit(&fake).activate(Some(&v("1.28.0"))).await.unwrap_err(), "1.27.0 is staged, not 1.28.0");
    assert_eq!(acts(&fake), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_offered_no_longer_is_not_activated() {
    let fake = with_staged("Staged").shared();
    assert_eq!(visit(&fake).activate_offered(&v("1.27.0")).await.unwrap(), Switched::Now);
    assert_eq!(acts(&fake), [REFRESH, ACTIVATE], "it reads its repository first");

    let mut withdrawn = with_staged("Staged");
    withdrawn.available.retain(|version| version != "1.27.0");
    let fake = withdrawn.shared();
    let error = visit(&fake).activate_offered(&v("1.27.0")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotOffered, "{error}");
    assert_eq!(acts(&fake), [REFRESH]);

    let fake = Fake { fail: Some(("refresh", "no route".into())), ..with_staged("Staged") }.shared();
    let error = visit(&fake).activate_offered(&v("1.27.0")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Failed, "what cannot be read is not withdrawn: {error}");
    assert_eq!(acts(&fake), [REFRESH]);

    let fake = with_staged("Staged").shared();
    let error = visit(&fake).activate_offered(&v("1.28.0")).await.unwrap_err();
    assert_eq!((error.code(), acts(&fake).len()), (ErrorCode::Refused, 0), "{error}");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_host_are_refusals() {
    for (reply, words) in [
        (text(409, NOT_ALLOWED), "409"),
        (text(404, "No update image applied to staging partition"), "No update image"),
    ] {
        let mut fake = with_staged("Staged");
        fake.instead.push_back((ACTIVATE, reply));
        let fake = fake.shared();
        let error = visit(&fake).activate(None).await.unwrap_err();
        assert!(matches!(error, UpdateError::Refused { .. }) && error.to_string().contains(words), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn activate_refuses_what_the_last_prepare_did_not_write() {
    for (writes, words) in [(Some("1.28.0"), "its last prepare wrote 1.28.0"), (None, "its last prepare wrote nothing")]
    {
        let fake =
            Fake { writes: writes.map(String::from), writes_nothing: writes.is_none(), ..Fake::default() }.shared();
        visit(&fake).stage(&version("1.27.0")).await.unwrap_err();
        for expected in [None, Some(&v("1.27.0"))] {
            let error = visit(&fake).activate(expected).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Refused, "{error}");
            assert!(expected.is_some() || error.to_string().contains(words), "{error}");
        }
        assert!(!acts(&fake).contains(&ACTIVATE.to_owned()));
        // The status would go on calling the other one staged, so it is written again.
        if let Some(wrote) = writes {
            fake.lock().unwrap().available.insert(0, wrote.to_owned());
            assert_eq!(visit(&fake).stage(&version(wrote)).await.unwrap(), staged(wrote));
            assert_eq!(visit(&fake).activate(None).await.unwrap(), Switched::Now);
        }
    }
}

// Locks and other clients.

#[tokio::test(start_paused = true)]
async fn a_held_lock_means_wait() {
    let mut fake = Fake::default();
    for _ in 0..5 {
        fake.instead.push_back(("GET /updates/status", text(423, "Unable to obtain shared lock")));
    }
    fake.instead.push_back((REFRESH, text(423, "Update lock held")));
    let fake = fake.shared();
    visit(&fake).refresh().await.unwrap();
    assert_eq!(acts(&fake), [REFRESH, REFRESH]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_never_freed_is_busy_and_nothing_was_begun() {
    let fake = Fake { looks: u32::MAX, ..Fake::default() }.shared();
    // Another client's refresh, which never ends.
    client(&fake).update_action(Action::Refresh).await.unwrap();
    let begin = Instant::now();
    let error = visit(&fake).refresh().await.unwrap_err();
    assert!(matches!(error, UpdateError::Busy { at: Action::Refresh }), "{error:?}");
    assert_eq!(begin.elapsed(), LIMIT);
    assert_eq!(acts(&fake), [REFRESH]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_result_was_replaced_is_done_again() {
    let fake = Fake { interleave: Some(("refresh", "deactivate")), ..Fake::default() }.shared();
    assert_eq!(visit(&fake).refresh().await.unwrap().update_state, UpdateState::Available);
    assert_eq!(acts(&fake), [REFRESH, REFRESH]);
}

#[tokio::test(start_paused = true)]
async fn an_activation_whose_result_was_replaced_is_judged_by_the_state() {
    let fake = Fake { interleave: Some(("activate", "refresh")), ..with_staged("Staged") }.shared();
    assert_eq!(visit(&fake).activate(None).await.unwrap(), Switched::Now);
    let fake = Fake { interleave: Some(("deactivate", "refresh")), ..with_staged("Ready") }.shared();
    assert_eq!(visit(&fake).cancel().await.unwrap(), Switched::Now);
}

#[tokio::test(start_paused = true)]
async fn a_prepare_whose_result_was_replaced_is_unsure() {
    let fake = Fake { interleave: Some(("prepare", "refresh")), ..Fake::default() }.shared();
    let error = visit(&fake).stage(&StageRequest::default()).await.unwrap_err();
    assert!(matches!(error, UpdateError::Unsure { at: Action::Prepare, why: Unsure::Overtaken }), "{error:?}");
}

// Unsure is not failed.

#[tokio::test(start_paused = true)]
async fn a_killed_worker_is_unsure() {
    let fake = Fake { kill: true, ..with_staged("Staged") }.shared();
    let begin = Instant::now();
    let error = visit(&fake).activate(None).await.unwrap_err();
    assert!(matches!(error, UpdateError::Unsure { at: Action::Activate, why: Unsure::WorkerGone }), "{error:?}");
    assert_eq!(error.code(), ErrorCode::Unsure);
    assert!(begin.elapsed() < GONE_AFTER * 2, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_killed_refresh_is_done_again() {
    let fake = Fake { kill: true, ..Fake::default() }.shared();
    visit(&fake).refresh().await.unwrap();
    assert_eq!(acts(&fake), [REFRESH, REFRESH]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_means_unsure() {
    let fake = Fake { looks: u32::MAX, ..with_staged("Staged") }.shared();
    let begin = Instant::now();
    let error = visit(&fake).activate(None).await.unwrap_err();
    assert!(matches!(error, UpdateError::Unsure { at: Action::Activate, why: Unsure::Deadline }), "{error:?}");
    assert_eq!(begin.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_against_a_server_that_hangs() {
    let mut fake = with_staged("Staged");
    fake.instead.push_back((ACTIVATE, Reply::Hang));
    let fake = fake.shared();
    let mut visit = Visit::within(&client(&fake), Duration::from_secs(5));
    let begin = Instant::now();
    let error = visit.activate(None).await.unwrap_err();
    assert!(matches!(error, UpdateError::Unsure { why: Unsure::Deadline, .. }), "{error:?}");
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_waited_for_as_if_it_had_started() {
    let mut fake = with_staged("Staged");
    fake.instead.push_back((ACTIVATE, Reply::Last(Vec::new())));
    let fake = fake.shared();
    let error = visit(&fake).activate(None).await.unwrap_err();
    assert!(matches!(error, UpdateError::Unsure { why: Unsure::WorkerGone, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_while_the_worker_runs_is_survived() {
    let fake = with_staged("Staged").shared();
    let mut visit = visit(&fake);
    let activate = visit.activate(None);
    let restart = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut fake = fake.lock().unwrap();
        for _ in 0..3 {
            fake.instead.push_back(("GET /updates/status", Reply::Last(Vec::new())));
        }
        fake.instead.push_back(("GET /updates/status", text(500, "Update dispatcher failed")));
    };
    assert_eq!(tokio::join!(activate, restart).0.unwrap(), Switched::Now);
}

#[tokio::test(start_paused = true)]
async fn a_command_status_of_the_future_is_unsure() {
    let fake = with_staged("Staged").shared();
    let mut visit = visit(&fake);
    let activate = visit.activate(None);
    let script = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = r#"{"update_state":"Staged","most_recent_command":
            {"cmd_type":"activate","cmd_status":"Unknown","timestamp":"t9","stderr":"killed by signal"}}"#;
        fake.lock().unwrap().instead.push_back(("GET /updates/status", Reply::Bytes(answer(200, status))));
    };
    let error = tokio::join!(activate, script).0.unwrap_err();
    assert!(matches!(error, UpdateError::Unsure { why: Unsure::HostUnsure(_), .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_operation_is_picked_up_by_the_next() {
    for after_ms in (0..3000).step_by(50) {
        let fake = Fake { available: vec!["1.28.0".into(), "1.27.0".into()], ..Fake::default() }.shared();
        let mut visit = visit(&fake);
        let request = version("1.27.0");
        let limit = Duration::from_millis(after_ms);
        let _ = tokio::time::timeout(limit, visit.stage(&request)).await;
        visit.restore_lock().await.unwrap();
        let done = visit.stage(&request).await.unwrap_or_else(|error| panic!("dropped at {after_ms} ms: {error}"));
        assert_eq!(done.version, v("1.27.0"));
        assert_eq!(fake.lock().unwrap().lock, "latest", "dropped at {after_ms} ms");
        assert_eq!(fake.lock().unwrap().staged.as_deref(), Some("1.27.0"), "dropped at {after_ms} ms");
    }
}

// The traps, by their numbers in docs/facts/host-api.md#traps.

#[tokio::test(start_paused = true)]
async fn trap_1_a_prepare_that_wrote_nothing_is_an_error_and_stays_one() {
    let fake = Fake { writes_nothing: true, ..Fake::default() }.shared();
    let error = visit(&fake).stage(&StageRequest::default()).await.unwrap_err();
    assert!(matches!(&error, UpdateError::WroteNothing { wanted } if *wanted == v("1.27.0")), "{error:?}");
    // The status names it as staged; the worker's output, still there, says otherwise.
    assert_eq!(fake.lock().unwrap().state, "Staged");
    assert_eq!(visit(&fake).stage(&StageRequest::default()).await.unwrap(), staged("1.27.0"));
}

#[tokio::test(start_paused = true)]
async fn trap_2_what_was_written_is_read_from_the_worker() {
    let fake = Fake { writes: Some("1.28.0".into()), ..Fake::default() }.shared();
    let mut visit = visit(&fake);
    let error = visit.stage(&version("1.27.0")).await.unwrap_err();
    assert!(
        matches!(&error, UpdateError::WroteOther { wanted, wrote } if *wanted == v("1.27.0") && *wrote == v("1.28.0")),
        "{error:?}"
    );
    assert_eq!(visit.wrote(), Some(&v("1.28.0")));
}

#[tokio::test(start_paused = true)]
async fn trap_2_a_status_without_the_worker_s_word_is_no_proof() {
    let fake = Fake { writes: Some("1.28.0".into()), ..Fake::default() }.shared();
    visit(&fake).stage(&version("1.27.0")).await.unwrap_err();
    let error = visit(&fake).activate(Some(&v("1.27.0"))).await.unwrap_err();
    assert_eq!(error.to_string(), "activate is not possible: 1.28.0 is staged, not 1.27.0");
    // After a refresh the host only says that 1.27.0 is staged.
    visit(&fake).refresh().await.unwrap();
    assert_eq!(visit(&fake).stage(&version("1.27.0")).await.unwrap(), staged("1.27.0"));

    let fake = with_staged("Staged").shared();
    visit(&fake).activate(None).await.unwrap();
    assert_eq!(visit(&fake).stage(&version("1.27.0")).await.unwrap(), staged("1.27.0"));
    assert_eq!(acts(&fake), [ACTIVATE, REFRESH, DEACTIVATE, PREPARE]);
}

#[tokio::test(start_paused = true)]
async fn trap_3_without_network_activate_fails_and_keeps_the_state() {
    let stderr = "Failed to load update repository:\n   Failed to fetch\n   https://updates.example/timestamp.json\n";
    let fake = Fake { fail: Some(("activate", stderr.into())), ..with_staged("Staged") }.shared();
    let error = visit(&fake).activate(None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "activate failed on the host: Failed to load update repository: Failed to fetch \
         https://updates.example/timestamp.json"
    );
    assert_eq!(error.report().at, "activate");
    assert_eq!(fake.lock().unwrap().state, "Staged");
}

#[tokio::test(start_paused = true)]
async fn trap_4_a_withdrawn_release_is_no_update() {
    let withdrawn = || Fake { running: "1.27.0".into(), available: vec!["1.26.1".into()], ..Fake::default() };
    let fake = withdrawn().shared();
    let error = visit(&fake).stage(&StageRequest::default()).await.unwrap_err();
    assert!(matches!(&error, UpdateError::Downgrade { wanted, .. } if *wanted == v("1.26.1")), "{error:?}");
    assert_eq!(acts(&fake), [REFRESH]);
    let allowed = StageRequest { allow_downgrade: true, ..StageRequest::default() };
    assert_eq!(visit(&withdrawn().shared()).stage(&allowed).await.unwrap(), staged("1.26.1"));
}

#[tokio::test(start_paused = true)]
async fn trap_6_nothing_is_prepared_before_all_is_checked() {
    let fake = Fake::default().shared();
    for (request, code) in [
        (version("1.26.1"), ErrorCode::OtherBoot),
        (version("1.26.0"), ErrorCode::Refused),
        (version("1.99.0"), ErrorCode::NotOffered),
    ] {
        let error = visit(&fake).stage(&request).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
    }
    assert_eq!(acts(&fake), [REFRESH, REFRESH, REFRESH]);
}

#[tokio::test(start_paused = true)]
async fn trap_6_a_failed_prepare_has_cleared_what_was_staged() {
    let stderr = "Starting update to 1.27.0\nFailed to write".to_owned();
    let fake = Fake { fail: Some(("prepare", stderr)), ..with_staged("Staged") }.shared();
    visit(&fake).refresh().await.unwrap();
    assert_eq!(visit(&fake).stage(&version("1.27.0")).await.unwrap_err().code(), ErrorCode::Failed);
    // The host still says that 1.27.0 is staged.
    assert_eq!(visit(&fake).stage(&version("1.27.0")).await.unwrap(), staged("1.27.0"));
}

#[tokio::test(start_paused = true)]
async fn trap_7_a_pin_waits_until_the_version_is_chosen() {
    let available = ["1.28.0", "1.27.0", "1.26.1"].map(String::from).to_vec();
    let fake = Fake { available, lag: 3, ..Fake::default() }.shared();
    assert_eq!(visit(&fake).stage(&version("1.27.0")).await.unwrap(), staged("1.27.0"));
    let expected =
        [REFRESH, PATCH, COMMIT, REFRESH, REFRESH, REFRESH, REFRESH, PREPARE, PATCH, COMMIT].map(str::to_owned);
    assert_eq!(acts(&fake), expected);
    assert_eq!(fake.lock().unwrap().lock, "latest");
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_is_never_applied_is_given_up_and_put_back() {
    let available = ["1.28.0", "1.27.0"].map(String::from).to_vec();
    let fake = Fake { available, lag: u32::MAX, ..Fake::default() }.shared();
    let error = visit(&fake).stage(&version("1.27.0")).await.unwrap_err();
    assert!(
        matches!(&error, UpdateError::NotChosen { chosen: Some(chosen), .. } if *chosen == v("1.28.0")),
        "{error:?}"
    );
    assert_eq!(fake.lock().unwrap().lock, "latest");
}

#[tokio::test(start_paused = true)]
async fn a_failing_refresh_while_the_setting_is_applied_is_tried_again() {
    let available = ["1.28.0", "1.27.0"].map(String::from).to_vec();
    let fake = Fake { available, ..Fake::default() }.shared();
    visit(&fake).refresh().await.unwrap();
    fake.lock().unwrap().fail = Some(("refresh", "cannot read updog.toml".into()));
    assert_eq!(visit(&fake).pin(&v("1.27.0")).await.unwrap().chosen_update.unwrap().version, "1.27.0");
}

#[tokio::test(start_paused = true)]
async fn the_lock_ends_as_asked_also_after_a_failure() {
    let table = [
        (LockAfter::AsFound, "1.26.0", "1.26.0"),
        (LockAfter::Pinned, "1.27.0", "1.26.0"),
        (LockAfter::Set("latest".into()), "latest", "latest"),
    ];
    for (lock, after_success, after_failure) in table {
        let fake = || Fake { lock: "1.26.0".into(), ..Fake::default() };
        let request = StageRequest { lock: lock.clone(), ..version("1.27.0") };

        let good = fake().shared();
        visit(&good).stage(&request).await.unwrap();
        assert_eq!(good.lock().unwrap().lock, after_success, "{lock:?}");

        let bad = Fake { fail: Some(("prepare", "no space".into())), ..fake() }.shared();
        let error = visit(&bad).stage(&request).await.unwrap_err();
        assert!(matches!(error, UpdateError::Failed { at: Action::Prepare, .. }), "{error:?}");
        assert_eq!(bad.lock().unwrap().lock, after_failure, "{lock:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_cannot_be_put_back_is_said_after_the_rest_worked() {
    let fake = Fake { lock: "1.26.0".into(), ..Fake::default() }.shared();
    let mut visit = visit(&fake);
    let stage = version("1.27.0");
    let work = visit.stage(&stage);
    let sabotage = async {
        while !fake.lock().unwrap().acts().contains(&PREPARE) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fake.lock().unwrap().instead.push_back((PATCH, text(400, "no more settings")));
    };
    let error = tokio::join!(work, sabotage).0.unwrap_err();
    assert!(matches!(&error, UpdateError::LockNotRestored { lock, .. } if lock == "1.26.0"), "{error:?}");
    assert_eq!(visit.wrote(), Some(&v("1.27.0")));
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_an_answer_is_looked_up() {
    let mut fake = Fake { available: vec!["1.28.0".into(), "1.27.0".into()], lock: "1.27.0".into(), ..Fake::default() };
    fake.instead.push_back((COMMIT, Reply::Last(Vec::new())));
    let fake = fake.shared();
    let error = visit(&fake).unpin().await.unwrap_err();
    assert!(matches!(error, UpdateError::Lock { .. }), "{error:?}");
    let status = visit(&fake).unpin().await.unwrap();
    assert_eq!(status.chosen_update.unwrap().version, "1.28.0");
}

#[tokio::test(start_paused = true)]
async fn trap_8_a_wave_that_is_not_open_is_no_update() {
    let fake = Fake { available: vec!["1.26.1".into()], ..Fake::default() }.shared();
    let error = visit(&fake).stage(&StageRequest::default()).await.unwrap_err();
    assert!(matches!(error, UpdateError::NoUpdate), "{error:?}");
    let error = visit(&fake).stage(&version("1.27.0")).await.unwrap_err();
    assert_eq!(error.to_string(), "1.27.0 is not offered to this host, which has 1.26.1");
}

#[tokio::test(start_paused = true)]
async fn trap_10_an_image_without_in_place_updates_is_named() {
    let words = "Unable to start the update dispatcher: No such file or directory (os error 2)";
    for (at, action) in [(REFRESH, Action::Refresh), (ACTIVATE, Action::Activate)] {
        let mut fake = with_staged("Staged");
        fake.instead.push_back((at, text(500, words)));
        let mut visit = visit(&fake.shared());
        let error = match action {
            Action::Activate => visit.activate(None).await.unwrap_err(),
            _ => visit.refresh().await.unwrap_err(),
        };
        assert!(matches!(error, UpdateError::NoInPlaceUpdates { at } if at == action), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_10_a_dispatcher_that_fails_says_nothing_of_the_image() {
    let failures = ["Update dispatcher failed", "Unable to start the update dispatcher: Cannot allocate memory"];
    for (at, words) in [REFRESH, "GET /updates/status"].into_iter().flat_map(|at| failures.map(|words| (at, words))) {
        let mut fake = Fake::default();
        fake.instead.push_back((at, text(500, words)));
        let error = visit(&fake.shared()).refresh().await.unwrap_err();
        assert_eq!((error.code(), error.at()), (ErrorCode::DispatcherFailed, "refresh"), "{error:?}");
        assert!(error.to_string().contains("its run directory cannot be written"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_settings_only_the_chosen_version_can_be_staged() {
    let mut fake = Fake { available: vec!["1.28.0".into(), "1.27.0".into()], ..Fake::default() };
    fake.instead.push_back(("GET /settings", text(500, "no such disk")));
    let fake = fake.shared();
    let error = visit(&fake).stage(&version("1.27.0")).await.unwrap_err();
    assert_eq!(error.to_string(), "the host does not tell its settings: no such disk");
    assert_eq!(visit(&fake).stage(&version("1.28.0")).await.unwrap(), staged("1.28.0"));
}

#[tokio::test(start_paused = true)]
async fn trap_11_under_api_lockdown_a_pin_is_refused_before_anything_is_changed() {
    let locked = || {
        let mut fake = with_staged("Ready");
        fake.available = ["1.27.0", "1.26.0"].map(String::from).into();
        fake.instead.push_back(("GET /settings", text(500, "Live datastore missing")));
        fake.shared()
    };
    let fake = locked();
    let error = visit(&fake).stage(&StageRequest { allow_downgrade: true, ..version("1.26.0") }).await.unwrap_err();
    assert_eq!((error.code(), error.at()), (ErrorCode::HostLockedDown, "pin"), "{error}");
    assert_eq!((acts(&fake), fake.lock().unwrap().state), (vec![REFRESH.to_owned()], "Ready"));

    let fake = locked();
    let error = visit(&fake).roll_back(&v("1.27.0"), &LockAfter::Pinned).await.unwrap_err();
    assert!(matches!(error, UpdateError::HostLockedDown { .. }), "{error:?}");
    assert_eq!(acts(&fake), [] as [&str; 0]);

    let mut fake = Fake { available: vec!["1.28.0".into(), "1.27.0".into()], ..Fake::default() };
    fake.instead.push_back((PATCH, text(500, "Required key not available (os error 126)")));
    let error = visit(&fake.shared()).stage(&version("1.27.0")).await.unwrap_err();
    assert!(matches!(error, UpdateError::HostLockedDown { .. }), "{error:?}");
}

/// A lock that is not ours to set, and a host that has activated something else.
#[tokio::test(start_paused = true)]
async fn what_is_refused_undoes_no_activation() {
    let fake = Fake { available: vec!["1.28.0".into(), "1.27.0".into()], ..with_staged("Ready") }.shared();
    let untouched = StageRequest { lock: LockAfter::Untouched, ..version("1.27.0") };
    fake.lock().unwrap().last = None;
    let error = visit(&fake).stage(&untouched).await.unwrap_err();
    assert!(matches!(error, UpdateError::ChoseOther { .. }), "{error:?}");
    let error = visit(&fake).stage(&version("1.99.0")).await.unwrap_err();
    assert!(matches!(error, UpdateError::NotOffered { .. }), "{error:?}");
    assert!(acts(&fake).iter().all(|act| act.contains("refresh")), "{:?}", acts(&fake));
    assert_eq!(fake.lock().unwrap().state, "Ready");
}

#[tokio::test(start_paused = true)]
async fn trap_12_a_blocked_server_is_asked_again_and_then_busy() {
    let mut fake = Fake::default();
    fake.instead.extend(
        ["GET /os", "GET /updates/status", REFRESH, PREPARE, "POST /actions/reboot"].map(|at| (at, text(408, ""))),
    );
    let fake = fake.shared();
    assert_eq!(visit(&fake).stage(&StageRequest::default()).await.unwrap(), staged("1.27.0"));
    // Not a reboot: a caller that asks for one has looked at the tasks just before.
    let error = client(&fake).reboot().await.unwrap_err();
    assert_eq!((error.code(), error.sent()), (ErrorCode::Busy, Sent::No), "{error}");
    assert!(matches!(client(&fake).reboot().await, Ok(RebootAnswer::Accepted)));

    let mut fake = with_staged("Staged");
    fake.instead.extend(std::iter::repeat_n(("POST /actions/", text(408, "")), 5_000));
    let fake = fake.shared();
    let error = Visit::within(&client(&fake), Duration::from_mins(1)).activate(None).await.unwrap_err();
    assert!(matches!(error, UpdateError::Busy { at: Action::Activate }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_not_up_to_date() {
    let fake = Fake { fail: Some(("refresh", "no route to host".into())), ..Fake::default() }.shared();
    let error = visit(&fake).refresh().await.unwrap_err();
    assert!(matches!(&error, UpdateError::Failed { at: Action::Refresh, .. }), "{error:?}");
}

// Going back.

#[tokio::test(start_paused = true)]
async fn a_rollback_pins_writes_and_activates() {
    for (lock, after) in
        [(LockAfter::Pinned, "1.26.1"), (LockAfter::AsFound, "latest"), (LockAfter::Set("1.26.0".into()), "1.26.0")]
    {
        let fake = Fake { running: "1.27.0".into(), ..Fake::default() }.shared();
        assert_eq!(visit(&fake).roll_back(&v("1.26.1"), &lock).await.unwrap(), staged("1.26.1"));
        let fake = fake.lock().unwrap();
        assert_eq!((fake.state, fake.staged.as_deref(), fake.lock.as_str()), ("Ready", Some("1.26.1"), after));
        assert_eq!(fake.acts()[..6], [REFRESH, PATCH, COMMIT, REFRESH, PREPARE, ACTIVATE]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_leaves_no_pin() {
    let fake =
        Fake { running: "1.27.0".into(), fail: Some(("activate", "no network".into())), ..Fake::default() }.shared();
    let error = visit(&fake).roll_back(&v("1.26.1"), &LockAfter::Pinned).await.unwrap_err();
    assert!(matches!(error, UpdateError::Failed { at: Action::Activate, .. }), "{error:?}");
    assert_eq!(fake.lock().unwrap().lock, "latest");
}
