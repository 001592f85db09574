//! The values that `ecs-updater` and `host-bridge` agree on.
//!
//! No clock, no IO, no AWS. What a host says is read tolerantly, since it may be newer than this program; what a
//! person or we ourselves wrote (the claim, the policy) is read strictly.

#[macro_use]
mod as_text;

pub mod api_share;
pub mod attributes;
pub mod build;
pub mod capacity;
pub mod claim;
pub mod clean;
pub mod cluster_tags;
pub mod count;
pub mod doctor;
pub mod fleet;
pub mod function;
pub mod hook;
pub mod host;
pub mod ids;
pub mod last;
pub mod location;
pub mod max_unavailable;
pub mod min_size;
pub mod own_host;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod query;
pub mod reason;
pub mod release;
pub mod report;
pub mod schedule;
pub mod selection;
pub mod status;
pub mod summary;
pub mod time;
