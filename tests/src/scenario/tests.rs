//! Reading scenarios.

use super::*;

fn parse(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    Scenario::parse(text).expect_err(text).to_string()
}

#[test]
fn an_empty_scenario_is_an_empty_cluster() {
    let scenario = parse("");
    assert_eq!(scenario.clusters, ["main"]);
    assert!(scenario.machines.is_empty());
    assert_eq!(scenario.documents.len(), 5);
}

#[test]
fn groups_and_what_is_special_about_one() {
    let scenario = parse(
        r#"
        start = "2026-12-01T00:00:00Z"
        [repository]
        versions = ["1.26.1", "1.27.0"]
        [[repository.releases]]
        version = "1.28.0"
        published_at = "+2h"
        waves = [{ bound = 0, opens_at = "+3h" }]
        [[instances]]
        count = 3
        zones = ["a", "eu-west-1b"]
        memory = "8GiB"
        tags = { Team = "shop" }
        durations = { boot = "30s" }
        [[instances]]
        cluster = "other"
        external = true
        [[host]]
        index = 1
        version = "1.25.0"
        fails_to_boot = ["1.27.0"]
        tags = { "ecs-updater:exclude" = "yes" }
        durations = { prepare = "5m" }
        repo_unreachable_from = "+1h"
        "#,
    );
    assert_eq!(scenario.clusters, ["main", "other"]);
    assert_eq!(scenario.machines.len(), 4);
    let zones: Vec<_> = scenario.machines.iter().map(|machine| machine.instance.zone.as_str()).collect();
    assert_eq!(zones, ["eu-central-1a", "eu-west-1b", "eu-central-1a", "eu-central-1a"]);
    let one = &scenario.machines[1];
    assert_eq!(one.instance.memory, Mib(8192));
    assert_eq!(one.instance.tags.len(), 2);
    assert_eq!(one.host.fails_to_boot, [semver::Version::new(1, 27, 0)]);
    assert_eq!(one.host.durations.boot, SignedDuration::from_secs(30));
    assert_eq!(one.host.durations.prepare, SignedDuration::from_mins(5));
    assert_eq!(one.host.repo_unreachable_from, Some(scenario.start + SignedDuration::from_hours(1)));
    assert_eq!(scenario.repository.releases.len(), 3);
    assert_eq!(scenario.repository.releases[0].published_at, Some(scenario.start + SignedDuration::from_hours(2)));
    assert!(scenario.machines[3].instance.external);
}

#[test]
fn mistakes_are_named() {
    for (text, words) in [
        ("nonsense = 1", "nonsense"),
        ("start = \"noon\"", "noon"),
        ("[[instances]]\nnonsense = 1", "nonsense"),
        ("[[instances]]\ncount = -1", "count"),
        ("[[instances]]\nmemory = \"much\"", "much"),
        ("[[host]]\nindex = 0", "no host 0"),
        ("[[host]]\nversion = \"1.0.0\"", "needs an index"),
        ("[[instances]]\nversion = \"newest\"", "host 0"),
        ("[[instances]]\nrepo_unreachable_from = \"+soon\"", "+soon"),
        ("clusters = [\"a\"]\n[[instances]]\ncluster = \"b\"", "\"b\""),
        ("clusters = [\"a\", \"b\"]\n[[service]]\nname = \"s\"", "must name its cluster"),
        ("[[service]]\nname = \"s\"\ncluster = \"x\"", "\"x\""),
        ("[[service]]\nname = \"s\"\nmember_of = \"odd\"", "member_of of service s"),
        ("[[task]]\nfamily = \"t\"\nhost = 3", "no host 3"),
        ("[[event]]\nat = \"1m\"\ndo = \"drain\"", "event 0: drain needs host or hosts"),
        ("[[event]]\nat = \"1m\"", "event 0: needs do"),
        ("[[event]]\nat = \"1m\"\ndo = \"drain\"\nhost = \"a\"", "event 0: drain has a malformed `host`: invalid type"),
        ("[[event]]\nat = \"1m\"\ndo = \"deploy\"", "event 0: deploy needs service"),
        ("[[event]]\nat = \"1m\"\ndo = \"release\"", "release is malformed: needs release or version"),
        ("[[event]]\nat = \"1m\"\nafter = \"1m\"\ndo = \"repository_down\"", "needs when beside after"),
        ("[[event]]\nat = \"1m\"\ndo = \"repository_down\"\nhost = 0", "repository_down takes no `host`"),
        ("[[event]]\nat = \"soon\"\ndo = \"repository_down\"", "no integer was found in `at`"),
        (
            "[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"drain\"\nhost = 0\nkey = \"k\"",
            "event 0: drain takes no `key`",
        ),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"disconnect\"\nhost = 0", "missing field `for`"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"set\"\nhost = 0", "missing field `set`"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"set\"\nhost = 0\nset = {}", "set needs a key of the host"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"dance\"\nhost = 0", "expected one of `drain`, `activate`"),
        ("[[instances]]\n[[event]]\ndo = \"drain\"\nhost = 0", "either at or when"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"dance\"\nhost = 0", "dance"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"tag\"\nhost = 0", "tag is malformed: missing field `key`"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"tag\"\nhost = 0\nkey = \"k\"", "missing field `value`"),
        ("[[instances]]\n[[event]]\nat = \"1m\"\ndo = \"set\"\nhost = 0\nset = { odd = 1 }", "odd"),
        ("[[event]]\nat = \"1m\"\ndo = \"scale\"\nservice = \"s\"\ncount = 1", "\"s\""),
        ("[[fault]]\noperation = \"ecs:ListTasks\"", "needs error, status, delay, reset, malformed or fails"),
        (
            "[[fault]]\noperation = \"ecs:DescribeTask\"\nstatus = 500",
            "fault 0 is for \"ecs:DescribeTask\", which is no",
        ),
        ("[[instances]]\n[[event]]\nwhen = { is = \"asleep\" }\ndo = \"drain\"\nhost = 0", "expected one of `claimed`"),
        (
            "[[instances]]\n[[event]]\nwhen = { host = 0 }\ndo = \"drain\"\nhost = 0",
            "waits for { host, is } or { call, nth }",
        ),
        (
            "[[instances]]\n[[event]]\nwhen = { call = \"ecs:Dance\" }\ndo = \"drain\"\nhost = 0",
            "event 0 is for \"ecs:Dance\"",
        ),
        ("[documents]\nX = \"dance\"", "a document is inspect"),
    ] {
        let message = refused(text);
        assert!(message.contains(words), "{text:?} gave {message:?}");
    }
}

#[test]
fn documents_can_be_lines_of_a_script() {
    let scenario = parse("[documents]\nCheck = [\"apiclient update check\"]\nMine = \"inspect\"");
    assert_eq!(scenario.documents["Check"], DocumentSpec::Lines(vec!["apiclient update check".to_owned()]));
    assert_eq!(scenario.documents["Mine"], DocumentSpec::Known(KnownDocument::Inspect));
}

#[test]
fn tables_for_others_are_passed_through() {
    let scenario = parse("[updater]\nmax_unavailable = \"10%\"\n[expect]\nupdated = 3");
    assert_eq!(scenario.updater["max_unavailable"].as_str(), Some("10%"));
    assert_eq!(scenario.expect["updated"].as_integer(), Some(3));
}

#[test]
fn the_scenarios_and_the_examples_in_the_documents_are_well_formed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            crate::world::World::new(&scenario).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    let manual = std::fs::read_to_string(root.join("../docs/simulator.md")).unwrap();
    let examples: Vec<&str> = manual.split("```toml").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 3);
    for example in examples {
        let scenario = Scenario::parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        crate::world::World::new(&scenario).unwrap_or_else(|error| panic!("{example}: {error}"));
    }
}
