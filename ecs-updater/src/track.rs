//! Follows each instance through a run, for the report: phases with their times, and how long it was out of service.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::build::DOCS;
use models::claim::Claim;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus};
use models::host::UpdateState;
use models::ids::HostId;
use models::plan::{Phase, Plan, Standing};
use models::reason::{Bearing, HoldCode};
use models::report::{InstanceReport, Outcome, PhaseTime};
use semver::Version;

/// The code of an instance that a run leaves in the middle of its update.
pub(crate) const UNDER_WAY: &str = "under_way";

/// What a run saw of its instances so far.
#[derive(Debug, Default)]
pub(crate) struct Track {
    lives: BTreeMap<HostId, Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// The last of `phases`, kept apart since it is compared after each plan.
    phase: Option<Phase>,
    phases: Vec<PhaseTime>,
    /// The version that it was last to go to.
    to: Option<Version>,
    out_since: Option<Timestamp>,
    out_for: Option<SignedDuration>,
}

impl Track {
    /// Takes in where every instance stands now.
    pub(crate) fn follow(&mut self, fleet: &FleetSnapshot, plan: &Plan, now: Timestamp) {
        debug_assert_eq!(fleet.instances.len(), plan.standings.len(), "a plan has a stand for each instance");
        // All three are in the same order, and few instances come or go.
        let mut lives = self.lives.iter_mut().peekable();
        let mut born = Vec::new();
        for (instance, standing) in fleet.instances.values().zip(&plan.standings) {
            let host = &instance.host;
            while lives.next_if(|(known, _)| *known != host && *known < host).is_some() {}
            match lives.next_if(|(known, _)| *known == host) {
                Some((_, life)) => life.follow(instance, standing, now),
                None => {
                    let mut life = Life::default();
                    life.follow(instance, standing, now);
                    born.push((host.clone(), life));
                }
            }
        }
        self.lives.extend(born);
    }

    /// When an instance came into the phase it is in.
    pub(crate) fn since(&self, host: &HostId) -> Option<Timestamp> {
        self.lives.get(host)?.phases.last().map(|last| last.began_at)
    }

    /// The longest time that one instance was out of service because of us.
    pub(crate) fn longest_out_of_service(&self, now: Timestamp) -> Option<SignedDuration> {
        self.lives.values().filter_map(|life| life.out_of_service(now)).max()
    }

    /// Since when the instance is out of service because of us that is so for the longest time, of those that count.
    pub(crate) fn out_since(&self, counts: impl Fn(&HostId) -> bool) -> Option<Timestamp> {
        let lives = self.lives.iter().filter(|(host, _)| counts(host));
        lives.filter_map(|(_, life)| life.out_since).min()
    }

    /// How many instances had to be confirmed, and the longest that one waited for it.
    pub(crate) fn confirming(&self, now: Timestamp) -> (usize, SignedDuration) {
        let waited = self.lives.values().filter_map(|life| {
            let confirming = life.phases.iter().filter(|time| time.phase == Phase::Confirming);
            confirming.map(|time| time.duration(now)).reduce(|sum, time| sum + time)
        });
        waited.fold((0, SignedDuration::ZERO), |(count, longest), waited| (count + 1, longest.max(waited)))
    }

    /// The instance's line of the report; `stand` is where the last plan saw it.
    pub(crate) fn report(
        &self,
        instance: &Instance,
        standing: Option<&Standing>,
        now: Timestamp,
        dry_run: bool,
    ) -> InstanceReport {
        let life = self.lives.get(&instance.host);
        let mut report = InstanceReport {
            container_instance: instance.container_instance.clone(),
            ec2_instance_id: instance.host.clone(),
            zone: instance.zone.clone(),
            group: None,
            outcome: Outcome::InProgress,
            reason: None,
            detail: None,
            from: standing.and_then(|standing| standing.from.clone()),
            to: standing.and_then(|standing| standing.to.clone()),
            turn: standing.and_then(|standing| standing.turn).filter(|_| dry_run),
            phases: life.map(|life| life.phases.clone()).unwrap_or_default(),
            out_of_service_s: life.and_then(|life| life.out_of_service(now)).map(|out| out.as_secs()),
            unknown_tags: instance.tags.unknown.clone(),
        };
        if let Some(verdict) = &instance.run.verdict {
            report.outcome = verdict.outcome;
            report.reason.clone_from(&verdict.reason);
            report.detail = verdict.detail.as_ref().map(|detail| match left_activated(instance) {
                Some(version) => format!(
                    "{detail}; {version} was still activated when the host was last heard from: its next boot takes it"
                ),
                None => detail.clone(),
            });
            report.from = verdict.from.clone().or(report.from);
            report.to = verdict.to.clone().or(report.to);
            Self::name_target(life, &mut report);
            return report;
        }
        let Some(standing) = standing else { return report };
        let hold = standing.hold.as_ref();
        report.outcome = match (outcome_of(standing), standing.phase) {
            (Some(outcome), _) => outcome,
            (None, Phase::Outdated | Phase::Staged) if dry_run => Outcome::WouldUpdate,
            (None, _) if hold.is_some() => Outcome::Held,
            (None, _) => Outcome::InProgress,
        };
        // Nobody else puts back what a claim of this program has taken out: that is no quiet hold.
        if instance.status == InstanceStatus::Draining && !dry_run && report.outcome == Outcome::Held {
            match &instance.tags.claim {
                Some(Err(bad)) if bad.is_a_claim() => report.outcome = Outcome::Failed,
                Some(Ok(claim)) if claim.step.takes_out_of_service() => report.outcome = Outcome::InProgress,
                Some(Ok(_) | Err(_)) | None => {}
            }
        }
        if let Some(hold) = hold.filter(|_| report.outcome == Outcome::Held || report.outcome == Outcome::Failed) {
            report.reason = Some(hold.code().to_owned());
            report.detail = Some(hold.to_string());
        }
        if report.outcome == Outcome::InProgress {
            report.reason = Some(UNDER_WAY.to_owned());
            report.detail = Some(match instance.claim() {
                Some(claim) => in_the_middle(instance, claim, dry_run),
                None => "its update was under way when the run ended; the next run looks at it again".to_owned(),
            });
        }
        Self::name_target(life, &mut report);
        report
    }

    /// Names the version that an instance was to go to, where the plan that it ended by says none any more.
    fn name_target(life: Option<&Life>, report: &mut InstanceReport) {
        let is_open = match report.outcome {
            Outcome::Failed | Outcome::RolledBack | Outcome::InProgress | Outcome::ScaledIn | Outcome::Gone => true,
            Outcome::Held => report.reason.as_deref().and_then(HoldCode::find).is_some_and(is_hindered),
            Outcome::Updated | Outcome::Current | Outcome::WouldUpdate => false,
        };
        if is_open && report.to.is_none() {
            report.to = life.and_then(|life| life.to.clone()).filter(|to| report.from.as_ref() != Some(to));
        }
    }
}

/// Whether a hold leaves it open that the instance is updated to what it was to go to.
fn is_hindered(code: HoldCode) -> bool {
    match code.bearing() {
        Bearing::Hindrance | Bearing::WishForAll => true,
        Bearing::Wish | Bearing::NothingWanted => false,
    }
}

/// The version that the next boot of an instance in service takes, as far as its host was heard: the activation could not be
/// undone, or its bridge has yet to say that it is.
fn left_activated(instance: &Instance) -> Option<Version> {
    let report = &instance.report.as_ref()?.report;
    let is_done_with = instance.status == InstanceStatus::Active && instance.out_of_service_claim().is_none();
    report.staged().filter(|_| is_done_with && report.state() == Some(&UpdateState::Ready))
}

/// What stands of an update that nobody has ended, and who goes on with it.
pub(crate) fn in_the_middle(instance: &Instance, claim: &Claim, dry_run: bool) -> String {
    let is_draining = instance.status == InstanceStatus::Draining;
    let standings = if is_draining { "it is DRAINING" } else { "it is in service" };
    let step = claim.step.as_str();
    if dry_run {
        let Claim { run, since, .. } = claim;
        return format!(
            "{standings}, with the claim {step} of run {run} since {since}; a run ends that before it begins anything else"
        );
    }
    let how = if is_draining {
        format!(", {DOCS}/operations.md#an-instance-left-draining says how to put it back now")
    } else {
        String::new()
    };
    format!("{standings}, with the claim {step}; the next run goes on with it{how}")
}

/// What a stand comes to if nothing more happens: `None` while something is to come.
pub(crate) fn outcome_of(standing: &Standing) -> Option<Outcome> {
    match (standing.phase, &standing.hold) {
        (Phase::Current, _) => Some(Outcome::Current),
        (Phase::Held, Some(_)) => Some(Outcome::Held),
        (
            Phase::Unseen
            | Phase::Outdated
            | Phase::Staging
            | Phase::Staged
            | Phase::Draining
            | Phase::Drained
            | Phase::Rebooting
            | Phase::Verifying
            | Phase::Confirming
            | Phase::Reverting
            | Phase::Held
            | Phase::Settled,
            _,
        ) => None,
    }
}

/// Whether it is DRAINING by a claim.
fn is_out_by_us(instance: &Instance) -> bool {
    instance.status == InstanceStatus::Draining && instance.out_of_service_claim().is_some()
}

impl Life {
    fn follow(&mut self, instance: &Instance, standing: &Standing, now: Timestamp) {
        if self.phase != Some(standing.phase) {
            self.phase = Some(standing.phase);
            self.enter(standing.phase, now);
        }
        if standing.to.is_some() && self.to != standing.to {
            self.to.clone_from(&standing.to);
        }
        if is_out_by_us(instance) {
            self.mark_out_of_service(instance, now);
        } else {
            self.mark_back(instance, now);
        }
    }

    /// A phase of less than a second was a step between two plans, and is left out.
    fn enter(&mut self, phase: Phase, now: Timestamp) {
        let passing = |last: &PhaseTime| last.phase != phase && last.duration(now) < SignedDuration::from_secs(1);
        if self.phases.last().is_some_and(passing) {
            self.phases.pop();
        }
        match self.phases.last_mut() {
            Some(last) if last.phase == phase => last.ended_at = None,
            Some(last) => {
                last.ended_at = Some(now);
                self.phases.push(PhaseTime { phase, began_at: now, ended_at: None });
            }
            None => self.phases.push(PhaseTime { phase, began_at: now, ended_at: None }),
        }
    }

    /// An instance that an earlier run took out counts from its claim.
    fn mark_out_of_service(&mut self, instance: &Instance, now: Timestamp) {
        self.out_since.get_or_insert_with(|| {
            let since = instance.run.drained_at.or(instance.claim().map(|claim| instance.began(claim))).unwrap_or(now);
            since.min(now)
        });
    }

    fn mark_back(&mut self, instance: &Instance, now: Timestamp) {
        let Some(since) = self.out_since.take() else { return };
        let until = if instance.status == InstanceStatus::Active { instance.seen_at.max(since) } else { now };
        self.out_for = Some(self.out_for.unwrap_or_default() + until.duration_since(since));
    }

    fn out_of_service(&self, now: Timestamp) -> Option<SignedDuration> {
        match self.out_since {
            Some(since) => Some(self.out_for.unwrap_or_default() + now.duration_since(since)),
            None => self.out_for,
        }
    }
}
