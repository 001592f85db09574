//! What a person types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use semver::Version;

use crate::agent::{Endpoint, IMDS};
use crate::introspection::INTROSPECTION;
use crate::signpost::HOST_ROOT;
use crate::transport::API_SOCKET;

/// The persistent directory of the host container that this runs in.
const JOURNAL: &str = "/.bottlerocket/host-containers/current/host-bridge";

const ABOUT: &str = "\
Looks at and updates the one Bottlerocket host that this runs on, over its API socket.

An update takes four steps, and nothing happens to the running system before the last:

  host-bridge check      ask the update repository: is there anything for this host?
  host-bridge stage      write it to the inactive partition set
  host-bridge activate   make that set the next to boot (`cancel` undoes this)
  host-bridge reboot     boot it; afterwards `status` must show the new version

Every command may be repeated: it looks first and does what is left to do.";

const EXITS: &str = "\
Exit codes:
  0  done
  1  failed; the host or its API says why
  2  wrong usage
  3  unsure: it was begun, and how it ended is not known; look with
     `host-bridge status` first
  4  refused by state: not now, or not on this host; nothing was changed

Examples:
  host-bridge status --output json | jq .host.os.version
  host-bridge stage --version 1.27.0 && host-bridge activate &&
    host-bridge reboot
  host-bridge rollback --to 1.26.1 && host-bridge reboot";

/// Looks at and updates one Bottlerocket host.
#[derive(Debug, Parser)]
#[command(name = "host-bridge", version = models::build::VERSION, long_about = ABOUT, after_help = EXITS, subcommand_required = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Once(Command),
    /// Follow the claim that ecs-updater writes on this EC2 instance, and report to ECS. Runs until it is stopped.
    ///
    /// For a Bottlerocket host container of an ECS container instance; see docs/host-bridge.md for the user data, the
    /// metadata option and the role's policy. --output and --timeout have no effect here.
    Agent(Agent),
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Print the manual page.
    Man(Man),
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for the program and one for each command into this directory, in place of one to standard output.
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Agent {
    /// Where the journal and the lock file are: a directory that outlives reboots.
    #[arg(long, value_name = "DIR", default_value = JOURNAL, env = "HOST_BRIDGE_JOURNAL")]
    pub(super) journal: PathBuf,
    /// How long after the boot of a new version its ECS agent may take to register, before this agent goes back to the
    /// old version by itself, unless ecs-updater confirms or decides.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30m", env = "HOST_BRIDGE_CONFIRM_WITHIN")]
    pub(super) confirm_within: Duration,
    /// The ECS endpoint, where it is not the Region's own, such as that of a VPC endpoint without private DNS.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_ECS")]
    pub(super) ecs_endpoint: Option<Endpoint>,
    /// Where the EC2 metadata service listens.
    #[arg(long, value_name = "ADDRESS", default_value_t = IMDS, env = "HOST_BRIDGE_METADATA")]
    pub(super) metadata: SocketAddr,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The host API's Unix socket.
    #[arg(long, global = true, value_name = "PATH", default_value = API_SOCKET, env = "HOST_BRIDGE_SOCKET")]
    pub(super) socket: PathBuf,
    /// For people or for programs; the JSON has a stable shape, with the same words in it.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) output: Output,
    /// When to stop waiting, such as 90s or 10m; what still runs then is `unsure` (exit code 3).
    ///
    /// By default 1m for status and reboot, 5m for check, activate, cancel and collect, 20m for stage and rollback, which
    /// write an image of 1 GiB or so.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Tell what is being done; twice, every request.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Where the ECS agent's introspection listens.
    #[arg(long, global = true, hide = true, default_value_t = INTROSPECTION, env = "HOST_BRIDGE_ECS_AGENT")]
    pub(super) ecs_agent: SocketAddr,
    /// The host's root filesystem.
    #[arg(long, global = true, hide = true, default_value = HOST_ROOT, env = "HOST_BRIDGE_HOST_ROOT")]
    pub(super) host_root: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object on one line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what runs, what is staged, and what the host would do next. Changes nothing.
    ///
    /// After a boot the host knows nothing of updates until somebody refreshes: then run `check`.
    Status,
    /// Let the host ask its update repository what it offers.
    ///
    /// A host offers nothing before its update wave opens, and keeps to `settings.updates.version-lock`.
    Check,
    /// Write an update to the inactive partition set, without activating it.
    ///
    /// From then on the version that was on that set is gone: `rollback --inactive` is possible again only after the
    /// new one has been booted. Without --version, what the host has chosen by itself is written. A version that it
    /// has not chosen is pinned (`version-lock`) while it is written, and the setting is put back.
    Stage(Stage),
    /// Make the staged version the next to boot. The running system is not touched.
    ///
    /// The new set has one try: if it does not boot, the boot loader falls back to the old one.
    Activate,
    /// Undo `activate`. The staged image stays, and is not booted.
    Cancel,
    /// Reboot the host.
    ///
    /// Refused while ECS tasks run on the host: set its container instance to DRAINING and wait until they are gone.
    /// Refused also if no ECS agent can be asked. --force reboots anyway. The host may take 5 minutes until
    /// it begins to shut down.
    Reboot(Reboot),
    /// Go back to an older version, up to the reboot, which you do yourself.
    ///
    /// With --to, through the update repository: the version is pinned, written and activated, and stays pinned, since
    /// the next check would offer again what you came from.
    ///
    /// With --inactive, without network: the other partition set becomes the next to boot, if it has booted before
    /// and was not overwritten since. This needs the host's root (a superpowered host container).
    Rollback(Rollback),
    /// Write a tar archive with everything that explains this host's updates, to hand it on. Changes nothing.
    ///
    /// It holds the update state, the settings, what the ECS agent says, and the bridge agent's journal; in a superpowered
    /// host container also `signpost status` and the newest 5,000 lines of the host's log of the ECS agent, the API and the
    /// boot. Values of settings that may be secrets are withheld: user data, credentials, keys, and every setting that this
    /// program does not know. Log lines are as the host wrote them. Its about.json says what is missing, and why.
    Collect(Collect),
}

#[derive(Debug, Args)]
pub(super) struct Collect {
    /// The archive; it must not exist yet [default: host-bridge-TIME.tar in the current directory].
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    /// Where the bridge agent keeps its journal.
    #[arg(long, value_name = "DIR", default_value = JOURNAL, env = "HOST_BRIDGE_JOURNAL")]
    pub(super) journal: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Stage {
    /// Write this version rather than what the host has chosen.
    #[arg(long = "version", value_name = "V", value_parser = version)]
    pub(super) version: Option<Version>,
    /// Write it even if it is older than the running version.
    #[arg(long)]
    pub(super) allow_downgrade: bool,
}

#[derive(Debug, Args)]
pub(super) struct Reboot {
    /// Reboot even if tasks run, or nobody can say whether any do.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Rollback {
    /// The version to go back to; the update repository must still offer it.
    #[arg(long, value_name = "V", value_parser = version)]
    pub(super) to: Option<Version>,
    /// Boot the other partition set next.
    #[arg(long)]
    pub(super) inactive: bool,
}

impl Command {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Check => "check",
            Self::Stage(_) => "stage",
            Self::Activate => "activate",
            Self::Cancel => "cancel",
            Self::Reboot(_) => "reboot",
            Self::Rollback(_) => "rollback",
            Self::Collect(_) => "collect",
        }
    }

    /// A check reads a few files over the network; staging downloads and writes an image, and verifies it.
    pub(super) fn default_timeout(&self) -> Duration {
        Duration::from_mins(match self {
            Self::Status | Self::Reboot(_) => 1,
            Self::Check | Self::Activate | Self::Cancel | Self::Collect(_) => 5,
            Self::Stage(_) | Self::Rollback(_) => 20,
        })
    }
}

fn version(text: &str) -> Result<Version, String> {
    models::host::parse_version(text).ok_or_else(|| "a version looks like 1.27.0".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 60 * 60;
    let wrong = || "a time is a number with s, m or h, such as 90s or 10m, from 1s to 24h".to_owned();
    let (number, unit) = match text.char_indices().next_back() {
        Some((cut, 's')) => (&text[..cut], 1),
        Some((cut, 'm')) => (&text[..cut], 60),
        Some((cut, 'h')) => (&text[..cut], 60 * 60),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
    match seconds {
        1..=DAY => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_the_arguments_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit_and_bounds() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        for wrong in ["", "s", "0", "0s", "25h", "-1s", "1d", "1.5m", "ß", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_may_have_a_v() {
        assert_eq!(version("v1.27.0"), version("1.27.0"));
        assert!(version("latest").is_err());
    }
}
