//! What the reboot commands of a claim can still do.

use jiff::Timestamp;
use models::claim::{Claim, ClaimStep};
use models::fleet::{Instance, SentReboot};
use models::time::after;

use crate::planner::context::RunFacts;
use crate::planner::times::REBOOT_MAY_COME;

/// Returns when the claim's step began, see [`Instance::began`]. If this run neither wrote the claim nor has read it before,
/// only its date is known, by another clock. Whatever that says, the step began before this run did.
pub(super) fn began(instance: &Instance, claim: &Claim, run: &RunFacts) -> Timestamp {
    let first = match claim.step {
        ClaimStep::Reboot | ClaimStep::Revert => instance.run.began == Some(claim.since),
        ClaimStep::Stage | ClaimStep::Drain | ClaimStep::Cancel => true,
    };
    if (first && claim.run == run.run) || instance.first_seen(claim).is_some() {
        instance.began(claim)
    } else {
        claim.since.min(run.started_at)
    }
}

/// Returns this run's reboot command for this claim.
pub(super) fn reboot_sent<'a>(instance: &'a Instance, claim: &Claim, run: &RunFacts) -> Option<&'a SentReboot> {
    instance.run.reboot.as_deref().filter(|reboot| reboot.sent_at >= began(instance, claim, run))
}

/// Whether no other run can have sent a command for this claim.
pub(super) fn is_this_runs_alone(instance: &Instance, claim: &Claim, run: &RunFacts) -> bool {
    instance.run.began == Some(claim.since) && claim.run == run.run
}

/// Returns until when the host may begin a reboot that a command by SSM has asked for; `None` where no command can have
/// arrived.
///
/// An earlier run can have sent its last command until this one began.
pub(crate) fn reboot_may_come_until(instance: &Instance, claim: &Claim, run: &RunFacts) -> Option<Timestamp> {
    let ours = reboot_sent(instance, claim, run).and_then(SentReboot::may_act_since);
    let others = (!is_this_runs_alone(instance, claim, run)).then_some(run.started_at);
    ours.max(others).map(|sent_at| after(sent_at, REBOOT_MAY_COME))
}
