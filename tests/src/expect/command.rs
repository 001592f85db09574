//! `command` of a run or a process: what the updater is asked for instead of `run`.

use semver::Version;
use serde::Deserialize;

/// A command, as `"finish"`, `"rollback"`, `"rollback from 1.27.0 to 1.26.1"`, `"unskip 1.27.0"`, `"release 0"`, `"pause checkout is down"`, `"resume"`, `"exclude 1 a person's wish"`,
/// `"include 1"`, `"forget-failed"` or `"forget-failed 1.27.0"`. Instances are named by their index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CommandSpec {
    /// A run that begins nothing.
    Finish,
    /// Takes instances back from a release, or the one that was rolled out last; and to this version where none is remembered.
    Rollback(Option<Version>, Option<Version>),
    /// Lets a version be installed again.
    Unskip(Version),
    /// Lets go of a host.
    Release(usize),
    /// Pauses the cluster.
    Pause(String),
    /// Lifts that.
    Resume,
    /// Keeps runs off a host.
    Exclude(usize, String),
    /// Lifts that.
    Include(usize),
    /// Forgets a version that failed, or all.
    ForgetFailed(Option<Version>),
}

impl CommandSpec {
    /// The host that it is about.
    pub fn host(&self) -> Option<usize> {
        match self {
            Self::Release(host) | Self::Exclude(host, _) | Self::Include(host) => Some(*host),
            Self::Finish
            | Self::Rollback(..)
            | Self::Unskip(_)
            | Self::Pause(_)
            | Self::Resume
            | Self::ForgetFailed(_) => None,
        }
    }
}

impl TryFrom<String> for CommandSpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (name, rest) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        let host = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is no index of a host"));
        match (name, rest) {
            ("finish", "") => Ok(Self::Finish),
            ("rollback", rest) => rollback(rest),
            ("unskip", version) => Ok(Self::Unskip(version.parse().map_err(|_| format!("{version:?} is no version"))?)),
            ("resume", "") => Ok(Self::Resume),
            ("release", index) => Ok(Self::Release(host(index)?)),
            ("include", index) => Ok(Self::Include(host(index)?)),
            ("pause", reason) if !reason.is_empty() => Ok(Self::Pause(reason.to_owned())),
            ("exclude", rest) => {
                let (index, note) = rest.split_once(' ').ok_or("exclude needs a host and a note")?;
                Ok(Self::Exclude(host(index)?, note.to_owned()))
            }
            ("forget-failed", "") => Ok(Self::ForgetFailed(None)),
            ("forget-failed", version) => {
                let version = version.parse().map_err(|_| format!("{version:?} is no version"))?;
                Ok(Self::ForgetFailed(Some(version)))
            }
            _ => Err(format!(
                "{text:?} is no command, which is one of finish, rollback [from VERSION] [to VERSION], unskip VERSION, release N, pause TEXT, resume, exclude N TEXT, include N, \
                 forget-failed and forget-failed VERSION"
            )),
        }
    }
}

/// Reads what follows `rollback`.
fn rollback(text: &str) -> Result<CommandSpec, String> {
    let version = |text: &str| text.parse::<Version>().map_err(|_| format!("{text:?} is no version"));
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        [] => Ok(CommandSpec::Rollback(None, None)),
        ["from", release] => Ok(CommandSpec::Rollback(Some(version(release)?), None)),
        ["to", to] => Ok(CommandSpec::Rollback(None, Some(version(to)?))),
        ["from", release, "to", to] => Ok(CommandSpec::Rollback(Some(version(release)?), Some(version(to)?))),
        _ => Err(format!("{text:?} does not follow rollback, which takes [from VERSION] [to VERSION]")),
    }
}
