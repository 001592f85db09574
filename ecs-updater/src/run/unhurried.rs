//! When the whole cluster is looked at less often: nothing can begin before what is under way ends, and all is well with the
//! rest. Then only what is under way has news, and the connections of all others come with each look at it.

use models::fleet::{Instance, MachineState};
use models::plan::{HostCommand, Phase, Standing};
use models::policy::Capacity;

use super::cluster::Cluster;

/// As many instances as one call describes.
const MOST: usize = 100;

impl Cluster<'_> {
    /// Whether a look at the whole cluster can wait. What it rests on is what the last looks have shown, so that a place
    /// that is free again ends it at once.
    pub(super) fn is_unhurried(&self) -> bool {
        let fleet = &self.fleet;
        let of_groups = self.policy.groups.iter().map(|group| group.policy.capacity);
        let launches = of_groups.chain([self.policy.capacity]).any(|capacity| capacity == Capacity::ScaleOut);
        fleet.instances.len() <= MOST
            && fleet.unknown_registrations.is_empty()
            && fleet.outdated_registrations.is_empty()
            && self.facts.purpose.awaited_skip().is_none()
            && !launches
            && self.is_anything_under_way()
            && self.plan.standings.iter().all(|standing| standing.hold.is_some() || is_past_waiting(standing))
            && (self.are_places_taken() || self.does_none_wait())
            && fleet.instances.values().all(is_ours_or_well)
    }

    fn is_anything_under_way(&self) -> bool {
        self.out_of_service().next().is_some() || self.fleet.instances.values().any(is_being_staged)
    }

    /// Whether what is out of service takes all places; or what is being staged for the others, as long as all of that is.
    fn are_places_taken(&self) -> bool {
        let (counted, out) = self.fleet.counted_and_out();
        let places = self.policy.max_unavailable.of(counted).saturating_sub(out);
        let staging = || self.plan.standings.iter().filter(|standing| standing.phase == Phase::Staging);
        places == 0 || (staging().count() >= places && staging().all(|standing| self.is_still_written(standing)))
    }

    /// Whether nothing waits for a place.
    fn does_none_wait(&self) -> bool {
        let staging = |standing: &Standing| standing.phase != Phase::Staging || self.is_still_written(standing);
        self.plan.standings.iter().all(|standing| is_past_waiting(standing) && staging(standing))
    }

    /// Whether the image is still being written. One that was staged since the last plan waits for its turn.
    fn is_still_written(&self, standing: &Standing) -> bool {
        self.fleet.instances.get(&standing.host).is_some_and(is_being_staged)
    }
}

fn is_past_waiting(standing: &Standing) -> bool {
    standing.phase.is_under_way() || matches!(standing.phase, Phase::Current | Phase::Settled)
}

fn is_being_staged(instance: &Instance) -> bool {
    instance.command.as_ref().is_some_and(|sent| matches!(sent.command, HostCommand::Stage { .. }))
}

/// Whether an instance is under way, or is as it should be and takes tasks.
fn is_ours_or_well(instance: &Instance) -> bool {
    let is_running = instance.host.is_external() || instance.machine_state() == Some(MachineState::Running);
    instance.undescribed_since.is_none()
        && (instance.out_of_service_claim().is_some() || (instance.in_service() && is_running))
}
