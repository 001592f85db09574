//! The policies that are shipped, with every function of the templates worked out: `cloudformation/generate.py` writes
//! them for the simulated Region, and the templates' tests hold the file to the templates.

use serde_json::Value;

use super::policy::{NotUnderstood, Policies};

const SHIPPED: &str = include_str!("../../../cloudformation/tests/policies.json");
const PEOPLE: &str = include_str!("../../../cloudformation/people.json");

/// Who has which policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `ecs-updater plan`.
    Plan,
    /// `ecs-updater run`.
    Run,
    /// `ecs-updater run` with `InstanceScope=production`.
    ScopedRun,
    /// People with `pause`, `resume`, `exclude` and `include`, and no right to run it.
    Person,
    /// `host-bridge agent`.
    Agent,
}

/// Why the shipped policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    /// The file.
    #[error("policies.json is no JSON")]
    Json(#[from] serde_json::Error),
    /// A statement.
    #[error(transparent)]
    Policy(#[from] NotUnderstood),
}

/// The policies of a role.
///
/// # Errors
/// [`ShippedError`] where the file of policies is not understood.
pub fn shipped(role: Role) -> Result<Policies, ShippedError> {
    let file: Value = serde_json::from_str(SHIPPED)?;
    let documents: &[&str] = match role {
        Role::Plan => &["/everything/plan"],
        Role::Run => {
            &["/everything/plan", "/everything/update", "/events/put", "/hooks/ask", "/min_size/hold", "/reports/put"]
        }
        Role::ScopedRun => {
            &["/scoped/plan", "/scoped/update", "/events/put", "/hooks/ask", "/min_size/hold", "/reports/put"]
        }
        Role::Person => &[],
        Role::Agent => &["/agent/reports"],
    };
    let mut policies = Policies::default();
    for document in documents {
        policies = policies.and(file.pointer(document).unwrap_or(&Value::Null))?;
    }
    if role == Role::Person {
        policies = policies.and(&serde_json::from_str(PEOPLE)?)?;
    }
    Ok(policies)
}
