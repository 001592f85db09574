//! The evaluation, case by case.

use serde_json::json;

use super::*;

fn need(action: &str, resource: &str, context: &[(&str, &[&str])]) -> Need {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Need {
        action: action.to_owned(),
        resource: resource.to_owned(),
        context: context.iter().map(|(key, given)| ((*key).to_owned(), values(given))).collect(),
    }
}

fn statement(more: Value) -> Result<Policies, NotUnderstood> {
    let mut statement = json!({ "Sid": "S", "Effect": "Allow", "Action": "ecs:StopTask", "Resource": "*" });
    for (key, value) in more.as_object().unwrap() {
        statement[key] = value.clone();
    }
    Policies::default().and(&json!({ "Version": "2012-10-17", "Statement": [statement] }))
}

#[test]
fn patterns() {
    let cases = [
        ("*", "", true),
        ("*", "anything:at/all", true),
        ("a*", "a", true),
        ("a*c", "abbbc", true),
        ("a*c", "abbbcd", false),
        ("a*b*c", "a-b-b-c", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("abc", "abc", true),
        ("abc", "ABC", false),
        ("", "a", false),
        ("a**", "a", true),
    ];
    for (pattern, text, wanted) in cases {
        assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
    }
    assert!(arn_matches("arn:*:ecs:*:*:cluster/web", "arn:aws:ecs:eu-west-1:123456789012:cluster/web"));
    assert!(!arn_matches("arn:*:ecs:*:*:cluster/web", "arn:aws:ecs:eu-west-1:123456789012:cluster/web2"));
    assert!(
        !arn_matches("arn:*:cluster/web", "arn:aws:ecs:eu-west-1:123456789012:cluster/web"),
        "a star ends at a colon"
    );
    assert!(!arn_matches("*", "arn:aws:ecs:eu-west-1:123456789012:cluster/web"));
}

#[test]
fn action_and_resource_must_both_be_named() {
    let policies =
        statement(json!({ "Action": ["ecs:StopTask", "ecs:RunTask"], "Resource": ["arn:a:*", "arn:b:x"] })).unwrap();
    assert!(policies.allow(&need("ecs:RunTask", "arn:a:1", &[])));
    assert!(policies.allow(&need("ecs:StopTask", "arn:b:x", &[])));
    assert!(!policies.allow(&need("ecs:StopTask", "arn:b:y", &[])));
    assert!(!policies.allow(&need("ecs:StopTask", "*", &[])), "asked for everything, a part is not enough");
    assert!(!policies.allow(&need("ecs:stoptask", "arn:a:1", &[])));
    assert!(!policies.without(0).allow(&need("ecs:RunTask", "arn:a:1", &[])));
}

#[test]
fn conditions() {
    type Cases<'a> = &'a [(&'a [&'a str], bool)];
    let arn = "arn:aws:ecs:eu-west-1:1:cluster/web";
    let cases: [(Value, Cases<'_>); 6] = [
        (
            json!({ "StringEquals": { "k": "a" } }),
            &[(&[], false), (&["a"], true), (&["A"], false), (&["b", "a"], true)],
        ),
        (json!({ "StringEquals": { "k": ["a", "b"] } }), &[(&["b"], true), (&["c"], false)]),
        (
            json!({ "ForAllValues:StringEquals": { "k": ["a", "b"] } }),
            &[(&[], true), (&["a"], true), (&["a", "b"], true), (&["a", "c"], false)],
        ),
        (json!({ "Null": { "k": "false" } }), &[(&[], false), (&["a"], true)]),
        (json!({ "Null": { "k": "true" } }), &[(&[], true), (&["a"], false)]),
        (
            json!({ "ArnEquals": { "k": ["arn:*:ecs:*:*:cluster/web"] } }),
            &[(&[], false), (&[arn], true), (&["web"], false)],
        ),
    ];
    for (condition, cases) in cases {
        let policies = statement(json!({ "Condition": condition })).unwrap();
        for (values, wanted) in cases {
            assert_eq!(policies.allow(&need("ecs:StopTask", "r", &[("k", values)])), *wanted, "{condition} {values:?}");
        }
    }
    // All of them, whether in one operator or in two.
    let both =
        statement(json!({ "Condition": { "StringEquals": { "k": "a", "l": "b" }, "Null": { "m": "true" } } })).unwrap();
    assert!(both.allow(&need("ecs:StopTask", "r", &[("k", &["a"]), ("l", &["b"])])));
    assert!(!both.allow(&need("ecs:StopTask", "r", &[("k", &["a"])])));
    assert!(!both.allow(&need("ecs:StopTask", "r", &[("k", &["a"]), ("l", &["b"]), ("m", &["c"])])));
}

#[test]
fn what_is_not_understood_is_an_error() {
    for odd in [
        json!({ "Effect": "Deny" }),
        json!({ "NotAction": "ecs:*" }),
        json!({ "Principal": "*" }),
        json!({ "Action": "ecs:*" }),
        json!({ "Action": [] }),
        json!({ "Resource": 1 }),
        json!({ "Condition": { "StringLike": { "k": "a" } } }),
        json!({ "Condition": { "ForAnyValue:StringEquals": { "k": "a" } } }),
        json!({ "Condition": { "Null": { "k": "maybe" } } }),
        json!({ "Condition": { "StringEquals": { "k": [] } } }),
        json!({ "Condition": { "StringEquals": { "k": "${aws:username}" } } }),
    ] {
        let error = statement(odd.clone()).map(|_| ()).unwrap_err();
        assert_eq!(error.sid, "S", "{odd}");
    }
    assert!(Policies::default().and(&json!({})).is_err());
}
