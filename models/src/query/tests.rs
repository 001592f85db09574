use super::*;

/// An instance of the provider `web-asg`.
fn known(subject: &Subject) -> Known<'static> {
    match subject {
        Subject::Attribute(name) => Known::One(match name.as_str() {
            "role" => Some("web"),
            "ecs.instance-type" => Some("m6i.large"),
            "empty" => Some(""),
            _ => None,
        }),
        Subject::Ec2InstanceId => Known::One(Some("i-1")),
        Subject::TaskGroup
        | Subject::RunningTasksCount
        | Subject::AgentConnected
        | Subject::AgentVersion
        | Subject::RegisteredAt => Known::Nothing,
        Subject::Tag(key) if key == "hidden" => Known::Nothing,
        Subject::Tag(key) => Known::One(match key.as_str() {
            "env" => Some("prod"),
            "cost center" => Some("a (b)"),
            "aws:autoscaling:groupName" => Some("web-1"),
            _ => None,
        }),
        Subject::Provider => Known::One(Some("web-asg")),
    }
}

#[test]
fn what_a_select_says_of_an_instance() {
    let table = [
        ("attribute:role == web", Some(true)),
        ("attribute:role==web", Some(true)),
        ("attribute:role equals 'web'", Some(true)),
        ("attribute:role != web", Some(false)),
        ("attribute:role in [db, web]", Some(true)),
        ("attribute:role not_in [db]", Some(true)),
        ("attribute:role !in [db, \"web\"]", Some(false)),
        ("attribute:role exists", Some(true)),
        ("attribute:role !exists", Some(false)),
        ("attribute:empty exists", Some(true)),
        ("attribute:empty == ''", Some(true)),
        // What is not there: no comparison holds, and `not` turns that round.
        ("attribute:gone == web", Some(false)),
        ("attribute:gone != web", Some(false)),
        ("attribute:gone !in [web]", Some(false)),
        ("attribute:gone !~ web", Some(false)),
        ("attribute:gone exists", Some(false)),
        ("attribute:gone not_exists", Some(true)),
        ("not (attribute:gone == web)", Some(true)),
        ("!attribute:gone exists", Some(true)),
        ("not attribute:role == web", Some(false)),
        // Patterns are of the whole value.
        ("attribute:ecs.instance-type =~ m6i.*", Some(true)),
        ("attribute:ecs.instance-type =~ m6i", Some(false)),
        ("attribute:ecs.instance-type matches 'm(5|6)i[.].*'", Some(true)),
        ("attribute:ecs.instance-type !~ t3.*", Some(true)),
        ("tag:env == prod", Some(true)),
        ("tag:aws:autoscaling:groupName == web-1", Some(true)),
        ("\"tag:cost center\" == 'a (b)'", Some(true)),
        ("tag:gone exists", Some(false)),
        ("provider:web-asg", Some(true)),
        ("provider:other", Some(false)),
        ("not provider:other", Some(true)),
        ("provider == web-asg", Some(true)),
        ("provider in [a, b]", Some(false)),
        ("provider exists", Some(true)),
        ("ec2InstanceId in ['i-1', 'i-2']", Some(true)),
        // What ties closer.
        ("attribute:role == db or tag:env == prod and provider:web-asg", Some(true)),
        ("(attribute:role == db or tag:env == prod) and provider:other", Some(false)),
        ("attribute:role == web && !(tag:env == prod) || provider:web-asg", Some(true)),
        // What is not known decides nothing, unless the rest decides by itself.
        ("tag:hidden == x", None),
        ("not tag:hidden == x", None),
        ("tag:hidden != x", None),
        ("tag:hidden == x and attribute:role == db", Some(false)),
        ("tag:hidden == x or attribute:role == web", Some(true)),
    ];
    for (text, holds) in table {
        let select: Select = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(select.holds(known), holds, "{text}");
        assert_eq!(select.to_string(), text);
    }
}

#[test]
fn what_is_no_select_is_told_with_its_place() {
    let table = [
        ("", 1, "it ends where a subject"),
        ("attribute:role", 15, "it ends where ==, !=, in"),
        ("attribute:role ==", 18, "it ends where a value"),
        ("attribute:role = web", 16, "\"=\" stands where ==, !=, in"),
        ("attribute:role > 3", 16, "\">\" stands where =="),
        ("attribute: == web", 1, "\"attribute:\" stands where attribute:NAME, tag:NAME"),
        ("role == web", 1, "\"role\" stands where attribute:NAME, tag:NAME"),
        ("tag: == web", 1, "\"tag:\" stands where"),
        ("provider: exists", 1, "\"provider:\" stands where"),
        ("provider:web == x", 14, "\"==\" stands where \"and\", \"or\" or the end"),
        ("attribute:role == web AND tag:env == prod", 23, "\"AND\" stands where \"and\""),
        ("attribute:role == web tag:env == prod", 23, "\"tag:env\" stands where \"and\""),
        ("attribute:role == web and", 26, "it ends where a subject"),
        ("(attribute:role == web", 23, "it ends where \")\""),
        ("attribute:role == web)", 22, "\")\" stands where \"and\""),
        ("attribute:role in web", 19, "\"web\" stands where \"[\""),
        ("attribute:role in []", 20, "\"]\" stands where a value"),
        ("attribute:role in [web", 23, "it ends where \"]\""),
        ("attribute:role == 'web", 19, "a quotation is not closed"),
        ("attribute:rôle == ümlaut x", 26, "\"x\" stands where"),
        ("attribute:role =~ 'w('", 19, "\"w(\" is no regular expression"),
        // What changes while nobody looks, and what is not read.
        ("task:group == service:web", 1, "\"task:group\" stands where"),
        ("agentConnected == true", 1, "\"agentConnected\" stands where"),
        ("runningTasksCount == 0", 1, "\"runningTasksCount\" stands where"),
        ("attribute:ecs.capability.task-eni exists", 1, "is not read"),
        ("attribute:ecs-updater.a exists", 1, "is not read"),
    ];
    for (text, at, what) in table {
        let error = text.parse::<Select>().expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.what.contains(what), "{text}: {error}");
    }
    for (text, what) in [
        (format!("attribute:role == {}", "x".repeat(MAX_SELECT)), "longer than 2000"),
        (format!("{}attribute:role == x", "(".repeat(60)), "too deep"),
        (format!("{}attribute:role == x", "not ".repeat(60)), "too deep"),
    ] {
        let error = text.parse::<Select>().expect_err(what);
        assert!(error.what.contains(what), "{error}");
    }
}

#[test]
fn the_tags_that_are_asked_for() {
    let select: Select = "tag:a == 1 or not (tag:b exists and attribute:c == tag:d) or \"tag:a\" == 2".parse().unwrap();
    assert_eq!(Vec::from_iter(select.tags()), ["a", "b"]);
}
