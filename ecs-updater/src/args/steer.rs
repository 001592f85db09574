//! What the commands take that are no run: `pause`, `resume`, `unskip`, `release`, `exclude`, `include`,
//! `forget-failed`.

use clap::Args;
use models::ids::HostId;
use semver::Version;

use super::settings::SettingArgs;
use crate::config::Given;
use crate::steer::note;

/// Which clusters.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// A cluster, by name; may be repeated
    #[arg(long = "cluster", value_name = "NAME", help_heading = "Clusters")]
    pub clusters: Vec<String>,
    /// Configuration in TOML: a file, or ssm: and the name of an SSM parameter [env: ECS_UPDATER_CONFIG]
    #[arg(long, value_name = "FILE|ssm:NAME", help_heading = "Clusters")]
    pub config: Option<String>,
    /// DynamoDB table with the leases, by which one run at a time works on a cluster [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Clusters")]
    pub lease_table: Option<String>,
}

impl ClusterArgs {
    /// Returns what [`crate::config::Inputs::gather`] takes.
    pub fn given(&self) -> Given {
        Given {
            config: self.config.clone(),
            clusters: self.clusters.clone(),
            lease_table: self.lease_table.clone(),
            api_share: None,
            values: Vec::new(),
        }
    }
}

/// What `pause` takes.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// Why, for those who find the cluster paused
    #[arg(long, value_name = "TEXT", value_parser = note::of_cluster)]
    pub reason: String,
    /// Which clusters.
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

/// What `unskip` takes.
#[derive(Debug, Clone, Args)]
pub struct UnskipArgs {
    /// The version
    #[arg(value_name = "VERSION")]
    pub version: Version,
    /// Which clusters.
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

/// What `release` takes.
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    /// The EC2 instance
    #[arg(value_name = "INSTANCE", value_parser = host)]
    pub instance: HostId,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The cluster, and the settings by which its hosts are reached.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// What `exclude` takes.
#[derive(Debug, Clone, Args)]
pub struct ExcludeArgs {
    /// The EC2 instances
    #[arg(value_name = "INSTANCE", required = true, value_parser = host)]
    pub instances: Vec<HostId>,
    /// Why, for those who find them excluded
    #[arg(long, value_name = "TEXT", value_parser = note::of_instance)]
    pub note: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The cluster that they are in.
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

/// What `include` takes.
#[derive(Debug, Clone, Args)]
pub struct IncludeArgs {
    /// The EC2 instances
    #[arg(value_name = "INSTANCE", required = true, value_parser = host)]
    pub instances: Vec<HostId>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The cluster that they are in.
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

/// What `forget-failed` takes.
#[derive(Debug, Clone, Args)]
pub struct ForgetArgs {
    /// The version [default: all that failed]
    #[arg(value_name = "VERSION")]
    pub version: Option<Version>,
    /// Only on this EC2 instance; may be repeated [default: on all instances of the cluster]
    #[arg(long = "instance", value_name = "INSTANCE", value_parser = host)]
    pub instances: Vec<HostId>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Which clusters.
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

fn host(text: &str) -> Result<HostId, String> {
    let id = text.strip_prefix("i-").unwrap_or_default();
    let is_id = !id.is_empty() && id.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_id { Ok(text.into()) } else { Err("an EC2 instance's id is i- and hexadecimal digits".to_owned()) }
}
