//! Holds reports to `docs/report.schema.json`, which is what other programs are written against.
//!
//! It knows the keywords that this schema uses, and refuses others. The crates that know them all change the features of
//! what the AWS SDK is built on, so that the tests would build a second one.

use std::path::Path;
use std::sync::LazyLock;

use models::report::RunReport;
use regex_lite::Regex;
use serde_json::{Map, Value};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
});

/// Returns what in a report does not fit, a line each.
pub(crate) fn misfits(report: &RunReport) -> Vec<String> {
    match serde_json::to_value(report) {
        Ok(report) => misfits_of(&report),
        Err(error) => vec![format!("the report is no JSON: {error}")],
    }
}

/// The same for a report that is JSON already.
pub(crate) fn misfits_of(report: &Value) -> Vec<String> {
    misfits_by(&SCHEMA, report)
}

/// The same for another schema, which names no parts (`$ref`).
pub(crate) fn misfits_by(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

/// Holds a value to a schema, keyword by keyword.
fn check(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let Value::Object(keywords) = schema else { panic!("{schema} is no schema") };
    for (keyword, wanted) in keywords {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = wanted.as_str().and_then(|wanted| wanted.strip_prefix('#')).unwrap_or("?");
                let target = SCHEMA.pointer(pointer).unwrap_or_else(|| panic!("there is no {wanted}"));
                check(target, value, place, found);
                true
            }
            "anyOf" => list(wanted).iter().any(|one| {
                let mut misfits = Vec::new();
                check(one, value, place, &mut misfits);
                misfits.is_empty()
            }),
            "type" => one_or_many(wanted).any(|name| is_of_type(value, name)),
            "const" => value == wanted,
            "enum" => list(wanted).contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted, text)),
            "minimum" => value.as_i64().zip(wanted.as_i64()).is_none_or(|(value, least)| value >= least),
            "minItems" => value.as_array().is_none_or(|items| Some(items.len() as u64) >= wanted.as_u64()),
            "required" => {
                let is_there = |key: &Value| value.get(key.as_str().unwrap_or_default()).is_some();
                !value.is_object() || list(wanted).iter().all(is_there)
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(wanted, item, &format!("{place}/{index}"), found);
                }
                true
            }
            "properties" | "additionalProperties" | "propertyNames" => true,
            other => panic!("the schema's keyword {other} is not known here"),
        };
        if !fits {
            found.push(format!("the report does not fit its schema at {place}: {keyword} {wanted}, not {value}"));
        }
    }
    if let Value::Object(members) = value {
        check_members(keywords, members, place, found);
    }
}

fn check_members(keywords: &Map<String, Value>, members: &Map<String, Value>, place: &str, found: &mut Vec<String>) {
    let named = keywords.get("properties").and_then(Value::as_object);
    for (key, member) in members {
        let at = format!("{place}/{key}");
        if let Some(names) = keywords.get("propertyNames") {
            check(names, &Value::from(key.as_str()), &at, found);
        }
        match (named.and_then(|named| named.get(key)), keywords.get("additionalProperties")) {
            (Some(schema), _) => check(schema, member, &at, found),
            (None, Some(Value::Bool(false))) => {
                found.push(format!("the report does not fit its schema at {place}: it does not know {key}"));
            }
            (None, Some(schema @ Value::Object(_))) => check(schema, member, &at, found),
            (None, _) => {}
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &str> {
    let many = value.as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(value));
    many.iter().map(|name| name.as_str().unwrap_or_else(|| panic!("{name} is no type")))
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the schema's type {other} is not known here"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    let pattern = pattern.as_str().unwrap_or_else(|| panic!("{pattern} is no pattern"));
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
}
