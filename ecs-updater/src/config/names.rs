//! The names of what is no setting of a cluster, and how the others begin.

/// What the names of our environment variables begin with.
pub const VARIABLE_PREFIX: &str = "ECS_UPDATER_";
/// The clusters' names, separated by commas.
pub const CLUSTERS_VARIABLE: &str = "ECS_UPDATER_CLUSTERS";
/// The path of the configuration file, or [`PARAMETER_PREFIX`] and the name of an SSM parameter.
pub const CONFIG_VARIABLE: &str = "ECS_UPDATER_CONFIG";
/// The DynamoDB table with the leases.
pub const LEASE_TABLE_VARIABLE: &str = "ECS_UPDATER_LEASE_TABLE";
/// How much of the account's API rates a run may take.
pub const API_SHARE_VARIABLE: &str = "ECS_UPDATER_API_SHARE";
/// Any keys of `[defaults]` at once.
pub const SETTINGS_VARIABLE: &str = "ECS_UPDATER_SETTINGS";
/// What stands before the name of an SSM parameter that holds the configuration.
pub const PARAMETER_PREFIX: &str = "ssm:";
/// What to log; read by [`crate::telemetry`].
pub const LOG_VARIABLE: &str = "ECS_UPDATER_LOG";
/// What metrics are told apart by; read by [`crate::telemetry`].
pub const METRICS_VARIABLE: &str = "ECS_UPDATER_METRICS";
/// The key that opens others to tags; no tag sets it.
pub(super) const OPENS: &str = "tags";
/// The keys that no tag sets, and that are not opened: what the hosts' role allows is no matter of a cluster's, and
/// windows and freezes bind those who may tag it.
pub(super) const NEVER_OPENED: [&str; 6] =
    [OPENS, "bridge_policy", "windows", "window_cutoff", "window_wait", "freeze"];
