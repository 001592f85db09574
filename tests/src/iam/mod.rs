//! Whether a policy allows a call: of IAM's evaluation as much as the policies under `cloudformation/` use. Anything
//! else in a policy is an error, so that nothing is taken for allowed by not being understood.

mod need;
mod needs;
mod policy;
mod shipped;

pub use need::Need;
pub(crate) use needs::needs;
pub use policy::{NotUnderstood, Policies, Statement};
pub use shipped::{Role, ShippedError, shipped};
