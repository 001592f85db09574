//! An instance that a run took out of service, this one or one that died: bring it to an end.
//!
//! Time-outs count from the claim, so that they outlast a dead run; a run that finds an old claim still looks once
//! before it gives up.

mod blame;
pub(super) mod call_off;
mod confirm;
mod drain;
mod hooks;
mod reboot;
mod revert;
pub(super) mod sent;
mod verify;
mod visit;

use jiff::Timestamp;
use models::claim::{Claim, ClaimStep};
use models::fleet::{Instance, InstanceStatus};
use models::plan::{End, Phase, Step};
use models::reason::FailReason;
use models::time::after;

use super::context::Context;
use super::need::Next;
use super::times::BOOT_POLL;
use super::unclaimed;

/// Returns the phase that a claim stands for.
pub(crate) fn phase(claim: &Claim) -> Phase {
    match claim.step {
        ClaimStep::Stage => Phase::Staging,
        ClaimStep::Drain => Phase::Draining,
        ClaimStep::Reboot => Phase::Rebooting,
        ClaimStep::Revert => Phase::Reverting,
        ClaimStep::Cancel => Phase::Held,
    }
}

/// Fails the instance and leaves it as it is.
fn leave<'a>(why: FailReason) -> Next<'a> {
    Next::Do(Phase::Held, Step::Leave(End::Failed { why }))
}

/// An instance whose claim takes it out of service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) claim: &'a Claim,
    pub(crate) cx: &'a Context<'a>,
}

impl<'a> Claimed<'a> {
    /// Returns what the instance needs next.
    pub(crate) fn next(self) -> Next<'a> {
        if let Some(ec2) = self.instance.ec2.as_ref().filter(|_| self.instance.is_off()) {
            let detail = format!("EC2 says the instance is {}", ec2.state.as_str());
            return leave(FailReason::NeverCameBack { detail });
        }
        match self.claim.step {
            ClaimStep::Drain => self.drain(),
            ClaimStep::Reboot => self.reboot(),
            ClaimStep::Revert => self.revert(),
            ClaimStep::Stage | ClaimStep::Cancel => unclaimed::next(self.instance, self.cx),
        }
    }

    /// Returns when the claim's step began.
    fn since(self) -> Timestamp {
        sent::began(self.instance, self.claim, self.cx.run)
    }

    /// Waits as long as a boot is given between two looks.
    fn wait(self, phase: Phase) -> Next<'a> {
        Next::Wait(phase, after(self.cx.now, BOOT_POLL))
    }

    /// Returns the status of an instance that ECS can neither drain nor make ACTIVE: nothing that needs either can be
    /// done.
    fn lost_registration(self) -> Option<&'static str> {
        match self.instance.status {
            InstanceStatus::Active | InstanceStatus::Draining => None,
            InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Deregistering
            | InstanceStatus::Inactive
            | InstanceStatus::Unknown => Some(self.instance.status.as_str()),
        }
    }

    /// Returns what was wrong with the new version, for the report.
    fn why_unhealthy(self) -> String {
        self.instance.run.trouble.clone().unwrap_or_else(|| "seen by an earlier run".to_owned())
    }
}
