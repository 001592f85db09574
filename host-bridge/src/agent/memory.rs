//! What the agent remembers, in its journal: what it has begun and how that ended. Values and their changes; pure.
//!
//! [`Memory::observe`] folds one look at the world into it, [`Memory::begin`] what is about to be done, and
//! [`Memory::end`] how that went. Between any two of them the agent may die: what was begun and has no end is done
//! again, and everything it does looks first and does what is left to do.

use jiff::{SignedDuration, Timestamp};
use models::attributes::Progress;
use models::claim::{Claim, ClaimStep, Way};
use models::host::{AgentState, ErrorCode, ReportedError};
use models::ids::{BootId, ClusterName, ContainerInstanceArn};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::act::Act;
use super::facts::{Facts, Tags};

/// All that outlives the agent and the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The claim that stands, as it was taken up.
    pub claim: Option<TakenUp>,
    /// The new version that is on trial: from the reboot into it until it is confirmed, or left again.
    pub trial: Option<Trial>,
    /// What the agent's last prepare wrote, by the worker's own word.
    pub written: Option<Placed>,
    /// What is on the inactive set because the host came from it.
    pub came_from: Option<Placed>,
    /// What `version-lock` is to be again: recorded before it is pinned, until the host shows it.
    pub lock_owed: Option<String>,
    /// Undoing what nobody asks for any more failed; no try before then.
    pub tidy_not_before: Option<Timestamp>,
    /// The boot in which the agent activated something; in that boot it is for the agent to undo.
    pub activated_in: Option<BootId>,
    /// The reboot that the host was asked for last, whoever wants it still: nothing can stop it.
    pub going_down: Option<GoingDown>,
    /// The last boot in which the ECS agent was seen registered.
    pub ecs_agent_in: Option<BootId>,
    /// Where the reports go, so that they do also while the ECS agent is dead.
    pub target: Option<Target>,
    /// Why an earlier memory was lost, until a claim is taken up.
    pub lost: Option<String>,
}

/// A host that was asked to reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoingDown {
    /// In which boot.
    pub boot: BootId,
    /// When.
    pub asked: Timestamp,
}

/// A container instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its ARN.
    pub container_instance: ContainerInstanceArn,
}

/// A version on the inactive set, as known in one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Which.
    pub version: Version,
    /// In which boot this is known.
    pub boot: BootId,
}

/// A claim that was taken up, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    /// The claim.
    pub claim: Claim,
    /// How far it is.
    pub progress: Progress,
    /// What is or was in its way.
    pub error: Option<ReportedError>,
    /// What was written for it.
    pub wrote: Option<Version>,
    /// How often it was tried without success.
    pub failures: u32,
    /// No try before then.
    pub not_before: Option<Timestamp>,
    /// For a revert: the next boot is the old version's.
    pub switched: bool,
    /// The reboot is about to be asked for, in the boot of the claim.
    pub asking: bool,
    /// When it was asked for.
    pub reboot_asked: Option<Timestamp>,
}

impl TakenUp {
    fn new(claim: Claim) -> Self {
        Self {
            claim,
            progress: Progress::Doing,
            error: None,
            wrote: None,
            failures: 0,
            not_before: None,
            switched: false,
            asking: false,
            reboot_asked: None,
        }
    }

    fn is_doing(&self) -> bool {
        self.progress == Progress::Doing
    }
}

/// A new version on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The claim that asked for the reboot: where from, where to.
    pub claim: Claim,
    /// The boot that it left.
    pub left: BootId,
    /// Whether the ECS agent was registered in that boot. Where it was not, that it is not now proves nothing.
    pub armed: bool,
    /// The agent's own way back, once begun.
    pub falling_back: Option<FallingBack>,
}

/// The agent's own way back to the old version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallingBack {
    /// The boot that it is to leave.
    pub boot: BootId,
    /// What was missing.
    pub why: String,
    /// What keeps it from going back.
    pub error: Option<ReportedError>,
    /// How often it was tried without success.
    pub failures: u32,
    /// No try before then.
    pub not_before: Option<Timestamp>,
    /// The next boot is the old version's.
    pub switched: bool,
    /// When the reboot was asked for.
    pub reboot_asked: Option<Timestamp>,
}

/// How an act went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was written to the inactive set.
    pub wrote: Option<Version>,
    /// A reboot was asked for, and the host may be going down.
    pub reboot_asked: bool,
    /// What it ended with; `None` for success.
    pub error: Option<ReportedError>,
}

/// A definite failure in a drain is tried once more: nobody else would, before the reboot is due.
const DRAIN_FAILURES: u32 = 2;
/// A failure that is none of the host's (its API is away, another client holds the lock, a worker was killed) is
/// tried again so often.
const PASSING_FAILURES: u32 = 6;

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
        let running = facts.report().and_then(models::host::HostReport::running);
        let Some(trial) = self.trial.as_ref().filter(|trial| trial.left != *boot) else { return };
        if running.as_ref() == Some(&trial.claim.to) && self.came_from.is_none() {
            self.came_from = Some(Placed { version: trial.claim.from.clone(), boot: boot.clone() });
        }
    }

    fn observe_claim(&mut self, facts: &Facts) {
        let Tags::Known { claim, .. } = &facts.tags else { return };
        let Some(claim) = claim.as_ref().and_then(|claim| claim.as_ref().ok()).filter(|one| one.way == Way::Bridge)
        else {
            // Removed, or replaced by one for SSM or of a newer updater: whoever did so has seen to the host.
            self.claim = None;
            self.trial = None;
            return;
        };
        if self.claim.as_ref().is_some_and(|taken| taken.claim == *claim) {
            return;
        }
        self.lost = None;
        self.trial = self.trial.take().and_then(|trial| {
            // The next run of the updater writes the same claim anew, with the boots of other hosts maybe.
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
        let running = facts.report().and_then(models::host::HostReport::running);
        let Some(taken) = self.claim.as_mut().filter(|taken| taken.is_doing()) else { return };
        let claim = &taken.claim;
        if claim.boots.is_empty() || claim.is_for(boot) {
            return;
        }
        let goal = if claim.step == ClaimStep::Revert { &claim.from } else { &claim.to };
        match (taken.asking, running) {
            (true, _) => taken.finish(Progress::Done, None),
            (false, Some(running)) if running == *goal => taken.finish(Progress::Done, None),
            (false, Some(running)) => {
                let detail = format!("the host runs {running} in another boot than the claim's");
                taken.finish(Progress::Failed, Some(error("reboot", ErrorCode::OtherBoot, &detail)));
            }
            (false, None) => {}
        }
    }

    fn resolve_trial(&mut self, boot: &BootId, facts: &Facts) {
        let running = facts.report().and_then(models::host::HostReport::running);
        let Some(trial) = self.trial.as_ref().filter(|trial| trial.left != *boot) else { return };
        let from = trial.claim.from.clone();
        match &trial.falling_back {
            Some(back) if back.boot != *boot => {
                let Some(running) = running else { return };
                let detail = match running == from {
                    true => format!("{}, so the agent went back to {from}", back.why),
                    false => {
                        format!("{}; the agent's way back to {from} led to {running}, and it stays there", back.why)
                    }
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

    /// Records what is about to be done.
    pub fn begin(&mut self, act: &Act, facts: &Facts) {
        let Some(boot) = facts.boot.id.clone() else { return };
        if act.may_write() {
            self.came_from = self.came_from.take().filter(|_| !act.prepares());
            self.written = None;
            if self.lock_owed.is_none() {
                let found = facts.report().and_then(|report| report.settings.as_ref()?.version_lock.clone());
                self.lock_owed = facts.saved_lock().map(str::to_owned).or(found);
            }
        }
        match act {
            Act::Reboot { .. } => {
                self.activated_in = Some(boot.clone());
                let Some(taken) = &self.claim else { return };
                let armed = self.ecs_agent_in.as_ref() == Some(&boot);
                self.trial = Some(Trial { claim: taken.claim.clone(), left: boot, armed, falling_back: None });
            }
            Act::Revert { .. } => self.activated_in = Some(boot),
            Act::FallBack { why, .. } => {
                self.activated_in = Some(boot.clone());
                if let Some(trial) = self.trial.as_mut().filter(|trial| trial.falling_back.is_none()) {
                    trial.falling_back = Some(FallingBack {
                        boot,
                        why: why.clone(),
                        error: None,
                        failures: 0,
                        not_before: None,
                        switched: false,
                        reboot_asked: None,
                    });
                }
                if let Some(taken) = &mut self.claim {
                    taken.finish(Progress::FellBack, Some(error("confirm", ErrorCode::Failed, why)));
                }
            }
            Act::Wait(_) | Act::Refresh | Act::Stage { .. } | Act::Cancel { .. } | Act::End { .. } => {}
        }
    }

    /// Records on the way that the old version is the next to boot.
    pub fn switched(&mut self, act: &Act) {
        let back = self.trial.as_mut().and_then(|trial| trial.falling_back.as_mut());
        match (act, &mut self.claim, back) {
            (Act::Revert { .. }, Some(taken), _) => taken.switched = true,
            (Act::FallBack { .. }, _, Some(back)) => back.switched = true,
            _ => {}
        }
    }

    /// Records that a reboot is asked for next: in another boot it is done, whether or not the answer came.
    pub fn asking(&mut self, act: &Act, facts: &Facts, now: Timestamp) {
        self.going_down = facts.boot.id.clone().map(|boot| GoingDown { boot, asked: now });
        if let (Act::Reboot { .. } | Act::Revert { .. }, Some(taken)) = (act, &mut self.claim) {
            taken.asking = true;
        }
    }

    /// Records how it went.
    pub fn end(&mut self, act: &Act, outcome: &Outcome, facts: &Facts, now: Timestamp) {
        let Some(boot) = facts.boot.id.clone() else { return };
        if let Some(version) = &outcome.wrote {
            self.written = Some(Placed { version: version.clone(), boot });
        }
        match act {
            Act::Wait(_) | Act::Refresh => return,
            Act::FallBack { .. } => return self.end_fall_back(outcome, now),
            Act::Cancel { .. } if outcome.error.is_none() => {
                self.activated_in = None;
                self.lock_owed = None;
                self.tidy_not_before = None;
            }
            Act::Cancel { tidying: true, .. } => self.tidy_not_before = Some(later(now, TIDY_AGAIN)),
            Act::Cancel { .. } | Act::End { .. } | Act::Stage { .. } | Act::Reboot { .. } | Act::Revert { .. } => {}
        }
        let Some(taken) = &mut self.claim else { return };
        if act.is_tidying() {
            return;
        }
        if outcome.wrote.is_some() {
            taken.wrote.clone_from(&outcome.wrote);
        }
        if outcome.reboot_asked {
            taken.reboot_asked = Some(now);
        }
        let Some(failure) = &outcome.error else {
            match act {
                // The proof is another boot.
                Act::Reboot { .. } | Act::Revert { .. } => taken.error = None,
                _ => taken.finish(Progress::Done, None),
            }
            return;
        };
        taken.failures += u32::from(failure.code != ErrorCode::TasksRunning);
        match tries_again(&failure.code, taken.claim.step, taken.failures) {
            true => {
                taken.error = Some(failure.clone());
                taken.not_before = Some(later(now, wait(&failure.code, taken.failures)));
            }
            false => taken.finish(Progress::Failed, Some(failure.clone())),
        }
    }

    fn end_fall_back(&mut self, outcome: &Outcome, now: Timestamp) {
        let Some(back) = self.trial.as_mut().and_then(|trial| trial.falling_back.as_mut()) else { return };
        if outcome.reboot_asked {
            back.reboot_asked = Some(now);
        }
        back.error.clone_from(&outcome.error);
        if let Some(failure) = &outcome.error {
            back.failures += 1;
            let pause = match failure.code {
                ErrorCode::TasksRunning => TASKS_AGAIN,
                _ => doubled(SignedDuration::from_mins(1), back.failures, SignedDuration::from_hours(1)),
            };
            back.not_before = Some(later(now, pause));
            if let Some(taken) = &mut self.claim {
                let detail = format!("{}; going back: {}", back.why, failure.detail);
                taken.error = Some(ReportedError { detail, ..failure.clone() });
            }
        }
    }

    /// Whether the host's inactive set holds this version because the host came from it, and nothing was written since.
    pub fn inactive_is(&self, version: &Version, facts: &Facts) -> bool {
        let came = self.came_from.as_ref();
        came.is_some_and(|placed| placed.version == *version && Some(&placed.boot) == facts.boot.id.as_ref())
            && facts.report().is_none_or(|report| report.staged().is_none())
    }

    /// Whether the agent itself wrote this version in this boot, and the host still shows it.
    pub fn wrote(&self, version: &Version, facts: &Facts) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|placed| placed.version == *version && Some(&placed.boot) == facts.boot.id.as_ref())
            && facts.shows_staged(version)
    }
}

impl TakenUp {
    fn finish(&mut self, progress: Progress, error: Option<ReportedError>) {
        self.progress = progress;
        self.error = error;
        self.not_before = None;
    }
}

/// Between two tries to undo what nobody asks for any more.
const TIDY_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// Between two looks at tasks that keep a reboot back.
const TASKS_AGAIN: SignedDuration = SignedDuration::from_secs(10);

fn tries_again(code: &ErrorCode, step: ClaimStep, failures: u32) -> bool {
    match code {
        // While the claim stands: the tasks will leave, or the updater gives up.
        ErrorCode::TasksRunning => true,
        ErrorCode::Busy | ErrorCode::Unsure | ErrorCode::ApiDown => failures < PASSING_FAILURES,
        ErrorCode::NoInPlaceUpdates | ErrorCode::OtherBoot | ErrorCode::BadParameter => false,
        ErrorCode::Failed
        | ErrorCode::Refused
        | ErrorCode::WroteNothing
        | ErrorCode::WroteOther
        | ErrorCode::NotOffered
        | ErrorCode::Unknown(_)
        | ErrorCode::Missing => step == ClaimStep::Drain && failures < DRAIN_FAILURES,
    }
}

fn wait(code: &ErrorCode, failures: u32) -> SignedDuration {
    match code {
        ErrorCode::TasksRunning => TASKS_AGAIN,
        _ => doubled(SignedDuration::from_secs(10), failures, SignedDuration::from_mins(2)),
    }
}

fn doubled(first: SignedDuration, failures: u32, longest: SignedDuration) -> SignedDuration {
    let factor = 1i32.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(i32::MAX);
    first.checked_mul(factor).unwrap_or(longest).min(longest)
}

pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// An error of the agent's own, as it stands in reports.
pub(super) fn error(at: &str, code: ErrorCode, detail: &str) -> ReportedError {
    ReportedError { at: at.to_owned(), code, detail: crate::client::excerpt(detail) }
}
