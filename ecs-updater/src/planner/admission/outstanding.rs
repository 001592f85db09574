//! What services have still to place.

use std::collections::BTreeMap;

use models::fleet::{FleetSnapshot, InstanceStatus, Resources, Service, Strategy};
use models::ids::ServiceName;

use super::moving::{Moving, moved_off};

/// What services have still to place: each entry is one task.
pub(super) fn outstanding(fleet: &FleetSnapshot) -> Vec<Moving<'_>> {
    let mut leaving: BTreeMap<&ServiceName, Vec<Moving<'_>>> = BTreeMap::new();
    let draining = fleet.registered().filter(|instance| instance.status == InstanceStatus::Draining);
    for (instance, seen) in draining.filter_map(|instance| Some((instance, instance.tasks.as_ref()?))) {
        for moving in moved_off(instance, &seen.tasks, &fleet.services) {
            leaving.entry(&moving.service.name).or_default().push(moving);
        }
    }
    let mut outstanding = Vec::new();
    for service in fleet.services.values().filter(|service| service.strategy == Strategy::Replica) {
        let leaving = leaving.remove(&service.name).unwrap_or_default();
        // What zone rebalancing has placed beside the others takes the place of one of them.
        let placed = if service.rebalances { service.placed.min(service.desired) } else { service.placed };
        let staying = placed.saturating_sub(u32::try_from(leaving.len()).unwrap_or(u32::MAX));
        let wanted = service.desired.saturating_sub(staying).max(service.deploying) as usize;
        // Its tasks are of one size, unless a deployment changes it: one that leaves stands for one that is short.
        // What a service starts during a deployment is as the new task definition says, in the place of old tasks too.
        let newest = service.new_task.as_ref();
        let of_deployment = newest.filter(|_| service.deploying > 0);
        let leaving: Vec<Moving<'_>> =
            leaving.into_iter().map(|one| Moving { needs: of_deployment.unwrap_or(one.needs), ..one }).collect();
        let usual = leaving.first().map(|moving| moving.needs).filter(|_| service.deploying == 0).or(newest);
        let usual = usual.or_else(|| (wanted > 0).then(|| size_of_one(fleet, service)).flatten());
        let usual = usual.map(|needs| Moving { needs, service, provider: None });
        outstanding.extend(leaving.into_iter().chain(std::iter::repeat_n(usual, wanted).flatten()).take(wanted));
    }
    outstanding
}

/// The needs of any task of the service that was seen.
fn size_of_one<'a>(fleet: &'a FleetSnapshot, service: &Service) -> Option<&'a Resources> {
    let tasks = fleet.instances.values().filter_map(|instance| instance.tasks.as_ref()).flat_map(|seen| &seen.tasks);
    tasks.filter(|task| task.service() == Some(&service.name)).map(|task| &task.needs).next()
}

#[cfg(test)]
mod tests {
    use models::fleet::SeenTasks;

    use super::*;
    use crate::planner::fixtures::{at, fleet, instance, service, task};

    /// In the place of an old task that a drain moves, too, ECS starts one of the new task definition.
    #[test]
    fn what_a_deployment_starts_is_as_its_own_definition_says() {
        let size = |cpu| Resources { cpu, memory: 100, ..Resources::default() };
        for (deploying, expected) in [(2, vec![900, 900]), (0, vec![300])] {
            let mut leaving = instance(0, None, at(0));
            leaving.status = InstanceStatus::Draining;
            let old = models::fleet::Task { needs: size(300), ..task(0, Some("web")) };
            leaving.tasks = Some(SeenTasks { at: at(0), tasks: vec![old] });
            let web =
                Service { desired: 2, placed: 2, deploying, new_task: Some(size(900)), ..service("web", 2, 0, 100) };
            let fleet = fleet(vec![leaving], vec![web]);
            let sizes: Vec<i64> = outstanding(&fleet).iter().map(|one| one.needs.cpu).collect();
            assert_eq!(sizes, expected, "{deploying} to start");
        }
    }
}
