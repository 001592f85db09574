//! What runs in process, or as a command on this machine's loopback: the library, the real updater and the real agents
//! on the simulated Region. One executable, so that what waits for a real clock runs beside what computes.
//!
//! `cargo test -p fleet-sim --test suite NAME` runs one of the files, or one test.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics, also in the helpers")]

mod agent;
mod bridge;
mod budgets;
mod command;
mod common;
mod crash_everywhere;
mod host_api;
mod interfere_everywhere;
mod lease;
mod mutants;
mod own_task;
mod permissions;
mod profile;
mod random_walk;
mod run;
mod sdk;
mod signals;
