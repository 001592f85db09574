//! `command` of a run or a process: what the updater is asked for instead of `run`.

use semver::Version;
use serde::Deserialize;

/// A command, as `"finish"`, `"release 0"`, `"pause checkout is down"`, `"resume"`, `"exclude 1 a person's wish"`,
/// `"include 1"`, `"forget-failed"` or `"forget-failed 1.27.0"`. Instances are named by their index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CommandSpec {
    /// A run that begins nothing.
    Finish,
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
            Self::Finish | Self::Pause(_) | Self::Resume | Self::ForgetFailed(_) => None,
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
                "{text:?} is no command, which is one of finish, release N, pause TEXT, resume, exclude N TEXT, include N, \
                 forget-failed and forget-failed VERSION"
            )),
        }
    }
}
