//! What the configuration takes, what it refuses and in which words, and that its page says the same.

use std::collections::BTreeMap;

use clap::{CommandFactory, Parser};
use ecs_updater::args::Cli;
use ecs_updater::config::{self, ConfigError, Environment, Given, Inputs, Key, PolicyFragment, Settings};
use jiff::SignedDuration;
use models::ids::ClusterName;
use models::policy::{MaxUnavailable, Policy, StandaloneTasks, StopAfter, Target, Timeouts};
use proptest::prelude::*;

const FULL: &str = r#"
[defaults]
max_unavailable = "10%"
target = "latest"
standalone_tasks = "wait"
stop_after_failures = 3
max_duration = "4h"
allow_downgrade = false
timeouts.drain = "1h 30m"
timeouts.reboot = "PT20M"

[defaults.documents]
inspect = "Acme-Inspect"

[[cluster]]
name = "web"

[[cluster]]
name = "batch"
max_unavailable = 2
target = "v1.27.0"
standalone_tasks = "stop"
stop_after_failures = "never"
max_duration = "none"
allow_downgrade = true
timeouts = { inspect = "90s", stage = "20 minutes", drain = "2 days", verify = "5m" }
"#;

#[test]
fn a_full_file_becomes_policies() {
    let settings = config::parse(FULL, "fleet.toml").unwrap().settings().unwrap();
    let [web, batch] = settings.clusters.as_slice() else { panic!("{settings:?}") };
    let mut expected = Policy {
        max_unavailable: MaxUnavailable::Percent(10),
        standalone_tasks: StandaloneTasks::Wait,
        stop_after_failures: StopAfter::Count(3),
        max_duration: Some(SignedDuration::from_hours(4)),
        ..Policy::default()
    };
    expected.timeouts.drain = SignedDuration::from_mins(90);
    expected.timeouts.reboot = SignedDuration::from_mins(20);
    expected.documents.inspect = "Acme-Inspect".into();
    assert_eq!((web.name.as_str(), web.policy.as_ref().unwrap()), ("web", &expected));

    expected.max_unavailable = MaxUnavailable::Count(2);
    expected.target = Target::Version("1.27.0".parse().unwrap());
    expected.standalone_tasks = StandaloneTasks::Stop;
    expected.stop_after_failures = StopAfter::Never;
    expected.max_duration = None;
    expected.allow_downgrade = true;
    expected.timeouts.inspect = SignedDuration::from_secs(90);
    expected.timeouts.stage = SignedDuration::from_mins(20);
    expected.timeouts.drain = SignedDuration::from_hours(48);
    expected.timeouts.verify = SignedDuration::from_mins(5);
    assert_eq!((batch.name.as_str(), batch.policy.as_ref().unwrap()), ("batch", &expected));
}

#[test]
fn a_table_inside_another_document_is_read_alike() {
    let table: toml::Table = FULL.parse().unwrap();
    assert_eq!(config::from_table(&table, "fleet.toml").unwrap(), config::parse(FULL, "fleet.toml").unwrap());

    let wrong: toml::Table = "[defaults]\nmax_unavailable = 0".parse().unwrap();
    insta::assert_snapshot!(
        config::from_table(&wrong, "scenario.toml [config]").unwrap_err(),
        @r#"`max_unavailable` = 0 in [defaults] of scenario.toml [config] must be a count from 1, such as 2, or a percentage from "1%" to "100%""#
    );
}

const MISTAKES: &str = r#"max_unavailable = 2
colour = "blue"
[defaults]
max_unavailble = 1
max_unavailable = "0%"
standalone_tasks = "kill"
drain_timeout = "20m"
drain = "20m"
stop_after_failures = 0
allow_downgrade = "yes"
frobnicate = true
target = 1.27
max_duration = 14400
[defaults.timeouts]
drain = "5s"
reboot = "3h"
stage = [1]
verifi = "5m"
[defaults.documents]
stage = "no spaces"
[[cluster]]
target = "newest"
[[cluster]]
name = ""
[[cluster]]
name = 7.5
[[cluster]]
name = "arn:aws:ecs:eu-west-1:123456789012:cluster/web"
[[cluster]]
name = "web"
nmae = "x"
timeouts = "20m"
[[cluster]]
  name = "web"
"#;

#[test]
fn every_mistake_of_a_file_is_named_with_its_place() {
    insta::assert_snapshot!(refused(MISTAKES), @r#"
    25 problems in the configuration:
      - unknown key `max_unavailable` in the top level of fleet.toml:1:1; it belongs in [defaults] or in a [[cluster]]
      - unknown key `colour` in the top level of fleet.toml:2:1; known are: defaults, cluster, lease_table, api_share
      - unknown key `max_unavailble` in [defaults] of fleet.toml:4:1; did you mean `max_unavailable`?
      - `max_unavailable` = "0%" in [defaults] of fleet.toml:5:19 must be a count from 1, such as 2, or a percentage from "1%" to "100%"
      - `standalone_tasks` = "kill" in [defaults] of fleet.toml:6:20 must be "skip", "wait" or "stop"
      - unknown key `drain_timeout` in [defaults] of fleet.toml:7:1; did you mean `timeouts.drain`?
      - unknown key `drain` in [defaults] of fleet.toml:8:1; did you mean `timeouts.drain`?
      - `stop_after_failures` = 0 in [defaults] of fleet.toml:9:23 must be a count from 1, or "never"
      - `allow_downgrade` = "yes" in [defaults] of fleet.toml:10:19 must be true or false
      - unknown key `frobnicate` in [defaults] of fleet.toml:11:1; known are: max_unavailable, zone, target, min_age, max_version, skip_versions, owner_lock, select, standalone_tasks, capacity, hold_min_size, canary, canary_match, checkpoints, bake, soak, alarms, alarm_missing, on_alarm, services, hooks.before_run, hooks.before_drain, hooks.before_reboot, hooks.before_active, hooks.after_instance, hooks.after_run, hooks.timeout, hooks.on_error, stop_after_failures, max_duration, windows, window_cutoff, window_wait, freeze, allow_downgrade, host, bridge_policy, events, reports, timeouts.inspect, timeouts.stage, timeouts.drain, timeouts.reboot, timeouts.verify, timeouts.steady, documents.inspect, documents.stage, documents.reboot, documents.revert, tags
      - `target` = 1.27 in [defaults] of fleet.toml:12:10 must be "latest", a version such as "1.27.0", or "ssm:" and the name of an SSM parameter that holds one
      - `max_duration` = 14400 in [defaults] of fleet.toml:13:16 must be a duration from 1m to 14d with its unit, such as "4h", or "none"
      - `timeouts.drain` = "5s" in [defaults] of fleet.toml:15:9 must be a duration from 30s to 14d with its unit, such as "20m"
      - `timeouts.reboot` = "3h" in [defaults] of fleet.toml:16:10 must be a duration from 8m to 2h with its unit, such as "15m"
      - `timeouts.stage` = […] in [defaults] of fleet.toml:17:9 must be a duration from 30s to 1h with its unit, such as "15m"
      - unknown key `timeouts.verifi` in [defaults] of fleet.toml:18:1; did you mean `timeouts.verify`?
      - `documents.stage` = "no spaces" in [defaults] of fleet.toml:20:9 must be the name or ARN of an SSM document: 3 to 128 letters, digits and the characters _ - . : /
      - [[cluster]] of fleet.toml:21:1 has no `name`; add name = "…", the name of the ECS cluster
      - `target` = "newest" in [[cluster]] of fleet.toml:22:10 must be "latest", a version such as "1.27.0", or "ssm:" and the name of an SSM parameter that holds one
      - cluster name "" in [[cluster]] of fleet.toml:24:8 must be 1 to 255 letters, digits, hyphens and underscores
      - `name` = 7.5 in [[cluster]] of fleet.toml:26:8 must be the name of an ECS cluster in quotes
      - cluster "arn:aws:ecs:eu-west-1:123456789012:cluster/web" in [[cluster]] of fleet.toml:28:8 is an ARN; give its name "web" alone, and choose its Region with --region or AWS_REGION
      - unknown key `nmae` in [[cluster]] "web" of fleet.toml:31:1; did you mean `name`?
      - `timeouts` = "20m" in [[cluster]] "web" of fleet.toml:32:12 must be a table, such as timeouts.inspect, timeouts.stage, timeouts.drain, timeouts.reboot, timeouts.verify, timeouts.steady
      - cluster "web" is named twice in [[cluster]] of fleet.toml:34:10; name it once
    "#);
}

#[test]
fn a_wrong_shape_is_named_too() {
    insta::assert_snapshot!(refused("defaults = 1\ncluster = 2"), @r"
    2 problems in the configuration:
      - `defaults` = 1 in the top level of fleet.toml:1:12 must be a table: write [defaults] on a line of its own
      - `cluster` = 2 in the top level of fleet.toml:2:11 must be a list of tables: write [[cluster]], with two brackets
    ");
    insta::assert_snapshot!(refused("cluster = [1]"), @"`cluster` = 1 in the top level of fleet.toml:1:12 must be a table: write [[cluster]] on a line of its own");
    insta::assert_snapshot!(refused("[cluster]\nname = 'web'"), @"`cluster` = {…} in the top level of fleet.toml:1:1 must be a list of tables: write [[cluster]], with two brackets");
    insta::assert_snapshot!(refused("[defaults]\ntarget = \"1.27\ntarget"), @r#"fleet.toml:2:15 is not valid TOML: invalid basic string, expected `"`"#);
    insta::assert_snapshot!(refused("[defaults]\ntarget = '1.27.0'\ntarget = 'latest'"), @"fleet.toml:3:1 is not valid TOML: duplicate key");
    insta::assert_snapshot!(refused("[defaults]\nmax_unavailable = 99999999999999999999"), @r#"`max_unavailable` = 99999999999999999999 in [defaults] of fleet.toml:2:19 must be a count from 1, such as 2, or a percentage from "1%" to "100%""#);
}

#[test]
fn without_a_cluster_there_is_nothing_to_do() {
    insta::assert_snapshot!(load(&Given::default(), &Environment::new()).unwrap_err(), @"no cluster is named; give --cluster NAME, set ECS_UPDATER_CLUSTERS, or name a file with [[cluster]] entries by --config or ECS_UPDATER_CONFIG");
    insta::assert_snapshot!(config::parse("[defaults]", "fleet.toml").unwrap().settings().unwrap_err(), @"no cluster is named; give --cluster NAME, set ECS_UPDATER_CLUSTERS, or add a [[cluster]] with its name to fleet.toml");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let given = flags(&["--config", "/nowhere/fleet.toml"]);
    insta::assert_snapshot!(load(&given, &Environment::new()).unwrap_err(), @"configuration file /nowhere/fleet.toml cannot be read (No such file or directory (os error 2)); check the path given by --config or ECS_UPDATER_CONFIG");
    let environment = variables(&[("ECS_UPDATER_CONFIG", "/nowhere/else.toml")]);
    let error = load(&flags(&["--cluster", "web"]), &environment).unwrap_err();
    assert!(error.to_string().contains("/nowhere/else.toml"), "{error}");
}

#[test]
fn mistakes_of_environment_and_flags_are_collected() {
    let given = flags(&[
        "--cluster=web",
        "--cluster=web",
        "--cluster=a b",
        "--max-unavailable=200%",
        "--drain-timeout=20",
        "--allow-downgrade=maybe",
    ]);
    let environment = variables(&[
        ("ECS_UPDATER_CLUSTERS", "web,,batch"),
        ("ECS_UPDATER_MAX_UNAVAILBLE", "2"),
        ("ECS_UPDATER_TARGET", "newest"),
        ("ECS_UPDATER_STOP_AFTER_FAILURES", ""),
        ("ECS_UPDATER_COLOUR", "blue"),
    ]);
    insta::assert_snapshot!(load(&given, &environment).unwrap_err(), @r#"
    9 problems in the configuration:
      - cluster name "" in environment variable ECS_UPDATER_CLUSTERS must be 1 to 255 letters, digits, hyphens and underscores; no comma stands at the end
      - unknown environment variable ECS_UPDATER_COLOUR; known are: ECS_UPDATER_API_SHARE, ECS_UPDATER_CLUSTERS, ECS_UPDATER_CONFIG, ECS_UPDATER_LEASE_TABLE, ECS_UPDATER_LOG, ECS_UPDATER_METRICS, ECS_UPDATER_SETTINGS, ECS_UPDATER_MAX_UNAVAILABLE, ECS_UPDATER_ZONE, ECS_UPDATER_TARGET, ECS_UPDATER_MIN_AGE, ECS_UPDATER_MAX_VERSION, ECS_UPDATER_SKIP_VERSIONS, ECS_UPDATER_OWNER_LOCK, ECS_UPDATER_SELECT, ECS_UPDATER_STANDALONE_TASKS, ECS_UPDATER_CAPACITY, ECS_UPDATER_HOLD_MIN_SIZE, ECS_UPDATER_CANARY, ECS_UPDATER_CANARY_MATCH, ECS_UPDATER_CHECKPOINTS, ECS_UPDATER_BAKE, ECS_UPDATER_SOAK, ECS_UPDATER_ALARMS, ECS_UPDATER_ALARM_MISSING, ECS_UPDATER_ON_ALARM, ECS_UPDATER_SERVICES, ECS_UPDATER_BEFORE_RUN_HOOK, ECS_UPDATER_BEFORE_DRAIN_HOOK, ECS_UPDATER_BEFORE_REBOOT_HOOK, ECS_UPDATER_BEFORE_ACTIVE_HOOK, ECS_UPDATER_AFTER_INSTANCE_HOOK, ECS_UPDATER_AFTER_RUN_HOOK, ECS_UPDATER_TIMEOUT_HOOK, ECS_UPDATER_ON_ERROR_HOOK, ECS_UPDATER_STOP_AFTER_FAILURES, ECS_UPDATER_MAX_DURATION, ECS_UPDATER_WINDOWS, ECS_UPDATER_WINDOW_CUTOFF, ECS_UPDATER_WINDOW_WAIT, ECS_UPDATER_FREEZE, ECS_UPDATER_ALLOW_DOWNGRADE, ECS_UPDATER_HOST, ECS_UPDATER_BRIDGE_POLICY, ECS_UPDATER_EVENTS, ECS_UPDATER_REPORTS, ECS_UPDATER_INSPECT_TIMEOUT, ECS_UPDATER_STAGE_TIMEOUT, ECS_UPDATER_DRAIN_TIMEOUT, ECS_UPDATER_REBOOT_TIMEOUT, ECS_UPDATER_VERIFY_TIMEOUT, ECS_UPDATER_STEADY_TIMEOUT, ECS_UPDATER_INSPECT_DOCUMENT, ECS_UPDATER_STAGE_DOCUMENT, ECS_UPDATER_REBOOT_DOCUMENT, ECS_UPDATER_REVERT_DOCUMENT, ECS_UPDATER_TAGS
      - unknown environment variable ECS_UPDATER_MAX_UNAVAILBLE; did you mean `ECS_UPDATER_MAX_UNAVAILABLE`?
      - `target` = "newest" in environment variable ECS_UPDATER_TARGET must be "latest", a version such as "1.27.0", or "ssm:" and the name of an SSM parameter that holds one
      - cluster "web" is named twice in flag --cluster; name it once
      - cluster name "a b" in flag --cluster must be 1 to 255 letters, digits, hyphens and underscores
      - `max_unavailable` = "200%" in flag --max-unavailable must be a count from 1, such as 2, or a percentage from "1%" to "100%"
      - `allow_downgrade` = "maybe" in flag --allow-downgrade must be true or false
      - `timeouts.drain` = "20" in flag --drain-timeout must be a duration from 30s to 14d with its unit, such as "20m"
    "#);
}

/// The nearest place wins; an empty text stands for none, except in a variable, where it says nothing.
#[test]
fn the_lease_table_is_for_the_whole_run() {
    let table = |file: &str, variable: &str, flag: Option<&str>| {
        let text = format!("{file}\n[[cluster]]\nname = 'web'");
        let environment = variables(&[("ECS_UPDATER_LEASE_TABLE", variable)]);
        let given = flag.map_or_else(Given::default, |flag| flags(&[&format!("--lease-table={flag}")]));
        let file = Some(config::parse(&text, "fleet.toml").unwrap());
        let inputs = Inputs { file, ..Inputs::gather(&given, &environment, None).unwrap() };
        inputs.settings().unwrap().lease_table
    };
    assert_eq!(table("", "", None), None);
    assert_eq!(table("lease_table = 'one'", "", None).as_deref(), Some("one"));
    assert_eq!(table("lease_table = 'one'", "two", None).as_deref(), Some("two"));
    assert_eq!(table("lease_table = 'one'", "two", Some("three")).as_deref(), Some("three"));
    assert_eq!(table("lease_table = 'one'", "two", Some("")), None);
    assert_eq!(table("lease_table = ''", "", None), None);
    insta::assert_snapshot!(refused("lease_table = 'a b'\nlease-table = 'x'"), @r#"
    2 problems in the configuration:
      - `lease_table` = "a b" in the top level of fleet.toml:1:15 must be the name of a DynamoDB table: 3 to 255 letters, digits and the characters _ - . ; or "" for none
      - unknown key `lease-table` in the top level of fleet.toml:2:1; did you mean `lease_table`?
    "#);
    let error = load(&flags(&["--cluster=web", "--lease-table=x"]), &Environment::new()).unwrap_err();
    assert!(error.to_string().contains("`lease_table` = \"x\" in flag --lease-table must be"), "{error}");
}

/// All clusters of a run share the account's buckets, so that a share is the whole run's.
#[test]
fn the_api_share_is_for_the_whole_run() {
    let share = |file: &str, variable: &str, flag: Option<&str>| {
        let text = format!("{file}\n[[cluster]]\nname = 'web'");
        let environment = variables(&[("ECS_UPDATER_API_SHARE", variable)]);
        let given = flag.map_or_else(Given::default, |flag| flags(&[&format!("--api-share={flag}")]));
        let file = Some(config::parse(&text, "fleet.toml").unwrap());
        let inputs = Inputs { file, ..Inputs::gather(&given, &environment, None).unwrap() };
        inputs.settings().unwrap().api_share.to_string()
    };
    assert_eq!(share("", "", None), "0.5");
    assert_eq!(share("api_share = 0.9", "", None), "0.9");
    assert_eq!(share("api_share = '0.9'", "", None), "0.9", "in quotes too, as other numbers");
    assert_eq!(share("api_share = 1", "", None), "1");
    assert_eq!(share("api_share = 0.9", "0.2", None), "0.2");
    assert_eq!(share("api_share = 0.9", "0.2", Some("0.1")), "0.1");
    insta::assert_snapshot!(refused("api_share = 0\n[defaults]\napi_share = 0.9"), @r#"
    2 problems in the configuration:
      - `api_share` = 0 in the top level of fleet.toml:1:13 must be a number from 0.1 to 1, such as 0.5
      - unknown key `api_share` in [defaults] of fleet.toml:3:1; it belongs in the top of the file, above [defaults] and each [[cluster]]
    "#);
    let error = load(&flags(&["--cluster=web", "--api-share=50%"]), &Environment::new()).unwrap_err();
    insta::assert_snapshot!(error, @r#"`api_share` = "50%" in flag --api-share must be a number from 0.1 to 1, such as 0.5"#);
    let error = load(&flags(&["--cluster=web"]), &variables(&[("ECS_UPDATER_API_SHARE", "1.1")])).unwrap_err();
    insta::assert_snapshot!(error, @r#"`api_share` = "1.1" in environment variable ECS_UPDATER_API_SHARE must be a number from 0.1 to 1, such as 0.5"#);
}

#[test]
fn two_steps_never_share_a_document() {
    let text = "[defaults.documents]\nreboot = 'EcsUpdater-Stage'\n[[cluster]]\nname = 'web'";
    insta::assert_snapshot!(config::parse(text, "fleet.toml").unwrap().settings().unwrap_err(), @r#"`documents.stage` and `documents.reboot` of cluster "web" are both "EcsUpdater-Stage"; each step has a document of its own"#);
}

/// For every key: the built-in default gives way to `[defaults]`, that to `[[cluster]]`, that to the environment, that
/// to the cluster's tag where it is open to tags, and that to the flag.
#[test]
fn for_each_key_the_nearest_place_wins() {
    let web = ClusterName::new("web");
    let mut tagged = 0;
    for key in Key::all() {
        let values = five_values(key);
        let [defaults, cluster, variable, tag, flag] = values.each_ref().map(String::as_str);
        let policy = |places: usize| {
            let line = |value: &str, from: usize| {
                if places >= from { format!("{} = {value:?}\n", key.path()) } else { String::new() }
            };
            let (defaults, cluster) = (line(defaults, 1), line(cluster, 2));
            let text = format!("[defaults]\n{}{defaults}[[cluster]]\nname = \"web\"\n{cluster}", opened(key));
            let environment = if places >= 3 { variables(&[(&key.variable(), variable)]) } else { Environment::new() };
            let tags = (places >= 4 && key.can_be_opened()).then(|| (key.tag(), tag.to_owned()));
            let given = if places >= 5 { flags(&[&format!("--{}={flag}", key.flag())]) } else { Given::default() };
            let inputs = Inputs {
                file: Some(config::parse(&text, "fleet.toml").unwrap()),
                ..Inputs::gather(&given, &environment, None).unwrap()
            };
            let tags = BTreeMap::from([(web.clone(), tags.into_iter().collect())]);
            inputs.with_tags(&tags).settings().unwrap().clusters.remove(0).policy.unwrap()
        };
        let expected = |value: &str| {
            let text = format!("[defaults]\n{}{} = {value:?}\n", opened(key), key.path());
            config::parse(&text, "one").unwrap().defaults.over(Policy::default())
        };
        let tags = [key.path().to_owned()].into_iter().filter(|_| key.can_be_opened()).collect();
        assert_eq!(policy(0), Policy { tags, ..Policy::default() }, "{key:?}");
        assert_eq!(policy(1), expected(defaults), "{key:?}: [defaults]");
        assert_eq!(policy(2), expected(cluster), "{key:?}: [[cluster]]");
        assert_eq!(policy(3), expected(variable), "{key:?}: environment");
        tagged += usize::from(key.can_be_opened());
        let by_tag = if key.can_be_opened() { tag } else { variable };
        assert_eq!(policy(4), expected(by_tag), "{key:?}: tag");
        assert_eq!(policy(5), expected(flag), "{key:?}: flag");
    }
    assert_eq!(
        tagged,
        Key::all().count() - 6,
        "all but the one that opens them, what the hosts' role is like, windows and freezes"
    );
}

/// A line that opens a key to tags.
fn opened(key: Key) -> String {
    if key.can_be_opened() { format!("tags = [{:?}]\n", key.path()) } else { String::new() }
}

/// Five values of a key in the order of the places, neighbours differing, so that a place that is not heard shows.
fn five_values(key: Key) -> [String; 5] {
    let placeholder = key.placeholder();
    let default = key.default_value().replace('"', "");
    let words = match placeholder.as_str() {
        "COUNT|PERCENT" => vec!["2", "10%", "3", "30 percent", "25%"],
        "s3://BUCKET/PREFIX" => vec!["s3://runs", "s3://runs/a", "s3://runs/b", "s3://my.runs", "none"],
        "EXPRESSION" => vec!["tag:a exists", "tag:b exists", "provider:c", "tag:d == e", "none"],
        // A version by flag is also one that a person has named.
        "VERSION|ssm:NAME" => vec!["1.25.0", "1.26.0", "ssm:/approved/prod", "1.27.0", "latest"],
        "VERSION" => vec!["1.25.0", "1.26.x", "none", "1.27.0", "1.28.x"],
        "VERSION,…" => vec!["1.25.0", "1.26.0,1.26.1", "none", "1.27.0 1.27.1", "1.28.0"],
        "DURATION" if key.path() == "min_age" => vec!["1h", "1d", "none", "7d", "2d"],
        "COUNT" if key.path() == "canary" => vec!["2", "none", "4", "5", "6"],
        "COUNT" => vec!["2", "never", "4", "5", "6"],
        "PERCENT,…" => vec!["10%", "10%,50%", "none", "1%, 99%", "50%"],
        "DURATION" => vec!["8m", "9m", "12m", "14m", "16m"],
        "KEYS" => vec!["target", "host", "zone", "target,host", "timeouts.drain"],
        "WINDOW;…" => vec![
            "Mon 02:00-05:00 UTC",
            "Tue 02:00-05:00 UTC;Sat 00:00-24:00 Europe/Berlin",
            "Wed 02:00-05:00 UTC",
            "none",
            "Fri 22:00-04:00 UTC",
        ],
        "FREEZE;…" => vec![
            "2026-12-20..2027-01-04",
            "2026-12-21..2027-01-04 Europe/Berlin: holidays; 2027-02-01..2027-02-02",
            "2026-12-22..2027-01-04",
            "none",
            "2026-12-23..2027-01-04",
        ],
        "ARN" => {
            let names = ["a", "b:live", "c:7", "d"];
            let arn = |name| format!("arn:aws:lambda:eu-central-1:111122223333:function:{name}");
            return [arn(names[0]), arn(names[1]), "none".to_owned(), arn(names[2]), arn(names[3])];
        }
        "NAME" => vec!["Acme-1", "Acme-2", "Acme-3", "Acme-4", "Acme-5"],
        words => words.split('|').filter(|word| *word != default).chain([default.as_str()]).collect(),
    };
    let mut values = words.into_iter().cycle().map(str::to_owned);
    std::array::from_fn(|_| values.next().unwrap())
}

#[test]
fn windows_and_freezes_are_lists() {
    let policy =
        |line: &str| config::parse(&format!("[defaults]\n{line}\n"), "one").unwrap().defaults.over(Policy::default());
    let two = policy(r#"windows = ["Mon-Fri 02:00-05:00 UTC", "Sat 22:00-04:00 Europe/Berlin"]"#);
    assert_eq!(two.windows.len(), 2);
    assert_eq!(policy(r#"windows = "Mon-Fri 02:00-05:00 UTC;Sat 22:00-04:00 Europe/Berlin""#), two);
    let tables = r#"freeze = [{ from = "2026-12-20", to = 2027-01-04, zone = "UTC", why = "sale" }, { from = "2027-02-01", to = "2027-02-01" }]"#;
    let freeze = policy(tables).freeze;
    assert_eq!(
        freeze.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2026-12-20..2027-01-04 UTC: sale", "2027-02-01..2027-02-01"]
    );
    assert_eq!(policy(r#"freeze = ["2026-12-20..2027-01-04 UTC: sale", "2027-02-01..2027-02-01"]"#).freeze, freeze);
    assert_eq!(policy("windows = \"none\"\nfreeze = \"none\"\nwindow_cutoff = \"auto\""), Policy::default());
    // What was to limit updates must not come to limit none.
    for wrong in [
        "windows = []",
        "windows = [\"\"]",
        "windows = \"Mon 02:00-05:00 UTC;\"",
        "windows = [\"Mon 02:00-05:00\"]",
        "windows = [[\"Mon 02:00-05:00 UTC\"]]",
        "windows = [\"none\"]",
        "freeze = []",
        "freeze = [{ from = \"2026-12-20\" }]",
        "freeze = [{ from = \"2026-12-20\", to = \"2026-12-19\" }]",
        "freeze = [{ from = \"2026-12-20\", to = \"2026-12-21\", until = \"x\" }]",
        "freeze = [{ from = \"2026-12-20\", to = 2026-12-21T10:00:00Z }]",
    ] {
        assert_eq!(refused(&format!("[defaults]\n{wrong}\n")).problems().len(), 1, "{wrong}");
    }
    insta::assert_snapshot!(refused("[defaults]\nwindows = [\"Mon 2-5 UTC\"]\nfreeze = [{}]"), @r#"
    2 problems in the configuration:
      - `windows` = […] in [defaults] of fleet.toml:2:11 must be a list of windows such as "Mon-Fri 02:00-05:00 Europe/Berlin", or "none"
      - `freeze` = […] in [defaults] of fleet.toml:3:10 must be a list of freezes such as "2026-12-20..2027-01-04: holidays", or "none"
    "#);
}

#[test]
fn a_select_that_cannot_be_read_is_told_with_its_place() {
    let policy =
        |line: &str| config::parse(&format!("[defaults]\n{line}\n"), "one").unwrap().defaults.over(Policy::default());
    let select = policy("select = \"attribute:role == web and tag:env in ['a', 'b']\"").select;
    assert_eq!(select.unwrap().to_string(), "attribute:role == web and tag:env in ['a', 'b']");
    assert_eq!(policy("select = \"none\""), Policy::default());
    // What was to limit updates must not come to limit none.
    insta::assert_snapshot!(refused("[defaults]\nselect = ''\n[[cluster]]\nname = 'web'\nselect = 'attribute:role = web'"), @r#"
    2 problems in the configuration:
      - `select` = "" in [defaults] of fleet.toml:2:10 must be an expression such as "attribute:role == web", or "none": it ends where a subject such as attribute:NAME is expected (at character 1)
      - `select` = "attribute:role = web" in [[cluster]] "web" of fleet.toml:5:10 must be an expression such as "attribute:role == web", or "none": "=" stands where ==, !=, in, !in, exists, !exists, =~ or !~ is expected (at character 16)
    "#);
    insta::assert_snapshot!(refused("[defaults]\nselect = ['attribute:role == web']"), @r#"`select` = […] in [defaults] of fleet.toml:2:10 must be an expression such as "attribute:role == web", or "none""#);
}

#[test]
fn a_mistake_in_one_clusters_table_concerns_that_cluster_alone() {
    let text = "[[cluster]]\nname = 'web'\n[[cluster]]\nname = 'batch'\nmax_unavailable = 0\nmax_unavailble = 2\n[[cluster]]\nname = 'odd'\ntarget = 'x'\n";
    let fragment = config::parse(text, "fleet.toml").unwrap();
    let settings = fragment.clone().settings().unwrap();
    let [web, batch, odd] = settings.clusters.as_slice() else { panic!("{settings:?}") };
    assert_eq!(web.policy, Ok(Policy::default()));
    insta::assert_snapshot!(batch.policy.as_ref().unwrap_err(), @r#"
    2 problems in the configuration:
      - `max_unavailable` = 0 in [[cluster]] "batch" of fleet.toml:5:19 must be a count from 1, such as 2, or a percentage from "1%" to "100%"
      - unknown key `max_unavailble` in [[cluster]] "batch" of fleet.toml:6:1; did you mean `max_unavailable`?
    "#);
    insta::assert_snapshot!(odd.policy.as_ref().unwrap_err(), @r#"`target` = "x" in [[cluster]] "odd" of fleet.toml:9:10 must be "latest", a version such as "1.27.0", or "ssm:" and the name of an SSM parameter that holds one"#);

    // Nothing is left to work on.
    let inputs = Inputs::gather(&flags(&["--cluster=batch", "--cluster=odd"]), &Environment::new(), None).unwrap();
    let error = Inputs { file: Some(fragment.clone()), ..inputs }.settings().unwrap_err();
    assert_eq!(error.problems().len(), 3, "{error}");
    // Not asked to work on those.
    let inputs = Inputs::gather(&flags(&["--cluster=web"]), &Environment::new(), None).unwrap();
    Inputs { file: Some(fragment), ..inputs }.settings().unwrap();
    // A mistake that is for all is told together with theirs, in the order of the text.
    assert_eq!(refused(&format!("{text}[[cluster]]\n")).problems().len(), 4);
}

#[test]
fn a_mistake_in_one_clusters_tags_concerns_that_cluster_alone() {
    let inputs = Inputs::gather(&flags(&["--cluster=web", "--cluster=batch"]), &Environment::new(), None).unwrap();
    let tags = |tags: &[(&str, &str)]| {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let of_clusters = BTreeMap::from([
        (
            ClusterName::new("batch"),
            tags(&[
                ("ecs-updater:max-unavailable", "0 percent"),
                ("ecs-updater:max-unavailble", "2"),
                ("ecs-updater:drain-timeout", "5"),
                ("ecs-updater:stage-document", "AWS-RunShellScript"),
                ("ecs-updater:colour", "blue"),
                ("ecs-updater:allow-downgrade", "True"),
            ]),
        ),
        (
            ClusterName::new("web"),
            tags(&[
                ("ecs-updater:drain-timeout", "12h"),
                ("ecs-updater:target", ""),
                ("ecs-updater:wave", "staging"),
                ("team", "shop"),
            ]),
        ),
    ]);
    let settings = inputs.clone().with_tags(&of_clusters).settings().unwrap();
    let [web, batch] = settings.clusters.as_slice() else { panic!("{settings:?}") };
    let drain = SignedDuration::from_hours(12);
    let timeouts = Timeouts { drain, ..Timeouts::default() };
    assert_eq!(web.policy, Ok(Policy { timeouts, ..Policy::default() }));
    insta::assert_snapshot!(batch.policy.as_ref().unwrap_err(), @r#"
    6 problems in the configuration:
      - `allow_downgrade` = "True" in tag ecs-updater:allow-downgrade of cluster "batch" must be true or false
      - unknown tag ecs-updater:colour of cluster "batch"; known are: ecs-updater:max-unavailable, ecs-updater:zone, ecs-updater:min-age, ecs-updater:max-version, ecs-updater:skip-versions, ecs-updater:owner-lock, ecs-updater:standalone-tasks, ecs-updater:capacity, ecs-updater:bake, ecs-updater:soak, ecs-updater:alarm-missing, ecs-updater:services, ecs-updater:timeout-hook, ecs-updater:on-error-hook, ecs-updater:stop-after-failures, ecs-updater:max-duration, ecs-updater:inspect-timeout, ecs-updater:stage-timeout, ecs-updater:drain-timeout, ecs-updater:reboot-timeout, ecs-updater:verify-timeout, ecs-updater:steady-timeout
      - `timeouts.drain` = "5" in tag ecs-updater:drain-timeout of cluster "batch" must be a duration from 30s to 14d with its unit, such as "20m"
      - `max_unavailable` = "0 percent" in tag ecs-updater:max-unavailable of cluster "batch" must be a count from 1, such as 2, or a percentage from "1 percent" to "100 percent"
      - unknown tag ecs-updater:max-unavailble of cluster "batch"; did you mean `ecs-updater:max-unavailable`?
      - tag ecs-updater:stage-document of cluster "batch" may not set `documents.stage`; it belongs in the configuration file, the environment or a flag, or these let tags set it: tags = ["documents.stage"]
    "#);

    let mut both = of_clusters;
    both.insert(ClusterName::new("web"), tags(&[("ecs-updater:target", "newest")]));
    assert_eq!(inputs.with_tags(&both).settings().unwrap_err().problems().len(), 7);
}

#[test]
fn the_configuration_can_be_an_ssm_parameter() {
    let of = |place: &str| config::parameter(&flags(&["--config", place]), &Environment::new());
    assert_eq!(of("fleet.toml"), Ok(None));
    assert_eq!(of("./ssm:fleet.toml"), Ok(None));
    assert_eq!(of("ssm:/ecs-updater/config"), Ok(Some("/ecs-updater/config".to_owned())));
    insta::assert_snapshot!(of("ssm:").unwrap_err(), @r#"SSM parameter name "" in flag --config must be letters, digits and the characters _ . - / :, such as ssm:/ecs-updater/config"#);
    let environment = variables(&[("ECS_UPDATER_CONFIG", "ssm:a b")]);
    insta::assert_snapshot!(config::parameter(&Given::default(), &environment).unwrap_err(), @r#"SSM parameter name "a b" in environment variable ECS_UPDATER_CONFIG must be letters, digits and the characters _ . - / :, such as ssm:/ecs-updater/config"#);
    // The flag beats the variable.
    assert_eq!(config::parameter(&flags(&["--config=ssm:x"]), &environment), Ok(Some("x".to_owned())));

    let given = flags(&["--config=ssm:/ecs-updater/config"]);
    let gather = |text| Inputs::gather(&given, &Environment::new(), text);
    assert_eq!(gather(Some(FULL)).unwrap().settings().unwrap().clusters.len(), 2);
    insta::assert_snapshot!(gather(None).unwrap_err(), @r#"SSM parameter /ecs-updater/config does not exist in this account and Region; make it, or check the name given by --config or ECS_UPDATER_CONFIG"#);
    insta::assert_snapshot!(gather(Some("[defaults]\ntarget = 'x'")).unwrap_err(), @r#"`target` = "x" in [defaults] of ssm:/ecs-updater/config:2:10 must be "latest", a version such as "1.27.0", or "ssm:" and the name of an SSM parameter that holds one"#);
}

#[test]
fn flags_choose_the_clusters_then_the_environment_then_the_file() {
    let file =
        "[defaults]\nmax_unavailable = 7\n[[cluster]]\nname = 'web'\nmax_unavailable = 2\n[[cluster]]\nname = 'batch'";
    // Flags, ECS_UPDATER_CLUSTERS, and the clusters with their max_unavailable.
    type Case<'a> = (&'a [&'a str], Option<&'a str>, &'a [(&'a str, u32)]);
    let cases: [Case<'_>; 5] = [
        (&[], None, &[("web", 2), ("batch", 7)]),
        (&[], Some("batch, other"), &[("batch", 7), ("other", 7)]),
        (&[], Some(" "), &[("web", 2), ("batch", 7)]),
        (&["--cluster=web"], Some("batch"), &[("web", 2)]),
        (&["--cluster=unlisted", "--cluster", "web"], None, &[("unlisted", 7), ("web", 2)]),
    ];
    for (arguments, variable, expected) in cases {
        let environment = variable.map(|value| variables(&[("ECS_UPDATER_CLUSTERS", value)])).unwrap_or_default();
        let inputs = Inputs {
            file: Some(config::parse(file, "fleet.toml").unwrap()),
            ..Inputs::gather(&flags(arguments), &environment, None).unwrap()
        };
        let Settings { clusters, lease_table: _, api_share: _ } = inputs.settings().unwrap();
        let got: Vec<_> =
            clusters.iter().map(|it| (it.name.as_str(), it.policy.as_ref().unwrap().max_unavailable)).collect();
        let expected: Vec<_> = expected.iter().map(|(name, count)| (*name, MaxUnavailable::Count(*count))).collect();
        assert_eq!(got, expected, "{arguments:?} {variable:?}");
    }
}

#[test]
fn the_file_is_read_from_disk_and_the_flag_beats_the_variable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fleet.toml");
    std::fs::write(&path, FULL).unwrap();
    let environment = variables(&[("ECS_UPDATER_CONFIG", "/nowhere")]);
    let settings = load(&flags(&["--config", path.to_str().unwrap()]), &environment).unwrap();
    assert_eq!(settings.clusters.len(), 2);
}

#[test]
fn a_bare_allow_downgrade_means_true() {
    let key = Key::find("allow_downgrade").unwrap();
    assert_eq!(flags(&["--allow-downgrade"]).values, [(key, "true".to_owned())]);
    assert_eq!(flags(&["--allow-downgrade=false"]).values, [(key, "false".to_owned())]);
}

#[test]
fn defaults_as_shown_are_the_defaults() {
    let lines: String = Key::all().map(|key| format!("{} = {}\n", key.path(), key.default_value())).collect();
    let fragment = config::parse(&format!("[defaults]\n{lines}"), "defaults").unwrap();
    assert_eq!(fragment.defaults.over(Policy::default()), Policy::default());
    assert_ne!(fragment.defaults, PolicyFragment::default());
}

#[test]
fn every_key_has_a_flag_with_its_default_in_the_help() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    for key in Key::all() {
        let flag = run.get_arguments().find(|flag| flag.get_long() == Some(&key.flag()));
        let help = flag.unwrap_or_else(|| panic!("no --{}", key.flag())).get_help().unwrap().to_string();
        let default = format!("[default: {}]", key.default_value().replace('"', ""));
        assert!(help.contains(&default), "--{}: {help}", key.flag());
    }
}

#[test]
fn the_table_of_the_page_is_the_table_of_keys() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, keys) = page.split_once("## Keys\n").unwrap();
    let rows: String = keys
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| format!("{line}\n"))
        .collect();
    let expected: String = Key::all().map(row_of_the_page).collect();
    assert!(rows == expected, "the table below \"Keys\" in docs/configuration.md is to be:\n{expected}");
    for key in Key::all() {
        let family = key.table().map_or_else(String::new, |table| format!("**`{table}.*`**"));
        let own = format!("**`{}`**", key.path());
        assert!(page.contains(&own) || page.contains(&family) && !family.is_empty(), "no paragraph on {}", key.path());
    }
    for variable in [config::CONFIG_VARIABLE, config::CLUSTERS_VARIABLE, config::LOG_VARIABLE] {
        assert!(page.contains(variable), "{variable}");
    }
}

fn row_of_the_page(key: Key) -> String {
    let code = |(at, part): (usize, &str)| if at % 2 == 1 { format!("`\"{part}\"`") } else { part.to_owned() };
    let allowed: String = key.allowed().split('"').enumerate().map(code).collect();
    let without_value = if key.bare().is_some() { format!(", or `--{}=false`", key.flag()) } else { String::new() };
    format!(
        "| `{}` | {allowed} | `{}` | {} | {} | `{}` | `--{}`{without_value} |\n",
        key.path(),
        key.default_value(),
        key.tag_may(),
        if key.may_stand_in_group() { "yes" } else { "no" },
        key.variable(),
        key.flag()
    )
}

#[test]
fn the_example_of_the_page_is_a_configuration() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let settings = config::parse(example, "docs/configuration.md").unwrap().settings().unwrap();
    assert!(settings.clusters.len() > 1);
}

fn toml_like() -> impl Strategy<Value = String> {
    let key = prop::sample::select(
        Key::all().map(Key::path).chain(["name", "cluster", "defaults", "timeouts", "x"]).collect::<Vec<_>>(),
    );
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        ".{0,12}".prop_map(|text| format!("{text:?}")),
        "[0-9]{1,20} ?(s|m|h|d|w|y|mo|%)".prop_map(|text| format!("{text:?}")),
        Just("true".to_owned()),
        Just("[1, 'a', {}]".to_owned()),
        Just("{ drain = 3, name = 'x' }".to_owned()),
        Just("1979-05-27".to_owned()),
    ];
    let line = prop_oneof![
        4 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => prop::sample::select(vec!["[defaults]", "[[cluster]]", "[cluster]", "[defaults.timeouts]", "# é"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof![".{0,200}", toml_like()]) {
        let fragment = config::parse(&text, "any");
        if let Err(error) = &fragment {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
        if let Ok(table) = text.parse::<toml::Table>() {
            prop_assert_eq!(config::from_table(&table, "any").is_ok(), fragment.is_ok());
        }
        let _ = fragment.map(|fragment| fragment.settings());
    }

    #[test]
    fn no_variable_panics(value in any::<String>(), key in prop::sample::select(Key::all().collect::<Vec<_>>())) {
        let environment = variables(&[(&key.variable(), &value), ("ECS_UPDATER_CLUSTERS", &value)]);
        let _ = load(&Given::default(), &environment);
    }
}

fn load(given: &Given, environment: &Environment) -> Result<Settings, ConfigError> {
    Inputs::gather(given, environment, None)?.settings()
}

fn refused(text: &str) -> ConfigError {
    config::parse(text, "fleet.toml").unwrap_err()
}

fn flags(arguments: &[&str]) -> Given {
    let arguments = ["ecs-updater", "run"].iter().chain(arguments);
    Cli::try_parse_from(arguments).unwrap().command.given()
}

fn variables(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
}

/// A version on the command line is named; one anywhere else is not, nor is a parameter.
#[test]
fn a_target_is_named_on_the_command_line_alone() {
    let target = Key::find("target").unwrap();
    let policy = |flag: Option<&str>, variable: &str| {
        let given = Given {
            clusters: vec!["web".to_owned()],
            values: flag.map(|value| (target, value.to_owned())).into_iter().collect(),
            ..Given::default()
        };
        let environment = Environment::from([(target.variable(), variable.to_owned())]);
        let inputs = Inputs::gather(&given, &environment, None).unwrap();
        inputs.settings().unwrap().clusters.remove(0).policy.unwrap()
    };
    assert!(policy(Some("1.27.0"), "").target_is_named);
    assert!(policy(Some("1.27.0"), "1.28.0").target_is_named);
    assert!(!policy(Some("latest"), "1.28.0").target_is_named);
    assert!(!policy(Some("ssm:/approved/prod"), "").target_is_named);
    assert!(!policy(None, "1.27.0").target_is_named);
    assert_eq!(policy(None, "ssm:/approved/prod").target, Target::Parameter("/approved/prod".to_owned()));
}
