//! Whose word a report of a host bridge is, and what else tells that a host has rebooted.

use jiff::Timestamp;

use super::instance::{EVENTUAL_CONSISTENCY, Instance};
use crate::claim::Transport;
use crate::policy::{BridgePolicy, Policy};
use crate::time::after;

impl Instance {
    /// Whether nobody but its own host can have written what stands in the attributes of its bridge: the hosts' role is
    /// limited by the tag of the container instance, which names the host, and named no other one when that was written.
    pub fn speaks_for_itself(&self, policy: BridgePolicy) -> bool {
        policy == BridgePolicy::OwnHost && self.is_named() && !self.may_be_another_hosts_word()
    }

    /// Whether nobody but its own host can have given its newest report: by SSM nobody else speaks for it.
    pub fn is_own_report(&self, policy: &Policy, now: Timestamp) -> bool {
        self.transport(policy.host, now) == Transport::Ssm || self.speaks_for_itself(policy.bridge_policy)
    }

    /// Whether its own agent says that no task is left on it, and nobody else can have said so.
    pub fn is_empty_by_its_own_word(&self, policy: &Policy, now: Timestamp) -> bool {
        self.is_own_report(policy, now) && self.is_empty_by_its_agent()
    }

    fn may_be_another_hosts_word(&self) -> bool {
        let (Some(at), Some(seen)) = (self.run.misnamed_at, self.heard_bridge()) else { return false };
        seen.since < after(at, EVENTUAL_CONSISTENCY)
    }

    /// Records that its tag named another host until now, where it does.
    pub fn note_misnamed(&mut self, now: Timestamp) {
        if self.instance_tag.is_some() && !self.is_named() {
            self.run.misnamed_at = Some(now);
        }
    }

    /// Whether something else than the word of its bridge tells of the boot of its newest report: ECS has shown the agent
    /// disconnected since its claim began, or SSM tells of the same boot and version.
    pub fn is_boot_confirmed(&self, claim_began: Timestamp) -> bool {
        self.was_disconnected_since(claim_began) || self.is_boot_told_by_ssm()
    }

    /// Whether ECS has shown its agent disconnected, by an answer that is not from before this time.
    pub fn was_disconnected_since(&self, time: Timestamp) -> bool {
        self.run.last_seen.disconnected.is_some_and(|at| at >= after(time, EVENTUAL_CONSISTENCY))
    }

    /// Whether SSM tells of the boot and the version of the newest report.
    pub fn is_boot_told_by_ssm(&self) -> bool {
        let (Some(told), Some(seen)) = (self.run.told_by_ssm.as_deref(), self.report.as_deref()) else { return false };
        seen.report.boot_id.as_ref() == Some(&told.id) && seen.report.running() == told.version
    }
}
