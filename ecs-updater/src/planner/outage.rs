//! Trouble that is not of one host: what others have at the same time.

use jiff::Timestamp;
use models::claim::ClaimStep;
use models::fleet::{Instance, InstanceStatus, MachineState};
use models::ids::HostId;
use models::plan::Step;
use models::time::after;

use super::context::Context;
use super::times::PEERS_FRESH;

/// What a host can have that others have too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// ECS does not hear its agent.
    Agent,
    /// No command is answered.
    Silence,
    /// EC2's status checks fail.
    Checks,
}

/// Returns whether an instance has this trouble, or had it until a moment ago: what ends for all does not end for all at
/// once. `None` where nobody has looked lately.
pub(super) fn has(instance: &Instance, trouble: Trouble, cx: &Context<'_>) -> Option<bool> {
    let grace = cx.policy.timeouts.inspect;
    let seen = &instance.run.last_seen;
    let lately = |at: Option<Timestamp>| at.is_some_and(|at| cx.now < after(at, grace));
    let is_fresh = |at: Timestamp| cx.now < after(at, PEERS_FRESH);
    match trouble {
        Trouble::Agent => Some(!instance.agent_connected || lately(seen.disconnected)),
        Trouble::Silence => {
            let reach = instance.reach.as_ref().filter(|reach| is_fresh(reach.at))?;
            Some(reach.unreachable_because.is_some() || lately(seen.unreachable))
        }
        Trouble::Checks => {
            let checks = instance.ec2.as_ref()?.checks.as_ref().filter(|checks| is_fresh(checks.at))?;
            Some(!checks.not_impaired() || lately(seen.impaired))
        }
    }
}

/// Returns the look that tells whether an instance has this trouble; ECS's word on agents comes with each full look.
pub(super) fn look(trouble: Trouble) -> Option<Step> {
    match trouble {
        Trouble::Agent => None,
        Trouble::Silence => Some(Step::Reach),
        Trouble::Checks => Some(Step::LookAtChecks),
    }
}

/// Whether an instance is there to be compared with: a machine that runs, in the cluster, and that is not AWS's to manage.
pub(super) fn is_comparable(instance: &Instance) -> bool {
    let is_running = instance.machine_state() == Some(MachineState::Running);
    let takes_part = matches!(instance.status, InstanceStatus::Active | InstanceStatus::Draining);
    takes_part && is_running && instance.counts() && !instance.host.is_external()
}

/// Whether a reboot of ours explains what an instance has.
pub(super) fn reboots(instance: &Instance) -> bool {
    instance.claim().is_some_and(|claim| matches!(claim.step, ClaimStep::Reboot | ClaimStep::Revert))
}

/// Whether ECS has called the instance's agent connected in this run.
pub(super) fn was_connected(cx: &Context<'_>, host: &HostId) -> bool {
    cx.snapshot.instances.get(host).is_some_and(|instance| instance.run.last_seen.connected.is_some())
}

/// Whether at least two agents, and half of those that this run has seen connected, are lost, or were until a moment ago.
pub(super) fn is_of_the_cluster(cx: &Context<'_>) -> bool {
    half_have(cx, |_| true, |one| has(one, Trouble::Agent, cx) == Some(true))
}

/// Whether that is so among the instances beside this one that no reboot of ours explains: of its zone, whose tasks are
/// not stopped then, or of the cluster, where they find no other place. What a drain could not use of its time it has again
/// afterwards.
pub(super) fn is_around(cx: &Context<'_>, instance: &Instance) -> bool {
    let grace = cx.policy.timeouts.drain;
    let is_other = |one: &Instance| one.host != instance.host && !reboots(one);
    let is_lost = |one: &Instance| {
        let updated_at = one.tags.last.as_ref().map_or(Timestamp::MIN, |last| last.at);
        let lately = |at: Timestamp| cx.now < after(at, grace) && at > updated_at;
        !one.agent_connected || one.run.last_seen.disconnected.is_some_and(lately)
    };
    half_have(cx, |one| is_other(one) && one.zone == instance.zone, is_lost) || half_have(cx, is_other, is_lost)
}

fn half_have(cx: &Context<'_>, is_meant: impl Fn(&Instance) -> bool, has: impl Fn(&Instance) -> bool) -> bool {
    let instances = cx.snapshot.instances.values();
    let all = instances.filter(|one| is_comparable(one) && one.run.last_seen.connected.is_some() && is_meant(one));
    let (count, having) = all.fold((0, 0), |(count, having), one| (count + 1, having + usize::from(has(one))));
    having >= 2 && having * 2 >= count
}
