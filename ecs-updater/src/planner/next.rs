//! One instance by itself: what it needs next, whatever the others do.

use jiff::Timestamp;
use models::fleet::{CommandInFlight, Instance, VisitEnd};
use models::plan::{End, Phase, Step};
use models::reason::HoldReason;
use semver::Version;

use super::{Context, claimed, refusal, unclaimed};

/// What one instance needs next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// This, now.
    Do(Phase, Step),
    /// Nothing before then, unless something happens.
    Wait(Phase, Timestamp),
    /// Nothing, on a dry run: an earlier run is in the middle of it.
    Stand(Phase),
    /// Nothing, for this reason.
    Hold(HoldReason),
    /// To be updated when its turn comes.
    Candidate(Candidate<'a>),
    /// It runs what it should.
    Current,
    /// This run is done with it.
    Settled,
}

/// An instance in service that is to be updated.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) from: Version,
    pub(crate) to: Version,
    /// The update is written to the inactive set already.
    pub(crate) staged: bool,
    /// `version-lock` to restore, where staging has to pin the version.
    pub(crate) lock: Option<String>,
}

impl Candidate<'_> {
    /// The phase that it is in while it waits for its turn.
    pub(crate) fn waits_as(&self) -> Phase {
        if self.staged { Phase::Staged } else { Phase::Outdated }
    }
}

/// What the instance needs next: not before AWS has had its time, where it has just refused the same.
pub(crate) fn next<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
    refusal::at_its_pace(by_facts(instance, cx), instance, cx)
}

/// What the instance needs next, by what is known of it.
fn by_facts<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
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
            Some(claim) => Next::Stand(claimed::phase(claim)),
            None => unclaimed::next(instance, cx),
        };
    }
    if let Some(end) = &instance.run.ending {
        return claimed::conclude(instance, end, cx);
    }
    match instance.out_of_service_claim() {
        Some(claim) => claimed::next(instance, claim, cx),
        None => unclaimed::next(instance, cx),
    }
}

/// Whether the machine below it is gone for good.
pub(crate) fn is_gone(instance: &Instance) -> bool {
    match &instance.ec2 {
        None => true,
        Some(ec2) => ec2.state == "terminated" || ec2.state == "shutting-down",
    }
}

/// The command that must end before the host is asked anything else.
pub(crate) fn busy(instance: &Instance) -> Option<&CommandInFlight> {
    instance.command.as_deref()
}

/// How a visit failed, in words.
pub(crate) fn trouble(end: &VisitEnd) -> Option<String> {
    match end {
        VisitEnd::Done => None,
        VisitEnd::Error(error) if error.detail.is_empty() => Some(format!("{} at {}", error.code, error.at)),
        VisitEnd::Error(error) => Some(format!("{} at {}: {}", error.code, error.at, error.detail)),
        VisitEnd::NotDelivered { detail } => Some(format!("no command reaches it: {detail}")),
        VisitEnd::Unsure { detail } => Some(format!("a command got no answer: {detail}")),
        VisitEnd::Malformed { detail } => Some(detail.clone()),
    }
}
