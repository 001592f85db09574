//! The tasks that a drain moves.

use std::collections::BTreeMap;

use models::fleet::{Instance, Resources, Service, Strategy, Task};
use models::ids::ServiceName;

use super::strategy;

/// A task that its service places elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving<'a> {
    pub(super) needs: &'a Resources,
    pub(super) service: &'a Service,
    /// The capacity provider that it stays with.
    pub(super) provider: Option<&'a str>,
}

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

/// The same of one instance's tasks, each with its provider.
pub(super) fn moved_off<'a>(
    leaving: &'a Instance,
    tasks: &'a [Task],
    services: &'a BTreeMap<ServiceName, Service>,
) -> Vec<Moving<'a>> {
    let with_provider = |(task, service): (&'a Task, &'a Service)| Moving {
        needs: &task.needs,
        service,
        provider: strategy::kept(service, leaving),
    };
    moving(tasks, services).into_iter().map(with_provider).collect()
}
