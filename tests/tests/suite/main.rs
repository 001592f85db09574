//! What runs in process: the library, the real updater and the real agents on the simulated Region, on virtual time.
//!
//! `cargo test -p fleet-sim --test suite NAME` runs one of the files, or one test.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics, also in the helpers")]

mod after_the_run;
mod agent;
mod budgets;
mod crash_everywhere;
mod doctor;
mod finishing;
mod host_api;
mod interfere_everywhere;
mod lease;
mod mutants;
mod own_task;
mod packed;
mod permissions;
mod plan_and_run;
mod random_walk;
mod recipes;
mod release_everywhere;
mod report_schema;
mod sdk;
mod signals;
mod status;
