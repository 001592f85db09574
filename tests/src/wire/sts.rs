//! STS: who is calling.

use super::failure::Failure;
use super::form::Form;
use super::xml;
use crate::world::World;

/// The caller, as in the messages of refusals.
pub(super) fn caller_arn(world: &World) -> String {
    format!("arn:aws:sts::{}:assumed-role/ecs-updater/simulated", world.spec.account)
}

pub(super) fn perform(world: &World, operation: &str, form: &Form) -> Result<String, Failure> {
    if operation != "GetCallerIdentity" {
        return Err(Failure::unknown("Operation", format!("sts:{operation} is not modelled")));
    }
    form.clone().done(operation)?;
    let inner = xml::text("Arn", caller_arn(world))
        + &xml::text("UserId", "AROASIMULATED:simulated")
        + &xml::text("Account", &world.spec.account);
    let metadata = xml::wrap("ResponseMetadata", xml::text("RequestId", "simulated"));
    let result = xml::wrap("GetCallerIdentityResult", inner);
    Ok(format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">{result}{metadata}\
         </GetCallerIdentityResponse>"
    ))
}
