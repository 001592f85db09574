//! SSM, JSON 1.1: Run Command, the inventory of hosts, and parameters.

mod commands;
mod inventory;
mod limits;
mod parameters;

use serde_json::Value;

use super::failure::Failure;
use super::params::Params;
use crate::world::World;

pub(super) fn perform(world: &mut World, operation: &str, params: Params) -> Result<Value, Failure> {
    match operation {
        "SendCommand" => commands::send(world, params),
        "ListCommandInvocations" => commands::list(world, params),
        "GetCommandInvocation" => commands::get(world, params),
        "DescribeInstanceInformation" => inventory::describe(world, params),
        "GetParameter" => parameters::get(world, params),
        "GetParameters" => parameters::get_many(world, params),
        _ => Err(Failure::unknown("Operation", format!("ssm:{operation} is not modelled"))),
    }
}

/// A value outside its limits, in the words of the SDKs' common validation.
fn constraint(name: &str, value: impl std::fmt::Display, rule: &str) -> Failure {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must {rule}"
    );
    Failure::new("ValidationException", message)
}

/// A page size between two limits.
fn page_size(params: &mut Params, least: usize, most: usize) -> Result<usize, Failure> {
    match params.integer("MaxResults")? {
        None => Ok(most),
        Some(size) => match usize::try_from(size).ok() {
            Some(size) if size < least => {
                Err(constraint("maxResults", size, &format!("have value greater than or equal to {least}")))
            }
            Some(size) if size <= most => Ok(size),
            Some(_) | None => Err(constraint("maxResults", size, &format!("have value less than or equal to {most}"))),
        },
    }
}
