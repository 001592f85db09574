//! `TagResource`, of container instances.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use crate::world::{Actor, InstanceStatus, World};

/// The most that a resource can have, without those of AWS (ECS API reference, `TagResource`).
const MOST: usize = 50;

pub(super) fn tag(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let arn = params.text("resourceArn")?.unwrap_or_default();
    let written = params.objects("tags")?;
    params.done("TagResource")?;
    if !arn.contains(":container-instance/") {
        return Err(Failure::unknown("Parameter", format!("TagResource on {arn} is not modelled")));
    }
    let known = world.registration_arns.get(&arn).copied();
    let number = known.filter(|number| world.registrations[*number].status != InstanceStatus::Inactive);
    let number = number
        .ok_or_else(|| Failure::new("ResourceNotFoundException", format!("The resource {arn} could not be found.")))?;
    let mut tags = Vec::new();
    for mut one in written {
        let (key, value) = (one.text("key")?.unwrap_or_default(), one.text("value")?.unwrap_or_default());
        one.done("TagResource")?;
        if !(1..=128).contains(&key.len()) || value.len() > 256 || key.starts_with("aws:") {
            return Err(Failure::invalid(format!("The tag {key}={value} is not valid.")));
        }
        tags.push((key, value));
    }
    let known = &world.registrations[number].tags;
    if known.len() + tags.iter().filter(|(key, _)| !known.contains_key(key)).count() > MOST {
        return Err(Failure::invalid("A resource can have at most 50 tags."));
    }
    for (key, value) in tags {
        world.tag_registration(number, &key, &value, Actor::Updater);
    }
    Ok(json!({}))
}
