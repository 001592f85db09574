//! `[[cluster.group]]`: what a file says of groups, what comes of it, and what is wrong with it.

use std::collections::BTreeMap;

use ecs_updater::config::{self, Environment, Given, Inputs, Key};
use models::ids::{ClusterName, GroupName};
use models::policy::{Group, MaxUnavailable, Policy, StandaloneTasks};

const FILE: &str = r#"
[defaults]
max_unavailable = 3
standalone_tasks = "wait"
timeouts.drain = "1h"

[[cluster]]
name = "web"
bake = "2h"

[[cluster.group]]
name = "late"
match = "tag:pool == late"
order = 2
standalone_tasks = "skip"
canary = 1

[[cluster.group]]
name = "early"
match = "attribute:pool == early"
order = -1
max_unavailable = "50%"
timeouts.drain = "30m"

[[cluster]]
name = "batch"
"#;

fn inputs(file: &str, given: &Given, environment: &[(&str, &str)]) -> Inputs {
    let environment: Environment = environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let gathered = Inputs::gather(given, &environment, None).unwrap();
    Inputs { file: Some(config::parse(file, "fleet.toml").unwrap()), ..gathered }
}

fn web(inputs: &Inputs) -> Policy {
    let settings = inputs.settings().unwrap();
    let web = settings.clusters.into_iter().find(|cluster| cluster.name.as_str() == "web");
    web.unwrap().policy.unwrap()
}

fn of<'p>(policy: &'p Policy, name: &str) -> &'p Group {
    policy.groups.iter().find(|group| group.name == GroupName::from(name)).unwrap()
}

#[test]
fn a_group_has_its_own_settings_over_those_of_its_cluster() {
    let policy = web(&inputs(FILE, &Given::default(), &[]));
    let names: Vec<&str> = policy.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["early", "late"], "by order");
    let (early, late) = (of(&policy, "early"), of(&policy, "late"));
    assert_eq!(
        (early.order, early.max_unavailable, early.has_own_course),
        (-1, Some(MaxUnavailable::Percent(50)), false)
    );
    assert_eq!((late.order, late.max_unavailable, late.has_own_course), (2, None, true));
    let told = |policy: &Policy| (policy.standalone_tasks, policy.timeouts.drain.as_mins(), policy.bake.as_hours());
    assert_eq!(told(&policy), (StandaloneTasks::Wait, 60, 2));
    assert_eq!(told(&early.policy), (StandaloneTasks::Wait, 30, 2));
    assert_eq!(told(&late.policy), (StandaloneTasks::Skip, 60, 2));
    assert_eq!((late.policy.canary, policy.canary), (Some(1), None));
    assert_eq!(policy.asked_tags().into_iter().collect::<Vec<_>>(), ["pool"]);
    let batch = inputs(FILE, &Given::default(), &[]).settings().unwrap().clusters.remove(1).policy.unwrap();
    assert!(batch.groups.is_empty());
}

#[test]
fn flags_variables_and_stricter_tags_override_it_and_none_its_budget() {
    let key = |path| Key::find(path).unwrap();
    let values = vec![(key("max_unavailable"), "5".to_owned()), (key("timeouts.drain"), "2h".to_owned())];
    let flags = Given { values, ..Given::default() };
    let policy = web(&inputs(FILE, &flags, &[("ECS_UPDATER_STANDALONE_TASKS", "stop")]));
    let early = of(&policy, "early");
    assert_eq!(policy.max_unavailable, MaxUnavailable::Count(5));
    assert_eq!(early.max_unavailable, Some(MaxUnavailable::Percent(50)));
    assert_eq!(early.policy.timeouts.drain.as_hours(), 2);
    assert_eq!(of(&policy, "late").policy.standalone_tasks, StandaloneTasks::Stop);
    // Stricter than the cluster's setting, and looser than the group's: it counts for the one alone.
    let tags = BTreeMap::from([("ecs-updater:standalone-tasks".to_owned(), "wait".to_owned())]);
    let file = FILE.replacen("\"wait\"", "\"stop\"", 1);
    let tagged = inputs(&file, &Given::default(), &[]).with_tags(&BTreeMap::from([(ClusterName::new("web"), tags)]));
    let policy = web(&tagged);
    let told = |policy: &Policy| policy.standalone_tasks;
    assert_eq!(told(&policy), StandaloneTasks::Wait);
    assert_eq!(told(&of(&policy, "early").policy), StandaloneTasks::Wait);
    assert_eq!(told(&of(&policy, "late").policy), StandaloneTasks::Skip);
}

#[test]
fn what_is_wrong_with_a_group_is_named_with_its_place() {
    let file = r#"
[defaults]
group = 1
[[cluster]]
name = "web"
[[cluster.group]]
match = "tag:a == b"
[[cluster.group]]
name = "no match"
[[cluster.group]]
name = "a"
match = "tag:a = b"
order = "first"
colour = "blue"
max_duration = "4h"
[[cluster.group]]
name = "b"
match = "none"
[[cluster.group]]
name = "c"
match = "tag:c exists"
[[cluster.group]]
name = "c"
match = "tag:d exists"
[[cluster]]
name = "batch"
group = 7
"#;
    insta::assert_snapshot!(config::parse(file, "fleet.toml").unwrap_err());
    let of_one = file.replacen("group = 1\n", "", 1);
    let settings = config::parse(&of_one, "fleet.toml").unwrap().settings();
    insta::assert_snapshot!(settings.unwrap_err());
}

#[test]
fn a_check_shows_each_group_with_the_origin_of_what_holds_for_it() {
    let environment = Environment::from([("ECS_UPDATER_OWNER_LOCK".to_owned(), "override".to_owned())]);
    let gathered = Inputs::gather(&Given::default(), &environment, None).unwrap();
    let inputs = Inputs { file: Some(config::parse(FILE, "fleet.toml").unwrap()), ..gathered };
    let effective = inputs.effective(&environment).unwrap();
    let web = &effective.clusters[0];
    let text: Vec<String> = web
        .groups
        .iter()
        .flat_map(|group| {
            let set = group.settings.iter().filter(|setting| setting.said.origin != "default");
            set.map(|setting| {
                format!("{}: {} = {}, {}", group.group, setting.key, setting.said.value, setting.said.origin)
            })
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
    let budget = |at: usize| web.groups[at].settings.iter().any(|setting| setting.key == "max_unavailable");
    assert!(budget(0) && !budget(1), "only where it is the group's own");
}
