//! What runs on a host on behalf of SSM: stand-ins for the four documents, held to `docs/documents.md`, and a shell that
//! knows `apiclient`, so that other updaters can be measured in the same world.
//!
//! A script sees its host through [`Machine`] alone. It may be dropped at any await: that is what a host that goes down
//! does to it.

mod apiclient;
mod client;
mod lone;
mod machine;
mod report;
mod shell;
mod steps;

#[cfg(test)]
mod tests;

pub use lone::{Inside, LoneMachine};
pub use machine::Machine;

use std::collections::BTreeMap;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// `EcsUpdater-Inspect`.
    Inspect,
    /// `EcsUpdater-Stage`.
    Stage,
    /// `EcsUpdater-Reboot`.
    Reboot,
    /// `EcsUpdater-Revert`.
    Revert,
    /// Lines of a shell script, such as those of `AWS-RunShellScript`: `apiclient` calls, `set -e`, comments. Anything
    /// else ends it with 127 and says so.
    Shell(Vec<String>),
}

/// What a script left behind when it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// 0 to 255.
    pub exit_code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error, with `apiclient`'s ANSI colours.
    pub stderr: String,
}

/// Runs `document` with the parameters of its SSM command, to its end.
pub async fn run(machine: &dyn Machine, document: &Script, parameters: &BTreeMap<String, String>) -> Output {
    match document {
        Script::Inspect => steps::inspect(machine, parameters).await,
        Script::Stage => steps::stage(machine, parameters).await,
        Script::Reboot => steps::reboot(machine, parameters).await,
        Script::Revert => steps::revert(machine, parameters).await,
        Script::Shell(lines) => shell::run(machine, lines).await,
    }
}
