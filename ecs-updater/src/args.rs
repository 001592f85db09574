//! The command line: what there is, and the help that teaches it.
//!
//! Values are taken as text and checked by [`crate::config`], so that a mistake in a flag is reported beside a mistake
//! in the file, in the same words.

use std::str::FromStr as _;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

use models::ids::AccountId;
use models::location::is_account;

use crate::config::{Given, Key};

const LONG_ABOUT: &str = "\
Rolls Bottlerocket OS updates through Amazon ECS clusters, in place and without losing a task.

Each instance is inspected; a newer version is written to its inactive partition set while it stays in service; then, \
within the budget of --max-unavailable, it is drained, rebooted, verified and put back in service. A version that does \
not boot or is not healthy is rolled back and not tried on that instance again. Nothing is remembered between runs \
except on the instances themselves: a run that dies is finished by the next one.

`plan` shows what `run` would do, and why an instance would be held, and changes nothing.";

const AFTER_HELP: &str = "Exit codes: 0 success, 1 failures, 2 usage or configuration, 3 not permitted, not reachable \
or no such cluster, 4 interrupted. More with --help.";

const AFTER_LONG_HELP: &str = "\
Examples:
  ecs-updater plan --cluster web
      What would happen to each instance of the cluster, in which order, and how long it would take.
  ecs-updater run --cluster web --max-unavailable 10%
      Update the cluster, a tenth of its instances at a time.
  ecs-updater status --cluster web
      Who is out of service and why, and what needs somebody.
  ecs-updater run --config fleet.toml
      Update every cluster in the file, each by its own settings.
  ecs-updater run --config fleet.toml --cluster web --target 1.27.0
      Only this one, and to this version.
  ecs-updater run --cluster web --output json --log-format json
      For programs: the report on standard output and nothing else, logs on standard error.

Exit codes:
  0  success; also when instances were held, nothing was to be done, or another run had the cluster's lease
  1  failures: an instance failed or was rolled back, or a cluster met an unexpected error
  2  usage or configuration: nothing was begun, or nothing on the clusters that it concerns
  3  not permitted, AWS not reachable, or no such cluster
  4  interrupted by SIGINT or SIGTERM, the lease was lost, or ended in the middle; the next run goes on

Environment:
  ECS_UPDATER_CONFIG      the configuration file or SSM parameter, as --config
  ECS_UPDATER_CLUSTERS    the clusters, separated by commas, as --cluster
  ECS_UPDATER_LEASE_TABLE the table with the leases, as --lease-table
  ECS_UPDATER_LOG         what to log, as --log-level
  ECS_UPDATER_…           each setting has a variable: the flag's name in capitals, such as
                          ECS_UPDATER_MAX_UNAVAILABLE or ECS_UPDATER_DRAIN_TIMEOUT
  AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the other variables of the AWS SDKs
For each setting the first of these wins: flag, tag of the ECS cluster (ecs-updater: and the flag's name), environment,
[[cluster]], [defaults], built-in default.";

/// Everything on the command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "ecs-updater",
    version,
    about = "Rolls Bottlerocket OS updates through Amazon ECS clusters without losing a task",
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    after_long_help = AFTER_LONG_HELP,
    max_term_width = 110
)]
pub struct Cli {
    /// What all commands take.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Update the clusters' instances
    ///
    /// Exits when every instance is settled: updated, already current, held for a reason that the report names, or
    /// failed. SIGINT and SIGTERM begin no further instance, finish the calls in flight, report and exit.
    Run(RunArgs),
    /// Show what `run` would do, and change nothing
    ///
    /// The same as `run --dry-run`: reads, and the inspect document, and nothing else. Shows each instance, its turn,
    /// and the reason for each that would be held; ends with the counts and an estimate of the time.
    Plan(SettingArgs),
    /// Show who is out of service, and whether somebody is needed
    ///
    /// Reads ECS, the tags, the lease and what the last run left beside it, in seconds and without a command to any
    /// host. Ends with "all well", exit code 0, or with what to do and what to type, exit code 1; 2 and 3 as with `run`.
    Status(StatusArgs),
}

impl Command {
    /// Returns whether nothing is to be changed.
    pub fn dry_run(&self) -> bool {
        match self {
            Self::Run(run) => run.dry_run,
            Self::Plan(_) | Self::Status(_) => true,
        }
    }

    /// Returns whether updates are begun outside of the windows too.
    pub fn outside_window(&self) -> bool {
        match self {
            Self::Run(run) => run.outside_window,
            Self::Plan(_) | Self::Status(_) => false,
        }
    }

    /// Returns the flags that both commands take.
    pub fn settings(&self) -> &SettingArgs {
        match self {
            Self::Run(run) => &run.settings,
            Self::Plan(settings) => settings,
            Self::Status(status) => &status.settings,
        }
    }
}

/// What `run` takes.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Only show what would be done, as `plan` does
    #[arg(long)]
    pub dry_run: bool,
    /// Begin updates outside of the windows too, this once
    ///
    /// A freeze and a pause stay what they are.
    #[arg(long)]
    pub outside_window: bool,
    /// The flags that `plan` takes too.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// What `status` takes.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Look again every ten seconds, or as often as this says, until a signal comes
    ///
    /// At least a second. Each look costs some five calls, and two more for each hundred instances. On a terminal it is
    /// drawn over the last one; else it is printed again, in JSON as one line.
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = pace
    )]
    pub watch: Option<Duration>,
    /// The flags that `plan` takes too.
    #[command(flatten)]
    pub settings: SettingArgs,
}

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
    /// No live view, also on a terminal
    #[arg(long, global = true, help_heading = "Output")]
    pub no_progress: bool,
    /// AWS Region [default: the profile's with --profile, else AWS_REGION]
    #[arg(long, global = true, help_heading = "AWS")]
    pub region: Option<String>,
    /// Use the credentials and the Region of this profile, whatever the environment says
    ///
    /// The name of a profile in the AWS configuration files. Without this flag the SDK's own order holds: the
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

/// Which clusters, and how; each overrides the environment and the file.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingArgs {
    /// A cluster to work on, by name; may be repeated
    ///
    /// With --config, only the named clusters are worked on; one that the file does not list is worked on by the
    /// file's defaults.
    #[arg(long = "cluster", value_name = "NAME", help_heading = "Clusters")]
    pub clusters: Vec<String>,
    /// Configuration in TOML: a file, or ssm: and the name of an SSM parameter [env: ECS_UPDATER_CONFIG]
    #[arg(long, value_name = "FILE|ssm:NAME", help_heading = "Clusters")]
    pub config: Option<String>,
    /// DynamoDB table with the leases, by which one run at a time works on a cluster [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Clusters")]
    pub lease_table: Option<String>,
    /// The flag of each [`Key`].
    #[command(flatten)]
    pub keys: KeyArgs,
}

impl SettingArgs {
    /// Returns what [`crate::config::Inputs::gather`] takes.
    pub fn given(&self) -> Given {
        Given {
            config: self.config.clone(),
            clusters: self.clusters.clone(),
            lease_table: self.lease_table.clone(),
            values: self.keys.values.clone(),
        }
    }
}

/// The flags that the table of keys makes, as they were given.
#[derive(Debug, Clone, Default)]
pub struct KeyArgs {
    values: Vec<(Key, String)>,
}

impl Args for KeyArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(Key::all().map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for KeyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: Key| Some((key, matches.get_one::<String>(&key.flag())?.clone()));
        Ok(Self { values: Key::all().filter_map(value).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn pace(text: &str) -> Result<Duration, String> {
    let read = jiff::SignedDuration::from_str(text).ok().and_then(|pace| Duration::try_from(pace).ok());
    read.filter(|pace| *pace >= Duration::from_secs(1))
        .ok_or_else(|| "a time of a second or more, such as 30s".to_owned())
}

fn account(text: &str) -> Result<AccountId, String> {
    if is_account(text) { Ok(text.into()) } else { Err("an account's id is twelve digits".to_owned()) }
}

fn flag(key: Key) -> Arg {
    let heading = match key.table() {
        None => "Settings",
        Some("timeouts") => "Timeouts",
        Some("documents") => "SSM documents",
        Some(table) => table,
    };
    let flag = Arg::new(key.flag())
        .long(key.flag())
        .value_name(key.placeholder())
        .help(key.help())
        .help_heading(heading)
        .hide_short_help(key.table() == Some("documents"));
    match key.bare() {
        Some(value) => flag.num_args(0..=1).require_equals(true).default_missing_value(value),
        None => flag,
    }
}
