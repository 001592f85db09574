//! The calls that tag container instances with the ARNs of their EC2 instances, beside the loop: one for each, which for a
//! large cluster takes half an hour once.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::ids::HostId;
use models::time::after;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;

use crate::aws::{Aws, AwsError, ErrorKind};
use crate::patience::FOR_SILENCE;
use crate::planner::Unnamed;

/// No more are asked for at once, so that what changes meanwhile is seen.
const BATCH: usize = 50;
/// Denied for so many, and done for none between, it is taken to be denied for all.
const DENIED_FOR_ALL: usize = 2;
/// After that it is tried again.
const DENIED_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Between two tries while AWS does not answer.
const SILENT_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Where the request was not sent: the lease is to be renewed first.
const UNSENT_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// What became of one.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) order: Unnamed,
    pub(super) result: Result<(), AwsError>,
}

/// The tags that are being written.
#[derive(Debug, Default)]
pub(super) struct Namer {
    work: Option<Work>,
    heard: Vec<Named>,
    denied: Denied,
    /// Refused for all, until then, in these words.
    refused: Option<(Timestamp, String)>,
    silent_since: Option<Timestamp>,
    /// Nothing is asked before.
    again_at: Option<Timestamp>,
    /// For the report: why hosts may not report.
    pub(super) note: Option<String>,
}

/// The hosts for which the right was missing, since it was last there.
#[derive(Debug, Clone, Default)]
struct Denied(BTreeSet<HostId>);

impl Denied {
    fn note(&mut self, Named { order, result }: &Named) {
        match result {
            Ok(()) => self.0.clear(),
            Err(error) if error.kind == ErrorKind::Denied => drop(self.0.insert(order.host.clone())),
            Err(_) => {}
        }
    }

    fn is_for_all(&self) -> bool {
        self.0.len() >= DENIED_FOR_ALL
    }
}

#[derive(Debug)]
struct Work {
    results: UnboundedReceiver<Named>,
    task: AbortHandle,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Namer {
    /// Whether something is asked, or is to be asked again because AWS does not answer.
    pub(super) fn is_busy(&self) -> bool {
        self.work.is_some() || (self.silent_since.is_some() && self.refused.is_none())
    }

    /// Waits until what is asked was answered, and without end while nothing is asked.
    pub(super) async fn ended(&mut self) {
        let Some(work) = &mut self.work else { return std::future::pending().await };
        while let Some(named) = work.results.recv().await {
            self.heard.push(named);
        }
        self.work = None;
    }

    pub(super) fn take_heard(&mut self) -> Vec<Named> {
        while let Some(work) = &mut self.work {
            match work.results.try_recv() {
                Ok(named) => self.heard.push(named),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.work = None,
            }
        }
        std::mem::take(&mut self.heard)
    }

    /// Whether nothing may be asked now: something is asked already, or AWS is to have its time first.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.work.is_some() || self.again_at.is_some_and(|at| now < at)
    }

    /// Why nothing is asked for anybody now, where AWS has refused it for all.
    pub(super) fn refused_for_all(&self, now: Timestamp) -> Option<&str> {
        self.refused.as_ref().filter(|(until, _)| now < *until).map(|(_, why)| why.as_str())
    }

    /// Everything is tagged.
    pub(super) fn rest(&mut self) {
        self.silent_since = None;
    }

    /// Has the first of these tagged, until AWS says that nothing will come of it.
    pub(super) fn begin(&mut self, aws: &Aws, mut orders: Vec<Unnamed>) {
        orders.truncate(BATCH);
        let (tell, results) = unbounded_channel();
        let aws = aws.clone();
        let mut denied = self.denied.clone();
        let task = tokio::spawn(async move {
            for order in orders {
                let result = aws.tag_container_instance(&order.on, &order.instance_arn).await;
                let named = Named { order, result };
                denied.note(&named);
                let goes_on = named.result.as_ref().err().is_none_or(|error| error.kind.is_refusal());
                let is_heard = tell.send(named).is_ok();
                if !is_heard || !goes_on || denied.is_for_all() {
                    return;
                }
            }
        });
        self.work = Some(Work { results, task: task.abort_handle() });
    }

    /// Takes in how it went with one. Returns what AWS said against it, `None` where it is done; nothing at all where
    /// that is not known.
    pub(super) fn learn(&mut self, named: &Named, now: Timestamp) -> Option<Option<String>> {
        self.denied.note(named);
        let Err(error) = &named.result else {
            (self.silent_since, self.refused, self.note) = (None, None, None);
            return Some(None);
        };
        match &error.kind {
            ErrorKind::Stopped | ErrorKind::LeaseOver => {
                self.again_at = Some(after(now, UNSENT_AGAIN));
                None
            }
            ErrorKind::Throttled | ErrorKind::NoAnswer => {
                self.again_at = Some(after(now, SILENT_AGAIN));
                let since = *self.silent_since.get_or_insert(now);
                if now >= after(since, FOR_SILENCE) {
                    self.refuse_all(error, now);
                }
                None
            }
            ErrorKind::Denied | ErrorKind::Refused(_) | ErrorKind::NotFound => {
                self.silent_since = None;
                if self.denied.is_for_all() {
                    self.refuse_all(error, now);
                }
                Some(Some(error.to_string()))
            }
        }
    }

    /// Says it once, and not for each instance.
    fn refuse_all(&mut self, error: &AwsError, now: Timestamp) {
        if self.note.is_none() {
            tracing::error!(%error, advice = error.advice(), "container instances cannot be tagged, so hosts are not \
                allowed to report");
        }
        let advice = error.advice();
        self.note = Some(format!(
            "container instances could not be tagged with ecs-updater:instance-arn ({error}), so host bridges whose \
             role is limited to their own host (bridge_policy = \"own-host\") are not allowed to report; {advice}"
        ));
        self.refused = Some((after(now, DENIED_AGAIN), error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use models::time::after;

    use super::*;
    use crate::aws::ecs::instances::TAG_RESOURCE;

    fn at(minutes: i64) -> Timestamp {
        after("2026-11-23T03:00:00Z".parse().unwrap(), SignedDuration::from_mins(minutes))
    }

    fn named(host: &str, error: Option<ErrorKind>) -> Named {
        let order = Unnamed { host: host.into(), on: "arn".into(), instance_arn: String::new() };
        let message = "words".to_owned();
        Named { order, result: error.map_or(Ok(()), |kind| Err(AwsError { operation: TAG_RESOURCE, kind, message })) }
    }

    /// What came of the calls, a minute apart; then whether the last one counts against its host, whether it is refused for
    /// all, and whether the run has to wait for it.
    #[test]
    fn what_is_refused_for_one_and_what_for_all() {
        use ErrorKind::{Denied, LeaseOver, NoAnswer, NotFound, Throttled};
        type Calls<'a> = &'a [(&'a str, Option<ErrorKind>)];
        let silence: Vec<(&str, Option<ErrorKind>)> = vec![("i-0", Some(Throttled)); 16];
        let table: [(&str, Calls<'_>, Option<bool>, bool, bool); 9] = [
            ("done", &[("i-0", None)], Some(false), false, false),
            ("denied for one", &[("i-0", Some(Denied))], Some(true), false, false),
            ("again for the same", &[("i-0", Some(Denied)), ("i-0", Some(Denied))], Some(true), false, false),
            ("for two", &[("i-0", Some(Denied)), ("i-1", Some(Denied))], Some(true), true, false),
            (
                "for two, and done for one between",
                &[("i-0", Some(Denied)), ("i-2", None), ("i-1", Some(Denied))],
                Some(true),
                false,
                false,
            ),
            ("gone", &[("i-0", Some(NotFound)), ("i-1", Some(NotFound))], Some(true), false, false),
            ("no answer", &[("i-0", Some(NoAnswer))], None, false, true),
            ("throttled for a quarter of an hour", &silence, None, true, false),
            ("not sent", &[("i-0", Some(LeaseOver))], None, false, false),
        ];
        for (name, calls, counts, for_all, busy) in table {
            let mut namer = Namer::default();
            let mut last = None;
            let mut now = at(0);
            for (minute, (host, error)) in (0..).zip(calls) {
                now = at(minute);
                last = namer.learn(&named(host, error.clone()), now);
            }
            assert_eq!(last.map(|refused| refused.is_some()), counts, "{name}");
            assert_eq!((namer.refused_for_all(now).is_some(), namer.note.is_some()), (for_all, for_all), "{name}");
            assert_eq!(namer.is_busy(), busy, "{name}");
        }
    }
}
