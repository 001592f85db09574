//! What the host bridge reports, as attributes of its container instance.
//!
//! ECS allows an instance 10 custom attributes and a value 128 characters, of letters, digits, `- _ . / \ @ :` and
//! inner spaces. Other programs and people have their own among the ten, so that there are seven here, always the
//! same, and written in one call:
//!
//! | name | value, its fields between slashes |
//! |---|---|
//! | `ecs-updater.os-version` | the running version alone, so that people can query their fleet by it |
//! | `ecs-updater.bridge` | `v1` / version of the agent / when it reported / its heartbeat, both in seconds |
//! | `ecs-updater.host` | boot id / time of the boot in seconds / variant / architecture / ECS agent's state / tasks |
//! | `ecs-updater.update` | update state / chosen / staged / last command / how it ended / `version-lock` / waves ignored |
//! | `ecs-updater.available` | the offered versions, newest first, with spaces between; a last `..` for those cut off |
//! | `ecs-updater.claim` | step / run / since, in seconds / [`Progress`] / version written / error: at / error: code / attempt |
//! | `ecs-updater.detail` | the error in words |
//!
//! `-` stands for nothing. Anything a field may not hold is escaped as `@` and the two hexadecimal digits of each
//! byte; an empty text is a lone `@`. A field that does not fit is left out rather than cut, since a part of a version
//! is another version; only the error's words are cut.
//!
//! Reading never fails over a part: what cannot be read is nothing known.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::claim::{Claim, ClaimStep};
use crate::host::{
    AgentState, CommandStatus, CommandType, ErrorCode, HostReport, ReportedAgent, ReportedCommand, ReportedError,
    ReportedOs, ReportedSettings, ReportedUpdate, UpdateState,
};
use crate::ids::{BootId, RunId};

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

/// The longest value that ECS takes, in characters.
pub const MAX_VALUE: usize = 128;

const FORMAT: &str = "v1";
const NONE: &str = "-";
const CUT: &str = "..";
/// The longest fields, escaped: with their slashes they fit into [`MAX_VALUE`].
const BOOT: usize = 40;
const VARIANT: usize = 28;
const VERSION: usize = 24;
const WORD: usize = 12;
const CODE: usize = 20;

/// What a host bridge says of its host and of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeReport {
    /// Who reports.
    pub life: Life,
    /// The host. `agent.container_instance` is not in it (the attributes hang on it), and `wrote` and `error` are about
    /// `handled`, or about the agent's own work where that is `None`.
    pub report: HostReport,
    /// The claim that stands on the instance, as far as the agent has read one it understands.
    pub handled: Option<Handled>,
    /// Whether more versions are offered than `report.update.available` names.
    pub available_cut: bool,
}

/// That and how an agent lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The version of the agent's program.
    pub version: String,
    /// When this was reported, in whole seconds of the host's clock.
    pub at: Timestamp,
    /// It reports at least this often, whether or not anything changed.
    pub heartbeat: SignedDuration,
}

impl Life {
    /// Whether the agent can be taken for alive: a heartbeat may be missed, or be late for want of an answer from ECS.
    pub fn is_live(&self, now: Timestamp) -> bool {
        let silent = now.duration_since(self.at);
        self.heartbeat.checked_mul(2).is_none_or(|patience| silent <= patience)
    }
}

/// How a claim stands with the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Its step.
    pub step: ClaimStep,
    /// Its run.
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
    #[error("the attribute {HOST} has the boot id {0:?}, which is no UUID")]
    BootId(String),
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
        let waves = match settings.map(|settings| settings.ignore_waves) {
            None => NONE,
            Some(None) => "u",
            Some(Some(true)) => "y",
            Some(Some(false)) => "n",
        };
        let life = [
            FORMAT.to_owned(),
            field(Some(&self.life.version), VERSION),
            self.life.at.as_second().to_string(),
            self.life.heartbeat.as_secs().to_string(),
        ];
        let host = [
            field(report.boot_id.as_ref().map(BootId::as_str), BOOT),
            number(report.booted_at),
            field(os.map(|os| os.variant.as_str()), VARIANT),
            field(os.map(|os| os.arch.as_str()), WORD),
            field(agent.map(|agent| agent.state.as_str()), WORD),
            number(agent.and_then(|agent| agent.tasks)),
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
            (BRIDGE, life.join("/")),
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
    /// [`AttributesError`] where no bridge of a known version has reported, or the boot id is no UUID. Everything else is
    /// read as far as it can be.
    pub fn decode(attributes: &BTreeMap<String, String>) -> Result<Self, AttributesError> {
        let value = |name: &str| attributes.get(name).map(String::as_str);
        let bridge = value(BRIDGE).ok_or(AttributesError::Absent)?;
        let life = life(bridge)?;
        let mut host = Fields::of(value(HOST));
        let mut status = Fields::of(value(UPDATE));
        let mut claim = Fields::of(value(CLAIM));
        let boot_id = host.text().map(BootId::new);
        if let Some(boot) = boot_id.as_ref().filter(|boot| !boot.is_uuid()) {
            return Err(AttributesError::BootId(boot.to_string()));
        }
        let booted_at = host.number();
        let (variant, arch) = (host.text(), host.text());
        let (agent, tasks) = (host.text(), host.number());
        let version = value(OS_VERSION).and_then(text_of);
        let os = [&version, &variant, &arch].into_iter().any(Option::is_some).then(|| ReportedOs {
            version: version.clone().unwrap_or_default(),
            variant: variant.clone().unwrap_or_default(),
            arch: arch.clone().unwrap_or_default(),
        });
        let (available, available_cut) = list_of(value(AVAILABLE).unwrap_or(NONE));
        let (state, chosen, staged) = (status.text(), status.text(), status.text());
        let (last, ended) = (status.text(), status.text());
        let (version_lock, waves) = (status.text().map(String::from), status.text());
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
        let settings = (waves.is_some() || version_lock.is_some()).then_some(ReportedSettings {
            version_lock,
            ignore_waves: match waves.as_deref() {
                Some("y") => Some(true),
                Some("n") => Some(false),
                Some(_) | None => None,
            },
        });
        let handled = handled(&mut claim);
        let wrote = claim.text().map(String::from);
        let (at, code) = (claim.text(), claim.text());
        let attempt = claim.number().unwrap_or(1);
        let handled = handled.map(|handled| Handled { attempt, ..handled });
        let error = (at.is_some() || code.is_some()).then(|| ReportedError {
            at: at.unwrap_or_default().into(),
            code: ErrorCode::from(code.unwrap_or_default().as_str()),
            detail: value(DETAIL).and_then(text_of).unwrap_or_default().into(),
        });
        let report = HostReport {
            v: 1,
            step: visit(handled.as_ref()).to_owned(),
            boot_id,
            booted_at,
            os,
            update,
            settings,
            agent: agent.map(|agent| ReportedAgent {
                state: AgentState::from(agent.as_str()),
                container_instance: None,
                tasks,
            }),
            wrote,
            error,
        };
        Ok(Self { life, available_cut: available_cut && report.update.is_some(), report, handled })
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

fn life(value: &str) -> Result<Life, AttributesError> {
    let mut fields = Fields::of(Some(value));
    match fields.next() {
        Some(FORMAT) => {}
        Some(other) => return Err(AttributesError::UnknownVersion(other.to_owned())),
        None => return Err(AttributesError::Malformed(value.to_owned())),
    }
    let version = fields.text().unwrap_or_default();
    let (at, heartbeat) = (fields.time(), fields.number::<u32>());
    match (at, heartbeat) {
        (Some(at), Some(seconds)) => {
            Ok(Life { version: version.into(), at, heartbeat: SignedDuration::from_secs(i64::from(seconds)) })
        }
        _ => Err(AttributesError::Malformed(value.to_owned())),
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

/// The fields of a value, one after the other; `None` beyond the last.
struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    fn of(value: Option<&'a str>) -> Self {
        Self(value.unwrap_or_default().split('/'))
    }

    fn next(&mut self) -> Option<&'a str> {
        self.0.next().filter(|field| !field.is_empty())
    }

    fn text(&mut self) -> Option<SmolStr> {
        self.next().and_then(text_of)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_second(self.number()?).ok()
    }
}

fn number(number: Option<impl fmt::Display>) -> String {
    number.map_or_else(|| NONE.to_owned(), |number| number.to_string())
}

/// A field: the text if it fits into `most` characters, else nothing.
fn field(text: Option<&str>, most: usize) -> String {
    text.map(|text| escaped(text, false)).filter(|field| field.len() <= most).unwrap_or_else(|| NONE.to_owned())
}

fn list(items: &[SmolStr], cut: bool) -> String {
    let room = MAX_VALUE - CUT.len() - 1;
    let mut value = String::new();
    let mut whole = !cut;
    for (at, item) in items.iter().enumerate() {
        let item = match item.as_str() {
            CUT => "@2e.".to_owned(),
            item => escaped(item, false),
        };
        let last = at + 1 == items.len() && whole;
        let space = usize::from(!value.is_empty());
        if value.len() + space + item.len() > if last { MAX_VALUE } else { room } {
            whole = false;
            break;
        }
        if space == 1 {
            value.push(' ');
        }
        value.push_str(&item);
    }
    match (whole, value.is_empty()) {
        (true, true) => NONE.to_owned(),
        (true, false) => value,
        (false, true) => CUT.to_owned(),
        (false, false) => format!("{value} {CUT}"),
    }
}

fn list_of(value: &str) -> (Vec<SmolStr>, bool) {
    let mut items: Vec<&str> = value.split(' ').filter(|item| !item.is_empty() && *item != NONE).collect();
    let cut = items.last() == Some(&CUT);
    if cut {
        items.pop();
    }
    (items.into_iter().filter_map(text_of).collect(), cut)
}

/// Words for people: spaces stay, and what does not fit is cut.
fn prose(text: &str) -> String {
    let whole = escaped(text, true);
    if whole.len() <= MAX_VALUE {
        return whole;
    }
    let mut value = String::new();
    for part in text.chars().map(|one| escape(one, true)) {
        if value.len() + part.len() > MAX_VALUE - 3 {
            break;
        }
        value.push_str(&part);
    }
    if value.starts_with(' ') {
        value.replace_range(..1, ".");
    }
    format!("{value}...")
}

/// A text in the characters that ECS takes and without our own separators, never empty and never a lone `-`.
fn escaped(text: &str, spaces: bool) -> String {
    if text.is_empty() {
        return "@".to_owned();
    }
    if text == NONE {
        return "@2d".to_owned();
    }
    let last = text.chars().count() - 1;
    text.chars().enumerate().map(|(at, one)| escape(one, spaces && at != 0 && at != last)).collect()
}

fn escape(one: char, spaces: bool) -> String {
    match one {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | ':' => one.to_string(),
        ' ' if spaces => one.to_string(),
        other => other.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("@{byte:02x}")).collect(),
    }
}

/// The text of a field; `None` for nothing. What is no escape of ours stands as it is.
fn text_of(field: &str) -> Option<SmolStr> {
    match field {
        NONE => return None,
        "@" => return Some(SmolStr::default()),
        _ => {}
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match (first, tail) {
            (b'@', [high, low, ..]) => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Some(SmolStr::new(String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full() -> BridgeReport {
        BridgeReport {
            life: Life {
                version: "0.1.0".into(),
                at: "2026-11-23T03:00:00Z".parse().unwrap(),
                heartbeat: SignedDuration::from_hours(3),
            },
            report: HostReport {
                v: 1,
                step: "stage".into(),
                boot_id: Some("2b5d4f3e-0000-4000-8000-0123456789ab".into()),
                booted_at: Some(1_795_402_800),
                os: Some(ReportedOs { version: "1.26.1".into(), variant: "aws-ecs-2".into(), arch: "x86_64".into() }),
                update: Some(ReportedUpdate {
                    state: UpdateState::Staged,
                    chosen: Some("1.27.0".into()),
                    staged: Some("1.27.0".into()),
                    available: vec!["1.27.0".into(), "1.26.1".into()],
                    last: Some(ReportedCommand { r#type: CommandType::Prepare, status: CommandStatus::Success }),
                }),
                settings: Some(ReportedSettings { version_lock: Some("latest".into()), ignore_waves: Some(false) }),
                agent: Some(ReportedAgent { state: AgentState::Registered, container_instance: None, tasks: Some(0) }),
                wrote: Some("1.27.0".into()),
                error: Some(ReportedError {
                    at: "pin".into(),
                    code: ErrorCode::Failed,
                    detail: "`version-lock` could not be put back to latest: 50%".into(),
                }),
            },
            handled: Some(Handled {
                step: ClaimStep::Stage,
                run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
                since: "2026-11-23T02:58:00Z".parse().unwrap(),
                attempt: 2,
                progress: Progress::Failed,
            }),
            available_cut: false,
        }
    }

    fn decode(attributes: BTreeMap<&'static str, String>) -> Result<BridgeReport, AttributesError> {
        BridgeReport::decode(&attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn the_values_are_for_reading() {
        let attributes = full().encode();
        let lines: Vec<String> = attributes.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let expected = [
            "ecs-updater.available = 1.27.0 1.26.1",
            "ecs-updater.bridge = v1/0.1.0/1795402800/10800",
            "ecs-updater.claim = stage/01JDBX3Z7G8Y0M2QK4T5V6W7X8/1795402680/failed/1.27.0/pin/failed/2",
            "ecs-updater.detail = @60version-lock@60 could not be put back to latest: 50@25",
            "ecs-updater.host = 2b5d4f3e-0000-4000-8000-0123456789ab/1795402800/aws-ecs-2/x86_64/registered/0",
            "ecs-updater.os-version = 1.26.1",
            "ecs-updater.update = Staged/1.27.0/1.27.0/prepare/Success/latest/n",
        ];
        assert_eq!(lines, expected);
        assert_eq!(decode(attributes), Ok(full()));
        assert!(NAMES.iter().all(|name| name.starts_with(PREFIX) && full().encode().contains_key(name)));
    }

    #[test]
    fn nothing_known_is_nothing_known() {
        let report = HostReport { v: 1, step: "inspect".into(), ..HostReport::default() };
        let bare = BridgeReport { report, handled: None, ..full() };
        assert_eq!(decode(bare.encode()), Ok(bare));
        assert_eq!(decode(BTreeMap::new()), Err(AttributesError::Absent));
        let of = |bridge: &str| decode(BTreeMap::from([(BRIDGE, bridge.to_owned())])).unwrap_err();
        assert_eq!(of("v2/whatever"), AttributesError::UnknownVersion("v2".into()));
        assert_eq!(of("v1/0.1.0/soon/1"), AttributesError::Malformed("v1/0.1.0/soon/1".into()));
    }

    #[test]
    fn the_newest_offers_fit_and_a_version_is_never_cut() {
        let mut report = full();
        let offers: Vec<SmolStr> = (0..40).rev().map(|minor| format!("1.{minor}.0").into()).collect();
        report.report.update.as_mut().unwrap().available.clone_from(&offers);
        report.report.update.as_mut().unwrap().chosen = Some("1.27.0-with-a-very-long-name".into());
        let read = decode(report.encode()).unwrap();
        let update = read.report.update.unwrap();
        assert!(read.available_cut && update.available.len() > 15 && offers.starts_with(&update.available));
        assert_eq!(update.chosen, None);
    }

    #[test]
    fn an_agent_is_alive_for_two_heartbeats() {
        let life = full().life;
        assert!(life.is_live(life.at + SignedDuration::from_hours(6)));
        assert!(!life.is_live(life.at + SignedDuration::from_secs(6 * 3_600 + 1)));
    }

    fn text() -> impl Strategy<Value = SmolStr> {
        prop_oneof![
            "[0-9]{1,2}\\.[0-9]{1,3}\\.[0-9]",
            "[ -~]{0,8}",
            ".{0,3}",
            Just("-".to_owned()),
            Just("..".to_owned())
        ]
        .prop_map(SmolStr::from)
    }

    prop_compose! {
        fn update()(
            state in text(), chosen in prop::option::of(text()), staged in prop::option::of(text()),
            available in prop::collection::vec(text(), 0..5), last in prop::option::of((text(), text())),
        ) -> ReportedUpdate {
            ReportedUpdate {
                state: UpdateState::from(state.as_str()), chosen, staged, available,
                last: last.map(|(of, status)| ReportedCommand {
                    r#type: CommandType::from(of.as_str()), status: CommandStatus::from(status.as_str()),
                }),
            }
        }
    }

    prop_compose! {
        fn any_report()(
            booted_at in prop::option::of(any::<i64>()),
            os in prop::option::of((text(), text(), text())),
            update in prop::option::of(update()),
            settings in prop::option::of((prop::option::of(text().prop_map(String::from)), prop::option::of(any::<bool>()))),
            agent in prop::option::of((text(), prop::option::of(any::<u32>()))),
            wrote in prop::option::of(text()),
            error in prop::option::of((text(), text(), ".{0,150}")),
            progress in prop::sample::select(Progress::ALL.to_vec()),
        ) -> BridgeReport {
            let mut report = full();
            report.handled.as_mut().unwrap().progress = progress;
            report.report = HostReport {
                booted_at,
                os: os.map(|(version, variant, arch)| ReportedOs { version, variant, arch }),
                update,
                settings: settings
                    .map(|(version_lock, ignore_waves)| ReportedSettings { version_lock, ignore_waves }),
                agent: agent.map(|(state, tasks)| ReportedAgent {
                    state: AgentState::from(state.as_str()), container_instance: None, tasks,
                }),
                wrote: wrote.map(String::from),
                error: error.map(|(at, code, detail)| ReportedError {
                    at: at.into(), code: ErrorCode::from(code.as_str()), detail,
                }),
                ..report.report
            };
            report
        }
    }

    fn is_a_value(value: &str) -> bool {
        (1..=MAX_VALUE).contains(&value.len())
            && value.chars().all(|one| one.is_ascii_alphanumeric() || "-_./\\@: ".contains(one))
            && !value.starts_with(' ')
            && !value.ends_with(' ')
    }

    proptest! {
        #[test]
        fn what_fits_comes_back_and_ecs_takes_it_all(report in any_report()) {
            let attributes = report.encode();
            prop_assert!(attributes.values().all(|value| is_a_value(value)), "{attributes:?}");
            let read = decode(attributes).unwrap();
            let (had, got) = (&report.report, &read.report);
            prop_assert_eq!(&read.handled, &report.handled);
            prop_assert_eq!((&had.boot_id, had.booted_at), (&got.boot_id, got.booted_at));
            let short = |text: &str| escaped(text, false).len() <= WORD;
            if let (Some(had), Some(got)) = (&had.update, &got.update) {
                prop_assert_eq!(&had.state, &got.state);
                prop_assert!(had.available.starts_with(&got.available));
                prop_assert!(read.available_cut || had.available.len() == got.available.len());
                for (had, got) in [(&had.chosen, &got.chosen), (&had.staged, &got.staged)] {
                    prop_assert!(had == got || (got.is_none() && !short(had.as_ref().unwrap())));
                }
            }
            if let (Some(had), Some(got)) = (&had.error, &got.error) {
                prop_assert!(had.detail == got.detail || got.detail.ends_with("..."));
            }
            // What was read is written the same way again: no second reading differs from the first.
            prop_assert_eq!(decode(read.encode()).unwrap(), read);
        }

        #[test]
        fn foreign_values_never_panic(
            values in prop::collection::vec(prop_oneof![".{0,140}", "[-@/a-z0-9. ]{0,60}"], 7),
        ) {
            let mut attributes: BTreeMap<String, String> =
                NAMES.iter().map(|name| (*name).to_owned()).zip(values).collect();
            let _ = BridgeReport::decode(&attributes);
            attributes.insert(BRIDGE.to_owned(), full().encode()[BRIDGE].clone());
            let read = BridgeReport::decode(&attributes);
            prop_assert!(matches!(read, Ok(_) | Err(AttributesError::BootId(_))), "{read:?}");
            attributes.remove(HOST);
            prop_assert!(BridgeReport::decode(&attributes).is_ok());
        }
    }
}
