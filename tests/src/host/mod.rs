//! One simulated Bottlerocket machine: two partition sets, a boot loader, the update machinery, the settings store and
//! the host API on top of them.
//!
//! A [`Host`] is a state machine that is told the time: no clock, no IO, no tasks. The same seed and the same calls
//! give the same life. It answers as the exchanges with the real host API in `tests/host_api/` do (core-kit
//! v3.1.1), and each semantic names its line of docs/facts/host-api.md, or the Bottlerocket source file it was read in.
//!
//! Not here: ECS, EC2 and SSM, which know hosts from outside, and what runs on a host ([`crate::documents`]).

mod api;
mod http;
mod image;
pub mod introspection;
mod machine;
mod partitions;
mod repository;
mod rng;
mod settings;
mod spec;
mod status;
mod update;
mod worker;

#[cfg(test)]
mod rarer;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

pub(crate) use http::is_taken;
pub use http::{NoAnswer, Request, Response};
pub use image::Image;
pub use machine::{Host, HostEvent};
pub use partitions::{Disk, PartitionSet, SignpostError};
pub use repository::{Asking, ImageSpec, MAX_SEED, Release, Repository, Wave};
pub use rng::Rng;
pub use spec::{Durations, HostSpec};
pub use status::{Command, CommandOutcome, CommandResult, SetStatus, Status, UpdateState};
