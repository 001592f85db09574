//! Values of attributes, as DynamoDB writes them.

use serde_json::{Value, json};

use super::super::failure::Failure;
use crate::world::{Attribute, Item};

/// Reads `{"S": "…"}` or `{"N": "…"}`.
pub(super) fn attribute(value: &Value) -> Result<Attribute, Failure> {
    let parts = value.as_object().ok_or_else(|| wrong_type(value))?;
    let mut typed = parts.iter().filter(|(_, value)| !value.is_null());
    match (typed.next(), typed.next()) {
        (Some((kind, value)), None) => of_type(kind, value),
        (None, _) => {
            Err(invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"))
        }
        (Some(_), Some(_)) => Err(invalid(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        )),
    }
}

fn of_type(kind: &str, value: &Value) -> Result<Attribute, Failure> {
    match (kind, value.as_str()) {
        ("S", Some(text)) => Ok(Attribute::Text(text.to_owned())),
        ("N", Some(number)) => match (number.parse(), number.parse::<f64>()) {
            (Ok(number), _) => Ok(Attribute::Number(number)),
            (Err(_), Ok(_)) => Err(Failure::unknown("Attribute", format!("the number {number} is not modelled"))),
            (Err(_), Err(_)) => Err(invalid(format!("The parameter cannot be converted to a numeric value: {number}"))),
        },
        ("B" | "BOOL" | "NULL" | "M" | "L" | "SS" | "NS" | "BS", _) => {
            Err(Failure::unknown("Attribute", format!("an attribute of the type {kind} is not modelled")))
        }
        _ => Err(wrong_type(value)),
    }
}

fn wrong_type(value: &Value) -> Failure {
    Failure::new("SerializationException", format!("{value} is no AttributeValue"))
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
