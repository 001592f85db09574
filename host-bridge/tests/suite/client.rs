//! Every status code in the table of the host API, endpoint by endpoint.

use std::sync::{Arc, Mutex};

use host_bridge::client::{
    Action, ActionAnswer, ChangeError, Client, ClientError, CommitAnswer, PatchAnswer, RebootAnswer, SettingsAnswer,
    StatusAnswer, UpdateSettings,
};
use host_bridge::transport::{Limits, Transport, from_fn};
use models::host::{CommandStatus, CommandType, UpdateState};
use serde_json::json;

use crate::fake::Fake;
use crate::wire::{Reply, serve, text};

/// A client of a server that answers these replies, in order, over as many connections as it takes.
pub(crate) fn answering(replies: Vec<Reply>) -> Client {
    let replies = Arc::new(Mutex::new(replies.into_iter()));
    let connect = from_fn("a script", move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let replies = Arc::clone(&replies);
        tokio::spawn(serve(theirs, move |_| replies.lock().unwrap().next().unwrap()));
        Ok(ours)
    });
    Client::with_transactions(Transport::new(connect, Limits::default()), 7)
}

fn one(status: u16, body: &str) -> Client {
    answering(vec![text(status, body)])
}

#[tokio::test(start_paused = true)]
async fn os() {
    let os = one(200, r#"{"arch":"x86_64","variant_id":null,"version_id":"1.26.1","new_field":[1]}"#).os().await;
    let os = os.unwrap();
    assert_eq!((os.arch.as_str(), os.variant_id.as_str(), os.version_id.as_str()), ("x86_64", "", "1.26.1"));

    let error = one(404, "").os().await.unwrap_err();
    assert_eq!(error.to_string(), "this host's API has no GET /os");
    let error = one(400, "Input 'prefix' cannot be empty").os().await.unwrap_err();
    assert_eq!(error.to_string(), "GET /os was answered 400: Input 'prefix' cannot be empty");
    let error = one(200, "").os().await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn update_status() {
    let uninitialized = "Update status is uninitialized, refresh-updates to initialize it";
    assert_eq!(one(404, uninitialized).update_status().await.unwrap(), StatusAnswer::Uninitialized);
    assert_eq!(one(423, "Unable to obtain…").update_status().await.unwrap(), StatusAnswer::Locked);
    assert_eq!(
        one(500, "Update dispatcher failed\n").update_status().await.unwrap(),
        StatusAnswer::ServerError("Update dispatcher failed".to_owned())
    );
    assert!(matches!(one(404, "").update_status().await, Err(ClientError::NoSuchEndpoint { .. })));
    assert!(matches!(one(418, "").update_status().await, Err(ClientError::Unexpected { status: 418, .. })));

    let newer = r#"{"update_state":"Hovering","available_updates":null,"chosen_update":{"version":null},
        "active_partition":null,"most_recent_command":{"cmd_type":"teleport","cmd_status":"Unknown","timestamp":null},
        "colour":"red"}"#;
    let StatusAnswer::Known(status) = one(200, newer).update_status().await.unwrap() else { panic!() };
    assert_eq!(status.update_state, UpdateState::Unknown("Hovering".to_owned()));
    let command = status.most_recent_command.unwrap();
    assert_eq!(command.cmd_type, CommandType::Unknown("teleport".to_owned()));
    assert_eq!(command.cmd_status, CommandStatus::Unknown("Unknown".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn update_actions() {
    let table = [
        (204, "", ActionAnswer::Started),
        (423, "Update lock held", ActionAnswer::Locked),
        (409, crate::fake::NOT_ALLOWED, ActionAnswer::NotAllowed),
        (
            404,
            "Previously chosen Update no longer exists",
            ActionAnswer::NothingThere("Previously chosen Update no longer exists".to_owned()),
        ),
        (
            404,
            "No update image applied to staging partition",
            ActionAnswer::NothingThere("No update image applied to staging partition".to_owned()),
        ),
        (500, "Update dispatcher failed", ActionAnswer::ServerError("Update dispatcher failed".to_owned())),
    ];
    for action in [Action::Refresh, Action::Prepare, Action::Activate, Action::Deactivate] {
        for (status, body, outcome) in &table {
            assert_eq!(one(*status, body).update_action(action).await.unwrap(), *outcome, "{action} {status}");
        }
        assert!(matches!(one(404, "").update_action(action).await, Err(ClientError::NoSuchEndpoint { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn reboot() {
    assert_eq!(one(204, "").reboot().await.unwrap(), RebootAnswer::Accepted);
    let inhibited = "Failed to reboot, exit code: 1, stderr: Operation inhibited by \"test\"\n\n";
    assert_eq!(one(500, inhibited).reboot().await.unwrap(), RebootAnswer::Refused(inhibited.trim().to_owned()));
}

#[tokio::test(start_paused = true)]
async fn settings() {
    let known = |lock: Option<&str>, waves| {
        SettingsAnswer::Known(UpdateSettings { version_lock: lock.map(str::to_owned), ignore_waves: waves })
    };
    let body = r#"{"updates":{"version-lock":"latest","ignore-waves":true}}"#;
    assert_eq!(one(200, body).update_settings().await.unwrap(), known(Some("latest"), Some(true)));
    for odd in ["{}", "null", "[]", r#"{"updates":null}"#, r#"{"updates":{"version-lock":7,"ignore-waves":"no"}}"#] {
        assert_eq!(one(200, odd).update_settings().await.unwrap(), known(None, None), "{odd}");
    }
    let locked_down = one(500, "Failed to reach the datastore").update_settings().await.unwrap();
    assert_eq!(locked_down, SettingsAnswer::ServerError("Failed to reach the datastore".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn transactions() {
    let change = json!({"updates": {"version-lock": "newest"}});
    let reason = "Json deserialize error: Unable to deserialize into FriendlyVersion: Invalid version string 'newest'";
    assert_eq!(one(204, "").patch_settings("t", &change).await.unwrap(), PatchAnswer::Pending);
    assert_eq!(one(400, reason).patch_settings("t", &change).await.unwrap(), PatchAnswer::Rejected(reason.to_owned()));
    assert_eq!(
        one(200, r#"["settings.motd"]"#).commit_and_apply("t").await.unwrap(),
        CommitAnswer::Committed(vec!["settings.motd".to_owned()])
    );
    assert_eq!(one(200, "").commit_and_apply("t").await.unwrap(), CommitAnswer::Committed(Vec::new()));
    assert_eq!(one(422, "Tried to…").commit_and_apply("t").await.unwrap(), CommitAnswer::NothingPending);
    assert_eq!(one(200, r#"["settings.motd"]"#).delete_transaction("t").await.unwrap(), ["settings.motd"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_change_deletes_nobodys_transaction() {
    let change = json!({"updates": {"version-lock": "1.27.0"}});
    for (reply, at) in [
        (text(400, "Json deserialize error: unknown field `nope`"), "PATCH /settings"),
        (text(422, "Tried to commit with no pending changes"), "POST /tx/commit_and_apply"),
        (text(503, ""), "POST /tx/commit_and_apply"),
    ] {
        let mut fake = Fake::default();
        fake.instead.push_back((at, reply));
        let fake = fake.shared();
        let error = crate::fake::client(&fake).change_settings(&change).await.unwrap_err();
        match (&error, at) {
            (ChangeError::Rejected { reason }, "PATCH /settings") => assert!(reason.contains("unknown field")),
            (ChangeError::Lost { .. } | ChangeError::Client(_), "POST /tx/commit_and_apply") => {}
            _ => panic!("{error:?}"),
        }
        let fake = fake.lock().unwrap();
        assert!(!fake.acts().iter().any(|act| act.starts_with("DELETE")), "v3.1.1 deletes those of others too");
        assert_eq!(fake.lock, "latest");
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_have_names_of_their_own() {
    let fake = Fake::default().shared();
    let client = crate::fake::client(&fake);
    let change = json!({"updates": {"version-lock": "1.27.0"}});
    let keys = client.change_settings(&change).await.unwrap();
    assert_eq!(keys, ["settings.updates.version-lock"]);
    assert_eq!(fake.lock().unwrap().acts(), ["PATCH /settings?", "POST /tx/commit_and_apply?"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_10_mb_is_survived() {
    let long = "x".repeat(10_000_000);
    let os = one(200, &format!(r#"{{"version_id":"1.26.1","pretty_name":"{long}"}}"#)).os().await.unwrap();
    assert_eq!(os.pretty_name.len(), 10_000_000);
    let error = one(400, &long).os().await.unwrap_err().to_string();
    assert!(error.len() < 500, "{} characters", error.len());
}
