//! Speaks to one Bottlerocket host over its API socket: `transport` carries HTTP over a byte stream, [`client`] has
//! one method per endpoint, [`update`] drives the host's update state machine, and [`cli`] is the command.
//!
//! Nothing here knows of AWS or of a fleet. No state is kept outside the values a caller holds, and every wait is on
//! tokio's clock, so all of it runs on paused time against a simulated host.

pub mod agent;
pub mod cli;
pub mod client;
pub mod collect;
pub mod inspect;
pub mod introspection;
pub mod signpost;
pub mod transport;
pub mod update;
