//! Commands that do not call AWS: for a shell, for `man`, and for the settings.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::SettingArgs;
use crate::config::Given;

/// What `config` takes.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do with the settings.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the settings.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Check the settings, and print what applies to each cluster and where it comes from
    ///
    /// Reads the file, the environment and the flags as `run` does. Does not call AWS, so the clusters' tags are not
    /// included. Exits with 0, or with 2 if something is wrong, even for a single cluster.
    Check(SettingArgs),
}

impl ConfigArgs {
    pub(super) fn given(&self) -> Given {
        match &self.command {
            ConfigCommand::Check(settings) => settings.given(),
        }
    }
}

/// What `completions` takes.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// What `man` takes.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write a page for the program and one for each command into this directory, instead of to standard output
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}
