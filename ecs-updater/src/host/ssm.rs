//! Commands to hosts as SSM documents: sent to many hosts at once, polled once for all of them, each host's end read
//! from the one line that the document prints.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::fleet::VisitEnd;
use models::host::HostReport;
use models::ids::{HostId, RunId};
use models::pace::Pace;
use models::plan::HostCommand;
use models::policy::Policy;

use super::Ended;
use crate::aws::ssm::{Invocation, SEND_COMMAND};
use crate::aws::{Aws, AwsError};
use crate::planner::after;

/// How long a host may take to fetch a command; SSM takes 30 s at least. While a host boots, a waiting command is what finds it first.
const DELIVERY_S: i32 = 60;
/// What a visit without a refresh takes at most; the same for activate with its reboot request.
const SHORT_S: i64 = 120;
/// SSM's own end of a command is waited for this much longer.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The commands under way.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    sent: Vec<Sent>,
}

#[derive(Debug)]
struct Sent {
    id: String,
    command: HostCommand,
    waiting: BTreeSet<HostId>,
    sent_at: Timestamp,
    deadline: Timestamp,
    pace: Pace,
    poll_at: Timestamp,
}

/// What became of the attempt to send.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    /// Sent to these, then.
    pub(crate) sent: Vec<(HostId, Timestamp)>,
    /// SSM refuses these: not running, or unknown to it.
    pub(crate) refused: Vec<(HostId, String)>,
    /// Not sent, for a reason that has nothing to do with the host.
    pub(crate) error: Option<AwsError>,
}

impl Commands {
    /// When the next poll is due.
    pub(crate) fn poll_at(&self) -> Option<Timestamp> {
        self.sent.iter().map(|sent| sent.poll_at).min()
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Sends one command to any number of hosts.
    pub(crate) async fn send(
        &mut self,
        aws: &Aws,
        policy: &Policy,
        run: &RunId,
        command: &HostCommand,
        hosts: &[HostId],
        now: impl Fn() -> Timestamp,
    ) -> Dispatch {
        let mut dispatch = Dispatch::default();
        let mut batches: Vec<Vec<HostId>> = hosts.chunks(SEND_COMMAND).map(<[HostId]>::to_vec).rev().collect();
        let (document, parameters, runs_s) = document(command, policy);
        let comment = format!("ecs-updater run {run}");
        while let Some(batch) = batches.pop() {
            match aws.send_command(document, &parameters, &batch, DELIVERY_S, &comment).await {
                Ok(id) => {
                    let sent_at = now();
                    let allowed = SignedDuration::from_secs(i64::from(DELIVERY_S) + runs_s) + MARGIN;
                    let mut pace = pace(command);
                    let poll_at = after(sent_at, wait(&mut pace));
                    tracing::debug!(command = command.name(), id, hosts = batch.len(), "command sent");
                    self.sent.push(Sent {
                        id,
                        command: command.clone(),
                        waiting: batch.iter().cloned().collect(),
                        sent_at,
                        deadline: after(sent_at, allowed),
                        pace,
                        poll_at,
                    });
                    dispatch.sent.extend(batch.into_iter().map(|host| (host, sent_at)));
                }
                // One host that SSM does not take fails the whole call: halve until it stands alone.
                Err(error) if error.code() == Some("InvalidInstanceId") => match batch.len() {
                    1 => dispatch.refused.extend(batch.into_iter().map(|host| (host, error.message.clone()))),
                    many => {
                        let (left, right) = batch.split_at(many / 2);
                        batches.push(right.to_vec());
                        batches.push(left.to_vec());
                    }
                },
                Err(error) => {
                    dispatch.error = Some(error);
                    break;
                }
            }
        }
        dispatch
    }

    /// Asks about every command whose poll is due.
    pub(crate) async fn poll(&mut self, aws: &Aws, now: Timestamp) -> Result<Vec<Ended>, AwsError> {
        let mut ended = Vec::new();
        for sent in self.sent.iter_mut().filter(|sent| now >= sent.poll_at) {
            sent.poll_at = after(now, wait(&mut sent.pace));
            for invocation in aws.invocations(&sent.id).await? {
                if !invocation.has_ended() || !sent.waiting.remove(&invocation.host) {
                    continue;
                }
                let (end, report) = read(&sent.command, &invocation);
                ended.push(sent.ended(invocation.host, end, report));
            }
            if now >= sent.deadline {
                for host in std::mem::take(&mut sent.waiting) {
                    let detail = "SSM did not say in time how it ended".to_owned();
                    ended.push(sent.ended(host, VisitEnd::Unsure { detail }, None));
                }
            }
        }
        self.sent.retain(|sent| !sent.waiting.is_empty());
        Ok(ended)
    }
}

impl Sent {
    fn ended(&self, host: HostId, end: VisitEnd, report: Option<HostReport>) -> Ended {
        Ended { host, command: self.command.clone(), sent_at: self.sent_at, end, report }
    }
}

/// The document, its parameters, and how long it may run, in seconds.
fn document<'a>(command: &HostCommand, policy: &'a Policy) -> (&'a str, BTreeMap<&'static str, String>, i64) {
    let stage_s = policy.timeouts.stage.as_secs();
    let keep = |lock: &Option<String>| lock.clone().unwrap_or_else(|| "keep".to_owned());
    let (name, mut parameters, runs_s) = match command {
        HostCommand::Inspect { refresh } => {
            let word = if *refresh { "yes" } else { "no" };
            (&policy.documents.inspect, BTreeMap::from([("Refresh", word.to_owned())]), SHORT_S)
        }
        HostCommand::Stage { version, lock } => {
            let parameters = BTreeMap::from([("Version", version.to_string()), ("Lock", keep(lock))]);
            (&policy.documents.stage, parameters, stage_s)
        }
        HostCommand::Reboot { version, boot } => {
            let parameters = BTreeMap::from([("Version", version.to_string()), ("Boot", boot.to_string())]);
            (&policy.documents.reboot, parameters, SHORT_S)
        }
        HostCommand::Revert { version, lock, boot } => {
            let version = version.as_ref().map_or("none".to_owned(), ToString::to_string);
            let parameters = BTreeMap::from([("Version", version), ("Lock", keep(lock)), ("Boot", boot.to_string())]);
            (&policy.documents.revert, parameters, stage_s)
        }
    };
    let runs_s = runs_s.clamp(30, 3_600);
    parameters.insert("Timeout", runs_s.to_string());
    (name, parameters, runs_s)
}

/// How often a command is asked about: about as often as it takes, never less than twice a minute.
fn pace(command: &HostCommand) -> Pace {
    let (first, factor, longest) = match command {
        HostCommand::Inspect { refresh: true } => (8, 1.5, 15),
        HostCommand::Inspect { refresh: false } => (4, 1.5, 10),
        HostCommand::Stage { .. } | HostCommand::Revert { .. } => (15, 1.5, 30),
        // A refusal comes soon; a reboot that works says nothing more.
        HostCommand::Reboot { .. } => (10, 3.0, 60),
    };
    let seconds = std::time::Duration::from_secs;
    Pace::new(seconds(first), factor, seconds(longest), 0.0)
}

fn wait(pace: &mut Pace) -> SignedDuration {
    SignedDuration::try_from(pace.next_wait()).unwrap_or(SignedDuration::from_secs(10))
}

fn read(command: &HostCommand, invocation: &Invocation) -> (VisitEnd, Option<HostReport>) {
    let said = || match invocation.details.is_empty() {
        true => invocation.status.clone(),
        false => invocation.details.clone(),
    };
    match invocation.details.as_str() {
        "DeliveryTimedOut" | "Delivery Timed Out" | "Undeliverable" | "Terminated" | "AccessDenied"
        | "Access Denied" => return (VisitEnd::NotDelivered { detail: said() }, None),
        _ => {}
    }
    match HostReport::parse(&invocation.output) {
        Ok(report) => {
            let end = match &report.error {
                Some(error) => VisitEnd::Error(error.clone()),
                None if invocation.status == "Success" || matches!(command, HostCommand::Reboot { .. }) => {
                    VisitEnd::Done
                }
                None => VisitEnd::Unsure { detail: said() },
            };
            (end, Some(report))
        }
        Err(_) if invocation.status == "TimedOut" || invocation.status == "Cancelled" => {
            (VisitEnd::Unsure { detail: said() }, None)
        }
        // Around a reboot SSM's word on a command means nothing.
        Err(_) if matches!(command, HostCommand::Reboot { .. }) => (VisitEnd::Unsure { detail: said() }, None),
        Err(error) => (VisitEnd::Malformed { detail: format!("{error} (the command ended {})", said()) }, None),
    }
}
