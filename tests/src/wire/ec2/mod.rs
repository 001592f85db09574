//! EC2, Query in and XML out: instances, their status, and their tags.

mod images;
mod instances;
mod status;
mod tags;
mod templates;
mod types;

use super::failure::Failure;
use super::form::{EcFilter, Form};
use super::page::{self, Page};
use super::xml::{ec2_answer, text, wrap};
use crate::world::{Ec2State, MachineNo, World};

pub(super) fn perform(world: &mut World, operation: &str, form: Form) -> Result<String, Failure> {
    let inner = match operation {
        "DescribeInstances" => instances::describe(world, form)?,
        "DescribeInstanceStatus" => status::describe(world, form)?,
        "DescribeImages" => images::describe(world, form)?,
        "DescribeLaunchTemplateVersions" => templates::describe(world, form)?,
        "DescribeInstanceTypes" => types::describe(world, form)?,
        "CreateTags" => tags::create(world, form)?,
        "DeleteTags" => tags::delete(world, form)?,
        _ => return Err(Failure::unknown("Operation", format!("ec2:{operation} is not modelled"))),
    };
    Ok(ec2_answer(operation, &inner))
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

/// The page of instances that a request asks for.
struct Wanted {
    ids: Vec<String>,
    filters: Vec<EcFilter>,
    size: Option<i64>,
    token: Option<String>,
}

impl Wanted {
    fn read(form: &mut Form) -> Result<Self, Failure> {
        Ok(Self {
            ids: form.list("InstanceId"),
            filters: form.filters(),
            size: form.integer("MaxResults")?,
            token: form.take("NextToken"),
        })
    }

    /// One page of those that pass every filter.
    fn page(
        &self,
        world: &World,
        mut numbers: Vec<MachineNo>,
        passes: impl Fn(MachineNo, &EcFilter) -> Result<bool, Failure>,
    ) -> Result<Page<MachineNo>, Failure> {
        for filter in &self.filters {
            let mut failure = None;
            numbers.retain(|number| {
                passes(*number, filter).unwrap_or_else(|error| {
                    failure = Some(error);
                    false
                })
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        let size = self.size()?;
        // A closure cannot hand out what it borrows from the world through `page::cut`'s item, so the id goes along.
        let items: Vec<(String, MachineNo)> =
            numbers.into_iter().map(|number| (world.machines[number].id.clone(), number)).collect();
        let paged = page::cut(items, |item| &item.0, size, self.token.as_deref())
            .map_err(|_| Failure::new("InvalidNextToken", "The token is invalid."))?;
        Ok(Page { items: paged.items.into_iter().map(|(_, number)| number).collect(), next: paged.next })
    }

    fn size(&self) -> Result<usize, Failure> {
        const MOST: usize = 1000;
        if !self.ids.is_empty() && self.size.is_some() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(Failure::new("InvalidParameterCombination", message));
        }
        let Some(size) = self.size else { return Ok(MOST) };
        usize::try_from(size).ok().filter(|size| (5..=MOST).contains(size)).ok_or_else(|| {
            let message = format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than or equal to 5 \
                 and less than or equal to {MOST}."
            );
            Failure::new("InvalidParameterValue", message)
        })
    }
}

/// A state of an instance in an answer.
fn state(name: &str, of: Ec2State) -> String {
    wrap(name, text("code", of.code().to_string()) + &text("name", of.name()))
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
