//! The command line: what there is, and the help that teaches it.
//!
//! Values are taken as text and checked by [`crate::config`], so that a mistake in a flag is reported beside a mistake
//! in the file, in the same words.

use clap::{Args, Parser, Subcommand};
use models::selection::{InstanceName, Named};

mod command;
mod global;
mod report;
mod settings;
mod shell;
mod status;
mod steer;
mod way_back;

pub use global::{GlobalArgs, LogFormat, Output};
pub use report::{PageArgs, ReportArgs};
pub use settings::{KeyArgs, SettingArgs};
pub use shell::{CompletionsArgs, ConfigArgs, ConfigCommand, ManArgs};
pub use status::StatusArgs;
pub use steer::{ClusterArgs, ExcludeArgs, ForgetArgs, IncludeArgs, PauseArgs, ReleaseArgs, UnskipArgs};
pub use way_back::RollbackArgs;

const LONG_ABOUT: &str = "\
Rolls Bottlerocket OS updates through Amazon ECS clusters, in place and without losing a task.

Each instance is inspected; a newer version is written to its inactive partition set while it stays in service; then, \
within the budget of --max-unavailable, it is drained, rebooted, verified and put back in service. A version that does \
not boot or is not healthy is rolled back and not tried on that instance again. What a run has begun is written on the \
instances themselves, so the next run finishes what a dead run left.

`plan` shows what `run` would do, and why an instance would be held, and changes nothing. `pause` stops new updates, \
`finish` only ends what was begun, `release` puts one instance back, and `exclude` keeps runs off instances.";

const AFTER_HELP: &str = "Exit codes: 0 success, 1 failures, 2 usage or configuration, 3 not permitted, not reachable \
or no such cluster, 4 interrupted, 5 nothing updated (--fail-on-held). More with --help.";

const EXAMPLES: &str = "\
Examples:
  ecs-updater plan --cluster web
      What would happen to each instance, in which order, and for how long.
  ecs-updater doctor --cluster web
      Whether hosts, permissions and settings are right, and what to do if not.
  ecs-updater run --cluster web --max-unavailable 10%
      Update the cluster, a tenth of its instances at a time.
  ecs-updater run --config fleet.toml
      Update every cluster in the file, each by its own settings.
  ecs-updater run --config fleet.toml --cluster web --target 1.27.0
      Only this one, and to this version.
  ecs-updater run --cluster web --instance i-0123456789abcdef0
      Only this instance. What was begun on others is still finished.
  ecs-updater rollback --cluster web --dry-run
      Which instances would go back from the newest release, and where to.
  ecs-updater pause --cluster web --reason 'checkout is down'
      No run begins anything until `resume`.
  ecs-updater release --cluster web i-0a1b2c3d4e5f60718
      Put one instance that a run left DRAINING back into service.
  ecs-updater run --cluster web --output json --log-format json
      For programs: the report on standard output, logs on standard error.";

const RUN_EXAMPLES: &str = "\
Examples:
  ecs-updater run --cluster web --dry-run
      What would happen, as `plan` shows it.
  ecs-updater run --cluster web --max-unavailable 10%
      A tenth of the instances at a time.
  ecs-updater run --config fleet.toml --target 1.27.0
      Every cluster in the file, to this version.
  ecs-updater run --cluster web --instance i-0123456789abcdef0 --outside-window
      This instance alone, and now.
  ecs-updater run --config f.toml --output json --html night.html >night.json
      For a pipeline: the report as JSON and as a page, the log on standard
      error; with --log-format json for programs too.";

const EXIT_CODES: &str = "\
Exit codes:
  0  success; also when instances were held, nothing was to be done, or another
     run had the cluster's lease
  1  failures: an instance failed or was rolled back, a release was taken back
     because of an alarm, or a cluster met an unexpected error
  2  usage or configuration: nothing was begun, or nothing on the clusters that
     it concerns
  3  not permitted, AWS not reachable, or no such cluster
  4  stopped by a signal; something was not begun because Ctrl-C asked the run
     or rollback to finish; the lease was lost; something was left in the middle
     for the next run; or you said no
  5  only with --fail-on-held: nothing was updated although something is
     outdated, and nobody asked for that";

const ENVIRONMENT: &str = "\
Environment:
  ECS_UPDATER_CONFIG      the configuration file or SSM parameter, as --config
  ECS_UPDATER_CLUSTERS    the clusters, separated by commas, as --cluster
  ECS_UPDATER_LEASE_TABLE the table with the leases, as --lease-table
  ECS_UPDATER_API_SHARE   how much of the API rates a run may take, as
                          --api-share
  ECS_UPDATER_LOG         what to log, as --log-level
  ECS_UPDATER_METRICS     writes metrics of each run into the log, as --metrics
  ECS_UPDATER_SETTINGS    any settings as under [defaults], with commas:
                          zone = 'spread', timeouts.drain = '30m'
  ECS_UPDATER_…           each setting has a variable: the flag's name in
                          capitals, such as ECS_UPDATER_MAX_UNAVAILABLE or
                          ECS_UPDATER_DRAIN_TIMEOUT
  AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the other variables of the SDKs
For each setting the first of these wins: flag, tag of the ECS cluster
(ecs-updater: and the flag's name), its own variable, ECS_UPDATER_SETTINGS,
[[cluster]], [defaults], built-in default.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  ecs-updater doctor --cluster web
      What is missing or wrong, for the cluster and then for each host, and what to type.
  ecs-updater doctor --config fleet.toml --lease-table ecs-updater-leases
      All clusters of the file, with the table that a run would use.
  ecs-updater doctor --cluster web --host bridge
      The same if hosts are reached only by their bridges.
  ecs-updater doctor --cluster web --output json | jq '.clusters[].findings[] | select(.severity == \"problem\")'
      For programs: docs/doctor.schema.json describes it.";

fn after_doctor_help() -> String {
    format!("{DOCTOR_EXAMPLES}\n\n{ENVIRONMENT}")
}

fn after_long_help() -> String {
    format!("{EXAMPLES}\n\n{EXIT_CODES}\n\n{ENVIRONMENT}")
}

fn after_run_help() -> String {
    format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}\n\n{ENVIRONMENT}")
}

/// Everything on the command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "ecs-updater",
    version = models::build::VERSION,
    about = "Rolls Bottlerocket OS updates through Amazon ECS clusters without losing a task",
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    after_long_help = after_long_help(),
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
    /// failed. On a terminal the first Ctrl-C lets it finish what was begun, and begin nothing more; the second stops
    /// it. SIGTERM, and SIGINT without a terminal, stop it: it ends the calls in flight, reports and exits, and the
    /// next run continues.
    #[command(after_help = AFTER_HELP, after_long_help = after_run_help())]
    Run(RunArgs),
    /// Show what `run` would do, and change nothing
    ///
    /// The same as `run --dry-run`. Only reads, and sends the inspect document to hosts. Shows each instance with its
    /// turn, or with the reason why it would be held; ends with the counts and an estimate of the time.
    Plan(PlanArgs),
    /// Show which instances are out of service, and what needs attention
    ///
    /// Reads ECS, the tags, the lease and what the last run left beside it. Takes seconds and sends no command to any
    /// host. Ends with "all well", exit code 0, or with what to do and what to type, exit code 1; 2 to 4 as with `run`.
    Status(StatusArgs),
    /// Check the prerequisites, host by host, and say what to do
    ///
    /// Only reads: nothing is changed, and no command is sent to any host. What only the hosts know is not checked;
    /// `plan` asks them. One bad answer does not stop the other checks. Needs no more rights than a plan. The exit code
    /// is 0 if nothing is wrong, with warnings or without; 1 if a problem is found; 3 if a cluster could not be read at
    /// all; 2 and 4 as with `run`. Each finding has an id, with a line in docs/prerequisites.md.
    #[command(after_help = AFTER_HELP, after_long_help = after_doctor_help())]
    Doctor(SettingArgs),
    /// Show a saved report again: as a table, or as a page for a browser
    ///
    /// Reads the JSON that `run` or `plan` printed with --output json, and asks AWS for nothing.
    Report(ReportArgs),
    /// Check the settings and show where each comes from, without asking AWS
    Config(ConfigArgs),
    /// Finish what earlier runs began, and begin nothing new
    ///
    /// Instances that a run left in the middle, DRAINING or with its claim, are finished as by `run`: updated, rolled
    /// back or put back into service. All others are left as they are. Ctrl-C stops it at once.
    Finish(SettingArgs),
    /// Take a release back: its instances return to the version before
    ///
    /// The newest updates go back first, within the same budget and with the same drains and checks as an update. First
    /// the release is skipped in the cluster, by the cluster's tag ecs-updater:skip-versions, until `unskip`. Without
    /// the right to write that tag nothing goes back, unless skip_versions already names the release. Needs no
    /// allow_downgrade. What earlier runs began is finished, and Ctrl-C works as with `run`.
    Rollback(RollbackArgs),
    /// Let runs install a version again that `rollback` made them skip
    Unskip(UnskipArgs),
    /// Stop new updates on a cluster, until `resume`
    ///
    /// Sets the cluster's tag ecs-updater:pause. A run at work begins nothing after its next look, and finishes what
    /// was begun. Needs no lease.
    Pause(PauseArgs),
    /// Lift a pause
    Resume(ClusterArgs),
    /// Put one instance back into service without its update, as far as possible
    ///
    /// Calls off a reboot that has not come and waits until it can no longer come, undoes the activation, puts the
    /// version-lock back, sets the instance ACTIVE and removes the claim. If the reboot comes anyway, waits for it and
    /// verifies the instance. An instance that is on its way back to its old version goes there first.
    Release(ReleaseArgs),
    /// Keep runs off instances, until `include`
    ///
    /// Sets their EC2 tag ecs-updater:exclude. A run that drains one puts it back into service.
    Exclude(ExcludeArgs),
    /// Let runs update instances again
    Include(IncludeArgs),
    /// Try versions again that failed on instances of a cluster
    ForgetFailed(ForgetArgs),
    /// Print a completion script for a shell
    ///
    /// Such as: ecs-updater completions bash >/etc/bash_completion.d/ecs-updater
    Completions(CompletionsArgs),
    /// Print the manual page
    ///
    /// Such as: ecs-updater man | man -l -   or, for all commands: ecs-updater man --to /usr/local/share/man/man1
    Man(ManArgs),
}

/// What `run` takes.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Only show what would be done, as `plan` does
    #[arg(long)]
    pub dry_run: bool,
    /// Begin updates outside of the windows too, in this run
    ///
    /// A freeze and a pause still apply.
    #[arg(long)]
    pub outside_window: bool,
    /// Exit with 5 if nothing was updated although something is outdated, and nobody asked for that
    ///
    /// The exit code stays 0 if something was updated, if another run works on a cluster, or if somebody asked for it:
    /// a pause, a freeze, a window, an excluded instance, an update wave. Failures and interruptions keep their own
    /// codes.
    #[arg(long)]
    pub fail_on_held: bool,
    /// What `plan` takes too.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// What `plan` takes, and each command that is a run of its own.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The instances that are named.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// The page for a browser.
    #[command(flatten)]
    pub page: PageArgs,
    /// Which clusters, and by which settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Which instances may be begun this once.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectionArgs {
    /// Begin updates only on these instances, in this run
    ///
    /// Ids of EC2 instances, or ARNs or ids of container instances, separated by spaces or commas. What is under way on
    /// others is still finished. An id that none of the clusters has is an error, and nothing is begun.
    #[arg(long = "instance", value_name = "ID", num_args = 1.., value_delimiter = ',', help_heading = "Instances")]
    pub only: Vec<InstanceName>,
    /// Begin no update on these instances, in this run
    ///
    /// Ids as for --instance.
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',', help_heading = "Instances")]
    pub skip: Vec<InstanceName>,
}

impl SelectionArgs {
    fn named(&self) -> Named {
        Named { only: self.only.clone(), skip: self.skip.clone() }
    }
}
