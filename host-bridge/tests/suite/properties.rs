//! Whatever a server answers, the client has an outcome or an error for it, and never a panic.

use host_bridge::client::{Action, StatusAnswer};
use host_bridge::update::wrote_version;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client::answering;
use crate::wire::{Reply, answer};

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(work)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_-]{1,10}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn status_code() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), Just(204), Just(400), Just(404), Just(409), Just(422), Just(423), Just(500), 200..600u16]
}

/// Asks every endpoint, and forgets what came of it.
async fn ask_everything(reply: Reply) {
    // A GET on a kept connection is repeated once, so there are spare replies.
    let client = answering(vec![reply; 40]);
    let _ = client.os().await;
    let _ = client.update_status().await;
    for action in [Action::Refresh, Action::Prepare, Action::Activate, Action::Deactivate] {
        let _ = client.update_action(action).await;
    }
    let _ = client.reboot().await;
    let _ = client.update_settings().await;
    let _ = client.change_settings(&json!({})).await;
    let _ = client.delete_transaction("t").await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_a_body_are_survived(status in status_code(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        paused(ask_everything(Reply::Last(answer(status, body))));
    }

    #[test]
    fn any_json_as_a_body_is_survived(status in status_code(), body in any_json()) {
        paused(ask_everything(Reply::Bytes(answer(status, body.to_string()))));
    }

    #[test]
    fn any_bytes_as_an_answer_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        paused(ask_everything(Reply::Last(bytes)));
    }

    #[test]
    fn unknown_fields_and_values_leave_the_known_ones_alone(
        extra in prop::collection::btree_map("x_[a-z]{1,8}", any_json(), 0..5),
        state in "[A-Z][a-z]{0,8}",
        versions in prop::collection::vec("[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}", 0..5),
        null in 0..4usize,
    ) {
        let mut status = json!({
            "update_state": state, "available_updates": versions,
            "chosen_update": {"arch": "x86_64", "version": "1.27.0", "variant": "aws-ecs-2"},
            "staging_partition": {"image": {"version": "1.27.0"}, "next_to_boot": false},
            "most_recent_command": {"cmd_type": state, "cmd_status": state, "timestamp": "t", "stderr": null},
        });
        let nulled = ["chosen_update", "staging_partition", "most_recent_command", "active_partition"][null];
        status[nulled] = Value::Null;
        for (name, value) in extra {
            status[name] = value;
        }
        let reply = Reply::Bytes(answer(200, status.to_string()));
        let StatusAnswer::Known(read) = paused(answering(vec![reply]).update_status()).unwrap() else { panic!() };
        prop_assert_eq!(read.update_state.as_str(), state.as_str());
        prop_assert_eq!(&read.available_updates, &versions);
        prop_assert_eq!(read.chosen_update.is_none(), nulled == "chosen_update");
        if let Some(command) = read.most_recent_command {
            prop_assert_eq!(command.cmd_type.as_str(), state.as_str());
        }
    }

    #[test]
    fn the_worker_s_line_is_found_in_any_output(before in "\\PC{0,40}", after in "\\PC{0,40}", major in 0..99u64) {
        prop_assume!(!after.contains("Starting update"));
        let output = format!("{before}\nStarting update to {major}.2.3\n{after}\n");
        prop_assert_eq!(wrote_version(&output), Some(semver::Version::new(major, 2, 3)));
    }

    #[test]
    fn any_output_of_the_worker_is_survived(output in "\\PC{0,200}") {
        let _ = wrote_version(&output);
    }
}
