//! One instance by itself: what it needs next, whatever the others do.

use jiff::Timestamp;
use models::claim::ClaimStep;
use models::fleet::{GroupMember, Instance, InstanceStatus, Place};
use models::plan::{End, Phase, Step};
use models::reason::{FailReason, HoldReason};
use models::time::after;

use super::claimed::{self, Claimed, call_off};
use super::context::Context;
use super::need::Next;
use super::times::RETRY;
use super::{refusal, unclaimed};

/// Returns what the instance needs next: not before AWS has had its time, where it has just refused the same.
pub(crate) fn next<'a>(instance: &'a Instance, cx: &'a Context<'a>) -> Next<'a> {
    refusal::at_its_pace(by_facts(instance, cx), instance, cx)
}

fn by_facts<'a>(instance: &'a Instance, cx: &'a Context<'a>) -> Next<'a> {
    if instance.run.verdict.is_some() {
        return Next::Settled;
    }
    if cx.run.purpose.leaves_out(&instance.host) {
        return match instance.claim() {
            Some(claim) => Next::Standing(claimed::phase(claim)),
            None => Next::Hold(HoldReason::Finishing),
        };
    }
    if instance.host.is_external() {
        return Next::Hold(HoldReason::External);
    }
    if instance.is_dead() {
        return Next::Do(Phase::Settled, Step::Leave(End::Gone));
    }
    if instance.managed_by_aws {
        return Next::Hold(HoldReason::ManagedByAws);
    }
    if let Some(since) = instance.left_out_since {
        return unknown_to_ec2(instance, since, cx);
    }
    if let Some(Err(bad)) = instance.tags.claim.as_ref().filter(|_| !broken!(MalformedClaimOverwritten)) {
        return Next::Hold(HoldReason::MalformedClaim { value: bad.value.clone(), error: bad.error.clone() });
    }
    let away = instance.out_of_group(cx.policy.bridge_policy, cx.now);
    if let Some((member, place)) = away.filter(|_| !broken!(GroupsIgnored)) {
        // So far it is the word of its host alone, which can be old.
        if is_group_unasked(instance, cx) && !cx.run.dry_run && cx.now < cx.inspect_deadline() {
            return Next::Do(instance.claim().map_or(Phase::Unseen, claimed::phase), Step::LookAtTasks);
        }
        return out_of_group(instance, &member, place, cx);
    }
    if let Some(next) = refusal::given_up(instance, cx) {
        return next;
    }
    if let Some(since) = instance.undescribed_since {
        return not_described(instance, since, cx);
    }
    if cx.run.dry_run {
        return match instance.out_of_service_claim() {
            Some(claim) => Next::Standing(claimed::phase(claim)),
            None => unclaimed::next(instance, cx),
        };
    }
    if let Some(end) = &instance.run.ending {
        return call_off::conclude(instance, end, cx);
    }
    match instance.out_of_service_claim() {
        // A group that has set it aside is not the version's fault.
        Some(claim) if instance.is_off() && is_group_unasked(instance, cx) => {
            Next::Do(claimed::phase(claim), Step::LookAtTasks)
        }
        Some(claim) => Claimed { instance, claim, cx }.next(),
        None => cx.run.purpose.narrow(unclaimed::next(instance, cx), instance),
    }
}

/// Whether nobody has asked yet where its Auto Scaling group has the instance.
fn is_group_unasked(instance: &Instance, cx: &Context<'_>) -> bool {
    instance.group_tag().is_some() && instance.auto_scaling.is_none() && cx.snapshot.has_groups()
}

/// Leaves an instance alone that its Auto Scaling group ends, or has set aside. What this program has taken out of service
/// keeps its claim: it says whose drain it is.
fn out_of_group<'a>(instance: &Instance, member: &GroupMember, place: Place, cx: &Context<'_>) -> Next<'a> {
    let is_active = instance.status == InstanceStatus::Active;
    if is_active && instance.may_be_draining() && !cx.run.dry_run {
        return Next::Wait(Phase::Draining, after(cx.now, RETRY));
    }
    let claim = instance.out_of_service_claim().filter(|_| !cx.run.dry_run);
    let Some(claim) = claim.filter(|claim| !(is_active && claim.step == ClaimStep::Drain)) else {
        return Next::Hold(HoldReason::out_of_group(member, place));
    };
    let end = match place {
        Place::Terminating => End::ScaledIn { group: member.group.to_string(), state: member.state.to_string() },
        Place::InService | Place::Warm | Place::Away(_) => End::Failed { why: FailReason::out_of_group(member, place) },
    };
    Next::Do(claimed::phase(claim), Step::Leave(end))
}

/// Waits while ECS lists an instance and does not describe it: nothing of it is known by now, neither its status nor whether
/// its agent is connected. After some minutes of that it is left as it is; no version is to blame.
fn not_described<'a>(instance: &Instance, since: Timestamp, cx: &Context<'_>) -> Next<'a> {
    if !cx.run.dry_run && cx.now < after(since, refusal::PATIENCE) {
        return Next::Wait(instance.claim().map_or(Phase::Unseen, claimed::phase), after(cx.now, RETRY));
    }
    if instance.out_of_service_claim().is_some() && !cx.run.dry_run {
        let detail = "ECS lists the instance but does not describe it; it is left as it was, with its claim".to_owned();
        return Next::Do(Phase::Held, Step::Leave(End::Failed { why: FailReason::ActRefused { detail } }));
    }
    Next::Hold(HoldReason::NotDescribed)
}

/// Leaves an instance alone that EC2 leaves out of its answers: what its tags say is not known. An answer that was cut off
/// on its way, and what EC2 does not know yet, is there the next time.
fn unknown_to_ec2<'a>(instance: &Instance, since: Timestamp, cx: &Context<'_>) -> Next<'a> {
    if cx.run.dry_run || cx.now >= after(since, cx.policy.timeouts.inspect) {
        return Next::Hold(HoldReason::UnknownToEc2);
    }
    let phase = instance.claim().map_or(Phase::Unseen, claimed::phase);
    Next::Wait(phase, after(cx.now, RETRY))
}
