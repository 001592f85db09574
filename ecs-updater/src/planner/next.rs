//! One instance by itself: what it needs next, whatever the others do.

use models::fleet::Instance;
use models::plan::{End, Phase, Step};
use models::reason::HoldReason;

use super::claimed::{self, Claimed, call_off};
use super::context::Context;
use super::need::{Next, is_gone};
use super::{refusal, unclaimed};

/// Returns what the instance needs next: not before AWS has had its time, where it has just refused the same.
pub(crate) fn next<'a>(instance: &'a Instance, cx: &'a Context<'a>) -> Next<'a> {
    refusal::at_its_pace(by_facts(instance, cx), instance, cx)
}

fn by_facts<'a>(instance: &'a Instance, cx: &'a Context<'a>) -> Next<'a> {
    if instance.run.verdict.is_some() {
        return Next::Settled;
    }
    if instance.host.is_external() {
        return Next::Hold(HoldReason::External);
    }
    if let Some(Err(bad)) = instance.tags.claim.as_ref().filter(|_| !broken!(MalformedClaimOverwritten)) {
        return Next::Hold(HoldReason::MalformedClaim { value: bad.value.clone(), error: bad.error.clone() });
    }
    if is_gone(instance) && !cx.run.dry_run {
        return Next::Do(Phase::Settled, Step::Leave(End::Gone));
    }
    if let Some(next) = refusal::given_up(instance, cx) {
        return next;
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
        Some(claim) => Claimed { instance, claim, cx }.next(),
        None => unclaimed::next(instance, cx),
    }
}
