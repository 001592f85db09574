//! `TagResource` and `UntagResource`, of container instances and clusters.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use crate::world::{Actor, ClusterNo, InstanceStatus, RegistrationNo, World};

/// The most that a resource can have, without those of AWS (ECS API reference, `TagResource`).
const MOST: usize = 50;

/// What has tags.
enum Tagged {
    Cluster(ClusterNo),
    Registration(RegistrationNo),
}

pub(super) fn tag(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let arn = params.text("resourceArn")?.unwrap_or_default();
    let written = params.objects("tags")?;
    params.done("TagResource")?;
    let tagged = find(world, &arn, "TagResource")?;
    let mut tags = Vec::new();
    for mut one in written {
        let (key, value) = (one.text("key")?.unwrap_or_default(), one.text("value")?.unwrap_or_default());
        one.done("TagResource")?;
        if !(1..=128).contains(&key.len()) || value.chars().count() > 256 || key.starts_with("aws:") {
            return Err(Failure::invalid(format!("The tag {key}={value} is not valid.")));
        }
        if !key.chars().chain(value.chars()).all(|char| char.is_alphanumeric() || "+-=._:/@ ".contains(char)) {
            return Err(Failure::invalid(format!("The tag {key}={value} has characters that are not allowed.")));
        }
        tags.push((key, value));
    }
    let known = match tagged {
        Tagged::Cluster(number) => &world.clusters[number].tags,
        Tagged::Registration(number) => &world.registrations[number].tags,
    };
    if known.len() + tags.iter().filter(|(key, _)| !known.contains_key(key)).count() > MOST {
        return Err(Failure::invalid("A resource can have at most 50 tags."));
    }
    for (key, value) in tags {
        match tagged {
            Tagged::Cluster(number) => world.tag_cluster(number, &key, Some(&value)),
            Tagged::Registration(number) => world.tag_registration(number, &key, &value, Actor::Updater),
        }
    }
    Ok(json!({}))
}

pub(super) fn untag(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let arn = params.text("resourceArn")?.unwrap_or_default();
    let keys = params.texts("tagKeys")?.unwrap_or_default();
    params.done("UntagResource")?;
    let Tagged::Cluster(number) = find(world, &arn, "UntagResource")? else {
        return Err(Failure::unknown("Parameter", format!("UntagResource on {arn} is not modelled")));
    };
    for key in keys {
        world.tag_cluster(number, &key, None);
    }
    Ok(json!({}))
}

fn find(world: &World, arn: &str, operation: &str) -> Result<Tagged, Failure> {
    let not_found = || Failure::new("ResourceNotFoundException", format!("The resource {arn} could not be found."));
    if let Some((_, name)) = arn.split_once(":cluster/") {
        return world.cluster(name).map(Tagged::Cluster).ok_or_else(not_found);
    }
    if !arn.contains(":container-instance/") {
        return Err(Failure::unknown("Parameter", format!("{operation} on {arn} is not modelled")));
    }
    let known = world.registration_arns.get(arn).copied();
    let number = known.filter(|number| world.registrations[*number].status != InstanceStatus::Inactive);
    number.map(Tagged::Registration).ok_or_else(not_found)
}
