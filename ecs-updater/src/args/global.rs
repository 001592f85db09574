//! What all commands take.

use clap::{ArgAction, Args, ValueEnum};
use models::ids::AccountId;
use models::location::is_account;

/// What all commands take.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// How to print the report: a table for people or JSON for programs
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Output")]
    pub output: Output,
    /// How to write logs, which go to standard error
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Output")]
    pub log_format: LogFormat,
    /// What to log: error, warn, info, debug, trace or off, or by module such as "warn,ecs_updater=debug"
    ///
    /// Default: the variable ECS_UPDATER_LOG; without it `info`, or `warn` beside the live view.
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Output")]
    pub log_level: Option<String>,
    /// Log more: -v the updater's details, -vv all of it, -vvv the AWS SDK's too
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "log_level", help_heading = "Output")]
    pub verbose: u8,
    /// Write metrics of each run to standard error in CloudWatch's embedded metric format, under this name
    ///
    /// One JSON object per line, for each cluster and for the run, regardless of the log's level and format. A plan
    /// writes none. The name is the value of the dimension Updater. [env: ECS_UPDATER_METRICS]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Output")]
    pub metrics: Option<String>,
    /// No live view, also on a terminal
    #[arg(long, global = true, help_heading = "Output")]
    pub no_progress: bool,
    /// AWS Region [default: the profile's with --profile, else AWS_REGION]
    #[arg(long, global = true, help_heading = "AWS")]
    pub region: Option<String>,
    /// Use the credentials and the Region of this profile, whatever the environment says
    ///
    /// The name of a profile in the AWS configuration files. Without this flag the SDK's own order applies: the
    /// environment, then AWS_PROFILE.
    #[arg(long, global = true, value_name = "NAME", help_heading = "AWS")]
    pub profile: Option<String>,
    /// Refuse to work in any AWS account but this one
    ///
    /// Twelve digits. The account is that of the clusters, as ECS tells it before anything is done.
    #[arg(long, global = true, value_name = "ID", value_parser = account, help_heading = "AWS")]
    pub expect_account: Option<AccountId>,
    /// Endpoint for all AWS services, such as a simulator's [the SDK's own: AWS_ENDPOINT_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "AWS")]
    pub endpoint_url: Option<String>,
}

/// How to print the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and a closing line
    #[default]
    Table,
    /// One JSON document
    Json,
}

/// How to write logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

fn account(text: &str) -> Result<AccountId, String> {
    if is_account(text) { Ok(text.into()) } else { Err("an account's id is twelve digits".to_owned()) }
}
