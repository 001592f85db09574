//! `ECS_UPDATER_SETTINGS`, which holds several settings in one text.

use ecs_updater::config::{ConfigError, Environment, Given, Inputs, SETTINGS_VARIABLE};
use jiff::SignedDuration;
use models::policy::{Policy, TransportPolicy, Zones};

fn policy(variables: &[(&str, &str)], given: Given) -> Result<Policy, ConfigError> {
    let mut environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    environment.insert("ECS_UPDATER_CLUSTERS".to_owned(), "web".to_owned());
    let settings = Inputs::gather(&given, &environment, None)?.settings()?;
    settings.clusters.into_iter().next().unwrap().policy
}

fn several(text: &str) -> Result<Policy, ConfigError> {
    policy(&[(SETTINGS_VARIABLE, text)], Given::default())
}

#[test]
fn settings_stand_as_in_an_inline_table_or_on_lines() {
    let mut expected = Policy { zone: Zones::OneAtATime, host: TransportPolicy::Ssm, ..Policy::default() };
    expected.timeouts.drain = SignedDuration::from_mins(30);
    for text in [
        r#"zone = "one-at-a-time", host = "ssm", timeouts.drain = "30m""#,
        r#"zone = "one-at-a-time", host = "ssm", timeouts = { drain = "30m" },"#,
        "zone = 'one-at-a-time'\nhost = 'ssm' # by the documents, not the bridge\ntimeouts.drain = '30m'\n",
        "zone = 'one-at-a-time',\n  host = 'ssm',\n  timeouts.drain = '30m',\n",
        "host = 'ssm', zone = 'one-at-a-time'\n[timeouts]\ndrain = '30m'",
    ] {
        assert_eq!(several(text).as_ref(), Ok(&expected), "{text}");
    }
    for text in ["", " ", "\n", "# nothing\n"] {
        assert_eq!(several(text), Ok(Policy::default()), "{text:?}");
    }
    let listed = several(r#"windows = ["Mon-Fri 02:00-05:00 UTC", "Sat 00:00-24:00 UTC"], tags = ["target", "host"]"#);
    assert_eq!(listed.map(|policy| policy.windows.len()), Ok(2));
}

#[test]
fn a_variable_of_one_key_wins_and_a_file_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fleet.toml");
    std::fs::write(&path, "[[cluster]]\nname = 'web'\nzone = 'spread'\nhost = 'bridge'\nmax_unavailable = 3").unwrap();
    let given = || Given { config: Some(path.display().to_string()), ..Given::default() };
    let text = "zone = 'one-at-a-time', host = 'ssm'";
    let settled = policy(&[(SETTINGS_VARIABLE, text)], given()).unwrap();
    assert_eq!((settled.zone, settled.host), (Zones::OneAtATime, TransportPolicy::Ssm));
    assert_eq!(settled.max_unavailable, 3_u32.to_string().parse().unwrap(), "what it leaves open");
    for (zone, expected) in [("spread", Zones::Spread), ("", Zones::OneAtATime)] {
        let settled = policy(&[(SETTINGS_VARIABLE, text), ("ECS_UPDATER_ZONE", zone)], given()).unwrap();
        assert_eq!((settled.zone, settled.host), (expected, TransportPolicy::Ssm), "{zone:?}");
    }
}

#[test]
fn every_mistake_is_named_with_the_variable_the_key_and_the_place() {
    insta::assert_snapshot!(
        several("max_unavailble = 2, timeouts.drain = \"5s\",\nhost = 'telnet'\ntimeouts.stage = 3").unwrap_err(),
        @r#"
    4 problems in the configuration:
      - unknown key `max_unavailble` in environment variable ECS_UPDATER_SETTINGS:1:1; did you mean `max_unavailable`?
      - `timeouts.drain` = "5s" in environment variable ECS_UPDATER_SETTINGS:1:38 must be a duration from 30s to 14d with its unit, such as "20m"
      - `timeouts.stage` = 3 in environment variable ECS_UPDATER_SETTINGS:3:18 must be a duration from 30s to 1h with its unit, such as "15m"
      - `host` = "telnet" in environment variable ECS_UPDATER_SETTINGS:2:8 must be "auto", "ssm" or "bridge"
    "#
    );
    let unknown = several("drain_timeout = '20m', zone = ['a', 'b'], lease_table = 'x'").unwrap_err().to_string();
    for part in [
        "unknown key `drain_timeout` in environment variable ECS_UPDATER_SETTINGS:1:1; did you mean `timeouts.drain`?",
        "`zone` = […] in environment variable ECS_UPDATER_SETTINGS:1:31 must be \"spread\" or \"one-at-a-time\"",
        "unknown key `lease_table` in environment variable ECS_UPDATER_SETTINGS:1:43; known are: max_unavailable, zone",
    ] {
        assert!(unknown.contains(part), "{unknown}");
    }
    insta::assert_snapshot!(several("zone = 'spread' host = 'ssm'").unwrap_err(), @"environment variable ECS_UPDATER_SETTINGS:1:17 is not valid TOML: unexpected key or value, expected newline, `#`");
    insta::assert_snapshot!(several("zone = 'spread',\n host = ").unwrap_err(), @"environment variable ECS_UPDATER_SETTINGS:2:9 is not valid TOML: string values must be quoted, expected literal string");
    insta::assert_snapshot!(several("host = 'ssm', host = 'bridge'").unwrap_err(), @"environment variable ECS_UPDATER_SETTINGS:1:15 is not valid TOML: duplicate key");
}

#[test]
fn no_text_panics() {
    use proptest::prelude::*;
    proptest!(|(text in prop_oneof![".{0,120}", "([a-z_.]{1,8} ?= ?[\"'a-z0-9,{}\\[\\]#]{0,12}[,\n]){0,6}"])| {
        if let Err(error) = several(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    });
}
