//! The controller: rolls Bottlerocket OS updates through ECS clusters.
//!
//! Observe, plan, act, observe again. [`planner`] decides and is pure; `observe` and `execute` speak to AWS;
//! [`run`] joins them. SDK types never leave [`aws`].

#[macro_use]
pub mod broken;

pub mod args;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod cluster_settings;
pub mod config;
mod delivery;
pub mod doctor;
pub mod events;
mod execute;
pub mod exit;
mod host;
mod keeper;
pub mod lease;
mod observe;
pub mod own_task;
mod patience;
pub mod planner;
pub mod render;
pub mod run;
pub mod steer;
pub mod telemetry;
mod track;
