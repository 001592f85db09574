//! `CreateTags` and `DeleteTags`.

use std::collections::BTreeSet;

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::text;
use super::{chosen, not_found};
use crate::world::{MachineNo, TagError, World};

pub(super) fn create(world: &mut World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("ResourceId");
    let tags: Vec<(String, String)> = form
        .members("Tag")
        .into_values()
        .map(|mut tag| (tag.take("Key").unwrap_or_default(), tag.take("Value").unwrap_or_default()))
        .collect();
    form.done("CreateTags")?;
    let machines = tagged(world, &ids)?;
    if tags.is_empty() {
        return Err(Failure::new("InvalidParameterValue", "You must specify one or more tags to create"));
    }
    let mut keys = BTreeSet::new();
    for (key, value) in &tags {
        check_key(key)?;
        if value.chars().count() > 256 {
            let message = format!(
                "Value ( {value} ) for parameter value is invalid. Tag value exceeds the maximum length of 256 characters"
            );
            return Err(Failure::new("InvalidParameterValue", message));
        }
        if !keys.insert(key) {
            return Err(Failure::new("InvalidParameterValue", format!("Duplicate tag key '{key}' specified.")));
        }
    }
    let refused = machines.iter().position(|machine| !world.has_room_for_tags(*machine, &tags));
    let done = match refused {
        None => machines.len(),
        Some(before) if world.spec.refused_tags_stay => before,
        Some(_) => 0,
    };
    let limit = |error: TagError| Failure::new("TagLimitExceeded", error.to_string());
    for machine in &machines[..done] {
        for (key, value) in &tags {
            world.set_tag(*machine, key, value, world.writer()).map_err(limit)?;
        }
    }
    if refused.is_some() { Err(limit(TagError::TooMany)) } else { Ok(text("return", "true")) }
}

pub(super) fn delete(world: &mut World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("ResourceId");
    let tags: Vec<(String, Option<String>)> = form
        .members("Tag")
        .into_values()
        .map(|mut tag| (tag.take("Key").unwrap_or_default(), tag.take("Value")))
        .collect();
    form.done("DeleteTags")?;
    if tags.is_empty() {
        // "Delete all user-defined tags" is what AWS does; nobody here should.
        return Err(Failure::unknown("Parameter", "DeleteTags without Tag is not modelled"));
    }
    let machines = tagged(world, &ids)?;
    for (key, _) in &tags {
        check_key(key)?;
    }
    for machine in machines {
        for (key, value) in &tags {
            world.delete_tag(machine, key, value.as_deref(), world.writer());
        }
    }
    Ok(text("return", "true"))
}

/// Nobody but AWS makes or deletes a tag whose key begins with `aws:` (docs/facts/ec2.md#tags).
fn check_key(key: &str) -> Result<(), Failure> {
    let wrong = |message: String| Err(Failure::new("InvalidParameterValue", message));
    if key.is_empty() {
        return wrong("Value ( '' ) for parameter Tag key is invalid. Tag key cannot be null or empty.".to_owned());
    }
    if key.starts_with("aws:") {
        return wrong(format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
        ));
    }
    if key.chars().count() > 128 {
        return wrong(format!(
            "Value ( {key} ) for parameter key is invalid. Tag key exceeds the maximum length of 128 characters"
        ));
    }
    Ok(())
}

/// The instances to be tagged: up to 1,000 (docs/facts/ec2.md#tags).
fn tagged(world: &World, ids: &[String]) -> Result<Vec<MachineNo>, Failure> {
    if ids.is_empty() {
        let message = "The request must contain the parameter resourceIdSet";
        return Err(Failure::new("MissingParameter", message));
    }
    if ids.len() > 1000 {
        return Err(Failure::new("InvalidParameterValue", "You can specify at most 1000 resource IDs."));
    }
    // A caller that may not see an instance may not change it either.
    let is_hidden = |id: &&str| world.machine_ids.get(*id).is_some_and(|number| world.ec2_hides(*number));
    let hidden: Vec<&str> = ids.iter().map(String::as_str).filter(is_hidden).collect();
    if hidden.is_empty() { chosen(world, ids) } else { Err(not_found(&hidden)) }
}
