//! Follows each instance through a run, for the report: phases with their times, and how long it was out of service.

use jiff::{SignedDuration, Timestamp};
use models::claim::Claim;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus};
use models::ids::HostId;
use models::plan::{Phase, Plan, Stand};
use models::report::{InstanceReport, Outcome, PhaseTime};

/// Looked into for each instance after every plan. Its order reaches nothing: it is only asked by key, and for the longest.
#[expect(clippy::disallowed_types, reason = "ten thousand lookups a plan, and no order in what is told of them")]
type Lives = std::collections::HashMap<HostId, Life>;

/// What a run saw of its instances so far.
#[derive(Debug, Default)]
pub(crate) struct Track {
    lives: Lives,
}

#[derive(Debug, Default)]
struct Life {
    phases: Vec<PhaseTime>,
    stand: Option<Stand>,
    out_since: Option<Timestamp>,
    out_for: Option<SignedDuration>,
}

impl Track {
    /// Takes in where every instance stands now.
    pub(crate) fn follow(&mut self, fleet: &FleetSnapshot, plan: &Plan, now: Timestamp) {
        for stand in &plan.stands {
            // Most stand as they did.
            let life = match self.lives.get_mut(&stand.host) {
                Some(life) => life,
                None => self.lives.entry(stand.host.clone()).or_default(),
            };
            if life.stand.as_ref().map(|known| known.phase) != Some(stand.phase) {
                life.enter(stand.phase, now);
            }
            if life.stand.as_ref() != Some(stand) {
                life.stand = Some(stand.clone());
            }
            if life.out_since.is_some()
                && let Some(instance) = fleet.instances.get(&stand.host).filter(|instance| !is_out_by_us(instance))
            {
                life.came_back(instance, now);
            }
        }
        for instance in fleet.instances.values().filter(|instance| is_out_by_us(instance)) {
            self.lives.entry(instance.host.clone()).or_default().is_out(instance, now);
        }
    }

    /// When an instance came into the phase it is in.
    pub(crate) fn since(&self, host: &HostId) -> Option<Timestamp> {
        self.lives.get(host)?.phases.last().map(|last| last.began_at)
    }

    /// The longest time that one instance was out of service because of us.
    pub(crate) fn longest_out_of_service(&self, now: Timestamp) -> Option<SignedDuration> {
        self.lives.values().filter_map(|life| life.out_of_service(now)).max()
    }

    /// The instance's line of the report.
    pub(crate) fn report(&self, instance: &Instance, now: Timestamp, dry_run: bool) -> InstanceReport {
        let life = self.lives.get(&instance.host);
        let stand = life.and_then(|life| life.stand.as_ref());
        let mut report = InstanceReport {
            container_instance: instance.container_instance.clone(),
            ec2_instance_id: instance.host.clone(),
            zone: instance.zone.clone(),
            outcome: Outcome::InProgress,
            reason: None,
            detail: None,
            from: stand.and_then(|stand| stand.from.clone()),
            to: stand.and_then(|stand| stand.to.clone()),
            turn: stand.and_then(|stand| stand.turn).filter(|_| dry_run),
            phases: life.map(|life| life.phases.clone()).unwrap_or_default(),
            out_of_service_s: life.and_then(|life| life.out_of_service(now)).map(|out| out.as_secs()),
        };
        if let Some(verdict) = &instance.run.verdict {
            report.outcome = verdict.outcome;
            report.reason.clone_from(&verdict.reason);
            report.detail.clone_from(&verdict.detail);
            report.from = verdict.from.clone().or(report.from);
            report.to = verdict.to.clone().or(report.to);
            return report;
        }
        let Some(stand) = stand else { return report };
        let hold = stand.hold.as_ref();
        report.outcome = match (standing_outcome(stand), stand.phase) {
            (Some(outcome), _) => outcome,
            (None, Phase::Outdated | Phase::Staged) if dry_run => Outcome::WouldUpdate,
            (None, _) if hold.is_some() => Outcome::Held,
            (None, _) => Outcome::InProgress,
        };
        if report.outcome == Outcome::Held {
            report.reason = hold.map(|hold| hold.code().to_owned());
            report.detail = hold.map(ToString::to_string);
        }
        if report.outcome == Outcome::InProgress {
            report.detail = instance.claim().map(|claim| in_the_middle(instance, claim, dry_run));
        }
        report
    }
}

/// What stands of an update that nobody has ended, and who goes on with it.
fn in_the_middle(instance: &Instance, claim: &Claim, dry_run: bool) -> String {
    let is_draining = instance.status == InstanceStatus::Draining;
    let stands = if is_draining { "it is DRAINING" } else { "it is in service" };
    let step = claim.step.as_str();
    match dry_run {
        true => format!(
            "{stands}, with the claim {step} of run {} since {}; a run ends that before it begins anything else",
            claim.run, claim.since
        ),
        false if is_draining => format!(
            "{stands}, with the claim {step}; the next run goes on with it, docs/operations.md says how to put it back now"
        ),
        false => format!("{stands}, with the claim {step}; the next run goes on with it"),
    }
}

/// What a stand comes to if nothing more happens: `None` while something is to come.
pub(crate) fn standing_outcome(stand: &Stand) -> Option<Outcome> {
    match (stand.phase, &stand.hold) {
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

    /// One that an earlier run took out counts from its claim.
    fn is_out(&mut self, instance: &Instance, now: Timestamp) {
        self.out_since.get_or_insert_with(|| {
            let since = instance.run.drained_at.or(instance.claim().map(|claim| claim.since)).unwrap_or(now);
            since.min(now)
        });
    }

    fn came_back(&mut self, instance: &Instance, now: Timestamp) {
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
