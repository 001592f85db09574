//! The claim on an instance, and how far it is believed.

use jiff::Timestamp;

use super::instance::Instance;
use super::memory::SeenClaim;
use crate::claim::{BadClaim, Claim, ClaimError};
use crate::ids::Epoch;

impl Instance {
    /// The claim, where there is a well-formed one.
    pub fn claim(&self) -> Option<&Claim> {
        self.tags.claim.as_ref().and_then(|claim| claim.as_ref().ok())
    }

    /// The claim, where it takes the instance out of service.
    pub fn out_of_service_claim(&self) -> Option<&Claim> {
        self.claim().filter(|claim| claim.step.takes_out_of_service())
    }

    /// Returns when the step of a claim began. One that seems to have begun after this run first saw it began then: its
    /// author's clock was ahead, or it is a lie, and no deadline waits for either.
    pub fn began(&self, claim: &Claim) -> Timestamp {
        self.first_seen(claim).map_or(claim.since, |seen| claim.since.min(seen))
    }

    /// Returns when this run first saw this claim, or one that it takes the place of and asks for the same.
    pub fn first_seen(&self, claim: &Claim) -> Option<Timestamp> {
        self.run.claim_seen.as_ref().filter(|seen| seen.is_of(claim)).map(|seen| seen.at)
    }

    /// Records that its claim was read now. One that was disproved before is no claim. One that somebody has put in the place
    /// of another for the same step counts from when that was first seen: by a new date nobody gains time.
    pub fn note_claim(&mut self, now: Timestamp) {
        let Some(claim) = self.claim() else { return };
        if let Some(bad) = self.run.disproved.as_deref().filter(|bad| bad.value == claim.to_string()) {
            self.tags.claim = Some(Err(bad.clone()));
        } else if self.first_seen(claim).is_none() {
            let before = self.run.claim_seen.as_ref().filter(|seen| seen.step == claim.step);
            let at = before.map_or(now, |seen| seen.at);
            self.run.claim_seen = Some(SeenClaim { step: claim.step, since: claim.since, at });
        }
    }

    /// Records that its claim was written by this run now.
    pub fn note_own_claim(&mut self, now: Timestamp) {
        let Some(claim) = self.claim() else { return };
        if self.first_seen(claim).is_none() {
            self.run.claim_seen = Some(SeenClaim { step: claim.step, since: claim.since, at: now });
        }
    }

    /// Records that no run can have written its claim, since the lease with this epoch is held. It is malformed from now on.
    pub fn disprove_claim(&mut self, held: Epoch) {
        let Some(claim) = self.claim() else { return };
        let error = ClaimError::Epoch { claimed: claim.epoch, held };
        let bad = BadClaim { value: claim.to_string(), error };
        self.run.disproved = Some(Box::new(bad.clone()));
        self.tags.claim = Some(Err(bad));
    }
}
