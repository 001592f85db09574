//! What a person types beside `run` and `plan`. Thin: on `observe`, the planner and what acts.
//!
//! - `status`: how the clusters stand, without a command to any host.

pub mod status;
