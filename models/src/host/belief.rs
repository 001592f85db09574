//! What of a host's words is believed. An actor that is root on a host, or may write the attributes of its container instance, can
//! say anything: versions are versions or the report is refused, codes are known ones or `unknown`, and texts are short and
//! clean.

use super::report::{
    HostReport, ReportedAgent, ReportedCommand, ReportedError, ReportedOs, ReportedUpdate, TargetState,
};
use super::tolerant::{NoVersion, parse_version};
use crate::clean;

/// The longest word: a variant, an architecture, a part of a visit.
const MAX_WORD: usize = 40;
/// The longest version.
const MAX_VERSION: usize = 64;

impl HostReport {
    /// Returns what is taken of the report.
    ///
    /// A version that is none is not passed over: what is not known would look like what is not there.
    pub(crate) fn believed(self) -> Result<Self, NoVersion> {
        let lock = |text: &str| text == "latest" || is_version(text);
        let settings = self.settings.map(|mut settings| {
            settings.version_lock = checked("settings.version_lock", settings.version_lock, lock)?;
            Ok(settings)
        });
        Ok(Self {
            step: word(&self.step),
            os: self.os.map(os).transpose()?,
            update: self.update.map(update).transpose()?,
            settings: settings.transpose()?,
            agent: self.agent.map(agent),
            inactive: checked("inactive", self.inactive, is_version)?,
            wrote: checked("wrote", self.wrote, is_version)?,
            error: self.error.map(error),
            v: self.v,
            boot_id: self.boot_id,
            booted_at: self.booted_at,
            locked_down: self.locked_down,
            target_state: self.target_state.map(TargetState::known),
        })
    }
}

fn os(os: ReportedOs) -> Result<ReportedOs, NoVersion> {
    let version = checked("os.version", Some(os.version), is_version)?.unwrap_or_default();
    Ok(ReportedOs { version, variant: word(&os.variant).into(), arch: word(&os.arch).into() })
}

fn update(update: ReportedUpdate) -> Result<ReportedUpdate, NoVersion> {
    let mut available = update.available;
    available.retain(|version| is_version(version));
    available.truncate(HostReport::MAX_AVAILABLE);
    let last = update
        .last
        .map(|ReportedCommand { r#type, status }| ReportedCommand { r#type: r#type.known(), status: status.known() });
    Ok(ReportedUpdate {
        state: update.state.known(),
        chosen: checked("update.chosen", update.chosen, is_version)?,
        staged: checked("update.staged", update.staged, is_version)?,
        available,
        last,
    })
}

fn agent(agent: ReportedAgent) -> ReportedAgent {
    let container_instance = agent.container_instance.map(|arn| clean::name(arn.as_str()).into());
    ReportedAgent { state: agent.state.known(), container_instance, tasks: agent.tasks }
}

fn error(error: ReportedError) -> ReportedError {
    let detail = clean::cut(&error.detail, HostReport::MAX_DETAIL);
    ReportedError { at: word(&error.at), code: error.code.known(), detail }
}

/// A text that is one, where it says anything.
fn checked<T: AsRef<str>>(
    at: &'static str,
    text: Option<T>,
    is_one: impl Fn(&str) -> bool,
) -> Result<Option<T>, NoVersion> {
    match text.filter(|text| !text.as_ref().is_empty()) {
        Some(text) if !is_one(text.as_ref()) => Err(NoVersion { at, text: word(text.as_ref()) }),
        text => Ok(text),
    }
}

fn is_version(text: &str) -> bool {
    // Blanks would go on with it, into a tag and into a command.
    text.trim() == text && text.len() <= MAX_VERSION && parse_version(text).is_some()
}

fn word(text: &str) -> String {
    clean::cut(text, MAX_WORD)
}
