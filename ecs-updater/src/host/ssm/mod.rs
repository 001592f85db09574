//! Commands to hosts as SSM documents: sent to many hosts at once, polled once for all of them, each host's end read
//! from the one line that the document prints.
//!
//! - `document`: what a command says to SSM.
//! - `poll`: the questions how commands ended; `durations`: when they are asked; `answer`: what the answers mean.

mod answer;
mod document;
mod durations;
mod poll;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::fleet::VisitEnd;
use models::host::HostReport;
use models::ids::{HostId, RunId};
use models::plan::HostCommand;
use models::policy::Policy;
use models::time::after;

use super::Ended;
use crate::aws::halving::halving;
use crate::aws::ssm::{Command, Invocation, SEND_COMMAND};
use crate::aws::{Aws, AwsError, ErrorKind, INVALID_INSTANCE};

use answer::read;
use document::Document;
use durations::{Durations, Kind};
use poll::Poll;

/// As many commands as a small cluster has under way.
const FEW: usize = 3;
/// SSM's own end of a command is waited for this much longer.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The commands under way.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    sent: Vec<Sent>,
    seen: Durations,
    poll: Poll,
}

/// What all commands of a run are sent with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) aws: &'a Aws,
    pub(crate) policy: &'a Policy,
    pub(crate) run: &'a RunId,
    /// The hosts that are to boot before they answer.
    pub(crate) booting: &'a BTreeSet<HostId>,
}

impl Sender<'_> {
    async fn send(&self, document: &Document<'_>, hosts: &[HostId]) -> Result<String, AwsError> {
        let comment = format!("ecs-updater run {}", self.run);
        let Document { name, parameters, .. } = document;
        let command = Command { document: name, parameters, delivery_s: document.delivery_s(), comment: &comment };
        self.aws.send_command(command, hosts).await
    }

    /// How often a command was sent, tries of one call included.
    fn tries(&self) -> u64 {
        self.aws.calls().sent("ssm:SendCommand")
    }
}

#[derive(Debug)]
struct Sent {
    id: String,
    kind: Kind,
    waiting: BTreeMap<HostId, HostCommand>,
    sent_at: Timestamp,
    deadline: Timestamp,
    poll_at: Timestamp,
}

/// What became of the attempt to send.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    /// Sent to these, then.
    pub(crate) sent: Vec<(HostId, Timestamp)>,
    /// SSM refuses these: not running, or unknown to it.
    pub(crate) refused: Vec<(HostId, String)>,
    /// What SSM said to the command for these alone: it takes the host, and not what the command says to it.
    pub(crate) failed: Vec<(HostId, AwsError)>,
    /// An earlier try of a call for these, whatever came of the last one, may have sent the command.
    pub(crate) maybe_sent: BTreeSet<HostId>,
    /// The others were not sent, for a reason that has nothing to do with the host.
    pub(crate) error: Option<AwsError>,
}

impl Commands {
    /// When the next poll is due.
    pub(crate) fn poll_at(&self) -> Option<Timestamp> {
        self.sent.iter().map(|sent| sent.poll_at).min()
    }

    /// Whether so few are under way that each may be asked about at its own time.
    pub(crate) fn are_few(&self) -> bool {
        self.sent.len() <= FEW
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Stops waiting for a host whose work is done.
    pub(crate) fn forget(&mut self, host: &HostId) {
        for sent in &mut self.sent {
            sent.waiting.remove(host);
        }
        self.sent.retain(|sent| !sent.waiting.is_empty());
    }

    /// Sends commands that differ by their boot alone to any number of hosts.
    pub(crate) async fn send(
        &mut self,
        sender: Sender<'_>,
        commands: &[(HostId, HostCommand)],
        now: impl Fn() -> Timestamp,
    ) -> Dispatch {
        let mut dispatch = Dispatch::default();
        let parts = halving(commands, SEND_COMMAND, async |batch: &[(HostId, HostCommand)]| {
            let hosts: Vec<HostId> = batch.iter().map(|(host, _)| host.clone()).collect();
            let awaits_boot = hosts.iter().all(|host| sender.booting.contains(host));
            let Some(document) = Document::of(batch, sender.policy, awaits_boot) else { return Ok(()) };
            let tries = sender.tries();
            let sent = sender.send(&document, &hosts).await;
            // Only the last try's error is known: one before it can have got no answer.
            let tried_again = sender.tries() > tries + 1;
            if tried_again || sent.as_ref().is_err_and(|error| error.kind == ErrorKind::NoAnswer) {
                dispatch.maybe_sent.extend(hosts.iter().cloned());
            }
            let (id, sent_at) = (sent?, now());
            self.follow(id, batch.to_vec(), &document, sent_at);
            dispatch.sent.extend(hosts.into_iter().map(|host| (host, sent_at)));
            Ok(())
        })
        .await;
        for ((host, _), error) in parts.refused {
            if error.code() == Some(INVALID_INSTANCE) {
                dispatch.refused.push((host, error.message));
            } else {
                dispatch.failed.push((host, error));
            }
        }
        dispatch.error = parts.failed.map(|(_, error)| error);
        dispatch
    }

    /// Awaits the end of a command that was sent.
    fn follow(&mut self, id: String, batch: Vec<(HostId, HostCommand)>, document: &Document<'_>, sent_at: Timestamp) {
        let allowed = SignedDuration::from_secs(i64::from(document.delivery_s()) + document.runs_s) + MARGIN;
        let command = batch.first().map(|(_, command)| command.name());
        tracing::debug!(command, id, hosts = batch.len(), "command sent");
        self.sent.push(Sent {
            id,
            kind: document.kind,
            poll_at: self.seen.next_poll(document.kind, sent_at, sent_at),
            waiting: batch.into_iter().collect(),
            sent_at,
            deadline: after(sent_at, allowed),
        });
    }

    /// Asks about every command whose poll is due, and takes in what is answered by now. Returns what has ended, and the
    /// first thing that went wrong with a question.
    ///
    /// What is answered before a call goes wrong counts: an end is told once. A command whose end is not told ends as
    /// unsure when its time is over.
    pub(crate) async fn poll(&mut self, aws: &Aws, now: Timestamp) -> (Vec<Ended>, Option<AwsError>) {
        let mut due = BTreeSet::new();
        for sent in self.sent.iter_mut().filter(|sent| now >= sent.poll_at) {
            sent.poll_at = self.seen.next_poll(sent.kind, sent.sent_at, now);
            due.insert(sent.id.clone());
        }
        self.poll.ask(aws, self.sent.iter().map(|sent| &sent.id).filter(|id| due.contains(*id)).cloned().collect());
        self.poll.hear().await;
        let (mut ended, failed) = self.read_answers(now);
        for sent in self.sent.iter_mut().filter(|sent| due.contains(&sent.id) && now >= sent.deadline) {
            for (host, command) in std::mem::take(&mut sent.waiting) {
                let detail = "SSM did not say in time how it ended".to_owned();
                ended.push(sent.ended(host, command, VisitEnd::Unsure { detail }, None));
            }
        }
        self.sent.retain(|sent| !sent.waiting.is_empty());
        (ended, failed)
    }

    fn read_answers(&mut self, now: Timestamp) -> (Vec<Ended>, Option<AwsError>) {
        let (mut ended, mut failed) = (Vec::new(), None);
        for (id, answer) in std::mem::take(&mut self.poll.heard) {
            let Some(sent) = self.sent.iter_mut().find(|sent| sent.id == id) else { continue };
            let invocations = answer.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Vec::new()
            });
            for invocation in invocations.into_iter().filter(Invocation::has_ended) {
                let Some(command) = sent.waiting.remove(&invocation.host) else { continue };
                let (end, report) = read(&command, &invocation);
                if end == VisitEnd::Done {
                    self.seen.learn(sent.kind, invocation.took, now.duration_since(sent.sent_at));
                }
                ended.push(sent.ended(invocation.host, command, end, report));
            }
        }
        (ended, failed)
    }

    /// Waits for the next answer to an open question, and without end while none is open.
    pub(crate) async fn next_answer(&mut self) {
        self.poll.next().await;
    }

    /// Whether SSM is silent about a command that is under way.
    pub(crate) fn is_unheard(&self) -> bool {
        self.poll.is_unheard && !self.sent.is_empty()
    }
}

impl Sent {
    fn ended(&self, host: HostId, command: HostCommand, end: VisitEnd, report: Option<HostReport>) -> Ended {
        Ended { host, command, sent_at: self.sent_at, end, report }
    }
}
