//! `PutAttributes`, `DeleteAttributes` and `ListAttributes`.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::page::{self, Page};
use super::super::params::Params;
use super::{cluster, page_size, registration};
use crate::world::{ClusterNo, InstanceStatus, RegistrationNo, World};

/// Of custom attributes on an instance, and of attributes in a call (docs/facts/ecs.md#attributes).
const MOST: usize = 10;

struct Attribute {
    name: String,
    value: Option<String>,
    on: RegistrationNo,
}

pub(super) fn put(world: &mut World, params: Params) -> Result<Value, Failure> {
    let attributes = read(world, params, "PutAttributes")?;
    for attribute in &attributes {
        let known = &world.registrations[attribute.on].custom_attributes;
        let new = attributes.iter().filter(|other| other.on == attribute.on && !known.contains(&other.name)).count();
        if known.len() + new > MOST {
            let message = "You've exceeded the limit of 10 custom attributes for the container instance.";
            return Err(Failure::new("AttributeLimitExceededException", message));
        }
    }
    let answer = shapes(world, &attributes);
    for attribute in attributes {
        let known = &mut world.registrations[attribute.on];
        known.custom_attributes.insert(attribute.name.clone());
        known.attributes.insert(attribute.name, attribute.value);
        known.version += 1;
    }
    Ok(answer)
}

pub(super) fn delete(world: &mut World, params: Params) -> Result<Value, Failure> {
    let attributes = read(world, params, "DeleteAttributes")?;
    let answer = shapes(world, &attributes);
    for attribute in attributes {
        let known = &mut world.registrations[attribute.on];
        if known.custom_attributes.remove(&attribute.name) {
            known.attributes.remove(&attribute.name);
            known.version += 1;
        }
    }
    Ok(answer)
}

pub(super) fn list(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let kind = params.text("targetType")?;
    let name = params.text("attributeName")?;
    let value = params.text("attributeValue")?;
    let size = page_size(&mut params, 100, 100)?;
    let token = params.text("nextToken")?;
    params.done("ListAttributes")?;
    if kind.as_deref() != Some("container-instance") {
        return Err(Failure::invalid("targetType must be container-instance."));
    }
    if value.is_some() && name.is_none() {
        return Err(Failure::invalid("attributeName must be given with attributeValue."));
    }
    let mut found = Vec::new();
    for number in &world.clusters[cluster].registrations {
        let known = &world.registrations[*number];
        for (own_name, own_value) in &known.attributes {
            let wanted = name.as_ref().is_none_or(|name| name == own_name)
                && value.as_ref().is_none_or(|value| own_value.as_ref() == Some(value));
            if wanted {
                found.push((format!("{}#{own_name}", known.arn), own_name, own_value, known.arn.as_str()));
            }
        }
    }
    let Page { items, next } =
        page::cut(found, |item| &item.0, size, token.as_deref()).map_err(|_| Failure::invalid("Invalid token."))?;
    let items: Vec<Value> = items.iter().map(|(_, name, value, arn)| shape(name, value.as_deref(), arn)).collect();
    let mut answer = json!({ "attributes": items });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn read(world: &World, mut params: Params, operation: &str) -> Result<Vec<Attribute>, Failure> {
    let cluster = cluster(world, &mut params)?;
    let written = params.objects("attributes")?;
    params.done(operation)?;
    if written.is_empty() || written.len() > MOST {
        return Err(Failure::invalid("attributes must have between 1 and 10 items."));
    }
    written.into_iter().map(|one| read_one(world, cluster, one, operation)).collect()
}

fn read_one(world: &World, cluster: ClusterNo, mut one: Params, operation: &str) -> Result<Attribute, Failure> {
    let name = one.text("name")?.unwrap_or_default();
    let value = one.text("value")?;
    let kind = one.text("targetType")?;
    let target = one.text("targetId")?.unwrap_or_default();
    one.done(operation)?;
    if kind.as_deref().is_some_and(|kind| kind != "container-instance") {
        return Err(Failure::invalid("targetType must be container-instance."));
    }
    let name_ok = |c: char| c.is_ascii_alphanumeric() || "._/\\-".contains(c);
    let value_ok = |c: char| name_ok(c) || "@: ".contains(c);
    if !(1..=128).contains(&name.len()) || !name.chars().all(name_ok) {
        return Err(Failure::invalid(format!("attribute name {name:?} is not valid.")));
    }
    if let Some(value) = &value
        && (!(1..=128).contains(&value.len()) || !value.chars().all(value_ok) || value.trim() != value)
    {
        return Err(Failure::invalid(format!("attribute value {value:?} is not valid.")));
    }
    let on = registration(world, cluster, &target)
        .filter(|number| world.registrations[*number].status != InstanceStatus::Inactive)
        .ok_or_else(|| {
            Failure::new("TargetNotFoundException", format!("The specified target {target} wasn't found."))
        })?;
    Ok(Attribute { name, value, on })
}

fn shapes(world: &World, attributes: &[Attribute]) -> Value {
    let shapes: Vec<Value> =
        attributes.iter().map(|one| shape(&one.name, one.value.as_deref(), &world.registrations[one.on].arn)).collect();
    json!({ "attributes": shapes })
}

fn shape(name: &str, value: Option<&str>, arn: &str) -> Value {
    let mut answer = json!({ "name": name, "targetType": "container-instance", "targetId": arn });
    if let Some(value) = value {
        answer["value"] = json!(value);
    }
    answer
}
