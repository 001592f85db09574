//! What somebody waits for while the program under test runs: one of its calls, at which it may die, or a host that comes
//! to a point in its life.

use tokio::sync::oneshot;

use crate::scenario::HostWhen;
use crate::wire::{Caller, Request};
use crate::world::{World, comes_to};

/// A call of the program under test, counted from 1 from the moment it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashPoint {
    /// Before it is sent. One who dies here never sends it.
    Before(u64),
    /// Once it was carried out, and before the answer is there. Nobody is there for that of one who dies here.
    After(u64),
}

/// What somebody waits for, and has not come yet.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    call: Option<AwaitedCall>,
    points: Vec<AwaitedPoint>,
}

/// A call that has not come yet.
#[derive(Debug)]
pub(super) struct AwaitedCall {
    at: CrashPoint,
    arrived: u64,
    pub(super) tell: oneshot::Sender<String>,
    /// Whether the caller is to die there.
    pub(super) dies: bool,
}

/// A point that no host has come to since somebody waits for it.
#[derive(Debug)]
struct AwaitedPoint {
    when: HostWhen,
    /// How much of the log was looked through.
    seen: usize,
    tell: oneshot::Sender<()>,
}

/// Whether a call is the one that somebody waits for.
pub(super) enum Reached {
    Not,
    Before { dies: bool },
    After(AwaitedCall),
}

impl Awaited {
    /// Waits for a call, instead of the one that was waited for.
    pub(super) fn call(&mut self, at: CrashPoint, dies: bool) -> oneshot::Receiver<String> {
        let (tell, told) = oneshot::channel();
        self.call = Some(AwaitedCall { at, arrived: 0, tell, dies });
        told
    }

    /// Waits for no call any more.
    pub(super) fn no_call(&mut self) {
        self.call = None;
    }

    /// Waits for a host to come to a point from now on.
    pub(super) fn point(&mut self, world: &World, when: HostWhen) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.points.push(AwaitedPoint { when, seen: world.log().len(), tell });
        told
    }

    /// Counts a call towards the one that somebody waits for.
    pub(super) fn arrives(&mut self, request: &Request) -> Reached {
        // The hosts' agents call on.
        if request.by == Caller::Agent {
            return Reached::Not;
        }
        let Some(mut awaited) = self.call.take() else { return Reached::Not };
        awaited.arrived += 1;
        match awaited.at {
            CrashPoint::Before(n) if n == awaited.arrived => {
                drop(awaited.tell.send(request.name()));
                Reached::Before { dies: awaited.dies }
            }
            CrashPoint::After(n) if n == awaited.arrived => Reached::After(awaited),
            CrashPoint::Before(_) | CrashPoint::After(_) => {
                self.call = Some(awaited);
                Reached::Not
            }
        }
    }

    /// Tells those who wait for a point that has come. Nobody waits any more for a run that ended before.
    pub(super) fn look(&mut self, world: &World) {
        if self.points.is_empty() {
            return;
        }
        let log = world.log();
        for mut point in std::mem::take(&mut self.points) {
            let has_come = log[point.seen..].iter().any(|entry| comes_to(point.when, &entry.event));
            if has_come {
                // Nobody is there for it where the run ended meanwhile.
                let _ = point.tell.send(());
            } else if !point.tell.is_closed() {
                point.seen = log.len();
                self.points.push(point);
            }
        }
    }
}
