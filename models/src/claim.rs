//! What is written on an instance: the claim, the versions that failed there, and the setting to put back.
//!
//! All are EC2 tags, because those outlive a reboot, a re-registration and a changed ARN, are read for a thousand
//! instances in one `DescribeInstances`, and can be read by the host itself from its metadata service (whose keys
//! take no `/`, so ours have none).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Epoch, RunId};

/// What the keys of all tags of this program begin with.
pub const TAG_PREFIX: &str = "ecs-updater:";
/// Tag with the [`Claim`].
pub const CLAIM_TAG: &str = "ecs-updater:claim";
/// Tag with the [`FailedVersions`]. A person removes it to have a version tried again.
pub const FAILED_TAG: &str = "ecs-updater:failed";
/// Tag a person sets to keep the updater off an instance; any value but `false` counts, and is shown as the reason.
pub const EXCLUDE_TAG: &str = "ecs-updater:exclude";
/// Tag with the `version-lock` that the host had before a step changed it, there while a step may have.
pub const SAVED_LOCK_TAG: &str = "ecs-updater:version-lock";

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
    pub way: Way,
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

/// The boots of the instances that have the same claim, as it stands in the tag: the beginning of each boot id, joined by
/// `+`; empty for a step that no boot matters to.
///
/// One call gives a thousand instances the same tags and no two instances different ones, at 5 calls a second (EC2 API
/// reference, "request throttling"): that a claim names the boots of many is what lets a thousand hosts reboot in a
/// minute. Eight hexadecimal digits of a random id are enough: that a host's next boot begins like one of twenty others has
/// a chance of one in 200 million, and then it is taken for not rebooted, and rebooted again while nothing is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Boots(Arc<str>);

impl Boots {
    /// Characters of a boot id that are written.
    const WRITTEN: usize = 8;

    /// Whether a host in this boot is meant.
    pub fn contain(&self, boot: &BootId) -> bool {
        !self.is_empty() && self.0.split('+').any(|mark| boot.as_str().starts_with(mark))
    }

    /// Whether no boot is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one boot is named by both.
    fn share_one(&self, others: &Self) -> bool {
        let named =
            |boots: &Self, mark: &str| boots.0.split('+').any(|one| one.starts_with(mark) || mark.starts_with(one));
        !self.is_empty() && !others.is_empty() && self.0.split('+').any(|mark| named(others, mark))
    }

    /// These and the others.
    #[must_use]
    fn and(&self, others: &Self) -> Self {
        let marks: BTreeSet<&str> = [self, others].into_iter().flat_map(|boots| boots.0.split('+')).collect();
        let marks: Vec<&str> = marks.into_iter().filter(|mark| !mark.is_empty()).collect();
        Self(marks.join("+").into())
    }

    /// As they stand in a tag. One that was written before claims named several is a whole id.
    fn read(text: &str) -> Option<Self> {
        let is_mark = |mark: &str| {
            (Self::WRITTEN..=40).contains(&mark.len()) && mark.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
        };
        text.split('+').all(is_mark).then(|| Self(text.into()))
    }
}

impl From<&BootId> for Boots {
    fn from(boot: &BootId) -> Self {
        Self(boot.as_str().get(..Self::WRITTEN).unwrap_or(boot.as_str()).into())
    }
}

impl fmt::Display for Boots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
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
pub enum Way {
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

    fn needs_boot(self) -> bool {
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
        let way = match self.way {
            Way::Ssm => "",
            Way::Bridge => FOR_THE_BRIDGE,
        };
        write!(f, "v1/{}{way}/{}", self.step, self.run)?;
        if let Some(epoch) = self.epoch {
            write!(f, "+{epoch}")?;
        }
        if self.attempt > 1 {
            write!(f, ".{}", self.attempt)?;
        }
        write!(f, "/{}/{}/{since}", self.from, self.to)?;
        match self.boots.is_empty() {
            true => Ok(()),
            false => write!(f, "/{}", self.boots),
        }
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
    #[error("{0:?} is no run id")]
    Run(String),
    /// No semantic version.
    #[error("{0:?} is no version")]
    Version(String),
    /// No RFC 3339 time.
    #[error("{0:?} is no time")]
    Since(String),
    /// No boot ids, or some where the step has none.
    #[error("{0:?} are no boot ids for this step")]
    Boots(String),
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
        let (word, way) = match step.strip_suffix(FOR_THE_BRIDGE) {
            Some(word) => (word, Way::Bridge),
            None => (step, Way::Ssm),
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
        Ok(Self { step, way, run, epoch, attempt, from: version(from)?, to: version(to)?, since: since_time, boots })
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

/// The versions that failed on one instance, oldest mark first: `1.27.0,1.27.1`.
///
/// What is no version (a person edited the tag) is kept and written back: a typing error must not make the updater
/// forget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailedVersions(Vec<String>);

impl FailedVersions {
    /// An EC2 tag holds 256 characters; a mark that no longer fits pushes the oldest out.
    const MAX_CHARS: usize = 256;

    /// Reads the tag's value; anything between commas or spaces is a mark.
    pub fn parse(tag: &str) -> Self {
        Self(tag.split([',', ' ']).filter(|mark| !mark.is_empty()).map(str::to_owned).collect())
    }

    /// Whether the version failed here.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().any(|mark| crate::host::parse_version(mark).as_ref() == Some(version))
    }

    /// With one more mark.
    #[must_use]
    pub fn with(&self, version: &Version) -> Self {
        let mut marks = self.0.clone();
        if !self.contains(version) {
            marks.push(version.to_string());
        }
        while marks.len() > 1 && marks.join(",").len() > Self::MAX_CHARS {
            marks.remove(0);
        }
        Self(marks)
    }

    /// The marks that are versions.
    pub fn versions(&self) -> BTreeSet<Version> {
        self.0.iter().filter_map(|mark| crate::host::parse_version(mark)).collect()
    }

    /// Whether there is no mark.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for FailedVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain() -> Claim {
        Claim {
            step: ClaimStep::Drain,
            way: Way::Ssm,
            run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
            epoch: None,
            attempt: 1,
            from: Version::new(1, 26, 1),
            to: Version::new(1, 27, 0),
            since: "2026-11-23T03:00:00Z".parse().unwrap(),
            boots: Boots::default(),
        }
    }

    #[test]
    fn reads_as_it_is_written() {
        let text = "v1/drain/01JDBX3Z7G8Y0M2QK4T5V6W7X8/1.26.1/1.27.0/2026-11-23T03:00:00Z";
        assert_eq!(drain().to_string(), text);
        assert_eq!(text.parse(), Ok(drain()));
        let reboot = Claim { step: ClaimStep::Reboot, boots: (&BootId::from(BOOT)).into(), ..drain() };
        assert_eq!(reboot.to_string(), format!("{}/2b5d4f3e", text.replace("drain", "reboot")));
        assert_eq!(reboot.to_string().parse(), Ok(reboot));
        let bridged = Claim { way: Way::Bridge, ..drain() };
        assert_eq!(bridged.to_string(), text.replace("drain/", "drain@bridge/"));
        assert_eq!(bridged.to_string().parse(), Ok(bridged));
        let leased = Claim { epoch: Some(Epoch::new(42)), ..drain() };
        assert_eq!(leased.to_string(), text.replace("W7X8/", "W7X8+42/"));
        assert_eq!(leased.to_string().parse(), Ok(leased.clone()));
        let again = Claim { attempt: 2, ..leased };
        assert_eq!(again.to_string(), text.replace("W7X8/", "W7X8+42.2/"));
        assert_eq!(again.to_string().parse(), Ok(again));
        for bad in ["W7X8.1/", "W7X8.0/", "W7X8.02/", "W7X8./", "W7X8.x/", "W7X8.2+42/"] {
            assert!(text.replace("W7X8/", bad).parse::<Claim>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claim_asks_for_the_same_whoever_wrote_it_and_when() {
        let reboot = |boot: &str| Claim { step: ClaimStep::Reboot, boots: (&BootId::from(boot)).into(), ..drain() };
        let later = Claim { run: "B".into(), epoch: Some(Epoch::new(3)), since: Timestamp::MAX, ..reboot(BOOT) };
        assert!(later.asks_for_the_same(&reboot(BOOT)));
        assert!(!later.asks_for_the_same(&reboot(&BOOT.replace("2b5d", "ffff"))));
        assert!(!later.asks_for_the_same(&Claim { step: ClaimStep::Revert, ..reboot(BOOT) }));
        assert!(!later.asks_for_the_same(&Claim { to: Version::new(1, 28, 0), ..reboot(BOOT) }));
        assert!(drain().asks_for_the_same(&Claim { run: "B".into(), ..drain() }));
    }

    const BOOT: &str = "2b5d4f3e-0000-4000-8000-0123456789ab";

    #[test]
    fn a_claim_names_the_boots_of_all_that_have_it() {
        let of = |boot: &str| Claim { step: ClaimStep::Reboot, boots: (&BootId::from(boot)).into(), ..drain() };
        let one = of(BOOT);
        assert!(one.is_for(&BOOT.into()) && !one.is_for(&"3b5d4f3e-0000-4000-8000-0123456789ab".into()));
        assert!(!drain().is_for(&BOOT.into()), "no boot matters to it");
        let whole: Claim = format!("{}/{BOOT}", drain().to_string().replace("drain", "reboot")).parse().unwrap();
        assert!(whole.is_for(&BOOT.into()) && !whole.is_for(&BOOT.replace("89ab", "89ac").as_str().into()));

        let mut all = one.clone();
        let boots: Vec<String> = (0..40).map(|number| format!("{number:08x}-0000-4000-8000-0123456789ab")).collect();
        let fitting =
            boots.iter().take_while(|boot| all.joined(&of(boot)).map(|joined| all = joined).is_some()).count();
        assert_eq!(fitting, 19, "{all}");
        assert!(all.to_string().len() <= Claim::MAX_CHARS);
        assert!(one.joined(&one).is_some_and(|same| same == one), "a boot is named once");
        for (index, boot) in boots.iter().enumerate() {
            assert_eq!(all.is_for(&boot.as_str().into()), index < fitting, "{boot}");
        }
        assert_eq!(one.joined(&drain()), None);
        assert_eq!(one.joined(&Claim { to: Version::new(1, 28, 0), ..of(BOOT) }), None);
        assert_eq!(drain().joined(&drain()), Some(drain()));
    }

    #[test]
    fn what_is_not_understood_is_never_guessed_at() {
        let good = drain().to_string();
        let cases = [
            (good.replace("v1", "v2"), ClaimError::UnknownVersion("v2".into())),
            ("".into(), ClaimError::UnknownVersion("".into())),
            ("v1/drain".into(), ClaimError::Parts(2)),
            (good.replace("drain", "dance"), ClaimError::Step("dance".into())),
            (good.replace("drain", "drain@ssm"), ClaimError::Step("drain@ssm".into())),
            (good.replace("01JDBX3Z7G8Y0M2QK4T5V6W7X8", ""), ClaimError::Run("".into())),
            (good.replace("W7X8/", "W7X8+/"), ClaimError::Run("01JDBX3Z7G8Y0M2QK4T5V6W7X8+".into())),
            (good.replace("W7X8/", "W7X8+042/"), ClaimError::Run("01JDBX3Z7G8Y0M2QK4T5V6W7X8+042".into())),
            (good.replace("W7X8/", "W7X8+1+2/"), ClaimError::Run("01JDBX3Z7G8Y0M2QK4T5V6W7X8+1+2".into())),
            (good.replace("01JDBX3Z7G8Y0M2QK4T5V6W7X8", "+42"), ClaimError::Run("+42".into())),
            (good.replace("1.27.0", "latest"), ClaimError::Version("latest".into())),
            (good.replace("03:00:00Z", "noon"), ClaimError::Since("2026-11-23Tnoon".into())),
            (good.replace("drain", "reboot"), ClaimError::Boots("".into())),
            (format!("{good}/2b5d4f3e"), ClaimError::Boots("2b5d4f3e".into())),
            (good.replace("drain", "reboot") + "/2b5d4f3", ClaimError::Boots("2b5d4f3".into())),
            (good.replace("drain", "reboot") + "/2b5d4f3e+", ClaimError::Boots("2b5d4f3e+".into())),
            (good.replace("drain", "reboot") + "/latest..", ClaimError::Boots("latest..".into())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Claim>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_failed_version_is_remembered_and_old_marks_give_way() {
        let mut failed = FailedVersions::parse("1.27.0, see-ticket-12");
        assert!(failed.contains(&Version::new(1, 27, 0)) && !failed.contains(&Version::new(1, 26, 1)));
        failed = failed.with(&Version::new(1, 27, 1)).with(&Version::new(1, 27, 1));
        assert_eq!(failed.to_string(), "1.27.0,see-ticket-12,1.27.1");
        for patch in 0..100 {
            failed = failed.with(&Version::new(2, 0, patch));
        }
        assert!(failed.to_string().len() <= FailedVersions::MAX_CHARS);
        assert!(failed.contains(&Version::new(2, 0, 99)) && !failed.contains(&Version::new(1, 27, 0)));
    }

    proptest! {
        #[test]
        fn every_claim_survives_the_tag(
            step in prop::sample::select(ClaimStep::ALL.to_vec()),
            way in prop::sample::select(vec![Way::Ssm, Way::Bridge]),
            run in "[0-9A-Z]{1,26}",
            epoch in prop::option::of(any::<u64>()),
            attempt in 1..=u32::MAX,
            (from, to) in ((0u64..99, 0u64..99, 0u64..99), (0u64..99, 0u64..99, 0u64..99)),
            since in 0i64..4_000_000_000,
            boot in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ) {
            let claim = Claim {
                step,
                way,
                run: run.into(),
                epoch: epoch.map(Epoch::new),
                attempt,
                from: Version::new(from.0, from.1, from.2),
                to: Version::new(to.0, to.1, to.2),
                since: Timestamp::from_second(since).unwrap(),
                boots: if step.needs_boot() { Boots::from(&BootId::from(boot)) } else { Boots::default() },
            };
            let text = claim.to_string();
            prop_assert!(text.len() <= 256);
            prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "+-=.,_:@/".contains(c)));
            prop_assert_eq!(text.parse::<Claim>(), Ok(claim));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Claim>();
            let _ = FailedVersions::parse(&text).to_string();
        }
    }
}
