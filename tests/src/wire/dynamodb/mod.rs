//! DynamoDB, JSON 1.0: `UpdateItem` and `PutItem` with a condition, each carried out in one step, and `GetItem` (DynamoDB
//! developer guide, "Condition expressions", "Update expressions"; API reference, `UpdateItem`, `PutItem`, `GetItem`).
//!
//! Words, numbers and the errors are DynamoDB's; what is not modelled (sets, lists, maps, fractions, REMOVE, ADD,
//! DELETE, functions but three, attributes without a placeholder) is said to be so, as everywhere in the simulator.

mod attribute;
mod expression;
mod items;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::params::{Params, unknown_parameter};
use crate::world::{Attribute, World};
use attribute::{invalid, shape};
use expression::{Placeholders, condition, update};

pub(super) fn perform(world: &mut World, operation: &str, params: Params) -> Result<Value, Failure> {
    match operation {
        "UpdateItem" => update_item(world, params),
        "PutItem" => items::put_item(world, params),
        "GetItem" => items::get_item(world, params),
        _ => Err(Failure::unknown("Operation", format!("dynamodb:{operation} is not modelled"))),
    }
}

fn update_item(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let table_name = params.text("TableName")?.unwrap_or_default();
    let key = object(&mut params, "Key")?;
    let condition_text = params.text("ConditionExpression")?;
    let update_text = params.text("UpdateExpression")?;
    let names = object(&mut params, "ExpressionAttributeNames")?;
    let values = object(&mut params, "ExpressionAttributeValues")?;
    let returned = params.text("ReturnValues")?.unwrap_or_else(|| "NONE".to_owned());
    let on_failure = params.text("ReturnValuesOnConditionCheckFailure")?.unwrap_or_else(|| "NONE".to_owned());
    params.done("UpdateItem")?;
    check_returned(&returned, &on_failure)?;
    let table = world
        .table(&table_name)
        .ok_or_else(|| Failure::new("ResourceNotFoundException", "Requested resource not found"))?;
    let key_name = table.key.clone();
    let key = items::key(&key_name, key)?;
    let placeholders = Placeholders::read(names, values)?;
    let condition = condition_text.as_deref().map(|text| condition(text, &placeholders)).transpose()?;
    let update = update_text.as_deref().map(|text| update(text, &placeholders)).transpose()?;
    placeholders.all_used()?;

    let old = table.items.get(&key).cloned();
    let before = old.clone().unwrap_or_default();
    if condition.is_some_and(|condition| !condition.holds(&before)) {
        let mut failure = Failure::new("ConditionalCheckFailedException", "The conditional request failed");
        if let (Some(old), "ALL_OLD") = (old, on_failure.as_str()) {
            failure.more.insert("Item".to_owned(), shape(&old));
        }
        return Err(failure);
    }
    let mut new = before.clone();
    new.insert(key_name.clone(), Attribute::Text(key.clone()));
    for (name, value) in update.map(|update| update.apply(&before)).transpose()?.unwrap_or_default() {
        if name == key_name {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of \
                 the key"
            )));
        }
        new.insert(name, value);
    }
    items::check_size(&new, "Item size to update has exceeded the maximum allowed size")?;
    let answer = match (returned.as_str(), &old) {
        ("ALL_NEW", _) => json!({ "Attributes": shape(&new) }),
        ("ALL_OLD", Some(old)) => json!({ "Attributes": shape(old) }),
        (_, _) => json!({}),
    };
    world.store(&table_name, &key, new);
    Ok(answer)
}

fn check_returned(returned: &str, on_failure: &str) -> Result<(), Failure> {
    for (name, value, known, not_modelled) in [
        ("returnValues", returned, &["NONE", "ALL_OLD", "ALL_NEW"][..], &["UPDATED_OLD", "UPDATED_NEW"][..]),
        ("returnValuesOnConditionCheckFailure", on_failure, &["NONE", "ALL_OLD"][..], &[][..]),
    ] {
        if not_modelled.contains(&value) {
            return Err(unknown_parameter("UpdateItem", &format!("{name}={value}")));
        }
        if !known.contains(&value) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must \
                 satisfy enum value set: [{}]",
                [known, not_modelled].concat().join(", ")
            )));
        }
    }
    Ok(())
}

fn wrong_key() -> Failure {
    invalid("The provided key element does not match the schema")
}

fn object(params: &mut Params, name: &str) -> Result<Map<String, Value>, Failure> {
    match params.take(name) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(Failure::new("SerializationException", format!("{name} has the wrong type"))),
    }
}
