//! What helps a shell and `man`, and what tells of the settings: commands that ask AWS for nothing.

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
    /// Check the settings, and print what holds for each cluster and where it comes from
    ///
    /// Reads the file, the environment and the flags as `run` does, and asks AWS for nothing: so what the clusters' tags say is
    /// not in it. Exits with 0, or with 2 where something is wrong, even with one cluster alone.
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
    /// Write a page for the program and one for each command into this directory, in place of one to standard output
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}
