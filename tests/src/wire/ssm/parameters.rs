//! `GetParameter` and `GetParameters`: by name or ARN, with a version or a label behind it where one is asked for.

use serde_json::{Value, json};

use super::super::ecs::time;
use super::super::failure::Failure;
use super::super::params::Params;
use crate::world::World;

pub(super) fn get(world: &World, mut params: Params) -> Result<Value, Failure> {
    let asked = params.text("Name")?.unwrap_or_default();
    params.flag("WithDecryption")?;
    params.done("GetParameter")?;
    if asked.is_empty() {
        return Err(super::constraint("name", "", "have length greater than or equal to 1"));
    }
    Ok(json!({ "Parameter": found(world, &asked)? }))
}

/// Ten names at most, each once (Systems Manager API reference, `GetParameters`). What is not there is no error.
pub(super) fn get_many(world: &World, mut params: Params) -> Result<Value, Failure> {
    const MOST: usize = 10;
    let asked = params.texts("Names")?.unwrap_or_default();
    params.flag("WithDecryption")?;
    params.done("GetParameters")?;
    if asked.is_empty() || asked.len() > MOST {
        let rule = format!("have length less than or equal to {MOST}, and greater than or equal to 1");
        return Err(super::constraint("names", format!("{asked:?}"), &rule));
    }
    let (mut parameters, mut invalid) = (Vec::new(), Vec::new());
    for name in asked {
        match found(world, &name) {
            Ok(parameter) => parameters.push(parameter),
            Err(_) => invalid.push(name),
        }
    }
    Ok(json!({ "Parameters": parameters, "InvalidParameters": invalid }))
}

fn found(world: &World, asked: &str) -> Result<Value, Failure> {
    if let Some((value, modified)) = world.public_parameter(asked) {
        return Ok(json!({
            "Name": asked,
            "Type": "String",
            "Value": value,
            "Version": 1,
            "DataType": "aws:ec2:image",
            "ARN": format!("arn:aws:ssm:{}::parameter{asked}", world.spec.name),
            "LastModifiedDate": time(modified),
        }));
    }
    let missing = || Failure::new("ParameterNotFound", format!("Parameter {asked} not found."));
    let name = match asked.strip_prefix("arn:") {
        Some(_) => name_in(world, asked).ok_or_else(missing)?,
        None => asked.to_owned(),
    };
    let (name, selector) = match name.split_once(':') {
        Some((name, selector)) => (name, Some(selector)),
        None => (name.as_str(), None),
    };
    let parameter = world.parameters.get(name).ok_or_else(missing)?;
    let (number, version) = parameter.version(selector).ok_or_else(|| {
        let message = format!("Systems Manager could not find version {} of {name}.", selector.unwrap_or_default());
        Failure::new("ParameterVersionNotFound", message)
    })?;
    let mut answer = json!({
        "Name": name,
        "Type": "String",
        "Value": version.value,
        "Version": number,
        "DataType": "text",
        "ARN": format!("{}{name}", prefix(world, name)),
        "LastModifiedDate": time(world.start),
    });
    if let Some(selector) = selector {
        answer["Selector"] = json!(format!(":{selector}"));
    }
    Ok(answer)
}

/// The name of one of this account's parameters, and what stands behind it, in its ARN.
fn name_in(world: &World, arn: &str) -> Option<String> {
    let path = arn.strip_prefix(&prefix(world, "/"))?;
    let bare = path.strip_prefix('/')?;
    // A name without a path has a slash before it in its ARN.
    let is_path = world.parameters.contains_key(path.split(':').next().unwrap_or_default());
    Some(if is_path { path } else { bare }.to_owned())
}

/// What stands before a name in its ARN.
fn prefix(world: &World, name: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!("arn:aws:ssm:{}:{}:parameter{slash}", world.spec.name, world.spec.account)
}
