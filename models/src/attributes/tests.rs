use proptest::prelude::*;

use super::text::escaped;
use super::*;

fn full() -> BridgeReport {
    BridgeReport {
        heartbeat: Heartbeat {
            agent_version: "0.1.0".into(),
            at: "2026-11-23T03:00:00Z".parse().unwrap(),
            interval: SignedDuration::from_hours(3),
        },
        report: HostReport {
            v: 1,
            step: "stage".into(),
            boot_id: Some("2b5d4f3e-0000-4000-8000-0123456789ab".into()),
            booted_at: Some(1_795_402_800),
            os: Some(ReportedOs { version: "1.26.1".into(), variant: "aws-ecs-2".into(), arch: "x86_64".into() }),
            update: Some(ReportedUpdate {
                state: UpdateState::Staged,
                chosen: Some("1.27.0".into()),
                staged: Some("1.27.0".into()),
                available: vec!["1.27.0".into(), "1.26.1".into()],
                last: Some(ReportedCommand { r#type: CommandType::Prepare, status: CommandStatus::Success }),
            }),
            settings: Some(ReportedSettings { version_lock: Some("latest".into()), ignore_waves: Some(false) }),
            locked_down: false,
            target_state: Some(TargetState::InService),
            agent: Some(ReportedAgent { state: AgentState::Registered, container_instance: None, tasks: Some(0) }),
            inactive: None,
            wrote: Some("1.27.0".into()),
            error: Some(ReportedError {
                at: "pin".into(),
                code: ErrorCode::Failed,
                detail: "`version-lock` could not be put back to latest: 50%".into(),
            }),
        },
        handled: Some(Handled {
            step: ClaimStep::Stage,
            run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
            since: "2026-11-23T02:58:00Z".parse().unwrap(),
            attempt: 2,
            progress: Progress::Failed,
        }),
        available_cut: false,
    }
}

fn decode(attributes: BTreeMap<&'static str, String>) -> Result<BridgeReport, AttributesError> {
    BridgeReport::decode(&attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn the_values_are_for_reading() {
    let attributes = full().encode();
    let lines: Vec<String> = attributes.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let expected = [
        "ecs-updater.available = 1.27.0 1.26.1",
        "ecs-updater.bridge = v1/0.1.0/1795402800/10800",
        "ecs-updater.claim = stage/01JDBX3Z7G8Y0M2QK4T5V6W7X8/1795402680/failed/1.27.0/pin/failed/2",
        "ecs-updater.detail = @60version-lock@60 could not be put back to latest: 50@25",
        "ecs-updater.host = 2b5d4f3e-0000-4000-8000-0123456789ab/1795402800/aws-ecs-2/x86_64/registered/0/InService",
        "ecs-updater.os-version = 1.26.1",
        "ecs-updater.update = Staged/1.27.0/1.27.0/prepare/Success/latest/n",
    ];
    assert_eq!(lines, expected);
    assert_eq!(decode(attributes), Ok(full()));
    assert!(NAMES.iter().all(|name| name.starts_with(PREFIX) && full().encode().contains_key(name)));
}

#[test]
fn nothing_known_is_nothing_known() {
    let report = HostReport { v: 1, step: "inspect".into(), ..HostReport::default() };
    let bare = BridgeReport { report, handled: None, ..full() };
    assert_eq!(decode(bare.encode()), Ok(bare));
    assert_eq!(decode(BTreeMap::new()), Err(AttributesError::Absent));
    let of = |bridge: &str| decode(BTreeMap::from([(BRIDGE, bridge.to_owned())])).unwrap_err();
    assert_eq!(of("v2/whatever"), AttributesError::UnknownVersion("v2".into()));
    assert_eq!(of("v1/0.1.0/soon/1"), AttributesError::Malformed("v1/0.1.0/soon/1".into()));
}

#[test]
fn a_host_under_api_lockdown_says_so() {
    let report = HostReport { settings: None, locked_down: true, ..full().report };
    let locked = BridgeReport { report, ..full() };
    assert_eq!(locked.encode()[UPDATE], "Staged/1.27.0/1.27.0/prepare/Success/-/l");
    assert_eq!(decode(locked.encode()), Ok(locked));
}

#[test]
fn the_newest_offers_fit_and_a_version_is_never_cut() {
    let mut report = full();
    let offers: Vec<SmolStr> = (0..40).rev().map(|minor| format!("1.{minor}.0").into()).collect();
    report.report.update.as_mut().unwrap().available.clone_from(&offers);
    report.report.update.as_mut().unwrap().chosen = Some("1.27.0-with-a-very-long-name".into());
    let read = decode(report.encode()).unwrap();
    let update = read.report.update.unwrap();
    assert!(read.available_cut && update.available.len() > 15 && offers.starts_with(&update.available));
    assert_eq!(update.chosen, None);
}

#[test]
fn an_agent_is_alive_for_two_heartbeats() {
    let heartbeat = full().heartbeat;
    assert!(heartbeat.is_live(heartbeat.at + SignedDuration::from_hours(6)));
    assert!(!heartbeat.is_live(heartbeat.at + SignedDuration::from_secs(6 * 3_600 + 1)));
}

fn text() -> impl Strategy<Value = SmolStr> {
    prop_oneof!["[0-9]{1,2}\\.[0-9]{1,3}\\.[0-9]", "[ -~]{0,8}", ".{0,3}", Just("-".to_owned()), Just("..".to_owned())]
        .prop_map(|text| SmolStr::from(clean::line(&text)))
}

fn version() -> impl Strategy<Value = SmolStr> {
    "v?[0-9]{1,2}\\.[0-9]{1,3}\\.[1-9](-[a-z]{1,9})?"
        .prop_map(SmolStr::from)
        .prop_filter("a version", |text| crate::host::parse_version(text).is_some())
}

prop_compose! {
    fn update()(
        state in text(), chosen in prop::option::of(version()), staged in prop::option::of(version()),
        available in prop::collection::vec(version(), 0..5), last in prop::option::of((text(), text())),
    ) -> ReportedUpdate {
        ReportedUpdate {
            state: UpdateState::from(state.as_str()), chosen, staged, available,
            last: last.map(|(of, status)| ReportedCommand {
                r#type: CommandType::from(of.as_str()), status: CommandStatus::from(status.as_str()),
            }),
        }
    }
}

prop_compose! {
    fn any_report()(
        booted_at in prop::option::of(any::<i64>()),
        os in prop::option::of((version(), text(), text())),
        update in prop::option::of(update()),
        settings in prop::option::of((prop::option::of(version().prop_map(String::from)), prop::option::of(any::<bool>()))),
        agent in prop::option::of((text(), prop::option::of(any::<u32>()))),
        target in prop::option::of(prop_oneof![text(), Just("Terminated".into()), Just("Warmed:Hibernated".into())]),
        (wrote, inactive) in (prop::option::of(version()), prop::option::of(version())),
        error in prop::option::of((text(), text(), ".{0,150}".prop_map(|text| clean::line(&text).into_owned()))),
        progress in prop::sample::select(Progress::ALL.to_vec()),
    ) -> BridgeReport {
        let mut report = full();
        report.handled.as_mut().unwrap().progress = progress;
        report.report = HostReport {
            booted_at,
            os: os.map(|(version, variant, arch)| ReportedOs { version, variant, arch }),
            update,
            settings: settings
                .map(|(version_lock, ignore_waves)| ReportedSettings { version_lock, ignore_waves }),
            agent: agent.map(|(state, tasks)| ReportedAgent {
                state: AgentState::from(state.as_str()), container_instance: None, tasks,
            }),
            target_state: target.map(|target| TargetState::read(&target)),
            inactive,
            wrote: wrote.map(String::from),
            error: error.map(|(at, code, detail)| ReportedError {
                at: at.into(), code: ErrorCode::from(code.as_str()), detail,
            }),
            ..report.report
        };
        report
    }
}

fn is_a_value(value: &str) -> bool {
    (1..=MAX_VALUE).contains(&value.len())
        && value.chars().all(|one| one.is_ascii_alphanumeric() || "-_./\\@: ".contains(one))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
}

proptest! {
    #[test]
    fn what_fits_comes_back_and_ecs_takes_it_all(report in any_report()) {
        let attributes = report.encode();
        prop_assert!(attributes.values().all(|value| is_a_value(value)), "{attributes:?}");
        let read = decode(attributes).unwrap();
        let (had, got) = (&report.report, &read.report);
        prop_assert_eq!(&read.handled, &report.handled);
        prop_assert_eq!((&had.boot_id, had.booted_at), (&got.boot_id, got.booted_at));
        let short = |text: &str| escaped(text, false).len() <= WORD;
        if let (Some(had), Some(got)) = (&had.update, &got.update) {
            prop_assert_eq!(&had.state.clone().known(), &got.state);
            prop_assert!(had.available.starts_with(&got.available));
            prop_assert!(read.available_cut || had.available.len() == got.available.len());
            for (had, got) in [(&had.chosen, &got.chosen), (&had.staged, &got.staged)] {
                prop_assert!(had == got || (got.is_none() && !short(had.as_ref().unwrap())));
            }
        }
        if let (Some(had), Some(got)) = (&had.error, &got.error) {
            prop_assert!(had.detail == got.detail || got.detail.ends_with("..."));
        }
        // What was read is written the same way again: no second reading differs from the first.
        prop_assert_eq!(decode(read.encode()).unwrap(), read);
    }

    #[test]
    fn foreign_values_never_panic(
        values in prop::collection::vec(prop_oneof![".{0,140}", "[-@/a-z0-9. ]{0,60}"], 7),
    ) {
        let mut attributes: BTreeMap<String, String> =
            NAMES.iter().map(|name| (*name).to_owned()).zip(values).collect();
        let _ = BridgeReport::decode(&attributes);
        attributes.insert(BRIDGE.to_owned(), full().encode()[BRIDGE].clone());
        let read = BridgeReport::decode(&attributes);
        prop_assert!(
            matches!(read, Ok(_) | Err(AttributesError::BootId(_) | AttributesError::Version { .. })),
            "{read:?}"
        );
        for name in [HOST, OS_VERSION, UPDATE, CLAIM] {
            attributes.remove(name);
        }
        prop_assert!(BridgeReport::decode(&attributes).is_ok());
    }
}
