//! Commands to hosts as SSM documents: sent to many hosts at once, polled once for all of them, each host's end read
//! from the one line that the document prints.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use models::fleet::VisitEnd;
use models::host::HostReport;
use models::ids::{HostId, RunId};
use models::plan::HostCommand;
use models::policy::Policy;

use super::Ended;
use crate::aws::ssm::{Invocation, SEND_COMMAND};
use crate::aws::{Aws, AwsError, ErrorKind};
use crate::planner::after;

/// How long a host may take to fetch a command; SSM takes 30 s at least.
const DELIVERY_S: i32 = 60;
/// The same for a visit without a refresh: while a host boots, a waiting command is what finds it first, and one that
/// waits long enough need not be sent again.
const BOOT_DELIVERY_S: i32 = 120;
/// How long a visit without a refresh waits on the host for the ECS agent: agents register in tens of seconds.
const AGENT_WAIT_S: u32 = 45;
/// What a visit without a refresh takes at most; the same for activate with its reboot request.
const SHORT_S: i64 = 120;
/// SSM's own end of a command is waited for this much longer.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// How long a look waits for what SSM says of the commands: it answers in a fraction of a second, and what takes longer
/// is heard while the loop goes on.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The commands under way.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    sent: Vec<Sent>,
    seen: Durations,
    poll: Poll,
}

/// The questions that SSM is asked about commands, one after the other. They are asked beside the loop: while SSM hangs,
/// the loop goes on without the answers.
#[derive(Default)]
struct Poll {
    answers: Option<Answers>,
    /// What was answered and not read yet.
    heard: Vec<Answer>,
    /// The last answer did not come, or not in time.
    is_unheard: bool,
}

type Answers = Pin<Box<dyn Stream<Item = Answer>>>;

/// What SSM says of the command with this id.
type Answer = (String, Result<Vec<Invocation>, AwsError>);

impl std::fmt::Debug for Poll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poll").field("heard", &self.heard).field("is_unheard", &self.is_unheard).finish_non_exhaustive()
    }
}

impl Poll {
    /// Asks about these commands, unless an earlier question is still open.
    fn ask(&mut self, aws: &Aws, ids: Vec<String>) {
        if self.answers.is_none() && !ids.is_empty() {
            let aws = aws.clone();
            let ask = move |id: String| {
                let aws = aws.clone();
                async move {
                    let answer = aws.invocations(&id).await;
                    (id, answer)
                }
            };
            self.answers = Some(Box::pin(futures_util::stream::iter(ids).then(ask)));
        }
    }

    /// Waits for the next answer, and without end while nothing is asked. An answer is kept although nobody waits any more.
    async fn next(&mut self) {
        let Some(answers) = &mut self.answers else { return std::future::pending().await };
        match answers.next().await {
            Some(answer) => {
                self.is_unheard = matches!(&answer.1, Err(error) if error.kind.is_silence());
                self.heard.push(answer);
            }
            None => self.answers = None,
        }
    }

    /// Waits for the answers, for a while.
    async fn hear(&mut self) {
        let all = async {
            while self.answers.is_some() {
                self.next().await;
            }
        };
        if tokio::time::timeout(HEARD_WITHIN, all).await.is_err() {
            self.is_unheard = true;
        }
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

/// Commands that take about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Refresh,
    Visit,
    Stage,
    Reboot,
    Revert,
}

/// How long commands took in this run, the newest last: the next ones are asked about when they can have ended.
#[derive(Debug, Default)]
struct Durations(BTreeMap<Kind, VecDeque<SignedDuration>>);

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
        aws: &Aws,
        policy: &Policy,
        run: &RunId,
        commands: &[(HostId, HostCommand)],
        now: impl Fn() -> Timestamp,
    ) -> Dispatch {
        let mut dispatch = Dispatch::default();
        let mut batches: Vec<_> = commands.chunks(SEND_COMMAND).map(<[(HostId, HostCommand)]>::to_vec).rev().collect();
        let comment = format!("ecs-updater run {run}");
        while let Some(batch) = batches.pop() {
            let Some((_, command)) = batch.first() else { continue };
            let (document, parameters, runs_s) = document(&batch, command, policy);
            let hosts: Vec<HostId> = batch.iter().map(|(host, _)| host.clone()).collect();
            let kind = Kind::of(command);
            let delivery_s = if kind == Kind::Visit { BOOT_DELIVERY_S } else { DELIVERY_S };
            let tries = aws.calls().sent("ssm:SendCommand");
            let sent = aws.send_command(document, &parameters, &hosts, delivery_s, &comment).await;
            // Only the last try's error is known: one before it can have got no answer.
            let tried_again = aws.calls().sent("ssm:SendCommand") > tries + 1;
            if tried_again || sent.as_ref().is_err_and(|error| error.kind == ErrorKind::NoAnswer) {
                dispatch.maybe_sent.extend(hosts.iter().cloned());
            }
            match sent {
                Ok(id) => {
                    let sent_at = now();
                    let allowed = SignedDuration::from_secs(i64::from(delivery_s) + runs_s) + MARGIN;
                    tracing::debug!(command = command.name(), id, hosts = batch.len(), "command sent");
                    self.sent.push(Sent {
                        id,
                        kind,
                        poll_at: self.seen.next_poll(kind, sent_at, sent_at),
                        waiting: batch.into_iter().collect(),
                        sent_at,
                        deadline: after(sent_at, allowed),
                    });
                    dispatch.sent.extend(hosts.into_iter().map(|host| (host, sent_at)));
                }
                // One host that SSM does not take fails the whole call, and so does one whose boot or version it does not take
                // as a parameter: halve until it stands alone.
                Err(error) if is_for_one(&error) && batch.len() > 1 => {
                    let (left, right) = batch.split_at(batch.len() / 2);
                    batches.push(right.to_vec());
                    batches.push(left.to_vec());
                }
                Err(error) if error.code() == Some(INVALID_INSTANCE) => {
                    dispatch.refused.extend(hosts.into_iter().map(|host| (host, error.message.clone())));
                }
                // Where the first two are refused alone, it is the document or what all of them are told.
                Err(error) if is_for_one(&error) && (dispatch.failed.is_empty() || !dispatch.sent.is_empty()) => {
                    dispatch.failed.extend(hosts.into_iter().map(|host| (host, error.clone())));
                }
                Err(error) => {
                    dispatch.error = Some(error);
                    break;
                }
            }
        }
        dispatch
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
                    self.seen.learn(sent.kind, now.duration_since(sent.sent_at));
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

const INVALID_INSTANCE: &str = "InvalidInstanceId";

/// Whether the call can have been refused because of one of its hosts.
fn is_for_one(error: &AwsError) -> bool {
    matches!(error.code(), Some(INVALID_INSTANCE | "InvalidParameters"))
}

impl Sent {
    fn ended(&self, host: HostId, command: HostCommand, end: VisitEnd, report: Option<HostReport>) -> Ended {
        Ended { host, command, sent_at: self.sent_at, end, report }
    }
}

/// The document, its parameters, and how long it may run, in seconds. A reboot names every host's boot.
fn document<'a>(
    batch: &[(HostId, HostCommand)],
    command: &HostCommand,
    policy: &'a Policy,
) -> (&'a str, BTreeMap<&'static str, String>, i64) {
    let stage_s = policy.timeouts.stage.as_secs();
    let keep = |lock: &Option<String>| lock.clone().unwrap_or_else(|| "keep".to_owned());
    let (name, mut parameters, runs_s) = match command {
        HostCommand::Inspect { refresh } => {
            let word = if *refresh { "yes" } else { "no" };
            let wait_s = if *refresh { 0 } else { AGENT_WAIT_S };
            let parameters = BTreeMap::from([("Refresh", word.to_owned()), ("Wait", wait_s.to_string())]);
            (&policy.documents.inspect, parameters, SHORT_S)
        }
        HostCommand::Stage { version, lock } => {
            let parameters = BTreeMap::from([("Version", version.to_string()), ("Lock", keep(lock))]);
            (&policy.documents.stage, parameters, stage_s)
        }
        HostCommand::Reboot { version, .. } => {
            let boots: Vec<&str> = batch
                .iter()
                .filter_map(|(_, command)| match command {
                    HostCommand::Reboot { boot, .. } => Some(boot.as_str()),
                    HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => None,
                })
                .collect();
            let parameters = BTreeMap::from([("Version", version.to_string()), ("Boot", boots.join(" "))]);
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

impl Kind {
    fn of(command: &HostCommand) -> Self {
        match command {
            HostCommand::Inspect { refresh: true } => Self::Refresh,
            HostCommand::Inspect { refresh: false } => Self::Visit,
            HostCommand::Stage { .. } => Self::Stage,
            HostCommand::Reboot { .. } => Self::Reboot,
            HostCommand::Revert { .. } => Self::Revert,
        }
    }

    /// Seconds to the first question while nothing was learned yet, between two questions while an end is likely,
    /// and at most between two. They are a second less than a beat of the run's grid, which they would else just miss.
    fn pace_s(self) -> (i64, i64, i64) {
        match self {
            Self::Refresh => (8, 4, 14),
            Self::Visit => (4, 4, 14),
            Self::Stage => (19, 9, 29),
            // A refusal comes soon; a reboot that works says nothing more.
            Self::Reboot => (9, 59, 59),
            Self::Revert => (19, 9, 29),
        }
    }
}

impl Durations {
    /// So many of the newest count: a fleet's hosts differ, and so do hours of the day.
    const KEPT: usize = 64;

    fn learn(&mut self, kind: Kind, took: SignedDuration) {
        let known = self.0.entry(kind).or_default();
        known.push_back(took);
        if known.len() > Self::KEPT {
            known.pop_front();
        }
    }

    /// When to ask next: not before the quickest one can have ended, often until the slowest has, and then ever less.
    fn next_poll(&self, kind: Kind, sent_at: Timestamp, now: Timestamp) -> Timestamp {
        let (first, often, seldom) = kind.pace_s();
        let seconds = SignedDuration::from_secs;
        let known = self.0.get(&kind).filter(|_| kind != Kind::Reboot);
        let (quickest, slowest) = match known {
            Some(known) => (known.iter().min().copied(), known.iter().max().copied()),
            None => (None, None),
        };
        let since = now.duration_since(sent_at);
        if since.is_zero() {
            // A poll earlier than the quickest, since that was seen a poll after its end.
            return after(
                sent_at,
                quickest.map_or(seconds(first), |quickest| (quickest - seconds(often)).max(seconds(first))),
            );
        }
        let late = since - slowest.unwrap_or(seconds(5 * often));
        after(now, (seconds(often) + late.max(SignedDuration::ZERO) / 2).min(seconds(seldom)))
    }
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
