//! `UpdateItem`, as any client sends it.

use serde_json::{Value, json};

use super::super::params::Params;
use super::perform;
use crate::scenario::Scenario;
use crate::world::World;

fn world() -> World {
    World::new(&Scenario::parse("[tables]\nleases = \"lease\"").unwrap()).unwrap()
}

fn call(world: &mut World, body: Value) -> Result<Value, (String, String, Value)> {
    let Value::Object(map) = body else { panic!("no object") };
    perform(world, "UpdateItem", Params::new(map)).map_err(|failure| {
        let item = failure.more.get("Item").cloned().unwrap_or_default();
        (failure.code, failure.message, item)
    })
}

fn set(condition: Option<&str>, update: &str, names: Value, values: Value) -> Value {
    json!({
        "TableName": "leases", "Key": { "lease": { "S": "web" } },
        "ConditionExpression": condition, "UpdateExpression": update,
        "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    })
}

fn put(world: &mut World, n: i64) {
    call(world, set(None, "SET #a = :n", json!({ "#a": "a" }), json!({ ":n": { "N": n.to_string() } }))).unwrap();
}

#[test]
fn a_condition_decides_and_the_answer_tells_what_was_there() {
    let mut world = world();
    let absent = "attribute_not_exists(#a)";
    let create = || set(Some(absent), "SET #a = :n", json!({ "#a": "a" }), json!({ ":n": { "N": "5" } }));
    let item = json!({ "lease": { "S": "web" }, "a": { "N": "5" } });
    assert_eq!(call(&mut world, create()), Ok(json!({ "Attributes": item })));
    let (code, _, found) = call(&mut world, create()).unwrap_err();
    assert_eq!((code.as_str(), found), ("ConditionalCheckFailedException", item));
}

#[test]
fn conditions_are_evaluated() {
    for (condition, holds) in [
        ("#a = :five", true),
        ("#a <> :five", false),
        ("#a < :five", false),
        ("#a <= :five", true),
        ("#a > :one", true),
        ("#a >= :one AND attribute_exists(#a)", true),
        ("#a = :one OR #a = :five AND #none = :five", false),
        ("(#a = :one OR #a = :five) AND NOT #a = :one", true),
        ("not #none = :one", true),
        ("#none < :one", false),
        ("#none <> :one", true),
        ("#a = :text", false),
        ("#a < :text", false),
    ] {
        let mut world = world();
        put(&mut world, 5);
        let mut names = json!({ "#a": "a" });
        if condition.contains("#none") {
            names["#none"] = json!("none");
        }
        let mut values = json!({ ":n": { "N": "9" } });
        for (name, value) in
            [(":five", json!({ "N": "5" })), (":one", json!({ "N": "1" })), (":text", json!({ "S": "5" }))]
        {
            if condition.contains(name) {
                values[name] = value;
            }
        }
        let outcome = call(&mut world, set(Some(condition), "SET #a = :n", names, values));
        assert_eq!(outcome.is_ok(), holds, "{condition}: {outcome:?}");
    }
}

#[test]
fn updates_are_computed_from_the_item_as_it_was() {
    let mut world = world();
    put(&mut world, 5);
    let update = "SET #a = #a + :one, #b = if_not_exists(#b, #a) - :one, #c = if_not_exists(#a, :one)";
    let names = json!({ "#a": "a", "#b": "b", "#c": "c" });
    let answer = call(&mut world, set(None, update, names, json!({ ":one": { "N": "1" } }))).unwrap();
    let number = |name: &str| answer["Attributes"][name]["N"].as_str().unwrap().to_owned();
    assert_eq!([number("a"), number("b"), number("c")], ["6", "4", "5"]);
}

#[test]
fn what_dynamodb_would_refuse_is_refused() {
    let one = || json!({ ":n": { "N": "1" } });
    let a = || json!({ "#a": "a" });
    for (request, words) in [
        (
            set(None, "SET #a = :n", a(), json!({ ":n": { "N": "1" }, ":x": { "N": "1" } })),
            "unused in expressions: keys: {:x}",
        ),
        (set(None, "SET #a = :n", json!({ "#a": "a", "#x": "x" }), one()), "unused in expressions: keys: {#x}"),
        (set(None, "SET #a = :m", a(), json!({})), "is not defined; attribute value: :m"),
        (set(None, "SET #b = :n", a(), one()), "is not defined; attribute name: #b"),
        (set(None, "SET #a = #a + :n", a(), one()), "does not exist in the item"),
        (set(None, "SET #a = :n + :n", a(), json!({ ":n": { "S": "1" } })), "incorrect data type"),
        (set(None, "SET #a = :n, #a = :n", a(), one()), "overlap"),
        (set(None, "SET #a = :n", json!({ "#a": "lease" }), one()), "part of the key"),
        (set(None, "SET :n = #a", a(), one()), "token: \":n\""),
        (set(None, "#a = :n", a(), one()), "token: \"#a\""),
        (set(Some("#a = :n)"), "SET #a = :n", a(), one()), "token: \")\""),
        (set(Some("#a ? :n"), "SET #a = :n", a(), one()), "token: \"? :n\""),
        (set(None, "SET #a = :n", a(), json!({ ":n": { "N": "one" } })), "numeric value"),
        (set(None, "SET #a = :n", a(), json!({ ":n": {} })), "is empty"),
        (set(None, "SET #a = :n", a(), json!({ ":n": { "N": "1", "S": "1" } })), "more than one"),
    ] {
        let (code, message, _) = call(&mut world(), request).unwrap_err();
        assert_eq!(code, "ValidationException", "{words}");
        assert!(message.contains(words), "{message}");
    }
    let mut elsewhere = set(None, "SET #a = :n", a(), one());
    elsewhere["TableName"] = json!("other");
    assert_eq!(call(&mut world(), elsewhere).unwrap_err().0, "ResourceNotFoundException");
    let mut other_key = set(None, "SET #a = :n", a(), one());
    other_key["Key"] = json!({ "id": { "S": "web" } });
    assert!(call(&mut world(), other_key).unwrap_err().1.contains("does not match the schema"));
    let mut no_key = set(None, "SET #a = :n", a(), one());
    no_key["Key"] = json!({ "lease": { "S": "" } });
    assert!(call(&mut world(), no_key).unwrap_err().1.contains("empty string"));
    for name in ["ReturnValues", "ReturnValuesOnConditionCheckFailure"] {
        let mut odd = set(None, "SET #a = :n", a(), one());
        odd[name] = json!("SOME");
        let (code, message, _) = call(&mut world(), odd).unwrap_err();
        assert!(code == "ValidationException" && message.contains("enum value set"), "{name}: {message}");
    }
}

#[test]
fn what_is_not_modelled_is_said_to_be_so() {
    let one = || json!({ ":n": { "N": "1" } });
    let a = || json!({ "#a": "a" });
    let is_loud = |request: Value, what: &str| {
        let (code, message, _) = call(&mut world(), request).unwrap_err();
        assert!(code.starts_with("SimulatorUnknown") && message.contains("not modelled"), "{what}: {code}: {message}");
    };
    for (condition, update) in [
        (None, "REMOVE #a"),
        (None, "add #a :n"),
        (None, "DELETE #a :n"),
        (None, "SET #a = :n REMOVE #a"),
        (None, "SET a = :n"),
        (None, "SET #a.#a = :n"),
        (None, "SET #a[0] = :n"),
        (None, "SET #a = list_append(#a, :n)"),
        (Some("size(#a) > :n"), "SET #a = :n"),
        (Some("begins_with(#a, :n)"), "SET #a = :n"),
        (Some("contains(#a, :n)"), "SET #a = :n"),
        (Some("attribute_type(#a, :n)"), "SET #a = :n"),
        (Some("attribute_exists(a)"), "SET #a = :n"),
        (Some("attribute_exists(#a.b)"), "SET #a = :n"),
        (Some("#a BETWEEN :n AND :n"), "SET #a = :n"),
        (Some("#a in (:n)"), "SET #a = :n"),
        (Some("a = :n"), "SET #a = :n"),
    ] {
        is_loud(set(condition, update, a(), one()), &format!("{condition:?} {update}"));
    }
    let lists = [json!({ "BOOL": true }), json!({ "NULL": true }), json!({ "M": {} }), json!({ "L": [] })];
    let more = [json!({ "SS": ["a"] }), json!({ "NS": ["1"] }), json!({ "B": "YQ==" }), json!({ "N": "1.5" })];
    for value in lists.into_iter().chain(more) {
        is_loud(set(None, "SET #a = :n", a(), json!({ ":n": value })), &value.to_string());
    }
    let mut returned = set(None, "SET #a = :n", a(), one());
    returned["ReturnValues"] = json!("UPDATED_NEW");
    is_loud(returned, "UPDATED_NEW");
    for (name, value) in [
        ("AttributeUpdates", json!({ "a": {} })),
        ("Expected", json!({})),
        ("ReturnItemCollectionMetrics", json!("SIZE")),
    ] {
        let mut old = set(None, "SET #a = :n", a(), one());
        old[name] = value;
        is_loud(old, name);
    }
}
