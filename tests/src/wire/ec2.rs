//! EC2, Query in and XML out: instances, their status, and their tags.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::form::{EcFilter, Form};
use super::page::{self, Page};
use super::xml::{ec2_answer, text, wrap};
use crate::host::HostSpec;
use crate::world::{Actor, Ec2State, Machine, MachineNo, StatusCheck, TagError, World};

pub(super) fn perform(world: &mut World, operation: &str, form: Form) -> Result<String, Failure> {
    let inner = match operation {
        "DescribeInstances" => describe(world, form)?,
        "DescribeInstanceStatus" => status(world, form)?,
        "DescribeImages" => images(world, form)?,
        "CreateTags" => create_tags(world, form)?,
        "DeleteTags" => delete_tags(world, form)?,
        _ => return Err(Failure::unknown("Operation", format!("ec2:{operation} is not modelled"))),
    };
    Ok(ec2_answer(operation, &inner))
}

fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("InstanceId");
    let filters = form.filters();
    let size = form.integer("MaxResults")?;
    let token = form.take("NextToken");
    form.done("DescribeInstances")?;
    let chosen = chosen(world, &ids)?;
    let paged = pick(world, chosen, &filters, &ids, size, token.as_deref(), 1000)?;
    let reservations: String = paged
        .items
        .iter()
        .map(|number| {
            let machine = &world.machines[*number];
            let inner = text("reservationId", machine.id.replace("i-", "r-"))
                + &text("ownerId", &world.spec.account)
                + "<groupSet/>"
                + &wrap("instancesSet", wrap("item", instance(world, machine)));
            wrap("item", inner)
        })
        .collect();
    Ok(wrap("reservationSet", reservations) + &next_token(paged.next.as_deref()))
}

/// The images of Bottlerocket that the machines were launched from, which are all there are. Named as its public
/// parameter `image_name` names them.
fn images(world: &World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("ImageId");
    let filters = form.filters();
    // None of them is deprecated.
    form.take("IncludeDeprecated");
    form.done("DescribeImages")?;
    if !ids.is_empty() {
        return Err(Failure::unknown("Parameter", "DescribeImages by ImageId is not modelled"));
    }
    let mut images = BTreeMap::new();
    for machine in &world.machines {
        let host = &machine.launched_as;
        let name = format!("bottlerocket-{}-{}-v{}-{}", host.variant, host.arch, host.version, host.build_id);
        images.insert(image_id(host), name);
    }
    for filter in &filters {
        if filter.name != "image-id" {
            return Err(Failure::unknown("Parameter", format!("EC2 filter {} is not modelled", filter.name)));
        }
        images.retain(|id, _| filter.values.iter().any(|pattern| matches_pattern(pattern, id)));
    }
    let item = |(id, name): (String, String)| {
        let inner = text("imageId", id) + &text("name", name) + &text("imageState", "available");
        wrap("item", inner + &text("imageType", "machine") + &text("isPublic", "true"))
    };
    Ok(wrap("imagesSet", images.into_iter().map(item).collect::<String>()))
}

/// One id for each image, the same in every run.
fn image_id(host: &HostSpec) -> String {
    let key = format!("{} {} {} {}", host.variant, host.arch, host.version, host.build_id);
    // FNV-1a.
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("ami-{hash:017x}")
}

fn status(world: &World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("InstanceId");
    let filters = form.filters();
    let size = form.integer("MaxResults")?;
    let token = form.take("NextToken");
    let all = form.take("IncludeAllInstances").is_some_and(|all| all == "true");
    form.done("DescribeInstanceStatus")?;
    if ids.len() > 100 {
        return Err(Failure::new("InvalidParameterValue", "You can specify at most 100 instance IDs."));
    }
    let mut chosen = chosen(world, &ids)?;
    // Running instances only, unless told otherwise (docs/facts/ec2.md#instances-and-status-checks).
    chosen.retain(|number| all || world.machines[*number].state == Ec2State::Running);
    let paged = pick(world, chosen, &filters, &ids, size, token.as_deref(), 1000)?;
    let items: String = paged.items.iter().map(|number| wrap("item", status_item(world, *number))).collect();
    Ok(wrap("instanceStatusSet", items) + &next_token(paged.next.as_deref()))
}

fn create_tags(world: &mut World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("ResourceId");
    let tags: Vec<(String, String)> = form
        .members("Tag")
        .into_values()
        .map(|mut tag| (tag.take("Key").unwrap_or_default(), tag.take("Value").unwrap_or_default()))
        .collect();
    form.done("CreateTags")?;
    let machines = tagged(world, &ids)?;
    for (key, value) in &tags {
        if key.starts_with("aws:") {
            let message = format!(
                "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
            );
            return Err(Failure::new("InvalidParameterValue", message));
        }
        if key.is_empty() || key.chars().count() > 128 {
            let message = format!(
                "Value ( {key} ) for parameter key is invalid. Tag key exceeds the maximum length of 128 characters"
            );
            return Err(Failure::new("InvalidParameterValue", message));
        }
        if value.chars().count() > 256 {
            let message = format!(
                "Value ( {value} ) for parameter value is invalid. Tag value exceeds the maximum length of 256 characters"
            );
            return Err(Failure::new("InvalidParameterValue", message));
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
            world.set_tag(*machine, key, value, Actor::Updater).map_err(limit)?;
        }
    }
    if refused.is_some() { Err(limit(TagError::TooMany)) } else { Ok(text("return", "true")) }
}

fn delete_tags(world: &mut World, mut form: Form) -> Result<String, Failure> {
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
    for machine in tagged(world, &ids)? {
        for (key, value) in &tags {
            world.delete_tag(machine, key, value.as_deref(), Actor::Updater);
        }
    }
    Ok(text("return", "true"))
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
    // Whoever may not see an instance may not change it either.
    let is_hidden = |id: &&str| world.machine_ids.get(*id).is_some_and(|number| world.ec2_hides(*number));
    let hidden: Vec<&str> = ids.iter().map(String::as_str).filter(is_hidden).collect();
    if hidden.is_empty() { chosen(world, ids) } else { Err(not_found(&hidden)) }
}

/// The named instances, or all; without those that EC2 hides.
fn chosen(world: &World, ids: &[String]) -> Result<Vec<MachineNo>, Failure> {
    if ids.is_empty() {
        let shown = |number: &MachineNo| world.ec2_shows(*number) && !world.ec2_hides(*number);
        return Ok(world.machines.ids().filter(shown).collect());
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        let well_formed = id
            .strip_prefix("i-")
            .is_some_and(|hex| matches!(hex.len(), 8 | 17) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !well_formed {
            return Err(Failure::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
        }
        match world.machine_ids.get(id).filter(|number| world.ec2_shows(**number)) {
            Some(number) if world.ec2_hides(*number) => {}
            Some(number) => found.push(*number),
            None => missing.push(id.as_str()),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(not_found(&missing)) }
}

fn not_found(missing: &[&str]) -> Failure {
    let message = match missing {
        [one] => format!("The instance ID '{one}' does not exist"),
        several => format!("The instance IDs '{}' do not exist", several.join(", ")),
    };
    Failure::new("InvalidInstanceID.NotFound", message)
}

fn pick(
    world: &World,
    mut numbers: Vec<MachineNo>,
    filters: &[EcFilter],
    ids: &[String],
    size: Option<i64>,
    token: Option<&str>,
    most: usize,
) -> Result<Page<MachineNo>, Failure> {
    for filter in filters {
        let mut failure = None;
        numbers.retain(|number| match passes(&world.machines[*number], filter) {
            Ok(passes) => passes,
            Err(error) => {
                failure = Some(error);
                false
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    if !ids.is_empty() && size.is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(Failure::new("InvalidParameterCombination", message));
    }
    let size = match size {
        None => most,
        Some(size) => usize::try_from(size).ok().filter(|size| (5..=most).contains(size)).ok_or_else(|| {
            Failure::new(
                "InvalidParameterValue",
                format!("Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than or equal to 5 and less than or equal to {most}."),
            )
        })?,
    };
    let key = |number: &MachineNo| world.machines[*number].id.as_str();
    // A closure cannot hand out what it borrows from the world through `page::cut`'s item, so the id goes along.
    let items: Vec<(String, MachineNo)> = numbers.into_iter().map(|number| (key(&number).to_owned(), number)).collect();
    let paged = page::cut(items, |item| &item.0, size, token)
        .map_err(|_| Failure::new("InvalidNextToken", "The token is invalid."))?;
    Ok(Page { items: paged.items.into_iter().map(|(_, number)| number).collect(), next: paged.next })
}

fn passes(machine: &Machine, filter: &EcFilter) -> Result<bool, Failure> {
    let any = |value: &str| filter.values.iter().any(|pattern| matches_pattern(pattern, value));
    Ok(match filter.name.as_str() {
        "instance-id" => any(&machine.id),
        "instance-state-name" => any(machine.state.name()),
        "instance-type" => any(&machine.instance_type),
        "availability-zone" => any(&machine.zone),
        "instance-lifecycle" => machine.lifecycle.as_deref().is_some_and(any),
        "tag-key" => machine.tags.keys().any(|key| any(key)),
        name => match name.strip_prefix("tag:") {
            Some(key) => machine.tags.get(key).is_some_and(|value| any(value)),
            None => return Err(Failure::unknown("Parameter", format!("EC2 filter {name} is not modelled"))),
        },
    })
}

/// EC2's patterns: `*` is any text, `?` any character.
fn matches_pattern(pattern: &str, value: &str) -> bool {
    match pattern.chars().next() {
        None => value.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            value.char_indices().map(|(at, _)| at).chain([value.len()]).any(|at| matches_pattern(rest, &value[at..]))
        }
        Some(first) => value.chars().next().is_some_and(|own| {
            (first == '?' || first == own) && matches_pattern(&pattern[first.len_utf8()..], &value[own.len_utf8()..])
        }),
    }
}

fn next_token(token: Option<&str>) -> String {
    token.map(|token| text("nextToken", token)).unwrap_or_default()
}

fn state(name: &str, of: Ec2State) -> String {
    wrap(name, text("code", of.code().to_string()) + &text("name", of.name()))
}

fn instance(world: &World, machine: &Machine) -> String {
    let host = &machine.host.spec();
    let dns = format!("ip-{}.{}.compute.internal", machine.private_ip.replace('.', "-"), world.spec.name);
    let tags: String = world
        .tags_shown(machine)
        .iter()
        .map(|(key, value)| wrap("item", text("key", key) + &text("value", value)))
        .collect();
    let architecture = if host.arch == "aarch64" { "arm64" } else { "x86_64" };
    [
        text("instanceId", &machine.id),
        text("imageId", image_id(&machine.launched_as)),
        state("instanceState", machine.state),
        text("privateDnsName", dns),
        text("privateIpAddress", &machine.private_ip),
        text("instanceType", &machine.instance_type),
        text("launchTime", machine.launched_at.to_string()),
        wrap("placement", text("availabilityZone", &machine.zone) + &text("tenancy", "default")),
        text("architecture", architecture),
        text("rootDeviceType", "ebs"),
        text("rootDeviceName", "/dev/xvda"),
        text("hypervisor", "xen"),
        machine.lifecycle.as_deref().map(|lifecycle| text("instanceLifecycle", lifecycle)).unwrap_or_default(),
        wrap(
            "metadataOptions",
            text("state", "applied") + &text("httpTokens", "required") + &text("instanceMetadataTags", "disabled"),
        ),
        wrap("tagSet", tags),
    ]
    .concat()
}

fn status_item(world: &World, number: MachineNo) -> String {
    let machine = &world.machines[number];
    let (summary, detail) = match machine.status_check(world.now, world.spec.status_check_lag) {
        StatusCheck::Ok => ("ok", "passed"),
        StatusCheck::Impaired => ("impaired", "failed"),
        StatusCheck::NotApplicable => ("not-applicable", ""),
    };
    let check = |name: &str, summary: &str, detail: &str| {
        let details = match detail {
            "" => String::new(),
            detail => wrap("details", wrap("item", text("name", "reachability") + &text("status", detail))),
        };
        wrap(name, text("status", summary) + &details)
    };
    // The system check looks at the machine below, which an OS boot does not touch.
    let (system, system_detail) = match summary {
        "impaired" => ("ok", "passed"),
        other => (other, detail),
    };
    [
        text("instanceId", &machine.id),
        text("availabilityZone", &machine.zone),
        state("instanceState", machine.state),
        check("systemStatus", system, system_detail),
        check("instanceStatus", summary, detail),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches_pattern("web-*", "web-1"));
        assert!(matches_pattern("*", ""));
        assert!(matches_pattern("w?b", "web"));
        assert!(!matches_pattern("web", "web-1"));
        assert!(!matches_pattern("w?b", "wb"));
    }
}
