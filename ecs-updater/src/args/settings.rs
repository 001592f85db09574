//! Which clusters, and by which settings: what the commands that are runs take.

use clap::{Arg, ArgMatches, Args, FromArgMatches};

use crate::config::{Given, Key};

/// Which clusters, and how; each overrides the environment and the file.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingArgs {
    /// A cluster to work on, by name; may be repeated
    ///
    /// With --config, only the named clusters are worked on. The file's defaults apply to one that the file does not
    /// list.
    #[arg(long = "cluster", value_name = "NAME", help_heading = "Clusters")]
    pub clusters: Vec<String>,
    /// Configuration in TOML: a file, or ssm: and the name of an SSM parameter [env: ECS_UPDATER_CONFIG]
    #[arg(long, value_name = "FILE|ssm:NAME", help_heading = "Clusters")]
    pub config: Option<String>,
    /// DynamoDB table with the leases, by which one run at a time works on a cluster [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Clusters")]
    pub lease_table: Option<String>,
    /// How much of the account's API rates all clusters of the run together may take, from 0.1 to 1 [default: 0.5]
    #[arg(long, value_name = "SHARE", help_heading = "Clusters")]
    pub api_share: Option<String>,
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
            api_share: self.api_share.clone(),
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

fn flag(key: Key) -> Arg {
    let heading = match key.table() {
        None => "Settings",
        Some("timeouts") => "Timeouts",
        Some("documents") => "SSM documents",
        Some("hooks") => "Hooks",
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
