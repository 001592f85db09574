//! What the host bridge reports, as attributes of its container instance.
//!
//! ECS allows an instance 10 custom attributes and a value 128 characters, of letters, digits, `- _ . / \ @ :` and
//! inner spaces. Other programs and people have their own among the ten, so that there are seven here, always the
//! same, and written in one call:
//!
//! | name | value, its fields between slashes |
//! |---|---|
//! | `ecs-updater.os-version` | the running version alone, so that people can query their fleet by it |
//! | `ecs-updater.bridge` | `v1` / version of the agent / when it reported / its heartbeat, both in seconds / where it can go back to alone, if anywhere |
//! | `ecs-updater.host` | boot id / time of the boot in seconds / variant / architecture / ECS agent's state / tasks / where AWS takes it |
//! | `ecs-updater.update` | update state / chosen / staged / last command / how it ended / `version-lock` / waves ignored (`y`, `n`, `u` for unknown), or `l` under API lockdown |
//! | `ecs-updater.available` | the offered versions, newest first, with spaces between; a last `..` for those cut off |
//! | `ecs-updater.claim` | step / run / since, in seconds / [`Progress`] / version written / error: at / error: code / attempt |
//! | `ecs-updater.detail` | the error in words |
//!
//! `-` stands for nothing. Anything a field may not hold is escaped as `@` and the two hexadecimal digits of each
//! byte; an empty text is a lone `@`. A field that does not fit is left out rather than cut, since a part of a version
//! is another version; only the error's words are cut.
//!
//! Reading never fails over a part: what cannot be read is nothing known.

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use self::text::{Fields, NONE, field, list, list_of, number, prose, text_of};
use crate::claim::{Claim, ClaimStep};
use crate::clean;
use crate::host::{
    AgentState, CommandStatus, CommandType, ErrorCode, HostReport, NoVersion, ReportedAgent, ReportedCommand,
    ReportedError, ReportedOs, ReportedSettings, ReportedUpdate, TargetState, UpdateState,
};
use crate::ids::{BootId, RunId};

pub use text::MAX_VALUE;

/// Every attribute of ours begins so.
pub const PREFIX: &str = "ecs-updater.";
/// The running version.
pub const OS_VERSION: &str = "ecs-updater.os-version";
/// Who reports, and when: the attribute that shows that there is an agent.
pub const BRIDGE: &str = "ecs-updater.bridge";
/// Boot, variant, ECS agent.
pub const HOST: &str = "ecs-updater.host";
/// Update status and settings.
pub const UPDATE: &str = "ecs-updater.update";
/// Offered versions.
pub const AVAILABLE: &str = "ecs-updater.available";
/// Which claim, and how it stands.
pub const CLAIM: &str = "ecs-updater.claim";
/// The error in words.
pub const DETAIL: &str = "ecs-updater.detail";

/// The names, in the order of the table.
pub const NAMES: [&str; 7] = [OS_VERSION, BRIDGE, HOST, UPDATE, AVAILABLE, CLAIM, DETAIL];

/// In the place of "waves ignored": there are no settings, since the host is under API lockdown.
const LOCKED_DOWN: &str = "l";
const FORMAT: &str = "v1";
/// The longest fields, escaped: with their slashes they fit into [`MAX_VALUE`].
const BOOT: usize = 36;
const VARIANT: usize = 26;
const ARCH: usize = 7;
const TARGET: usize = 10;
const VERSION: usize = 24;
const WORD: usize = 12;
const CODE: usize = 20;

/// What a host bridge says of its host and of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeReport {
    /// Who reports.
    pub heartbeat: Heartbeat,
    /// The host. `agent.container_instance` is not in it (the attributes hang on it), and `wrote` and `error` are about
    /// `handled`, or about the agent's own work where that is `None`.
    pub report: HostReport,
    /// The claim that stands on the instance, as far as the agent has read one it understands.
    pub handled: Option<Handled>,
    /// Whether more versions are offered than `report.update.available` names.
    pub available_cut: bool,
}

/// Liveness data of a bridge agent: its version, the time of its last report, its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The version of the agent's program.
    pub agent_version: String,
    /// When this was reported, in whole seconds of the host's clock.
    pub at: Timestamp,
    /// It reports at least this often, whether or not anything changed.
    pub interval: SignedDuration,
}

impl Heartbeat {
    /// Whether the agent can be taken for alive: a heartbeat may be missed, or be late for want of an answer from ECS.
    pub fn is_live(&self, now: Timestamp) -> bool {
        let silent = now.duration_since(self.at);
        self.interval.checked_mul(2).is_none_or(|patience| silent <= patience)
    }
}

/// How a claim stands with the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    pub step: ClaimStep,
    pub run: RunId,
    /// Its time, whole seconds. With step, run and attempt it names the claim: one run writes one claim of a step in a
    /// second.
    pub since: Timestamp,
    /// Which attempt of that run, from 1.
    pub attempt: u32,
    /// How far it is.
    pub progress: Progress,
}

impl Handled {
    /// Whether it is about this claim.
    pub fn is_of(&self, claim: &Claim) -> bool {
        (self.step, &self.run, self.since, self.attempt) == (claim.step, &claim.run, claim.since, claim.attempt)
    }
}

/// How far the agent is with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Taken up. With an error: that is in its way now, and it tries again while the claim stands.
    Doing,
    /// Done; of a reboot, that the host is in another boot. Which version runs, the report tells.
    Done,
    /// Not done, and not tried again for this claim; the error says why.
    Failed,
    /// The new version was neither confirmed nor did its ECS agent register in time, and the agent went back to the
    /// old one by itself, or is about to; the error says what was missing, or what keeps it from going back.
    FellBack,
}

impl Progress {
    const ALL: [Self; 4] = [Self::Doing, Self::Done, Self::Failed, Self::FellBack];

    /// As it stands in the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Doing => "doing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::FellBack => "fell-back",
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why attributes hold no report of a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AttributesError {
    /// No agent has ever reported here.
    #[error("there is no attribute {BRIDGE}")]
    Absent,
    /// Written by a newer program.
    #[error("the attribute {BRIDGE} is of version {0:?}, which is not known to this program")]
    UnknownVersion(String),
    /// Somebody else wrote it.
    #[error("the attribute {BRIDGE} = {0:?} cannot be read")]
    Malformed(String),
    /// The boot id is no UUID.
    #[error("the attribute {HOST} has the boot id {0:?}, which is not a UUID")]
    BootId(String),
    /// A version is none.
    #[error("the attributes have the {at} {text:?}, which is not a version")]
    Version {
        /// Where it stands in the report.
        at: String,
        /// What stands there.
        text: String,
    },
}

impl BridgeReport {
    /// The attributes: all of [`NAMES`], each a value that ECS takes.
    pub fn encode(&self) -> BTreeMap<&'static str, String> {
        let report = &self.report;
        let os = report.os.as_ref();
        let update = report.update.as_ref();
        let last = update.and_then(|update| update.last.as_ref());
        let settings = report.settings.as_ref();
        let agent = report.agent.as_ref();
        let error = report.error.as_ref();
        let handled = self.handled.as_ref();
        let target = report.target_state.clone().map(TargetState::known);
        let waves = match settings.map(|settings| settings.ignore_waves) {
            None if report.locked_down => LOCKED_DOWN,
            None => NONE,
            Some(None) => "u",
            Some(Some(true)) => "y",
            Some(Some(false)) => "n",
        };
        let Heartbeat { agent_version, at, interval } = &self.heartbeat;
        let (at, interval) = (at.as_second().to_string(), interval.as_secs().to_string());
        let mut heartbeat = vec![FORMAT.to_owned(), field(Some(agent_version), VERSION), at, interval];
        heartbeat.extend(report.inactive.as_deref().map(|inactive| field(Some(inactive), VERSION)));
        let host = [
            field(report.boot_id.as_ref().map(BootId::as_str), BOOT),
            number(report.booted_at),
            field(os.map(|os| os.variant.as_str()), VARIANT),
            field(os.map(|os| os.arch.as_str()), ARCH),
            field(agent.map(|agent| agent.state.as_str()), WORD),
            number(agent.and_then(|agent| agent.tasks)),
            field(target.as_ref().map(TargetState::as_str), TARGET),
        ];
        let status = [
            field(update.map(|update| update.state.as_str()), WORD),
            field(update.and_then(|update| update.chosen.as_deref()), VERSION),
            field(update.and_then(|update| update.staged.as_deref()), VERSION),
            field(last.map(|last| last.r#type.as_str()), WORD),
            field(last.map(|last| last.status.as_str()), WORD),
            field(settings.and_then(|settings| settings.version_lock.as_deref()), VERSION),
            waves.to_owned(),
        ];
        let claim = [
            field(handled.map(|handled| handled.step.as_str()), WORD),
            field(handled.map(|handled| handled.run.as_str()), 26),
            number(handled.map(|handled| handled.since.as_second())),
            field(handled.map(|handled| handled.progress.as_str()), WORD),
            field(report.wrote.as_deref(), VERSION),
            field(error.map(|error| error.at.as_str()), WORD),
            field(error.map(|error| error.code.as_str()), CODE),
            number(handled.map(|handled| handled.attempt)),
        ];
        BTreeMap::from([
            (OS_VERSION, field(os.map(|os| os.version.as_str()), MAX_VALUE)),
            (BRIDGE, heartbeat.join("/")),
            (HOST, host.join("/")),
            (UPDATE, status.join("/")),
            (AVAILABLE, list(update.map(|update| update.available.as_slice()).unwrap_or_default(), self.available_cut)),
            (CLAIM, claim.join("/")),
            (DETAIL, error.map_or_else(|| NONE.to_owned(), |error| prose(&error.detail))),
        ])
    }

    /// Reads the attributes of a container instance, those of others among them.
    ///
    /// # Errors
    /// [`AttributesError`] where no bridge of a known version has reported, the boot id is no UUID, or a version is none.
    /// Everything else is read as far as it can be.
    pub fn decode(attributes: &BTreeMap<String, String>) -> Result<Self, AttributesError> {
        let value = |name: &str| attributes.get(name).map(String::as_str);
        let bridge = value(BRIDGE).ok_or(AttributesError::Absent)?;
        let (heartbeat, inactive) = heartbeat(bridge)?;
        let mut host = Fields::of(value(HOST));
        let boot_id = host.text().map(BootId::new);
        if let Some(boot) = boot_id.as_ref().filter(|boot| !boot.is_uuid()) {
            return Err(AttributesError::BootId(clean::name(boot.as_str())));
        }
        let booted_at = host.number();
        let (variant, arch) = (host.text(), host.text());
        let (agent, tasks, target) = (host.text(), host.number(), host.text());
        let version = value(OS_VERSION).and_then(text_of);
        let os = [&version, &variant, &arch].into_iter().any(Option::is_some).then(|| ReportedOs {
            version: version.clone().unwrap_or_default(),
            variant: variant.clone().unwrap_or_default(),
            arch: arch.clone().unwrap_or_default(),
        });
        let (available, available_cut) = list_of(value(AVAILABLE).unwrap_or(NONE));
        let (update, settings, locked_down) = update_and_settings(value(UPDATE), available);
        let Standing { handled, wrote, error } = Standing::read(value(CLAIM), value(DETAIL));
        let report = HostReport {
            v: 1,
            step: visit(handled.as_ref()).to_owned(),
            boot_id,
            booted_at,
            os,
            update,
            settings,
            locked_down,
            target_state: target.map(|target| TargetState::from(target.as_str())),
            agent: agent.map(|agent| ReportedAgent {
                state: AgentState::from(agent.as_str()),
                container_instance: None,
                tasks,
            }),
            inactive,
            wrote,
            error,
        };
        let believed = report.believed();
        let report = believed.map_err(|NoVersion { at, text }| AttributesError::Version { at: at.to_owned(), text })?;
        Ok(Self { heartbeat, available_cut: available_cut && report.update.is_some(), report, handled })
    }
}

fn update_and_settings(
    value: Option<&str>,
    available: Vec<SmolStr>,
) -> (Option<ReportedUpdate>, Option<ReportedSettings>, bool) {
    let mut fields = Fields::of(value);
    let (state, chosen, staged) = (fields.text(), fields.text(), fields.text());
    let (last, ended) = (fields.text(), fields.text());
    let (version_lock, waves) = (fields.text().map(String::from), fields.text());
    let update = state.map(|state| ReportedUpdate {
        state: UpdateState::from(state.as_str()),
        chosen,
        staged,
        available,
        last: last.map(|last| ReportedCommand {
            r#type: CommandType::from(last.as_str()),
            status: CommandStatus::from(ended.unwrap_or_default().as_str()),
        }),
    });
    let locked_down = waves.as_deref() == Some(LOCKED_DOWN);
    let settings = (!locked_down && (waves.is_some() || version_lock.is_some())).then_some(ReportedSettings {
        version_lock,
        ignore_waves: match waves.as_deref() {
            Some("y") => Some(true),
            Some("n") => Some(false),
            Some(_) | None => None,
        },
    });
    (update, settings, locked_down)
}

/// How the claim stands: the attributes [`CLAIM`] and [`DETAIL`].
struct Standing {
    handled: Option<Handled>,
    wrote: Option<String>,
    error: Option<ReportedError>,
}

impl Standing {
    fn read(claim: Option<&str>, detail: Option<&str>) -> Self {
        let mut fields = Fields::of(claim);
        let handled = handled(&mut fields);
        let wrote = fields.text().map(String::from);
        let (at, code) = (fields.text(), fields.text());
        let attempt = fields.number().unwrap_or(1);
        let error = (at.is_some() || code.is_some()).then(|| ReportedError {
            at: at.unwrap_or_default().into(),
            code: ErrorCode::from(code.unwrap_or_default().as_str()),
            detail: detail.and_then(text_of).unwrap_or_default().into(),
        });
        Self { handled: handled.map(|handled| Handled { attempt, ..handled }), wrote, error }
    }
}

/// The visit that a claim's step stands for, as reports name it.
fn visit(handled: Option<&Handled>) -> &'static str {
    match handled.map(|handled| handled.step) {
        None => "inspect",
        Some(ClaimStep::Stage | ClaimStep::Drain) => "stage",
        Some(ClaimStep::Reboot) => "reboot",
        Some(ClaimStep::Revert | ClaimStep::Cancel) => "revert",
    }
}

/// With where the host can go back to alone.
fn heartbeat(value: &str) -> Result<(Heartbeat, Option<SmolStr>), AttributesError> {
    let mut fields = Fields::of(Some(value));
    match fields.next() {
        Some(FORMAT) => {}
        Some(other) => return Err(AttributesError::UnknownVersion(clean::name(other))),
        None => return Err(AttributesError::Malformed(clean::name(value))),
    }
    let version = fields.text().unwrap_or_default();
    let (at, heartbeat) = (fields.time(), fields.number::<u32>());
    match (at, heartbeat) {
        (Some(at), Some(seconds)) => {
            let (interval, agent_version) = (SignedDuration::from_secs(i64::from(seconds)), version.into());
            Ok((Heartbeat { agent_version, at, interval }, fields.text()))
        }
        _ => Err(AttributesError::Malformed(clean::name(value))),
    }
}

/// Takes four fields, whatever they are.
fn handled(fields: &mut Fields<'_>) -> Option<Handled> {
    let (step, run, since, progress) = (fields.text(), fields.text(), fields.time(), fields.text());
    let steps = [ClaimStep::Stage, ClaimStep::Drain, ClaimStep::Reboot, ClaimStep::Revert, ClaimStep::Cancel];
    Some(Handled {
        attempt: 1,
        step: steps.into_iter().find(|known| Some(known.as_str()) == step.as_deref())?,
        run: RunId::new(run?),
        since: since?,
        progress: Progress::ALL.into_iter().find(|known| Some(known.as_str()) == progress.as_deref())?,
    })
}
