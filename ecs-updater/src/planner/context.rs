//! The facts that a plan is made from.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use models::api_share::ApiShare;
use models::claim::Transport;
use models::fleet::{FleetSnapshot, Instance};
use models::ids::{GroupName, HostId, RunId};
use models::policy::{Group, Policy, Timeouts};
use models::reason::HoldReason;
use models::selection::Selection;
use models::time::after;
use semver::Version;

use super::gate::{Asked, Gate};
use super::membership::{Membership, membership, tally};
use super::purpose::Purpose;
use super::quickest::Quickest;
use super::selection::not_selected;
use super::times::{BRIDGE_POLL, DRAIN_POLL};
use super::track_record::{TrackRecord, track_records};

/// What the planner must know besides the snapshot and the policy.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// Its own id.
    pub run: RunId,
    /// When the run began.
    pub started_at: Timestamp,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether nothing may be changed: then every candidate is looked at, not only those whose turn is near.
    pub dry_run: bool,
    /// Why no further instance may be begun, if so.
    pub stop: Option<Stop>,
    /// Since when nothing was under way although instances wait for a place in the budget.
    pub idle_since: Option<Timestamp>,
    /// Whether a person asked to begin updates outside of the windows too.
    pub outside_window: bool,
    /// The instances that a person has named for this run.
    pub selection: Selection,
    /// How much of the account's API rates it may take.
    pub api_share: ApiShare,
}

impl RunFacts {
    /// Returns why no further instance may be begun, if so. That one is in two groups does not keep back the way back from a
    /// release: that is bad everywhere.
    pub(crate) fn stopped(&self) -> Option<&Stop> {
        let is_back = self.purpose.way_back().is_some();
        self.stop.as_ref().filter(|stop| !(is_back && matches!(stop, Stop::TwoGroups(_))))
    }
}

/// Reasons from outside not to begin anything new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A signal asked the program to end.
    Interrupted,
    /// AWS refuses something that every instance needs.
    NotPermitted {
        /// The error, in AWS's words.
        detail: String,
        /// The next thing to do.
        advice: &'static str,
    },
    /// When the run began, an instance was in two groups of its cluster.
    TwoGroups(HoldReason),
}

/// What each rule of the planner looks at.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) snapshot: &'a FleetSnapshot,
    pub(crate) policy: &'a Policy,
    /// The group of the cluster that this is for, whose settings `policy` is; `None`: the cluster itself.
    pub(crate) group: Option<&'a Group>,
    /// The time-outs of what is under way: those of `policy`, or the longer ones where an instance has come to be in two groups.
    pub(crate) timeouts: Timeouts,
    pub(crate) run: &'a RunFacts,
    pub(crate) now: Timestamp,
    /// The newest version of each variant and architecture, once `wanted` was asked for it: every report is read for
    /// that.
    pub(super) newest: OnceCell<BTreeMap<(&'a str, &'a str), Version>>,
    /// How the releases that failed somewhere have done, once it was asked for.
    pub(super) track_records: OnceCell<BTreeMap<Version, TrackRecord>>,
    /// When a host was last found to be offered a version no longer that it was to boot, by that version; once `wanted`
    /// was asked for it.
    pub(super) withdrawn: OnceCell<BTreeMap<&'a Version, Timestamp>>,
    /// How long the quickest of this run took, once it was asked for.
    quickest: OnceCell<Quickest>,
}

impl<'a> Context<'a> {
    pub(super) fn new(snapshot: &'a FleetSnapshot, policy: &'a Policy, run: &'a RunFacts, now: Timestamp) -> Self {
        Self {
            snapshot,
            policy,
            group: None,
            timeouts: policy.timeouts,
            run,
            now,
            newest: OnceCell::new(),
            track_records: OnceCell::new(),
            withdrawn: OnceCell::new(),
            quickest: OnceCell::new(),
        }
    }

    /// The same for a group of the cluster.
    fn of_group(whole: &Self, group: &'a Group) -> Self {
        let Self { snapshot, run, now, .. } = *whole;
        Self { group: Some(group), ..Self::new(snapshot, &group.policy, run, now) }
    }

    /// Returns what people allow to be begun now.
    pub(super) fn gate(&self) -> Gate<'a> {
        let asked = Asked { outside_window: self.run.outside_window, finish: !self.run.purpose.begins() };
        Gate::of(self.snapshot, self.policy, asked, self.now)
    }

    /// Returns why nothing is begun on the instance, where a person has not selected it.
    pub(super) fn not_selected(&self, instance: &Instance) -> Option<HoldReason> {
        not_selected(instance, self.policy, &self.run.selection)
    }

    /// Returns how the instance's host is spoken to.
    pub(crate) fn transport(&self, instance: &Instance) -> Transport {
        instance.transport(self.policy.host, self.now)
    }

    /// Returns why a release is not tried on further instances, if so.
    pub(super) fn failed_elsewhere(&self, version: &Version) -> Option<HoldReason> {
        let records = self.track_records.get_or_init(|| track_records(self.snapshot));
        records.get(version)?.hold_reason(version, self.policy.stop_after_failures)
    }

    /// Returns when an instance that is out of service is looked at again.
    pub(crate) fn next_poll(&self, instance: &Instance) -> Timestamp {
        let poll = match self.transport(instance) {
            Transport::Ssm => DRAIN_POLL,
            Transport::Bridge => BRIDGE_POLL,
        };
        after(self.now, poll)
    }

    /// Returns when an instance that drains is looked at again.
    pub(crate) fn next_drain_look(&self, instance: &Instance) -> Timestamp {
        let quickest = self.quickest.get_or_init(|| Quickest::of(self.snapshot));
        quickest.next_drain_look(instance, self.transport(instance))
    }

    /// Returns how many instances can be out of service at once, besides those that are.
    pub(super) fn at_once(&self) -> usize {
        let (registered, out) = self.snapshot.counted_and_out();
        let whole = self.policy.max_unavailable.of(registered).saturating_sub(out);
        let own = self.group.and_then(|group| Some((group, group.max_unavailable?))).map(|(group, most)| {
            let tally = tally(self.snapshot, group, |instance| !instance.in_service());
            most.of(tally.members).saturating_sub(tally.out.len())
        });
        whole.min(own.unwrap_or(whole)).max(1)
    }

    /// Returns until when a host that does not answer is tried again.
    pub(crate) fn inspect_deadline(&self) -> Timestamp {
        after(self.run.started_at, self.policy.timeouts.inspect)
    }
}

/// The facts for the cluster, and for each of its groups.
#[derive(Debug)]
pub(crate) struct Contexts<'a> {
    pub(crate) whole: Context<'a>,
    /// In the order of the groups.
    groups: Vec<Context<'a>>,
    /// Where each instance belongs; empty without groups.
    members: BTreeMap<&'a HostId, Membership<'a>>,
    /// Those of what has come to be in two groups.
    both: Vec<Context<'a>>,
}

impl<'a> Contexts<'a> {
    pub(super) fn new(snapshot: &'a FleetSnapshot, policy: &'a Policy, run: &'a RunFacts, now: Timestamp) -> Self {
        let whole = Context::new(snapshot, policy, run, now);
        let groups = policy.groups.iter().map(|group| Context::of_group(&whole, group)).collect();
        let instances = snapshot.instances.iter().filter(|_| !policy.groups.is_empty());
        let members: BTreeMap<_, _> = instances.map(|(host, instance)| (host, membership(instance, policy))).collect();
        let of_two = members.values().filter(|member| matches!(member, Membership::Two(..)));
        let both = of_two.filter_map(|member| {
            let own = Context::of_group(&whole, member.group()?);
            Some(Context { timeouts: member.timeouts(policy), ..own })
        });
        let both = both.collect();
        Self { whole, groups, members, both }
    }

    /// Where an instance of the snapshot belongs.
    pub(super) fn member(&self, instance: &Instance) -> Membership<'a> {
        self.members.get(&instance.host).copied().unwrap_or(Membership::Whole)
    }

    /// Those that an instance goes by.
    pub(super) fn of(&self, instance: &Instance) -> &Context<'a> {
        let membership = self.member(instance);
        let own = membership.group().map_or(&self.whole, |group| self.of_group(group));
        let Membership::Two(..) = membership else { return own };
        let (name, timeouts) = (own.group.map(|group| &group.name), membership.timeouts(self.whole.policy));
        let is_it = |cx: &&Context<'a>| cx.timeouts == timeouts && cx.group.map(|group| &group.name) == name;
        self.both.iter().find(is_it).unwrap_or(own)
    }

    /// Those that a release on the instance goes by: of its group, where that has a course of its own.
    pub(super) fn of_course(&self, instance: &Instance) -> &Context<'a> {
        let cx = self.of(instance);
        if cx.group.is_some_and(|group| group.has_own_course) { cx } else { &self.whole }
    }

    /// Those of the group of this name; of the cluster without one.
    pub(super) fn of_name(&self, group: Option<&GroupName>) -> &Context<'a> {
        let is_it = |cx: &&Context<'a>| cx.group.map(|group| &group.name) == group;
        self.groups.iter().find(is_it).unwrap_or(&self.whole)
    }

    /// Whether a release is to prove itself on the way anywhere in the cluster.
    pub(super) fn have_stages(&self) -> bool {
        std::iter::once(&self.whole).chain(&self.groups).any(|cx| cx.policy.has_stages())
    }

    /// Those of a group.
    pub(super) fn of_group(&self, group: &Group) -> &Context<'a> {
        self.of_name(Some(&group.name))
    }
}
