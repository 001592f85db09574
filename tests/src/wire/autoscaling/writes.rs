//! `UpdateAutoScalingGroup`, `CreateOrUpdateTags` and `DeleteTags`.

use super::super::failure::Failure;
use super::super::form::Form;
use super::invalid;
use crate::world::World;

/// Of all that can be changed of a group, its least size alone.
pub(super) fn update(world: &mut World, mut form: Form) -> Result<String, Failure> {
    let name = group(world, form.take("AutoScalingGroupName"))?;
    let least = form.integer("MinSize")?.and_then(|least| usize::try_from(least).ok());
    form.done("UpdateAutoScalingGroup")?;
    let least = least.ok_or_else(|| invalid("MinSize is missing or negative"))?;
    if least > world.bounds_of(&name).1 {
        return Err(invalid("Max bound, must be greater than or equal to min bound"));
    }
    world.set_min_size(&name, least);
    Ok(String::new())
}

pub(super) fn tag(world: &mut World, mut form: Form) -> Result<String, Failure> {
    for mut tag in form.members("Tags.member").into_values() {
        let (name, key) = of_group(world, &mut tag)?;
        let value = tag.take("Value").unwrap_or_default();
        tag.done("CreateOrUpdateTags")?;
        world.tag_group(&name, &key, Some(value));
    }
    form.done("CreateOrUpdateTags")?;
    Ok(String::new())
}

pub(super) fn untag(world: &mut World, mut form: Form) -> Result<String, Failure> {
    for mut tag in form.members("Tags.member").into_values() {
        let (name, key) = of_group(world, &mut tag)?;
        tag.done("DeleteTags")?;
        world.tag_group(&name, &key, None);
    }
    form.done("DeleteTags")?;
    Ok(String::new())
}

/// The group and the key of a tag in a request.
fn of_group(world: &World, tag: &mut Form) -> Result<(String, String), Failure> {
    let kind = tag.take("ResourceType").unwrap_or_default();
    if kind != "auto-scaling-group" {
        return Err(invalid(format!("{kind} is not a valid resource type")));
    }
    tag.take("PropagateAtLaunch");
    let name = group(world, tag.take("ResourceId"))?;
    let key = tag.take("Key").filter(|key| !key.is_empty()).ok_or_else(|| invalid("a tag needs a key"))?;
    Ok((name, key))
}

fn group(world: &World, name: Option<String>) -> Result<String, Failure> {
    let known = name.filter(|name| world.group_names().contains(name));
    known.ok_or_else(|| invalid("AutoScalingGroup name not found - null"))
}
