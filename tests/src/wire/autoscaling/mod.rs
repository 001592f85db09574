//! EC2 Auto Scaling, Query in and XML out: instances, groups and instance refreshes.

mod groups;
mod instances;
mod writes;

use super::failure::Failure;
use super::form::Form;
use super::page::{self, Page};
use super::xml::{autoscaling_answer, text, wrap};
use crate::world::World;

pub(super) fn perform(world: &mut World, operation: &str, form: Form) -> Result<String, Failure> {
    let inner = match operation {
        "DescribeAutoScalingInstances" => instances::describe(world, form)?,
        "DescribeAutoScalingGroups" => groups::describe(world, form)?,
        "DescribeLaunchConfigurations" => groups::configurations(world, form)?,
        "DescribeInstanceRefreshes" => groups::refreshes(world, form)?,
        "UpdateAutoScalingGroup" => writes::update(world, form)?,
        "CreateOrUpdateTags" => writes::tag(world, form)?,
        "DeleteTags" => writes::untag(world, form)?,
        _ => return Err(Failure::unknown("Operation", format!("autoscaling:{operation} is not modelled"))),
    };
    Ok(autoscaling_answer(operation, &inner))
}

/// Errors that the model does not list come as this.
fn invalid(message: impl Into<String>) -> Failure {
    Failure::new("ValidationError", message.into())
}

/// One page of what is sorted by a name; `MaxRecords` and `NextToken` say which.
fn page<T>(form: &mut Form, most: usize, items: Vec<(String, T)>) -> Result<Page<(String, T)>, Failure> {
    let size = form.integer("MaxRecords")?.map_or(Ok(50), |size| {
        usize::try_from(size).ok().filter(|size| (1..=most).contains(size)).ok_or_else(|| {
            invalid(format!("Value '{size}' at 'maxRecords' failed to satisfy constraint: at most {most}"))
        })
    })?;
    let token = form.take("NextToken");
    page::cut(items, |(name, _)| name.as_str(), size, token.as_deref())
        .map_err(|_| Failure::new("InvalidNextToken", "The token is invalid."))
}

/// `Name.member.1`, `Name.member.2`, …
fn names(form: &mut Form, name: &str) -> Vec<String> {
    form.list(&format!("{name}.member"))
}

fn members(name: &str, items: impl Iterator<Item = String>) -> String {
    wrap(name, items.map(|item| wrap("member", item)).collect::<String>())
}

fn next_token(token: Option<&str>) -> String {
    token.map(|token| text("NextToken", token)).unwrap_or_default()
}
