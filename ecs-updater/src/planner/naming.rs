//! Which container instances get the tag that names their EC2 instance, by which IAM tells a host from the others.

use jiff::{SignedDuration, Timestamp};
use models::claim::Transport;
use models::fleet::{FleetSnapshot, Instance, VisitEnd};
use models::ids::{ContainerInstanceArn, HostId};
use models::own_host::instance_arn;
use models::plan::Phase;
use models::policy::{Policy, TransportPolicy};
use models::reason::HoldReason;
use models::time::after;

use super::context::Context;
use super::need::Next;
use super::times::{FIRST_REPORT, RETRY};

/// Between the first two tries on one container instance; each wait is twice as long as the one before.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// A container instance that is to be tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unnamed {
    pub(crate) host: HostId,
    pub(crate) on: ContainerInstanceArn,
    /// The value of the tag.
    pub(crate) instance_arn: String,
}

/// Returns the container instances that lack the tag, or whose tag names another machine, and whose turn it is now: new
/// ones at once, the others after a while.
pub(crate) fn unnamed(fleet: &FleetSnapshot, policy: &Policy, now: Timestamp) -> Vec<Unnamed> {
    if !policy.names_hosts() {
        return Vec::new();
    }
    let due = fleet.instances.values().filter(|one| lacks_name(one) && next_try(one).is_none_or(|at| now >= at));
    due.filter_map(|one| {
        let on = one.container_instance.clone();
        Some(Unnamed { host: one.host.clone(), instance_arn: instance_arn(&on, &one.host)?, on })
    })
    .collect()
}

/// Whether it is a Bottlerocket host that EC2 knows, without the tag.
fn lacks_name(instance: &Instance) -> bool {
    let is_known = instance.ec2.is_some() && instance.left_out_since.is_none() && !instance.is_dead();
    let is_host = instance.variant.is_some() && !instance.host.is_external() && instance.is_registered();
    is_known && is_host && !instance.managed_by_aws && !instance.is_named()
}

/// When a container instance is tried again that this run has tried already and that ECS has not shown tagged since.
fn next_try(instance: &Instance) -> Option<Timestamp> {
    let tried = instance.run.naming.as_ref().filter(|naming| naming.on == instance.container_instance)?;
    if tried.tries == 0 {
        return None;
    }
    let doubled = FIRST_WAIT.saturating_mul(1 << tried.tries.saturating_sub(1).min(8));
    Some(after(tried.at, doubled.min(LONGEST_WAIT)))
}

/// What an instance in service waits for whose host may not report yet; `None` where it may, or is not reached by its
/// bridge.
pub(super) fn before_it_reports<'a>(instance: &Instance, cx: &Context<'_>) -> Option<Next<'a>> {
    let is_begun = instance.claim().is_some() || instance.command.is_some();
    if is_begun || cx.run.dry_run || !may_not_report(instance, cx) {
        return None;
    }
    match refusal(instance) {
        // SSM may reach it yet.
        Some(_) if cx.transport(instance) == Transport::Ssm => None,
        Some(refused) => Some(Next::Hold(HoldReason::NotNamed { detail: format!("AWS refused it: {refused}") })),
        None => Some(Next::Wait(Phase::Unseen, after(cx.now, RETRY))),
    }
}

/// Whether it is not settled yet by which way a host is reached: with `auto`, one that SSM does not reach may have a bridge
/// that reports as soon as it may, or that has just been allowed to.
pub(crate) fn may_get_a_bridge(instance: &Instance, policy: &Policy, now: Timestamp) -> bool {
    let is_open = policy.host == TransportPolicy::Auto && policy.names_hosts();
    if !is_open || instance.run.transport.is_some() || instance.live_bridge(now).is_some() {
        return false;
    }
    lacks_name(instance) || named_at(instance).is_some_and(|at| now < after(at, FIRST_REPORT))
}

/// Returns why no command reaches an instance: the missing tag, where its host may not report for want of it.
pub(super) fn unreachable(instance: &Instance, detail: String, cx: &Context<'_>) -> HoldReason {
    if !may_not_report(instance, cx) {
        return HoldReason::HostUnreachable { detail };
    }
    let detail = match refusal(instance) {
        Some(refused) => format!("AWS refused it: {refused}"),
        None => "not tagged yet, a run does that first".to_owned(),
    };
    HoldReason::NotNamed { detail }
}

/// Returns until when a host that does not answer is tried again: longer for the first report of one that this run has
/// tagged, and so allowed to report; in a plan not at all where it may not.
pub(super) fn heard_by(instance: &Instance, cx: &Context<'_>) -> Timestamp {
    if cx.run.dry_run && may_not_report(instance, cx) {
        return Timestamp::MIN;
    }
    let by_bridge = cx.policy.names_hosts()
        && (cx.transport(instance) == Transport::Bridge || may_get_a_bridge(instance, cx.policy, cx.now));
    let first = named_at(instance).filter(|_| by_bridge).map(|at| after(at, FIRST_REPORT));
    // A write that was cut off may have left its lock, which the host alone can tell.
    let failed = instance.run.failed_stage.as_ref().filter(|_| instance.tags.saved_lock.is_some());
    let cut_off = failed.map(|stage| after(stage.at, cx.policy.timeouts.inspect));
    [first, cut_off, heard_after_registration(instance, cx)]
        .into_iter()
        .flatten()
        .fold(cx.inspect_deadline(), Timestamp::max)
}

/// Returns until when a host is tried that registered after the run began: as long as the others were. One that comes while
/// nothing is under way does not keep the run going any longer.
fn heard_after_registration(instance: &Instance, cx: &Context<'_>) -> Option<Timestamp> {
    let registered = instance.registered_at.filter(|at| *at <= cx.now)?;
    let begun = cx.run.idle_since.map_or(registered, |idle| idle.min(registered));
    Some(after(begun, cx.policy.timeouts.inspect))
}

/// Returns why nothing is heard of a host in the middle of its update that may not report.
pub(super) fn silenced(instance: &Instance, cx: &Context<'_>) -> Option<String> {
    let refused = refusal(instance).filter(|_| may_not_report(instance, cx))?;
    Some(format!(
        "its host bridge is not allowed to report, since its container instance could not be tagged: \
         {refused}"
    ))
}

fn may_not_report(instance: &Instance, cx: &Context<'_>) -> bool {
    let is_by_bridge = match cx.transport(instance) {
        Transport::Bridge => true,
        Transport::Ssm => may_get_a_bridge(instance, cx.policy, cx.now) && is_out_of_reach(instance),
    };
    cx.policy.names_hosts() && is_by_bridge && !instance.is_named()
}

/// Whether SSM was asked, or told, and does not reach it.
fn is_out_of_reach(instance: &Instance) -> bool {
    let is_closed = instance.reach.as_ref().is_some_and(|reach| reach.unreachable_because.is_some());
    is_closed || instance.visit.as_ref().is_some_and(|visit| matches!(visit.end, VisitEnd::NotDelivered { .. }))
}

/// Returns when this run has tagged it, and so allowed its bridge to report.
fn named_at(instance: &Instance) -> Option<Timestamp> {
    let naming = instance.run.naming.as_ref().filter(|naming| naming.on == instance.container_instance)?;
    naming.refused.is_none().then_some(naming.at)
}

fn refusal(instance: &Instance) -> Option<&str> {
    let naming = instance.run.naming.as_ref().filter(|naming| naming.on == instance.container_instance)?;
    naming.refused.as_deref()
}
