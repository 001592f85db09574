//! What a command says to SSM: a document and its parameters.

use std::collections::BTreeMap;

use models::ids::HostId;
use models::plan::HostCommand;
use models::policy::Policy;

use super::durations::Kind;

/// How long a host may take to fetch a command; SSM takes 30 s at least.
const DELIVERY_S: i32 = 60;
/// The same for a visit without a refresh: while a host boots, a waiting command is what finds it first, and one that
/// waits long enough need not be sent again.
const BOOT_DELIVERY_S: i32 = 120;
/// How long a visit without a refresh waits on the host for the ECS agent: agents register in tens of seconds.
const AGENT_WAIT_S: u32 = 45;
/// What a visit without a refresh takes at most; the same for activate with its reboot request.
const SHORT_S: i64 = 120;
/// A document for one or more hosts.
pub(super) struct Document<'p> {
    pub(super) name: &'p str,
    pub(super) parameters: BTreeMap<&'static str, String>,
    pub(super) kind: Kind,
    /// How long it may run, in seconds.
    pub(super) runs_s: i64,
}

impl<'p> Document<'p> {
    /// Returns the document for commands that differ by their boot alone; `None` where there is none. A reboot names every
    /// host's boot. `awaits_boot`: all hosts are to boot before they answer.
    pub(super) fn of(batch: &[(HostId, HostCommand)], policy: &'p Policy, awaits_boot: bool) -> Option<Self> {
        let (_, command) = batch.first()?;
        let (documents, stage_s) = (&policy.documents, policy.timeouts.stage.as_secs());
        let keep = |lock: &Option<String>| lock.clone().unwrap_or_else(|| "keep".to_owned());
        let (name, parameters, runs_s) = match command {
            HostCommand::Inspect { refresh } => {
                let (word, wait_s) = if *refresh { ("yes", 0) } else { ("no", AGENT_WAIT_S) };
                (&documents.inspect, vec![("Refresh", word.to_owned()), ("Wait", wait_s.to_string())], SHORT_S)
            }
            HostCommand::Stage { version, lock } => {
                (&documents.stage, vec![("Version", version.to_string()), ("Lock", keep(lock))], stage_s)
            }
            HostCommand::Reboot { version, .. } => {
                (&documents.reboot, vec![("Version", version.to_string()), ("Boot", boots_of(batch))], SHORT_S)
            }
            HostCommand::Revert { version, lock, boot } => {
                let version = version.as_ref().map_or("none".to_owned(), ToString::to_string);
                let parameters = vec![("Version", version), ("Lock", keep(lock)), ("Boot", boot.to_string())];
                (&documents.revert, parameters, stage_s)
            }
        };
        let runs_s = runs_s.clamp(30, 3_600);
        let parameters = parameters.into_iter().chain([("Timeout", runs_s.to_string())]).collect();
        Some(Self { name, parameters, kind: Kind::of(command, awaits_boot), runs_s })
    }

    /// How long a host may take to fetch it, in seconds.
    pub(super) fn delivery_s(&self) -> i32 {
        if matches!(self.kind, Kind::Visit | Kind::Boot) { BOOT_DELIVERY_S } else { DELIVERY_S }
    }
}

/// The boots of all hosts.
fn boots_of(batch: &[(HostId, HostCommand)]) -> String {
    let boots = batch.iter().filter_map(|(_, command)| match command {
        HostCommand::Reboot { boot, .. } => Some(boot.as_str()),
        HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => None,
    });
    boots.collect::<Vec<_>>().join(" ")
}
