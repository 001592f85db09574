use proptest::prelude::*;

use super::*;

#[test]
fn the_status_survives_a_newer_host() {
    let status: UpdateStatus = serde_json::from_str(
        r#"{"update_state":"Paused","available_updates":null,"chosen_update":{"arch":null,"version":"1.27.0","new":1},
            "active_partition":null,"most_recent_command":{"cmd_type":"defrost","timestamp":"t","exit_status":null},"x":{}}"#,
    )
    .unwrap();
    assert_eq!(status.update_state, UpdateState::Unknown("Paused".into()));
    assert_eq!(status.chosen_update.unwrap().version, "1.27.0");
    let command = status.most_recent_command.unwrap();
    assert_eq!(command.cmd_type, CommandType::Unknown("defrost".into()));
    assert_eq!(command.cmd_status, CommandStatus::Missing);
}

#[test]
fn a_report_is_the_last_line_that_can_be_one() {
    let report = HostReport::parse("a warning\n{\"v\":1,\"step\":\"reboot\"}\n{\"v\":1,\"step\":\"reboot\",\"error\":{\"at\":\"reboot\",\"code\":\"failed\",\"detail\":\"inhibited\"}}\n\n").unwrap();
    assert_eq!(report.error.unwrap().code, ErrorCode::Failed);
    assert!(matches!(HostReport::parse("bash: jq: not found"), Err(ReportError::Absent { .. })));
    assert!(matches!(HostReport::parse("{\"v\":1,"), Err(ReportError::Malformed { .. })));
    assert!(matches!(HostReport::parse("{\"update_state\":\"Idle\"}"), Err(ReportError::NoVersion { .. })));
}

#[test]
fn a_boot_id_is_a_uuid_or_nothing() {
    let parse = |boot: &str| HostReport::parse(&format!("{{\"v\":1,\"boot_id\":{boot}}}"));
    assert!(parse("null").is_ok_and(|report| report.boot_id.is_none()));
    assert!(parse("\"2b5d4f3e-0000-4000-8000-0123456789ab\"").is_ok_and(|report| report.boot_id.is_some()));
    for bad in ["", "x", "2b5d4f3e", "2b5d4f3e-0000-4000-8000-0123456789ab ", "2b5d4f3e+0000-4000-8000-0123456789ab"] {
        assert!(matches!(parse(&format!("\"{bad}\"")), Err(ReportError::BootId { .. })), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_output_panics(output in ".{0,400}") {
        let _ = HostReport::parse(&output);
    }

    #[test]
    fn no_json_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = serde_json::from_slice::<UpdateStatus>(&bytes);
    }
}
