//! What is written on an instance: the claim, the versions that failed there, and the setting to put back.
//!
//! All are EC2 tags, because those outlive a reboot, a re-registration and a changed ARN, are read for a thousand
//! instances in one `DescribeInstances`, and can be read by the host itself from its metadata service (whose keys
//! take no `/`, so ours have none).

mod boots;
mod failed;
mod keys;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Epoch, RunId};

pub use boots::Boots;
pub use failed::FailedVersions;
pub use keys::{CLAIM_TAG, EXCLUDE_TAG, FAILED_TAG, SAVED_LOCK_TAG, TAG_PREFIX, is_exclusion, is_unknown};

/// Who does what to an instance, and why: `v1/STEP[@bridge]/RUN[+EPOCH][.ATTEMPT]/FROM/TO/SINCE[/BOOTS]`, such as
/// `v1/drain/01JDBX…+42/1.26.1/1.27.0/2026-11-23T03:00:00Z`.
///
/// Written before the step it names. A tag is no lock: that one run acts at a time is the lease's business. Its epoch
/// stands here so that a run that was superseded and does not know it finds out from the instance itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Claim {
    /// What is being done.
    pub step: ClaimStep,
    /// By which way the host is told. An agent leaves alone what is told by SSM.
    pub transport: Transport,
    /// The run that wrote it.
    pub run: RunId,
    /// The epoch of that run's lease; `None` where it had none.
    pub epoch: Option<Epoch>,
    /// Which time the run asks a host bridge for it, from 1: a bridge that has answered a claim does nothing more for it.
    pub attempt: u32,
    /// The version the instance ran when the update began. A rollback goes back to it.
    pub from: Version,
    /// The version the update goes to.
    pub to: Version,
    /// When this step was begun; whole seconds. Time-outs count from here, so they outlast a dead run: a claim that says
    /// the same again, for another attempt or by another run, keeps it.
    pub since: Timestamp,
    /// The boots in which the step is to be done, for [`ClaimStep::Reboot`] and [`ClaimStep::Revert`]: a host that
    /// is in another boot has done it already.
    pub boots: Boots,
}

impl Claim {
    /// What a tag's value holds (EC2 user guide, "Tag restrictions").
    pub const MAX_CHARS: usize = 256;

    /// Whether the step is to be done in this boot. Never so for a claim that names none.
    pub fn is_for(&self, boot: &BootId) -> bool {
        self.boots.contain(boot)
    }

    /// Whether the two ask for the same: the same step, versions and, for a step that is bound to a boot, a boot in common.
    pub fn asks_for_the_same(&self, other: &Self) -> bool {
        let same_step = (self.step, &self.from, &self.to) == (other.step, &other.from, &other.to);
        same_step && (!self.step.needs_boot() || self.boots.share_one(&other.boots))
    }

    /// The claim for the instances of both, where nothing but their boots differs and one tag holds them all.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let alike = *self == Self { boots: self.boots.clone(), ..other.clone() };
        let joined = Self { boots: self.boots.and(&other.boots), ..self.clone() };
        (alike && joined.to_string().len() <= Self::MAX_CHARS).then_some(joined)
    }
}

/// A way to a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// SSM documents.
    #[default]
    Ssm,
    /// The host bridge that lives on it, for which the claim is the command.
    Bridge,
}

const FOR_THE_BRIDGE: &str = "@bridge";

/// The steps that write on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimStep {
    /// Write the update to the inactive partition set; the instance stays in service.
    Stage,
    /// Out of service: DRAINING is ours.
    Drain,
    /// Drained: activate, reboot, verify.
    Reboot,
    /// The new version is unhealthy: go back to the old one, reboot, verify.
    Revert,
    /// Undo what was activated or pinned, without a reboot.
    Cancel,
}

impl ClaimStep {
    const ALL: [Self; 5] = [Self::Stage, Self::Drain, Self::Reboot, Self::Revert, Self::Cancel];

    /// As it stands in the tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Drain => "drain",
            Self::Reboot => "reboot",
            Self::Revert => "revert",
            Self::Cancel => "cancel",
        }
    }

    /// Whether an instance with this claim may be out of service because of us.
    pub fn takes_out_of_service(self) -> bool {
        match self {
            Self::Drain | Self::Reboot | Self::Revert => true,
            Self::Stage | Self::Cancel => false,
        }
    }

    /// Whether it is bound to a boot: it ends in a reboot.
    pub fn needs_boot(self) -> bool {
        match self {
            Self::Reboot | Self::Revert => true,
            Self::Stage | Self::Drain | Self::Cancel => false,
        }
    }
}

impl fmt::Display for ClaimStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = whole_seconds(self.since);
        let transport = match self.transport {
            Transport::Ssm => "",
            Transport::Bridge => FOR_THE_BRIDGE,
        };
        write!(f, "v1/{}{transport}/{}", self.step, self.run)?;
        if let Some(epoch) = self.epoch {
            write!(f, "+{epoch}")?;
        }
        if self.attempt > 1 {
            write!(f, ".{}", self.attempt)?;
        }
        write!(f, "/{}/{}/{since}", self.from, self.to)?;
        if self.boots.is_empty() { Ok(()) } else { write!(f, "/{}", self.boots) }
    }
}

/// The time as a claim holds it: whole seconds, rounded down, so that nothing asked after it seems older.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    time.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor)).unwrap_or(time)
}

/// Why a tag is no claim that this program understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ClaimError {
    /// Written by a newer program; it must not be guessed at.
    #[error("claim version {0:?} is not known to this program")]
    UnknownVersion(String),
    /// Not six or seven parts between slashes.
    #[error("a claim has 6 or 7 parts between slashes, this one has {0}")]
    Parts(usize),
    /// A step this program does not know.
    #[error("{0:?} is no step")]
    Step(String),
    /// No ULID-like id, or one with an epoch or an attempt that is no number.
    #[error("{0:?} is not a run id")]
    Run(String),
    /// No semantic version.
    #[error("{0:?} is no version")]
    Version(String),
    /// No RFC 3339 time.
    #[error("{0:?} is no time")]
    Since(String),
    /// No boot ids, or some where the step has none.
    #[error("{0:?} are not boot ids for this step")]
    Boots(String),
    /// The lease on the cluster shows that no run can have written it.
    #[error("{}, and this run holds the lease with epoch {held}: no run that takes the lease from the same table wrote it", of_epoch(*.claimed))]
    Epoch {
        /// The epoch that it names.
        claimed: Option<Epoch>,
        /// The epoch of the lease by which it was disproved.
        held: Epoch,
    },
}

fn of_epoch(claimed: Option<Epoch>) -> String {
    claimed.map_or_else(|| "it names no epoch".to_owned(), |epoch| format!("it names epoch {epoch}"))
}

/// A claim tag that cannot be read, or cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadClaim {
    /// The tag's value.
    pub value: String,
    /// What is wrong with it.
    pub error: ClaimError,
}

impl BadClaim {
    /// Whether a program of this kind has written it, one of another version perhaps: it begins with `v` and a number.
    pub fn is_a_claim(&self) -> bool {
        let version = self.value.split('/').next().and_then(|first| first.strip_prefix('v'));
        version.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    }
}

impl FromStr for Claim {
    type Err = ClaimError;

    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts[0] != "v1" {
            return Err(ClaimError::UnknownVersion(parts[0].to_owned()));
        }
        let (step, run, from, to, since, boots) = match parts.as_slice() {
            &[_, step, run, from, to, since] => (step, run, from, to, since, None),
            &[_, step, run, from, to, since, boots] => (step, run, from, to, since, Some(boots)),
            other => return Err(ClaimError::Parts(other.len())),
        };
        let (word, transport) = match step.strip_suffix(FOR_THE_BRIDGE) {
            Some(word) => (word, Transport::Bridge),
            None => (step, Transport::Ssm),
        };
        let step = ClaimStep::ALL
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| ClaimError::Step(step.to_owned()))?;
        let Author { run, epoch, attempt } = Author::read(run).ok_or_else(|| ClaimError::Run(run.to_owned()))?;
        let version = |text: &str| Version::parse(text).map_err(|_| ClaimError::Version(text.to_owned()));
        let since_time: Timestamp = since.parse().map_err(|_| ClaimError::Since(since.to_owned()))?;
        let boots = match boots {
            Some(text) => Boots::read(text).filter(|_| step.needs_boot()),
            None => Some(Boots::default()).filter(|_| !step.needs_boot()),
        }
        .ok_or_else(|| ClaimError::Boots(boots.unwrap_or_default().to_owned()))?;
        Ok(Self {
            step,
            transport,
            run,
            epoch,
            attempt,
            from: version(from)?,
            to: version(to)?,
            since: since_time,
            boots,
        })
    }
}

/// `RUN[+EPOCH][.ATTEMPT]`. A number is written in one way only, so that what is read is what was written.
struct Author {
    run: RunId,
    epoch: Option<Epoch>,
    attempt: u32,
}

impl Author {
    fn read(text: &str) -> Option<Self> {
        let (author, attempt) = match text.split_once('.') {
            None => (text, 1),
            Some((author, number)) => (author, plain_number::<u32>(number).filter(|attempt| *attempt > 1)?),
        };
        let (run, epoch) = match author.split_once('+') {
            None => (author, None),
            Some((run, number)) => (run, Some(Epoch::new(plain_number(number)?))),
        };
        let is_id = (1..=26).contains(&run.len()) && run.bytes().all(|b| b.is_ascii_alphanumeric());
        is_id.then(|| Self { run: run.into(), epoch, attempt })
    }
}

fn plain_number<T: FromStr + fmt::Display>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}

impl From<Claim> for String {
    fn from(claim: Claim) -> Self {
        claim.to_string()
    }
}

impl TryFrom<String> for Claim {
    type Error = ClaimError;

    fn try_from(text: String) -> Result<Self, ClaimError> {
        text.parse()
    }
}
