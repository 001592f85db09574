//! What the loop of one cluster knows from one round to the next.

use jiff::Timestamp;

use models::fleet::FleetSnapshot;
use models::ids::{ClusterName, Epoch, HostId};
use models::pace::Pace;
use models::plan::{Plan, PlannedStep};
use models::policy::Policy;
use std::collections::BTreeSet;
use tokio::sync::watch;

use super::acts::{self, Acts};
use super::hook_calls::HookCalls;
use super::namer::Namer;
use super::post::Post;
use super::rhythm::Rounds;
use super::scribe::Scribe;
use super::signals::Signals;
use super::skip::Skip;
use crate::aws::Aws;
use crate::clock::Clock;
use crate::events::Journal;
use crate::host::bridge::Awaited;
use crate::host::ssm::Commands;
use crate::keeper::HeldLease;
use crate::patience::Looks;
use crate::planner::RunFacts;
use crate::track::Track;

/// The lease on a cluster, and where it is kept.
pub(super) struct Lease<'a> {
    pub(super) table: &'a str,
    pub(super) hold: HeldLease,
}

/// What a loop works with.
pub(super) struct Deps<'a> {
    pub(super) aws: Aws,
    pub(super) clock: &'a Clock,
    pub(super) lease: Option<Lease<'a>>,
    pub(super) signals: Signals,
    pub(super) post: Post,
    pub(super) dates_oldest: bool,
}

pub(super) struct Cluster<'a> {
    pub(super) name: &'a ClusterName,
    pub(super) policy: &'a Policy,
    pub(super) aws: Aws,
    pub(super) clock: &'a Clock,
    pub(super) facts: RunFacts,
    /// `None` where none is needed.
    pub(super) lease: Option<Lease<'a>>,
    pub(super) epoch: Option<Epoch>,
    pub(super) stop: watch::Receiver<bool>,
    /// Becomes true where a person asks to begin nothing more.
    pub(super) finish: watch::Receiver<bool>,
    /// Whether a look hung when that was asked.
    pub(super) is_cut_off: bool,
    pub(super) fleet: FleetSnapshot,
    /// Whether a look has shown in which groups the instances are.
    pub(super) knows_groups: bool,
    pub(super) commands: Commands,
    pub(super) awaited: Awaited,
    pub(super) namer: Namer,
    pub(super) hooks: HookCalls,
    pub(super) post: Post,
    /// Whether the oldest release is to be dated.
    pub(super) dates_oldest: bool,
    /// `None` without a lease.
    pub(super) scribe: Option<Scribe>,
    /// The last plan.
    pub(super) plan: Plan,
    pub(super) track: Track,
    pub(super) journal: Journal,
    pub(super) looked_full: Option<Timestamp>,
    pub(super) looked_short: Timestamp,
    /// When CloudWatch was last asked for the alarms.
    pub(super) asked_alarms: Option<Timestamp>,
    /// Those that the last short look did not find.
    pub(super) missed: BTreeSet<HostId>,
    pub(super) looks: Looks,
    pub(super) look_pace: Pace,
    pub(super) acts: Acts,
    pub(super) last_steps: Vec<PlannedStep>,
    pub(super) rounds: Rounds,
    pub(super) skip: Skip,
    /// What became of `MinSize` of the groups.
    pub(super) size_notes: Vec<String>,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(name: &'a ClusterName, policy: &'a Policy, facts: RunFacts, deps: Deps<'a>) -> Self {
        let Deps { aws, clock, lease, signals: Signals { stop, finish }, post, dates_oldest } = deps;
        let fleet = FleetSnapshot::nothing_seen(name, clock.now());
        let journal = Journal::new(&facts.run, name);
        Self {
            name,
            policy,
            aws,
            clock,
            facts,
            lease,
            epoch: None,
            stop,
            finish,
            is_cut_off: false,
            fleet,
            knows_groups: false,
            commands: Commands::default(),
            awaited: Awaited::default(),
            namer: Namer::default(),
            hooks: HookCalls::default(),
            post,
            dates_oldest,
            scribe: None,
            plan: Plan::default(),
            track: Track::default(),
            journal,
            looked_full: None,
            looked_short: Timestamp::MIN,
            asked_alarms: None,
            missed: BTreeSet::new(),
            looks: Looks::default(),
            look_pace: acts::pace(),
            acts: Acts::default(),
            last_steps: Vec::new(),
            rounds: Rounds::default(),
            skip: Skip::default(),
            size_notes: Vec::new(),
        }
    }

    /// Whether a person has asked a run that begins updates to begin nothing more.
    pub(super) fn is_asked_to_finish(&self) -> bool {
        *self.finish.borrow() && self.facts.purpose.begins()
    }

    /// Whether a signal has come.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether a write would pass the fence.
    pub(super) fn may_write(&self) -> bool {
        self.epoch.is_none() || self.lease.as_ref().is_none_or(|lease| lease.hold.may_write(self.clock))
    }
}
