//! What EC2 Auto Scaling says of an instance and of its group, and what follows from it (docs/facts/auto-scaling.md).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::FleetSnapshot;
use super::instance::{EVENTUAL_CONSISTENCY, Instance};
use super::lifecycle::{GROUPS_FRESH, GroupMember, Place, SPOT};
use crate::host::TargetState;
use crate::min_size::HeldMinSize;
use crate::policy::BridgePolicy;
use crate::reason::{FailReason, HoldReason};
use crate::time::after;

/// What is known of the Auto Scaling groups and the capacity providers of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AutoScaling {
    /// The groups that were asked about, by their names.
    pub groups: BTreeMap<SmolStr, SeenGroup>,
    /// AWS's words for each operation that a right is missing for: it is not asked again in this run.
    pub denied: BTreeMap<SmolStr, String>,
    /// Whether AWS manages the instances of a capacity provider, by its name.
    pub managed_providers: BTreeMap<SmolStr, bool>,
    /// The capacity providers that have managed scaling.
    #[serde(default)]
    pub scaled_providers: BTreeMap<SmolStr, ManagedScaling>,
    /// Those of them with more empty instances than their target allows, now or a moment ago.
    #[serde(default)]
    pub emptied: BTreeMap<SmolStr, Emptied>,
    /// The groups whose `MinSize` this run holds, or that are at it anyway.
    #[serde(default)]
    pub held: BTreeMap<SmolStr, HeldSize>,
    /// What `MinSize` of a group is again once what a run holds of it is put back.
    #[serde(default)]
    pub least_after: BTreeMap<SmolStr, u32>,
    /// Why it does not hold the `MinSize` of others, where it was to.
    #[serde(default)]
    pub not_held: BTreeMap<SmolStr, String>,
}

/// `MinSize` of a group, before a run and while that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSize {
    pub old: u32,
    pub held: u32,
}

impl HeldSize {
    /// Whether it is not what it was.
    pub fn is_raised(&self) -> bool {
        self.held > self.old
    }
}

/// Since when a capacity provider has more empty instances than its target allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emptied {
    pub since: Timestamp,
    /// Since when it has no more than that again.
    pub full_since: Option<Timestamp>,
}

/// Managed scaling of a capacity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedScaling {
    /// Its Auto Scaling group.
    pub group: SmolStr,
    /// `instanceWarmupPeriod`.
    pub warm_up: SignedDuration,
    /// `targetCapacity`, in percent.
    #[serde(default = "full")]
    pub target: u32,
    /// Whether ECS drains what the group ends (managed draining).
    #[serde(default)]
    pub drains: bool,
    /// Whether what runs a task is protected from scale-in (managed termination protection).
    #[serde(default)]
    pub protects: bool,
}

/// The API's default for `targetCapacity`.
fn full() -> u32 {
    100
}

impl ManagedScaling {
    /// Returns how much longer a drain may take whose tasks wait for an instance: one that was launched before may block the
    /// launch for a warm-up period, and metric, alarm and boot take their time.
    pub fn launch_time(&self) -> SignedDuration {
        const LAUNCH: SignedDuration = SignedDuration::from_mins(15);
        self.warm_up.saturating_add(LAUNCH)
    }

    /// Returns how many of so many instances may run no task before the metric is below its target.
    pub fn may_be_empty(&self, of: usize) -> usize {
        let spare = usize::try_from(100_u32.saturating_sub(self.target)).unwrap_or(0);
        of.saturating_mul(spare) / 100
    }
}

/// How large an Auto Scaling group is, and what it does not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSize {
    /// `DesiredCapacity`.
    pub desired: u32,
    /// `MinSize`.
    #[serde(default)]
    pub least: u32,
    /// `MaxSize`.
    pub most: u32,
    /// Its suspended processes.
    pub suspended: Vec<SmolStr>,
}

/// An Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenGroup {
    /// When it was asked about.
    pub at: Timestamp,
    /// The checks of a load balancer on its instances by which it replaces them, such as `ELB`; `None` where it does not.
    pub load_balancer_check: Option<SmolStr>,
    /// The status of an instance refresh that is in progress.
    pub refresh: Option<SmolStr>,
    /// Its size, where it was told.
    #[serde(default)]
    pub size: Option<GroupSize>,
}

impl GroupSize {
    /// Whether managed scaling can end an instance of the group.
    pub fn may_shrink(&self) -> bool {
        self.desired > self.least && !self.suspends("Terminate")
    }

    /// Whether managed scaling can launch an instance, and end one later.
    pub fn may_grow(&self) -> bool {
        self.desired < self.most && !self.suspends("Launch") && !self.suspends("Terminate")
    }

    /// Whether a process is suspended, or the one by which managed scaling sets the size.
    fn suspends(&self, process: &str) -> bool {
        self.suspended.iter().any(|name| name == "AlarmNotification" || name == process)
    }
}

impl AutoScaling {
    /// The operation that tells where instances are in their groups.
    pub const INSTANCES: &str = "autoscaling:DescribeAutoScalingInstances";
    /// The operation that tells of groups.
    pub const GROUPS: &str = "autoscaling:DescribeAutoScalingGroups";
    /// The operation that tells of instance refreshes.
    pub const REFRESHES: &str = "autoscaling:DescribeInstanceRefreshes";

    /// The operation that tells of capacity providers.
    pub const PROVIDERS: &str = "ecs:DescribeCapacityProviders";

    /// Whether it is known what the capacity provider of the instance is, as well as it can be. One that ECS does not
    /// describe is no provider (any more), and recorded as not managed.
    pub fn knows_provider_of(&self, instance: &Instance) -> bool {
        let is_known =
            |name: &SmolStr| self.managed_providers.contains_key(name) || self.scaled_providers.contains_key(name);
        instance.provider.as_ref().is_none_or(is_known) || self.denied.contains_key(Self::PROVIDERS)
    }

    /// Whether it is known well enough, in a cluster with groups, whether the instance may be begun. A good answer stands: it
    /// is asked for again before anything is done.
    pub fn knows(&self, instance: &Instance, now: Timestamp) -> bool {
        let Some(seen) = &instance.auto_scaling else { return self.denied.contains_key(Self::INSTANCES) };
        let Some(member) = &seen.member else { return true };
        let is_group_known = self.knows_nothing_of_groups()
            || self
                .groups
                .get(&member.group)
                .is_some_and(|group| group.is_fresh(now) || group.hold(&member.group).is_none());
        is_group_known && (member.place() == Place::InService || seen.is_fresh(now))
    }

    /// Whether no right is there by which anything could be known of groups themselves.
    pub fn knows_nothing_of_groups(&self) -> bool {
        self.denied.contains_key(Self::GROUPS) && self.denied.contains_key(Self::REFRESHES)
    }

    /// Returns the managed scaling of the instance's capacity provider.
    pub fn scaling_of(&self, instance: &Instance) -> Option<&ManagedScaling> {
        self.scaled_providers.get(instance.provider.as_ref()?)
    }

    /// Returns the size of a group with the `MinSize` that it has after the run. What managed scaling must not end while a run
    /// lasts, it ends then: the metric has been below its target all along.
    pub fn size_after_run(&self, group: &str) -> Option<GroupSize> {
        let size = self.groups.get(group)?.size.as_ref()?;
        let least = self.least_after.get(group).map_or(size.least, |least| size.least.min(*least));
        Some(GroupSize { least, ..size.clone() })
    }

    /// Notes what a run holds of a group, by the group's tag and by what this run has done.
    pub fn note_held(&mut self, group: &SmolStr, least: u32, tag: Option<&HeldMinSize>) {
        let by_tag = tag.filter(|tag| tag.held == least).map(|tag| tag.old);
        let by_run = self.held.get(group).filter(|held| held.is_raised() && held.held == least).map(|held| held.old);
        match by_tag.into_iter().chain(by_run).min() {
            Some(old) => self.least_after.insert(group.clone(), old),
            None => self.least_after.remove(group),
        };
    }

    /// Returns why no instance of its group is begun now, if so.
    pub fn hold(&self, instance: &Instance, now: Timestamp) -> Option<HoldReason> {
        let member = instance.member()?;
        self.groups.get(&member.group).filter(|group| group.is_fresh(now))?.hold(&member.group)
    }
}

impl FleetSnapshot {
    /// The groups of the capacity providers, as far as they are known.
    pub fn groups_of_providers(&self) -> BTreeSet<SmolStr> {
        let of_providers = self.instances.values().filter(|instance| instance.provider.is_some());
        let tagged = of_providers.filter_map(|instance| Some(instance.group_tag()?.into()));
        tagged.chain(self.auto_scaling.scaled_providers.values().map(|scaling| scaling.group.clone())).collect()
    }
}

impl SeenGroup {
    /// Whether the answer is good for planning.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < after(self.at, GROUPS_FRESH)
    }

    /// Returns why none of its instances is drained now, if so.
    fn hold(&self, name: &str) -> Option<HoldReason> {
        let group = name.to_owned();
        if let Some(checks) = &self.load_balancer_check {
            return Some(HoldReason::LoadBalancerCheck { group, checks: checks.to_string() });
        }
        let status = self.refresh.as_ref()?.to_string();
        Some(HoldReason::InstanceRefresh { group, status })
    }
}

impl Instance {
    /// The Auto Scaling group that its EC2 tag names.
    pub fn group_tag(&self) -> Option<&str> {
        self.ec2.as_ref()?.auto_scaling_group.as_deref()
    }

    /// Its place in an Auto Scaling group, where EC2 Auto Scaling told of one.
    pub fn member(&self) -> Option<&GroupMember> {
        self.auto_scaling.as_ref()?.member.as_ref()
    }

    /// Whether its group has it in the warm pool: it is no part of the cluster.
    pub fn is_warm(&self) -> bool {
        self.member().is_some_and(|member| member.place() == Place::Warm)
    }

    /// Whether its group ends it: what is placed on it moves again.
    pub(super) fn is_ended_by_group(&self) -> bool {
        self.member().is_some_and(|member| member.place() == Place::Terminating)
    }

    /// Whether it is no part of the cluster that a run is for: it takes no place, gives no room, and no percentage is of it.
    pub(super) fn is_of_others(&self) -> bool {
        self.managed_by_aws || self.is_warm()
    }

    /// Returns its place in its group where that keeps it from being touched: all but `InService`, as long as the answer is
    /// good. That a group ends an instance it does not take back.
    ///
    /// Where its group has not been asked since, the host's own word counts as well.
    pub fn out_of_group(&self, policy: BridgePolicy, now: Timestamp) -> Option<(GroupMember, Place)> {
        let seen = self.auto_scaling.as_ref();
        let told = seen.and_then(|seen| away(seen.member.as_ref()?, seen.is_fresh(now)));
        told.or_else(|| away(&self.target_in_group(policy)?, self.live_bridge(now).is_some()))
    }

    /// Returns where AWS takes it, as its host bridge says: its place by its own word. `None` where another host can have
    /// said that, and once EC2 Auto Scaling was asked later.
    fn target_in_group(&self, policy: BridgePolicy) -> Option<GroupMember> {
        let seen = self.heard_bridge().filter(|_| self.speaks_for_itself(policy))?;
        let asked = self.auto_scaling.as_ref().map(|told| told.at);
        let is_overtaken = asked.is_some_and(|at| at >= after(seen.since, EVENTUAL_CONSISTENCY));
        // Of a Spot interruption EC2 Auto Scaling does not tell. One that was detached stays what it is, and its metadata service may
        // go on saying so for good.
        let target = seen.report.report.target_state.as_ref().filter(|target| **target != TargetState::Detached);
        let target = target.filter(|target| !is_overtaken || **target == TargetState::Spot)?;
        let state = if *target == TargetState::Spot { SPOT } else { target.as_str() };
        Some(GroupMember { group: self.group_tag().unwrap_or("(none)").into(), state: state.into() })
    }
}

/// Returns the member and its place where that keeps it from being touched.
fn away(member: &GroupMember, is_good: bool) -> Option<(GroupMember, Place)> {
    match member.place() {
        Place::InService => None,
        place @ Place::Terminating => Some((member.clone(), place)),
        place @ (Place::Warm | Place::Away(_)) => is_good.then(|| (member.clone(), place)),
    }
}

impl HoldReason {
    /// Returns why an instance is left alone that stands so in its group.
    pub fn out_of_group(GroupMember { group, state }: &GroupMember, place: Place) -> Self {
        let (group, state) = (group.to_string(), state.to_string());
        match place {
            Place::Terminating => Self::ScaledIn { group, state },
            Place::Warm => Self::NotRunning { state: format!("in the warm pool of {group} ({state})") },
            Place::InService => Self::NotInService { group, state, advice: "a later run takes it".to_owned() },
            Place::Away(advice) => Self::NotInService { group, state, advice: advice.to_owned() },
        }
    }
}

impl FailReason {
    /// Returns why the update of an instance ends in the middle that its group has taken away, other than for good.
    pub fn out_of_group(member: &GroupMember, place: Place) -> Self {
        let advice = match place {
            Place::Away(advice) => advice,
            Place::InService | Place::Terminating | Place::Warm => "see what the group does with it",
        };
        let GroupMember { group, state } = member;
        Self::NotInService { detail: format!("it is {state} in its Auto Scaling group {group}: {advice}") }
    }
}
