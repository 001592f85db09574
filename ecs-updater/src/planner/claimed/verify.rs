//! In a new boot: wait until the instance is healthy, then put it back into service.

use jiff::Timestamp;
use models::claim::ClaimStep;
use models::fleet::{InstanceStatus, StatusChecks};
use models::host::{AgentState, HostReport};
use models::plan::{Cancel, End, MarkFailed, Phase, Revert, Step};
use models::reason::FailReason;
use models::time::after;
use semver::Version;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::limits::is_way_back;
use crate::planner::need::Next;
use crate::planner::times::{AGENT_FLAG_LAG, BOOT_POLL};
use crate::planner::wanted::lock_to_restore;

enum Health {
    Good,
    Ask(Step),
    /// What is missing.
    Bad(String),
}

impl<'a> Claimed<'a> {
    /// Waits until the instance is healthy, then puts it back; if it does not become so, goes back a version.
    pub(super) fn verify(self, heard: Heard<'a>) -> Next<'a> {
        let Self { instance, cx, .. } = self;
        let began = self.boot_seen_at(heard);
        let missing = match self.health(heard.report, began) {
            Health::Good => {
                let ready = || self.back_in_service(heard);
                let unhealthy = |why| self.go_back(heard, began, why);
                let look = self.unconfirmed(heard).or_else(|| self.look_after_ok(heard));
                return look.unwrap_or_else(|| self.before_active(heard, ready, unhealthy));
            }
            Health::Ask(step) => return Next::Do(Phase::Verifying, step),
            Health::Bad(missing) => missing,
        };
        // A function of the user's may have held it here for long, while it was well.
        let well = instance.run.last_seen.well.filter(|_| self.asked_in_boot(heard).is_some());
        let deadline = after(well.map_or(began, |well| well.max(began)), cx.timeouts.verify);
        // Somebody deregistered it: the version is not to blame, and there is nothing to go back for.
        if let Some(status) = self.deregistered() {
            return self.visit_again(Phase::Verifying, deadline, || {
                leave(FailReason::NeverCameBack { detail: format!("its ECS status became {status}") })
            });
        }
        if let Some(next) = self.never_confirmed(heard) {
            return next;
        }
        self.visit_again(Phase::Verifying, deadline, || {
            if let Some(next) = self.unconfirmed(heard) {
                return next;
            }
            let go_back = |missing: &String| self.go_back(heard, began, missing.clone());
            let is_blamed = heard.report.running().as_ref() != Some(&self.claim.from)
                && instance.tags.failed.contains(&self.claim.to);
            if is_blamed {
                return go_back(&missing);
            }
            self.unless_shared(Phase::Verifying, deadline, || missing.clone(), || go_back(&missing))
        })
    }

    /// Returns when this run first heard of the boot.
    fn boot_seen_at(self, heard: Heard<'a>) -> Timestamp {
        let seen = self.instance.run.boot.as_ref().filter(|boot| &boot.id == heard.boot);
        seen.map_or(self.cx.now, |boot| boot.at)
    }

    /// Whether the instance is healthy by all else while a function of the user's is asked whether it is.
    pub(crate) fn is_well_while_asked(self) -> bool {
        let Some(heard) = self.heard().filter(|heard| self.asked_in_boot(*heard).is_some()) else { return false };
        matches!(self.health(heard.report, self.boot_seen_at(heard)), Health::Good)
    }

    fn back_in_service(self, heard: Heard<'a>) -> Next<'a> {
        if let Some(lock) = lock_to_restore(self.instance, heard.report)
            && self.instance.run.cancels == 0
        {
            let step = Step::Cancel(Cancel { boot: heard.boot.clone(), lock: Some(lock) });
            return Next::Do(Phase::Verifying, step);
        }
        Next::Do(Phase::Verifying, Step::Finish(self.healthy_end(heard.report.running())))
    }

    /// Returns how the update of a healthy instance has ended.
    fn healthy_end(self, running: Option<Version>) -> End {
        let claim = self.claim;
        if running.as_ref() != Some(&claim.from) {
            return End::Updated { from: claim.from.clone(), to: running.unwrap_or_else(|| claim.to.clone()) };
        }
        let version = claim.to.clone();
        if claim.step == ClaimStep::Revert {
            return self.rolled_back(FailReason::Unhealthy { version, detail: self.why_unhealthy() });
        }
        if self.is_undone() {
            return self.called_off();
        }
        self.rolled_back(FailReason::FellBackAtBoot { version })
    }

    pub(super) fn rolled_back(self, why: FailReason) -> End {
        End::RolledBack { from: self.claim.from.clone(), to: self.claim.to.clone(), why }
    }

    /// Goes back to the old version, unless that is the unhealthy one.
    fn go_back(self, heard: Heard<'a>, began: Timestamp, missing: String) -> Next<'a> {
        let Self { instance, claim, cx } = self;
        if heard.report.running().as_ref() == Some(&claim.from) {
            return leave(FailReason::UnhealthyAfterRollback { detail: missing });
        }
        if is_way_back(claim, cx) {
            let detail = format!("{missing}; {}, which it ran before, is skipped in this cluster", claim.from);
            return leave(FailReason::UnhealthyAfterRollback { detail });
        }
        if !instance.tags.failed.contains(&claim.to) {
            return Next::Do(Phase::Verifying, Step::MarkFailed(MarkFailed { version: claim.to.clone() }));
        }
        // Where the rollback includes the reboot, the last look is over already, and found tasks.
        let timeouts = &cx.timeouts;
        let began = self.asked_in_boot(heard).map_or(began, |asked| began.max(asked.at));
        if let Some(detail) = self.tasks_stay(began, after(after(began, timeouts.verify), timeouts.drain)) {
            return leave(FailReason::RollbackFailed { detail });
        }
        if let Some(until) = self.tasks_left() {
            return Next::Wait(Phase::Reverting, until);
        }
        let lock = heard.report.settings.as_ref().and_then(|settings| settings.version_lock.clone());
        Next::Do(Phase::Verifying, Step::Revert(Revert { boot: heard.boot.clone(), lock, why: missing }))
    }

    /// Returns the status of an instance that somebody took out of the cluster. A registration that fails can be the
    /// version's doing.
    fn deregistered(self) -> Option<&'static str> {
        match self.instance.status {
            InstanceStatus::Deregistering | InstanceStatus::Inactive => Some(self.instance.status.as_str()),
            InstanceStatus::Active
            | InstanceStatus::Draining
            | InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Unknown => None,
        }
    }

    /// Whether the instance can take tasks: the agent of *this* boot is registered, ECS hears it, EC2 finds nothing
    /// broken.
    fn health(self, report: &HostReport, began: Timestamp) -> Health {
        let Self { instance, cx, .. } = self;
        if broken!(ActiveBeforeVerify) || (broken!(VerifyByAgentConnectedOnly) && instance.agent_connected) {
            return Health::Good;
        }
        match report.agent.as_ref().map(|agent| &agent.state) {
            Some(AgentState::Registered) => {}
            Some(AgentState::Unregistered) => return Health::Bad("its ECS agent is not registered".to_owned()),
            Some(AgentState::Down) => return Health::Bad("its ECS agent does not answer on the host".to_owned()),
            // Where the host cannot be asked for its agent, only ECS's flag is left, and that lags.
            Some(AgentState::Unknown(_) | AgentState::Missing) | None if cx.now < after(began, AGENT_FLAG_LAG) => {
                return Health::Bad("its ECS agent cannot be asked on the host".to_owned());
            }
            Some(AgentState::Unknown(_) | AgentState::Missing) | None => {}
        }
        if instance.seen_at < began {
            return Health::Bad("ECS was not asked since its boot".to_owned());
        }
        if !instance.agent_connected {
            return Health::Bad("its ECS agent is not connected".to_owned());
        }
        if let Some(status) = self.lost_registration() {
            return Health::Bad(format!("its ECS status is {status}"));
        }
        match instance.ec2.as_ref().and_then(|ec2| ec2.checks.as_ref()) {
            Some(checks) if checks.at >= began && StatusChecks::not_impaired(checks) => Health::Good,
            Some(checks) if cx.now < after(checks.at, BOOT_POLL) && checks.at >= began => {
                Health::Bad(format!("EC2 status checks: instance {}, system {}", checks.instance, checks.system))
            }
            Some(_) | None => Health::Ask(Step::LookAtChecks),
        }
    }
}
