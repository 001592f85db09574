//! The AWS services, in the field's words. SDK types stop here.
//!
//! One file a service, one function an operation, paging and batch limits inside. Retries with back-off are the
//! SDK's own (standard mode); what is left of an error after them is an [`AwsError`].
//!
//! - `access`, `profile`, `timing`: how AWS is reached.
//! - `client`: the clients; `calls` sees every request that leaves, and asks `fence` and `shutdown` before it.
//! - `skew`: how far this machine's clock is off.
//! - `no_way`: a name that does not resolve, named.
//! - `signed`: one request without a client of its service.
//! - `halving`: calls for many that are refused because of one.
//! - `auto_scaling`, `bucket`, `cloudwatch`, `dynamodb`, `summaries`, `ec2`, `ecs`, `events`, `instance_types`, `lambda`, `launches`, `ssm`, `parameters`,
//!   `releases`: the operations.

mod access;
mod answers;
pub(crate) mod auto_scaling;
mod bucket;
mod calls;
mod client;
mod cloudwatch;
pub(crate) mod dynamodb;
pub(crate) mod ec2;
pub(crate) mod ecs;
mod error;
mod events;
mod fence;
pub(crate) mod halving;
mod in_flight;
mod instance_types;
mod lambda;
mod launches;
mod limits;
mod no_way;
mod parameters;
mod profile;
mod releases;
mod shutdown;
mod signed;
mod skew;
pub(crate) mod ssm;
pub(crate) mod summaries;
mod timing;

pub use aws_config::SdkConfig;

pub use access::{Access, load};
pub use answers::checked;
pub(crate) use auto_scaling::Group;
pub(crate) use bucket::{NotStored, Object, put_object};
pub use calls::Calls;
pub use client::Aws;
pub(crate) use ecs::clusters::Described;
pub(crate) use error::INVALID_INSTANCE;
pub use error::{AwsError, ErrorKind};
pub(crate) use events::{MAX_ENTRIES, Posted};
pub use fence::Fence;
pub use limits::Limits;
pub use profile::ProfileError;
pub use timing::{retries, settings};
