//! Values of attributes, as DynamoDB writes them.

use serde_json::{Value, json};

use super::super::failure::Failure;
use crate::world::{Attribute, Item};

/// Reads `{"S": "…"}` or `{"N": "…"}`.
pub(super) fn attribute(value: &Value) -> Result<Attribute, Failure> {
    let parts = value.as_object().filter(|parts| parts.len() == 1);
    let only =
        parts.and_then(|parts| parts.iter().next()).and_then(|(kind, value)| Some((kind.as_str(), value.as_str()?)));
    match only {
        Some(("S", text)) => Ok(Attribute::Text(text.to_owned())),
        Some(("N", number)) => number.parse().map(Attribute::Number).map_err(|_| {
            invalid(format!("The parameter cannot be converted to a numeric value (or is no whole number): {number}"))
        }),
        Some(_) | None => Err(invalid(format!("Supplied AttributeValue is not modelled: {value}"))),
    }
}

pub(super) fn shape(item: &Item) -> Value {
    let one = |value: &Attribute| match value {
        Attribute::Text(text) => json!({ "S": text }),
        Attribute::Number(number) => json!({ "N": number.to_string() }),
    };
    Value::Object(item.iter().map(|(name, value)| (name.clone(), one(value))).collect())
}

/// Returns the error for what a request has wrong.
pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new("ValidationException", message)
}
