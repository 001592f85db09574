//! Is there room elsewhere for the tasks of an instance that is to be drained?
//!
//! Room is counted on instances in service only, first fit, and what was promised to one drain is not promised to
//! the next. Anything this cannot know (placement by attributes, GPU) is ECS's to decide: the drain's time-out is the
//! net below.

use std::collections::BTreeMap;

use models::fleet::{Instance, Resources, Service, Strategy, Task};
use models::ids::{HostId, ServiceName};
use models::reason::HoldReason;

/// The room on the instances in service, and the tasks that services can do without.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    free: BTreeMap<HostId, Resources>,
    /// Tasks that drains of this plan stop without a replacement, by service.
    done_without: BTreeMap<ServiceName, u64>,
}

impl Room {
    /// As ECS counts it. `in_service` leaves out whatever is drained or about to be.
    pub(crate) fn new<'a>(in_service: impl Iterator<Item = &'a Instance>) -> Self {
        let free = in_service.map(|instance| (instance.host.clone(), instance.remaining.clone())).collect();
        Self { free, done_without: BTreeMap::new() }
    }

    /// Takes `leaving` out and places its service tasks on the others, but for those that `minimumHealthyPercent`
    /// lets the service do without: they are stopped, room or not, and come back with the instance. Nothing is changed
    /// where one of the others has no place.
    ///
    /// # Errors
    /// The hold that says what is missing.
    pub(crate) fn move_off(
        &mut self,
        leaving: &HostId,
        tasks: &[Task],
        services: &BTreeMap<ServiceName, Service>,
    ) -> Result<(), HoldReason> {
        let mut trial = self.clone();
        trial.free.remove(leaving);
        let mut moving: Vec<(&Task, &Service)> = tasks
            .iter()
            .filter_map(|task| Some((task, services.get(task.service.as_ref()?)?)))
            .filter(|(task, service)| service.strategy == Strategy::Replica && task.desired_status != "STOPPED")
            .collect();
        // The largest first: first fit finds more that way.
        let size = |task: &Task| (task.needs.memory, task.needs.cpu);
        moving.sort_by(|(a, _), (b, _)| size(b).cmp(&size(a)).then_with(|| a.arn.cmp(&b.arn)));
        for (task, service) in moving {
            if let Some(free) = trial.free.values_mut().find(|free| fits(&task.needs, free)) {
                take(&task.needs, free);
            } else if trial.can_do_without_one(service) {
                *trial.done_without.entry(service.name.clone()).or_default() += 1;
            } else {
                return Err(HoldReason::NoRoom { service: service.name.to_string(), needs: words(&task.needs) });
            }
        }
        *self = trial;
        Ok(())
    }

    fn can_do_without_one(&self, service: &Service) -> bool {
        let stopped = self.done_without.get(&service.name).copied().unwrap_or(0);
        u64::from(service.running) > service.least_running() + stopped
    }
}

fn fits(needs: &Resources, free: &Resources) -> bool {
    needs.cpu <= free.cpu && needs.memory <= free.memory && needs.ports.iter().all(|port| !free.ports.contains(port))
}

fn take(needs: &Resources, free: &mut Resources) {
    free.cpu -= needs.cpu;
    free.memory -= needs.memory;
    free.ports.extend(&needs.ports);
}

fn words(needs: &Resources) -> String {
    let mut words = format!("{} CPU units and {} MiB", needs.cpu, needs.memory);
    if !needs.ports.is_empty() {
        let ports: Vec<String> = needs.ports.iter().map(u16::to_string).collect();
        words.push_str(&format!(" and host port {}", ports.join(", ")));
    }
    words
}
