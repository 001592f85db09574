//! What one look at the world changes in the memory.

use models::attributes::Progress;
use models::claim::{ClaimStep, Transport};
use models::host::{AgentState, ErrorCode, HostReport};
use models::ids::BootId;

use super::super::facts::{Facts, Tags};
use super::{Memory, Placed, TakenUp, Trial, error};

impl Memory {
    /// Folds in one look at the world.
    pub fn observe(&mut self, facts: &Facts) {
        let Some(boot) = &facts.boot.id else { return };
        if facts.agent_state() == Some(&AgentState::Registered) {
            self.ecs_agent_in = Some(boot.clone());
        }
        if self.going_down.as_ref().is_some_and(|down| down.boot != *boot) {
            self.going_down = None;
        }
        if self.activated_in.as_ref().is_some_and(|activated| activated != boot) {
            self.activated_in = None;
        }
        if self.switched_in.as_ref().is_some_and(|switched| switched != boot) {
            self.switched_in = None;
        }
        let lock = facts.report().and_then(|report| report.settings.as_ref()?.version_lock.as_ref());
        if lock.is_some() && lock == self.lock_owed.as_ref() {
            self.lock_owed = None;
        }
        self.observe_origin(boot, facts);
        self.observe_claim(facts);
        self.resolve_claim(boot, facts);
        self.resolve_trial(boot, facts);
    }

    /// After a boot into the new version the other set is the old one's.
    fn observe_origin(&mut self, boot: &BootId, facts: &Facts) {
        self.came_from = self.came_from.take().filter(|placed| placed.boot == *boot);
        let running = facts.report().and_then(HostReport::running);
        let Some(trial) = self.trial.as_ref().filter(|trial| trial.left != *boot) else { return };
        if running.as_ref() == Some(&trial.claim.to) && self.came_from.is_none() {
            self.came_from = Some(Placed { version: trial.claim.from.clone(), boot: boot.clone() });
        }
    }

    fn observe_claim(&mut self, facts: &Facts) {
        let Tags::Known { claim, .. } = &facts.tags else { return };
        let Some(claim) =
            claim.as_ref().and_then(|claim| claim.as_ref().ok()).filter(|one| one.transport == Transport::Bridge)
        else {
            // Removed, or replaced by one for SSM or of a newer updater: who did so has dealt with the host.
            self.claim = None;
            self.trial = None;
            return;
        };
        if self.claim.as_ref().is_some_and(|taken| taken.claim == *claim) {
            return;
        }
        self.lost = None;
        self.trial = self.trial.take().and_then(|trial| {
            // The next run of the updater writes the same claim again, perhaps with the boots of other hosts.
            let same_reboot = (trial.claim.step, &trial.claim.from, &trial.claim.to)
                == (claim.step, &claim.from, &claim.to)
                && claim.is_for(&trial.left);
            (same_reboot && trial.falling_back.is_none()).then(|| Trial { claim: claim.clone(), ..trial })
        });
        let before = self.claim.take().filter(|_| self.trial.is_some());
        let (asking, reboot_asked) = before.map_or((false, None), |taken| (taken.asking, taken.reboot_asked));
        self.claim = Some(TakenUp { asking, reboot_asked, ..TakenUp::new(claim.clone()) });
    }

    /// A claim that was for another boot is done already, or was overtaken.
    fn resolve_claim(&mut self, boot: &BootId, facts: &Facts) {
        let running = facts.report().and_then(HostReport::running);
        let Some(taken) = self.claim.as_mut().filter(|taken| taken.is_doing()) else { return };
        let claim = &taken.claim;
        if claim.boots.is_empty() || claim.is_for(boot) {
            return;
        }
        let goal = if claim.step == ClaimStep::Revert { &claim.from } else { &claim.to };
        if taken.asking || running.as_ref() == Some(goal) {
            taken.finish(Progress::Done, None);
        } else if let Some(running) = running {
            let detail = format!("the host runs {running} in another boot than the claim's");
            taken.finish(Progress::Failed, Some(error("reboot", ErrorCode::OtherBoot, &detail)));
        }
    }

    fn resolve_trial(&mut self, boot: &BootId, facts: &Facts) {
        let running = facts.report().and_then(HostReport::running);
        let Some(trial) = self.trial.as_ref().filter(|trial| trial.left != *boot) else { return };
        let from = trial.claim.from.clone();
        match &trial.falling_back {
            Some(back) if back.boot != *boot => {
                let Some(running) = running else { return };
                let detail = if running == from {
                    format!("{}, so the agent went back to {from}", back.why)
                } else {
                    format!("{}; the agent's way back to {from} led to {running}, and it stays there", back.why)
                };
                if let Some(taken) = &mut self.claim {
                    taken.finish(Progress::FellBack, Some(error("confirm", ErrorCode::Failed, &detail)));
                }
                self.trial = None;
            }
            // Late, but well: back to waiting for the updater.
            Some(_) if self.ecs_agent_in.as_ref() == Some(boot) => {
                if let Some(trial) = &mut self.trial {
                    trial.falling_back = None;
                }
                if let Some(taken) = &mut self.claim {
                    taken.finish(Progress::Done, None);
                }
            }
            Some(_) => {}
            // The boot loader went back by itself, or the host rebooted before it was asked to.
            None if running.as_ref() == Some(&from) => self.trial = None,
            None => {}
        }
    }
}
