//! What `rollback` takes.

use clap::Args;
use semver::Version;

use super::PlanArgs;

/// What `rollback` takes.
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// The release to go back from [default: the one that the newest update went to]
    #[arg(long, value_name = "VERSION")]
    pub release: Option<Version>,
    /// The version for instances whose tag ecs-updater:last does not say what they ran before
    #[arg(long, value_name = "VERSION")]
    pub to: Option<Version>,
    /// Only show what would be done, and skip nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go back outside of the windows too, in this run
    ///
    /// A freeze and a pause still apply.
    #[arg(long)]
    pub outside_window: bool,
    /// What `plan` takes too. A target means nothing here.
    #[command(flatten)]
    pub plan: PlanArgs,
}
