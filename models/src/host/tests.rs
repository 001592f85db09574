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

/// What a host that lies may say in each place, and what is made of it.
#[test]
fn a_hosts_words_are_data() {
    let lies = [
        "\u{1b}[2J\u{1b}]0;root\u{7}",
        "\u{202e}0.72.1",
        "1.27.0\r\n1.28.0",
        "1.27.0\0",
        "<script>alert(1)</script>",
        "\",\"outcome\":\"updated",
        "| a | b |\n|---|---|\n[x](http://x)",
        &"e\u{301}".repeat(3).replace('e', "e\u{301}\u{301}\u{301}\u{301}\u{301}"),
        "1.2\u{0437}.0",
        &"9".repeat(1 << 20),
    ];
    for lie in lies {
        let said = serde_json::to_string(lie).unwrap();
        let parse = |rest: &str| HostReport::parse(&format!("{{\"v\":1,{rest}}}"));
        for (at, rest) in [
            ("os.version", format!("\"os\":{{\"version\":{said}}}")),
            ("update.chosen", format!("\"update\":{{\"chosen\":{said}}}")),
            ("update.staged", format!("\"update\":{{\"staged\":{said}}}")),
            ("wrote", format!("\"wrote\":{said}")),
            ("settings.version_lock", format!("\"settings\":{{\"version_lock\":{said}}}")),
        ] {
            let error = parse(&rest).unwrap_err();
            assert!(matches!(&error, ReportError::Version { at: place, .. } if *place == at), "{at}: {error}");
            assert!(is_tame(&error.to_string(), 500), "{error}");
        }
        let report = parse(&format!(
            "\"step\":{said},\"os\":{{\"variant\":{said},\"arch\":{said}}},\"update\":{{\"state\":{said},\
             \"available\":[{said},\"1.27.0\"],\"last\":{{\"type\":{said},\"status\":{said}}}}},\
             \"agent\":{{\"state\":{said},\"container_instance\":{said}}},\
             \"error\":{{\"at\":{said},\"code\":{said},\"detail\":{said}}}"
        ))
        .unwrap();
        let (os, update, agent, error) =
            (report.os.unwrap(), report.update.unwrap(), report.agent.unwrap(), report.error.unwrap());
        assert_eq!(update.available, ["1.27.0"]);
        let last = update.last.unwrap();
        let codes = [
            update.state.as_str(),
            last.r#type.as_str(),
            last.status.as_str(),
            agent.state.as_str(),
            error.code.as_str(),
        ];
        assert_eq!(codes, ["unknown"; 5]);
        for text in [report.step.as_str(), &os.variant, &os.arch, &error.at] {
            assert!(is_tame(text, 40), "{text:?}");
        }
        assert!(is_tame(agent.container_instance.unwrap().as_str(), 255));
        assert!(is_tame(&error.detail, HostReport::MAX_DETAIL), "{:?}", error.detail);
    }
}

/// Whether a text is one line, clean and short.
fn is_tame(text: &str, most: usize) -> bool {
    crate::clean::line(text) == text && text.chars().count() <= most
}

#[test]
fn what_a_newer_host_may_say_is_taken() {
    let report = HostReport::parse(
        r#"{"v":1,"os":{"version":"1.27.0-dev","variant":"aws-ecs-2-fips"},"update":{"state":"Idle","chosen":"","staged":null},
            "settings":{"version_lock":"v1.27.0"},"new":{"a":1}}"#.replace('\n', "").as_str(),
    )
    .unwrap();
    assert_eq!(report.running(), Some("1.27.0-dev".parse().unwrap()));
    assert_eq!(report.update.unwrap().chosen, None);
    assert_eq!(report.settings.unwrap().version_lock.as_deref(), Some("v1.27.0"));
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
