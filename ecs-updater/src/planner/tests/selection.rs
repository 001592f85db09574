//! What a person selects, for good or for one run: what it holds, and what is finished all the same.

use models::ids::HostId;
use models::selection::Selection;

use super::*;

fn selecting(text: &str) -> Policy {
    Policy { select: Some(text.parse().unwrap()), ..Policy::default() }
}

fn told(only: Option<&[&str]>, skip: &[&str]) -> RunFacts {
    let hosts = |hosts: &[&str]| hosts.iter().map(|host| HostId::from(*host)).collect();
    RunFacts { selection: Selection { only: only.map(hosts), skip: hosts(skip) }, ..facts() }
}

/// A host with an attribute, a tag and a provider.
fn web(mut instance: Instance) -> Instance {
    instance.attributes = attributes(&[("role", "web")]);
    instance.tags.asked_for = [("env".to_owned(), "prod".to_owned())].into();
    instance.provider = Some("web-asg".into());
    instance
}

#[test]
fn nothing_is_begun_on_what_is_not_selected() {
    let now = at(1);
    let ready = || web(instance(0, Some(staged()), now));
    let hidden = || Instance { ec2: None, ..ready() };
    let (all, held) = ("drain", "hold not_selected");
    let table: [(&str, &str, Instance, &str); 13] = [
        ("an attribute", "attribute:role == web", ready(), all),
        ("another attribute", "attribute:role == db", ready(), held),
        ("a tag", "tag:env == prod", ready(), all),
        ("another tag", "tag:env != prod", ready(), held),
        ("a tag that it does not have", "tag:team exists", ready(), held),
        ("a provider", "provider:web-asg", ready(), all),
        ("another provider", "provider in [a, b]", ready(), held),
        ("its id", "ec2InstanceId == i-0", ready(), all),
        ("a tag that EC2 does not tell", "tag:env == prod", hidden(), held),
        ("the contrary of that", "not (tag:env == prod)", hidden(), held),
        ("never looked at", "attribute:role == db", web(instance(0, None, now)), held),
        (
            "selected, and held for another reason",
            "attribute:role == web",
            web(no_variant(now)),
            "hold not_bottlerocket",
        ),
        ("not selected either", "attribute:role == db", web(no_variant(now)), "hold not_bottlerocket"),
    ];
    for (name, select, instance, expected) in table {
        assert_eq!(say(instance, &selecting(select), &facts(), now), expected, "{name}");
    }
    let policy = Policy::default();
    let named: [(&str, RunFacts, &str); 6] = [
        ("named", told(Some(&["i-0"]), &[]), all),
        ("another is named", told(Some(&["i-7"]), &[]), held),
        ("none is named", told(Some(&[]), &[]), held),
        ("skipped", told(None, &["i-0"]), held),
        ("another is skipped", told(None, &["i-7"]), all),
        ("named and skipped", told(Some(&["i-0"]), &["i-0"]), held),
    ];
    for (name, facts, expected) in named {
        assert_eq!(say(ready(), &policy, &facts, now), expected, "{name}");
    }
    let both = told(Some(&["i-0"]), &[]);
    assert_eq!(say(ready(), &selecting("attribute:role == db"), &both, now), held, "a name is no way round select");
}

fn no_variant(now: Timestamp) -> Instance {
    Instance { variant: None, ..instance(0, Some(staged()), now) }
}

#[test]
fn what_was_begun_is_finished() {
    let now = at(1);
    let dead = |step| {
        let mut one = claimed(web(instance(0, Some(staged()), now)), step, start());
        one.run.drained_at = None;
        one
    };
    let active = |step| Instance { status: InstanceStatus::Active, ..dead(step) };
    let old = |step| {
        let mut one = active(step);
        if let Some(Ok(claim)) = &mut one.tags.claim {
            claim.since = at(-9);
        }
        one
    };
    let locked = || {
        let mut one = web(instance(0, Some(staged()), now));
        one.tags.saved_lock = Some("1.26.1".to_owned());
        one
    };
    let table: [(&str, Instance, &str); 4] = [
        ("drained by a dead run", dead(ClaimStep::Drain), "reboot 1.27.0"),
        ("claimed by a dead run and not drained", old(ClaimStep::Drain), "finish held not_selected"),
        ("staged by a dead run", old(ClaimStep::Stage), "finish held not_selected"),
        ("its lock is still another", locked(), "cancel"),
    ];
    for (name, instance, expected) in table {
        let said = [
            say(instance.clone(), &selecting("attribute:role == db"), &facts(), now),
            say(instance.clone(), &Policy::default(), &told(Some(&["i-7"]), &[]), now),
            say(instance, &Policy::default(), &told(None, &["i-0"]), now),
        ];
        assert_eq!(said, [expected; 3], "{name}");
    }
}

#[test]
fn the_budget_is_of_all_instances() {
    let now = at(1);
    let mut instances: Vec<Instance> = (0..4).map(|number| instance(number, Some(staged()), now)).collect();
    let policy = Policy {
        max_unavailable: "50%".parse().unwrap(),
        select: Some("ec2InstanceId in [i-0, i-1, i-2]".parse().unwrap()),
        ..Policy::default()
    };
    let fleet_of = |instances: &[Instance]| fleet(instances.to_vec(), vec![]);
    assert_eq!(drains(&plan(&fleet_of(&instances), &policy, &facts(), now)), ["i-0", "i-1"], "two of four");
    instances[3].status = InstanceStatus::Draining;
    assert_eq!(drains(&plan(&fleet_of(&instances), &policy, &facts(), now)), ["i-0"], "what others took out counts");
}
