//! In which group of its cluster an instance is, and which settings it goes by.

use std::cmp::Reverse;

use models::fleet::{FleetSnapshot, Instance};
use models::policy::{Group, Policy};
use models::reason::HoldReason;

use super::selection::meets;

/// Where an instance belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Membership<'a> {
    /// In no group.
    Whole,
    /// In this one.
    Of(&'a Group),
    /// In more than one; these are the first two.
    Two(&'a Group, &'a Group),
    /// EC2 has not told the tags that a group asks for.
    Unknown,
}

/// Returns where an instance belongs by what is known of it now.
pub(crate) fn membership<'a>(instance: &Instance, policy: &'a Policy) -> Membership<'a> {
    let mut found = Membership::Whole;
    for group in &policy.groups {
        found = match (meets(instance, &group.matches), found) {
            (Some(false), found) => found,
            (Some(true), Membership::Whole) => Membership::Of(group),
            (Some(true), Membership::Of(first)) => return Membership::Two(first, group),
            (Some(true), found) => found,
            (None, _) => Membership::Unknown,
        };
    }
    found
}

impl<'a> Membership<'a> {
    /// The groups that it is in.
    pub(crate) fn groups(self) -> impl Iterator<Item = &'a Group> {
        let (one, other) = match self {
            Self::Whole | Self::Unknown => (None, None),
            Self::Of(group) => (Some(group), None),
            Self::Two(first, second) => (Some(first), Some(second)),
        };
        one.into_iter().chain(other)
    }

    /// The one group that it is in.
    pub(crate) fn only(self) -> Option<&'a Group> {
        if let Self::Of(group) = self { Some(group) } else { None }
    }

    /// The group whose settings it goes by. In two groups what is under way is brought to its end by the one that leaves tasks
    /// of no service alone for longer.
    pub(crate) fn group(self) -> Option<&'a Group> {
        self.groups().max_by_key(|group| Reverse(group.policy.standalone_tasks))
    }

    /// Returns why nothing is begun on the instance on account of its groups, if so.
    pub(crate) fn hold(self, instance: &Instance) -> Option<HoldReason> {
        match self {
            Self::Whole | Self::Of(_) => None,
            Self::Two(first, second) => Some(HoldReason::InTwoGroups {
                host: instance.host.clone(),
                first: first.name.clone(),
                second: second.name.clone(),
            }),
            Self::Unknown => Some(HoldReason::UnknownToEc2),
        }
    }
}

/// Returns the settings that an instance goes by: its group's, or else its cluster's.
pub(crate) fn policy_of<'a>(instance: &Instance, policy: &'a Policy) -> &'a Policy {
    membership(instance, policy).group().map_or(policy, |group| &group.policy)
}

/// What a group has, for its budget.
#[derive(Debug, Default)]
pub(crate) struct Tally<'a> {
    /// Those that a percentage counts.
    pub(crate) members: usize,
    /// Those that are out of service. One whose tags are not known may be of any group.
    pub(crate) out: Vec<&'a Instance>,
}

/// Counts what is in a group, or may be.
pub(crate) fn tally<'a>(fleet: &'a FleetSnapshot, group: &Group, is_out: fn(&Instance) -> bool) -> Tally<'a> {
    let mut tally = Tally::default();
    for instance in fleet.instances.values().filter(|instance| instance.counts()) {
        let is_met = meets(instance, &group.matches);
        tally.members += usize::from(is_met == Some(true));
        if is_met != Some(false) && is_out(instance) {
            tally.out.push(instance);
        }
    }
    tally
}

/// Returns why nothing is begun in a cluster when a run begins, where an instance of it is in two groups.
pub(crate) fn in_two_groups(fleet: &FleetSnapshot, policy: &Policy) -> Option<HoldReason> {
    fleet.registered().find_map(|instance| match membership(instance, policy) {
        both @ Membership::Two(..) => both.hold(instance),
        Membership::Whole | Membership::Of(_) | Membership::Unknown => None,
    })
}

/// A sentence for each group that no instance of the cluster is in.
pub(crate) fn empty_groups(fleet: &FleetSnapshot, policy: &Policy) -> Vec<String> {
    let registered: Vec<&Instance> = fleet.registered().collect();
    let is_met = |group: &&Group| registered.iter().any(|instance| meets(instance, &group.matches) != Some(false));
    let empty = policy.groups.iter().filter(|group| !registered.is_empty() && !is_met(group));
    empty
        .map(|group| format!("group {} has no instance: none meets match = \"{}\"", group.name, group.matches))
        .collect()
}
