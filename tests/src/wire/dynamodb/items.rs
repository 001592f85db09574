//! Whole items: `PutItem` and `GetItem`.

use serde_json::{Map, Value, json};

use super::super::failure::Failure;
use super::super::params::{Params, unknown_parameter};
use super::attribute::{attribute, invalid, shape};
use super::expression::{Placeholders, condition};
use super::{object, wrong_key};
use crate::world::{Attribute, Item, World};

/// The most that an item may have, in bytes (DynamoDB developer guide, "Service, account, and table quotas").
const MAX_ITEM: usize = 400 * 1024;

/// Replaces an item, or writes a new one.
pub(super) fn put_item(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let table_name = params.text("TableName")?.unwrap_or_default();
    let given = object(&mut params, "Item")?;
    let condition_text = params.text("ConditionExpression")?;
    let names = object(&mut params, "ExpressionAttributeNames")?;
    let values = object(&mut params, "ExpressionAttributeValues")?;
    params.done("PutItem")?;
    let table = world.table(&table_name).ok_or_else(no_such_table)?;
    let key_name = table.key.clone();
    let key = given.get(&key_name).cloned().ok_or_else(|| {
        invalid(format!("One or more parameter values were invalid: Missing the key {key_name} in the item"))
    })?;
    let key = self::key(&key_name, Map::from_iter([(key_name.clone(), key)]))?;
    let item: Item =
        given.iter().map(|(name, value)| Ok((name.clone(), attribute(value)?))).collect::<Result<_, Failure>>()?;
    let placeholders = Placeholders::read(names, values)?;
    let condition = condition_text.as_deref().map(|text| condition(text, &placeholders)).transpose()?;
    placeholders.all_used()?;
    check_size(&item, "Item size has exceeded the maximum allowed size")?;
    let before = table.items.get(&key).cloned().unwrap_or_default();
    if condition.is_some_and(|condition| !condition.holds(&before)) {
        return Err(Failure::new("ConditionalCheckFailedException", "The conditional request failed"));
    }
    world.store(&table_name, &key, item);
    Ok(json!({}))
}

/// Reads an item; the answer has none where there is none.
pub(super) fn get_item(world: &World, mut params: Params) -> Result<Value, Failure> {
    let table_name = params.text("TableName")?.unwrap_or_default();
    let key = object(&mut params, "Key")?;
    // How old another read may be is not modelled.
    if params.take("ConsistentRead") != Some(Value::Bool(true)) {
        return Err(unknown_parameter("GetItem", "a read that is not consistent"));
    }
    params.done("GetItem")?;
    let table = world.table(&table_name).ok_or_else(no_such_table)?;
    let item = table.items.get(&self::key(&table.key, key)?);
    Ok(item.map_or_else(|| json!({}), |item| json!({ "Item": shape(item) })))
}

fn no_such_table() -> Failure {
    Failure::new("ResourceNotFoundException", "Requested resource not found")
}

/// Reads the key of an item.
pub(super) fn key(key_name: &str, key: Map<String, Value>) -> Result<String, Failure> {
    match <[_; 1]>::try_from(key.into_iter().collect::<Vec<_>>()) {
        Ok([(name, value)]) if name == key_name => match attribute(&value)? {
            Attribute::Text(key) if !key.is_empty() => Ok(key),
            Attribute::Text(_) => Err(invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty string value. Key: {key_name}"
            ))),
            Attribute::Number(_) => Err(wrong_key()),
        },
        Ok(_) | Err(_) => Err(wrong_key()),
    }
}

/// Names and values count, a text by its UTF-8 and a number by half its digits and one (DynamoDB developer guide, "Item
/// sizes and formats").
pub(super) fn check_size(item: &Item, message: &str) -> Result<(), Failure> {
    let of_value = |value: &Attribute| match value {
        Attribute::Text(text) => text.len(),
        Attribute::Number(number) => number.to_string().len().div_ceil(2) + 1,
    };
    let size: usize = item.iter().map(|(name, value)| name.len() + of_value(value)).sum();
    if size > MAX_ITEM { Err(invalid(message)) } else { Ok(()) }
}
