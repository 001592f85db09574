//! What the tags of a cluster may do to its settings: only what loosens nothing, but for keys that are opened to them.

use std::collections::BTreeMap;

use ecs_updater::config::{self, ConfigError, Environment, Given, Inputs, Key};
use models::cluster_tags::IgnoredTag;
use models::ids::ClusterName;
use models::policy::{MaxUnavailable, Policy};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    Heard,
    Ignored,
    Refused,
}
use Is::{Heard, Ignored, Refused};

/// Of the keys that say which versions may be installed.
const OF_VERSIONS: [(&str, &str, &str, Is); 12] = [
    ("min_age", "7d", "8d", Heard),
    ("min_age", "7d", "168h", Heard),
    ("min_age", "none", "1h", Heard),
    ("min_age", "7d", "6d", Ignored),
    ("min_age", "7d", "none", Ignored),
    ("max_version", "1.27.x", "1.26.x", Heard),
    ("max_version", "1.27.x", "1.27.9", Heard),
    ("max_version", "none", "1.x", Heard),
    ("max_version", "1.27.x", "1.28.0", Ignored),
    ("max_version", "1.27.x", "none", Ignored),
    ("skip_versions", "1.27.0", "1.28.0", Heard),
    ("skip_versions", "1.27.0", "none", Heard),
];

/// What file, variable or default says; what the tag says; and what comes of it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_tag_is_heard_where_it_loosens_nothing() {
    let others = [
        ("max_unavailable", "2", "1", Heard),
        ("max_unavailable", "2", "2", Heard),
        ("max_unavailable", "2", "3", Ignored),
        ("max_unavailable", "20%", "10 percent", Heard),
        ("max_unavailable", "20%", "20 percent", Heard),
        ("max_unavailable", "20%", "21 percent", Ignored),
        ("standalone_tasks", "stop", "wait", Heard),
        ("standalone_tasks", "stop", "skip", Heard),
        ("standalone_tasks", "wait", "skip", Heard),
        ("standalone_tasks", "wait", "wait", Heard),
        ("standalone_tasks", "wait", "stop", Ignored),
        ("standalone_tasks", "skip", "wait", Ignored),
        ("standalone_tasks", "skip", "stop", Ignored),
        ("capacity", "scale-out", "room", Heard),
        ("capacity", "room", "room", Heard),
        ("capacity", "room", "scale-out", Ignored),
        ("stop_after_failures", "3", "2", Heard),
        ("stop_after_failures", "3", "3", Heard),
        ("stop_after_failures", "3", "4", Ignored),
        ("stop_after_failures", "3", "never", Ignored),
        ("stop_after_failures", "never", "9", Heard),
        ("stop_after_failures", "never", "never", Heard),
        ("max_duration", "4h", "3h", Heard),
        ("max_duration", "4h", "240m", Heard),
        ("max_duration", "4h", "5h", Ignored),
        ("max_duration", "4h", "none", Ignored),
        ("max_duration", "none", "14d", Heard),
        ("max_duration", "none", "none", Heard),
        ("owner_lock", "override", "respect", Heard),
        ("owner_lock", "override", "override", Heard),
        ("owner_lock", "respect", "respect", Heard),
        ("owner_lock", "respect", "override", Ignored),
        ("zone", "spread", "one-at-a-time", Heard),
        ("zone", "one-at-a-time", "spread", Heard),
        ("timeouts.drain", "20m", "12h", Heard),
        ("timeouts.drain", "20m", "1m", Heard),
        ("timeouts.verify", "10m", "1h", Heard),
        ("target", "1.26.0", "1.26.0", Refused),
        ("target", "1.26.0", "1.27.0", Refused),
        ("host", "auto", "ssm", Refused),
        ("allow_downgrade", "true", "false", Refused),
        ("documents.reboot", "Mine", "AWS-RunShellScript", Refused),
        ("select", "tag:a exists", "tag:b exists", Refused),
        ("canary", "2", "1", Refused),
        ("canary_match", "tag:a exists", "tag:b exists", Refused),
        ("checkpoints", "10%", "20%", Refused),
        ("bake", "1h", "2h", Heard),
        ("bake", "1h", "1h", Heard),
        ("bake", "1h", "30m", Ignored),
        ("soak", "1m", "2m", Heard),
        ("soak", "1m", "0s", Ignored),
        ("alarms", "one", "one,two", Refused),
        ("alarm_missing", "ignore", "hold", Heard),
        ("alarm_missing", "hold", "ignore", Ignored),
        ("on_alarm", "hold", "roll-back", Refused),
        ("services", "ignore", "steady", Heard),
        ("services", "steady", "ignore", Ignored),
        ("timeouts.steady", "10m", "1h", Heard),
        ("hooks.before_run", "none", "arn:aws:lambda:eu-central-1:111122223333:function:ready", Refused),
        ("hooks.timeout", "15m", "1h", Heard),
        ("hooks.on_error", "continue", "hold", Heard),
        ("hooks.on_error", "hold", "continue", Ignored),
    ];
    let table: Vec<_> = others.into_iter().chain(OF_VERSIONS).collect();
    for &(path, stands, says, is) in &table {
        let key = Key::find(path).unwrap();
        for by_variable in [false, true] {
            let place = if by_variable { Place::Variable(stands) } else { Place::File(stands) };
            assert_eq!(came_of(key, place, says, "").0, is, "{path}: {stands} stands, the tag says {says}");
        }
        let (opened, policy) = came_of(key, Place::File(stands), says, path);
        assert_eq!((opened, policy), (Heard, Some(alone(key, says))), "{path} is opened: {stands}, {says}");
    }
    let may = |rule: &str| Key::all().filter(|key| key.tag_may() == rule).map(Key::path).collect::<Vec<_>>();
    let tried = |is: Is| table.iter().filter(|(.., came)| *came == is).map(|(path, ..)| *path).collect::<Vec<_>>();
    assert!(may("stricter").iter().all(|path| tried(Heard).contains(path) && tried(Ignored).contains(path)));
    assert_eq!(may("stricter").len(), 13);
    assert_eq!(may("adds"), ["skip_versions"]);
    assert_eq!(may("never").len(), 28);
}

/// A tag names versions beside those that stand without it, with spaces between, since ECS takes no comma in a tag.
#[test]
fn a_tag_adds_to_a_list_and_takes_nothing_away() {
    let key = Key::find("skip_versions").unwrap();
    let table = [
        ("1.27.0", "1.28.0 1.29.0", "", "1.27.0 1.28.0 1.29.0"),
        ("1.27.0", "none", "", "1.27.0"),
        ("none", "1.28.0", "", "1.28.0"),
        ("1.27.0", "1.28.0", "skip_versions", "1.28.0"),
    ];
    for (stands, says, opens, all) in table {
        let (_, policy) = came_of(key, Place::File(stands), says, opens);
        let skipped: Vec<String> = policy.unwrap().skip_versions.iter().map(ToString::to_string).collect();
        assert_eq!(skipped.join(" "), all, "{stands} stands, the tag says {says}");
    }
}

/// The built-in default is held against a tag as what a person wrote is.
#[test]
fn a_tag_does_not_loosen_a_default() {
    let (is, policy) = came_of(Key::find("max_unavailable").unwrap(), Place::Nowhere, "2", "");
    assert_eq!((is, policy), (Ignored, Some(Policy::default())));
}

#[test]
fn a_flag_wins_over_every_tag() {
    let web = ClusterName::new("web");
    let given = Given {
        clusters: vec!["web".to_owned()],
        values: vec![(Key::find("max_unavailable").unwrap(), "3".to_owned())],
        ..Given::default()
    };
    for says in ["1", "9", "10 percent"] {
        let tags = BTreeMap::from([("ecs-updater:max-unavailable".to_owned(), says.to_owned())]);
        let inputs = Inputs::gather(&given, &Environment::new(), None).unwrap();
        let inputs = inputs.with_tags(&BTreeMap::from([(web.clone(), tags)]));
        let policy = inputs.settings().unwrap().clusters.remove(0).policy.unwrap();
        assert_eq!(policy, Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() }, "{says}");
    }
}

/// At each size the tag is heard where it gives no more places, and named where it would give more.
#[test]
fn a_count_and_a_percentage_are_compared_by_the_clusters_size() {
    let key = Key::find("max_unavailable").unwrap();
    let tables = [
        ("2", "10 percent", [(5, 1, false), (20, 2, false), (30, 2, true)]),
        ("10%", "2", [(5, 1, true), (20, 2, false), (30, 2, false)]),
    ];
    for (stands, says, sizes) in tables {
        let (_, policy) = came_of(key, Place::File(stands), says, "");
        let policy = policy.unwrap();
        for (size, places, ignored) in sizes {
            let named: Vec<&IgnoredTag> = policy.from_tags.ignored_at(size).collect();
            assert_eq!(policy.max_unavailable.of(size), places, "{stands} stands, {says} is tagged: {size} instances");
            assert_eq!(!named.is_empty(), ignored, "{stands} stands, {says} is tagged: {size} instances: {named:?}");
        }
    }
}

#[test]
fn what_is_closed_or_no_key_is_told() {
    let refused = |path: &str, says: &str, opens: &str| {
        let key = Key::find(path).unwrap();
        settled(key, Place::Nowhere, says, opens).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refused("target", "1.27.0", ""), @r#"tag ecs-updater:target of cluster "web" may not set `target`; it belongs in the configuration file, the environment or a flag, or these let tags set it: tags = ["target"]"#);
    insta::assert_snapshot!(refused("tags", "target", "target"), @r#"tag ecs-updater:tags of cluster "web" may not set `tags`; it belongs in the configuration file, the environment or a flag"#);
    insta::assert_snapshot!(refused("zone", "spread", "tagret"), @r#"`tags` of cluster "web" names `tagret`, which is not a key that tags can set; did you mean `target`?"#);
    insta::assert_snapshot!(refused("zone", "spread", "tags"), @r#"`tags` of cluster "web" names `tags`, which is not a key that tags can set; known are: max_unavailable, zone, target, min_age, max_version, skip_versions, owner_lock, select, standalone_tasks, capacity, hold_min_size, canary, canary_match, checkpoints, bake, soak, alarms, alarm_missing, on_alarm, services, hooks.before_run, hooks.before_drain, hooks.before_reboot, hooks.before_active, hooks.after_instance, hooks.after_run, hooks.timeout, hooks.on_error, stop_after_failures, max_duration, allow_downgrade, host, events, reports, timeouts.inspect, timeouts.stage, timeouts.drain, timeouts.reboot, timeouts.verify, timeouts.steady, documents.inspect, documents.stage, documents.reboot, documents.revert"#);
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Nowhere,
    File(&'a str),
    Variable(&'a str),
}

/// What comes of a tag, and the policy without the note on ignored tags.
fn came_of(key: Key, stands: Place<'_>, says: &str, opens: &str) -> (Is, Option<Policy>) {
    match settled(key, stands, says, opens) {
        Err(error) => {
            assert!(error.to_string().contains("may not set"), "{error}");
            (Refused, None)
        }
        Ok(policy) if policy.from_tags.ignored.is_empty() => (Heard, Some(policy)),
        Ok(policy) => {
            let named: Vec<&str> = policy.from_tags.ignored.iter().map(|tag| tag.setting.as_str()).collect();
            assert_eq!(named, [key.path()]);
            (Ignored, Some(Policy { from_tags: Default::default(), ..policy }))
        }
    }
}

fn settled(key: Key, stands: Place<'_>, says: &str, opens: &str) -> Result<Policy, ConfigError> {
    let line = match stands {
        Place::File(value) => format!("{} = {value:?}\n", key.path()),
        Place::Nowhere | Place::Variable(_) => String::new(),
    };
    let variables: Environment = match stands {
        Place::Variable(value) => [(key.variable(), value.to_owned())].into(),
        Place::Nowhere | Place::File(_) => Environment::new(),
    };
    let text = format!("[defaults]\n{line}{}[[cluster]]\nname = \"web\"\n", opening(opens));
    let inputs = Inputs {
        file: Some(config::parse(&text, "fleet.toml").unwrap()),
        ..Inputs::gather(&Given::default(), &variables, None).unwrap()
    };
    let tags = BTreeMap::from([(key.tag(), says.to_owned())]);
    let settings = inputs.with_tags(&BTreeMap::from([(ClusterName::new("web"), tags)])).settings()?;
    settings.clusters.into_iter().next().unwrap().policy
}

fn opening(opens: &str) -> String {
    if opens.is_empty() { String::new() } else { format!("tags = [{opens:?}]\n") }
}

/// A policy in which the key alone is set, and opened.
fn alone(key: Key, value: &str) -> Policy {
    let value = value.replace(" percent", "%");
    let text = format!("[defaults]\n{} = {value:?}\n{}", key.path(), opening(key.path()));
    config::parse(&text, "one").unwrap().defaults.over(Policy::default())
}
