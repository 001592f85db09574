use proptest::prelude::*;

use super::*;

fn drain() -> Claim {
    Claim {
        step: ClaimStep::Drain,
        transport: Transport::Ssm,
        run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
        epoch: None,
        attempt: 1,
        from: Version::new(1, 26, 1),
        to: Version::new(1, 27, 0),
        since: "2026-11-23T03:00:00Z".parse().unwrap(),
        boots: Boots::default(),
    }
}

#[test]
fn reads_as_it_is_written() {
    let text = "v1/drain/01JDBX3Z7G8Y0M2QK4T5V6W7X8/1.26.1/1.27.0/2026-11-23T03:00:00Z";
    assert_eq!(drain().to_string(), text);
    assert_eq!(text.parse(), Ok(drain()));
    let reboot = Claim { step: ClaimStep::Reboot, boots: (&BootId::from(BOOT)).into(), ..drain() };
    assert_eq!(reboot.to_string(), format!("{}/2b5d4f3e", text.replace("drain", "reboot")));
    assert_eq!(reboot.to_string().parse(), Ok(reboot));
    let bridged = Claim { transport: Transport::Bridge, ..drain() };
    assert_eq!(bridged.to_string(), text.replace("drain/", "drain@bridge/"));
    assert_eq!(bridged.to_string().parse(), Ok(bridged));
    let leased = Claim { epoch: Some(Epoch::new(42)), ..drain() };
    assert_eq!(leased.to_string(), text.replace("W7X8/", "W7X8+42/"));
    assert_eq!(leased.to_string().parse(), Ok(leased.clone()));
    let again = Claim { attempt: 2, ..leased };
    assert_eq!(again.to_string(), text.replace("W7X8/", "W7X8+42.2/"));
    assert_eq!(again.to_string().parse(), Ok(again));
    for bad in ["W7X8.1/", "W7X8.0/", "W7X8.02/", "W7X8./", "W7X8.x/", "W7X8.2+42/"] {
        assert!(text.replace("W7X8/", bad).parse::<Claim>().is_err(), "{bad}");
    }
}

#[test]
fn a_claim_asks_for_the_same_whoever_wrote_it_and_when() {
    let reboot = |boot: &str| Claim { step: ClaimStep::Reboot, boots: (&BootId::from(boot)).into(), ..drain() };
    let later = Claim { run: "B".into(), epoch: Some(Epoch::new(3)), since: Timestamp::MAX, ..reboot(BOOT) };
    assert!(later.asks_for_the_same(&reboot(BOOT)));
    assert!(!later.asks_for_the_same(&reboot(&BOOT.replace("2b5d", "ffff"))));
    assert!(!later.asks_for_the_same(&Claim { step: ClaimStep::Revert, ..reboot(BOOT) }));
    assert!(!later.asks_for_the_same(&Claim { to: Version::new(1, 28, 0), ..reboot(BOOT) }));
    assert!(drain().asks_for_the_same(&Claim { run: "B".into(), ..drain() }));
}

const BOOT: &str = "2b5d4f3e-0000-4000-8000-0123456789ab";

#[test]
fn a_claim_names_the_boots_of_all_that_have_it() {
    let of = |boot: &str| Claim { step: ClaimStep::Reboot, boots: (&BootId::from(boot)).into(), ..drain() };
    let one = of(BOOT);
    assert!(one.is_for(&BOOT.into()) && !one.is_for(&"3b5d4f3e-0000-4000-8000-0123456789ab".into()));
    assert!(!drain().is_for(&BOOT.into()), "no boot matters to it");
    let whole: Claim = format!("{}/{BOOT}", drain().to_string().replace("drain", "reboot")).parse().unwrap();
    assert!(whole.is_for(&BOOT.into()) && !whole.is_for(&BOOT.replace("89ab", "89ac").as_str().into()));

    let mut all = one.clone();
    let boots: Vec<String> = (0..40).map(|number| format!("{number:08x}-0000-4000-8000-0123456789ab")).collect();
    let fitting = boots.iter().take_while(|boot| all.joined(&of(boot)).map(|joined| all = joined).is_some()).count();
    assert_eq!(fitting, 19, "{all}");
    assert!(all.to_string().len() <= Claim::MAX_CHARS);
    assert!(one.joined(&one).is_some_and(|same| same == one), "a boot is named once");
    for (index, boot) in boots.iter().enumerate() {
        assert_eq!(all.is_for(&boot.as_str().into()), index < fitting, "{boot}");
    }
    assert_eq!(one.joined(&drain()), None);
    assert_eq!(one.joined(&Claim { to: Version::new(1, 28, 0), ..of(BOOT) }), None);
    assert_eq!(drain().joined(&drain()), Some(drain()));
}

#[test]
fn what_is_not_understood_is_never_guessed_at() {
    let good = drain().to_string();
    let cases = [
        (good.replace("v1", "v2"), ClaimError::UnknownVersion("v2".into())),
        ("".into(), ClaimError::UnknownVersion("".into())),
        ("v1/drain".into(), ClaimError::Parts(2)),
        (good.replace("drain", "dance"), ClaimError::Step("dance".into())),
        (good.replace("drain", "drain@ssm"), ClaimError::Step("drain@ssm".into())),
        (good.replace("01JDBX3Z7G8Y0M2QK4T5V6W7X8", ""), ClaimError::Run("".into())),
        (good.replace("W7X8/", "W7X8+/"), ClaimError::Run("01JDBX3Z7G8Y0M2QK4T5V6W7X8+".into())),
        (good.replace("W7X8/", "W7X8+042/"), ClaimError::Run("01JDBX3Z7G8Y0M2QK4T5V6W7X8+042".into())),
        (good.replace("W7X8/", "W7X8+1+2/"), ClaimError::Run("01JDBX3Z7G8Y0M2QK4T5V6W7X8+1+2".into())),
        (good.replace("01JDBX3Z7G8Y0M2QK4T5V6W7X8", "+42"), ClaimError::Run("+42".into())),
        (good.replace("1.27.0", "latest"), ClaimError::Version("latest".into())),
        (good.replace("03:00:00Z", "noon"), ClaimError::Since("2026-11-23Tnoon".into())),
        (good.replace("drain", "reboot"), ClaimError::Boots("".into())),
        (format!("{good}/2b5d4f3e"), ClaimError::Boots("2b5d4f3e".into())),
        (good.replace("drain", "reboot") + "/2b5d4f3", ClaimError::Boots("2b5d4f3".into())),
        (good.replace("drain", "reboot") + "/2b5d4f3e+", ClaimError::Boots("2b5d4f3e+".into())),
        (good.replace("drain", "reboot") + "/latest..", ClaimError::Boots("latest..".into())),
        (good.replace("drain", "reboot") + "/--------", ClaimError::Boots("--------".into())),
        (good.replace("drain", "reboot") + "/2B5D4F3E", ClaimError::Boots("2B5D4F3E".into())),
        (good.replace("drain", "reboot") + "/2b5d4f3e-0000", ClaimError::Boots("2b5d4f3e-0000".into())),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Claim>(), Err(error), "{text}");
    }
}

#[test]
fn a_failed_version_is_remembered_and_old_marks_give_way() {
    let mut failed = FailedVersions::parse("1.27.0, see-ticket-12");
    assert!(failed.contains(&Version::new(1, 27, 0)) && !failed.contains(&Version::new(1, 26, 1)));
    failed = failed.with(&Version::new(1, 27, 1)).with(&Version::new(1, 27, 1));
    assert_eq!(failed.to_string(), "1.27.0,see-ticket-12,1.27.1");
    for patch in 0..100 {
        failed = failed.with(&Version::new(2, 0, patch));
    }
    assert!(failed.to_string().len() <= FailedVersions::MAX_CHARS);
    assert!(failed.contains(&Version::new(2, 0, 99)) && !failed.contains(&Version::new(1, 27, 0)));
}

proptest! {
    #[test]
    fn every_claim_survives_the_tag(
        step in prop::sample::select(ClaimStep::ALL.to_vec()),
        transport in prop::sample::select(vec![Transport::Ssm, Transport::Bridge]),
        run in "[0-9A-Z]{1,26}",
        epoch in prop::option::of(any::<u64>()),
        attempt in 1..=u32::MAX,
        (from, to) in ((0u64..99, 0u64..99, 0u64..99), (0u64..99, 0u64..99, 0u64..99)),
        since in 0i64..4_000_000_000,
        boot in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ) {
        let claim = Claim {
            step,
            transport,
            run: run.into(),
            epoch: epoch.map(Epoch::new),
            attempt,
            from: Version::new(from.0, from.1, from.2),
            to: Version::new(to.0, to.1, to.2),
            since: Timestamp::from_second(since).unwrap(),
            boots: if step.needs_boot() { Boots::from(&BootId::from(boot)) } else { Boots::default() },
        };
        let text = claim.to_string();
        prop_assert!(text.len() <= 256);
        prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "+-=.,_:@/".contains(c)));
        prop_assert_eq!(text.parse::<Claim>(), Ok(claim));
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = text.parse::<Claim>();
        let _ = FailedVersions::parse(&text).to_string();
    }
}
