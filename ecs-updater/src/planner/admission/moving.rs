//! The tasks that a drain moves.

use std::collections::BTreeMap;

use models::fleet::{Service, Strategy, Task};
use models::ids::ServiceName;

/// The tasks that services replace elsewhere, the largest first: first fit finds more that way.
pub(crate) fn moving<'a>(
    tasks: &'a [Task],
    services: &'a BTreeMap<ServiceName, Service>,
) -> Vec<(&'a Task, &'a Service)> {
    let mut moving: Vec<(&Task, &Service)> = tasks
        .iter()
        .filter_map(|task| Some((task, services.get(task.service()?)?)))
        .filter(|(task, service)| service.strategy == Strategy::Replica && !task.stopping)
        .collect();
    let size = |task: &Task| (task.needs.memory, task.needs.cpu);
    moving.sort_by(|(a, _), (b, _)| size(b).cmp(&size(a)).then_with(|| a.arn.cmp(&b.arn)));
    moving
}
