//! The tasks on an instance: may they be moved at all?

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::fleet::{Service, Strategy, Task, TaskGroup};
use models::ids::ServiceName;
use models::policy::StandaloneTasks;
use models::reason::HoldReason;

/// The tasks that no service replaces.
pub(crate) fn standalone(tasks: &[Task]) -> impl Iterator<Item = &Task> {
    tasks.iter().filter(|task| task.service().is_none())
}

/// The reason not to drain an instance with these tasks, if there is one.
pub(crate) fn hold(
    tasks: &[Task],
    services: &BTreeMap<ServiceName, Service>,
    on_standalone: StandaloneTasks,
    now: Timestamp,
) -> Option<HoldReason> {
    let alone: Vec<&Task> = standalone(tasks).collect();
    if !alone.is_empty() && on_standalone == StandaloneTasks::Skip {
        return Some(HoldReason::StandaloneTasks { tasks: names(&alone) });
    }
    let protected: Vec<&Task> =
        tasks.iter().filter(|task| task.protected_until.is_some_and(|until| until > now)).collect();
    let until = protected.iter().filter_map(|task| task.protected_until).max();
    if let Some(until) = until.filter(|_| !broken!(ProtectedTasksIgnored)) {
        return Some(HoldReason::ProtectedTasks { tasks: names(&protected), until });
    }
    tasks.iter().filter_map(|task| services.get(task.service()?)).find_map(drain_cannot_end)
}

/// Draining stops and replaces tasks under `minimumHealthyPercent` (rounded up) and `maximumPercent` (rounded down):
/// with no task to spare and none to add, it waits forever (ECS developer guide, `container-instance-draining`).
fn drain_cannot_end(service: &Service) -> Option<HoldReason> {
    if service.strategy == Strategy::Daemon || service.desired == 0 {
        return None;
    }
    let desired = u64::from(service.desired);
    let (least, most) = (service.least_running(), service.most_running());
    let (may_stop_one, may_add_one) = (desired > least, most > desired);
    (!may_stop_one && !may_add_one).then(|| HoldReason::DrainCannotEnd {
        service: service.name.to_string(),
        why: format!(
            "keeps {least} of its {desired} tasks running (minimumHealthyPercent {}) and allows {most} at most \
             (maximumPercent {})",
            service.minimum_healthy_percent, service.maximum_percent
        ),
    })
}

/// What is left on an instance whose drain takes too long, for people.
pub(crate) fn left(tasks: &[Task], services: &BTreeMap<ServiceName, Service>) -> String {
    let mut by_group: BTreeMap<&TaskGroup, usize> = BTreeMap::new();
    for task in tasks {
        *by_group.entry(&task.group).or_default() += 1;
    }
    let parts: Vec<String> = by_group
        .into_iter()
        .map(|(group, count)| {
            let service = match group {
                TaskGroup::Service(name) => services.get(name),
                TaskGroup::Other(_) => None,
            };
            let running = service.map(|s| format!(", {} of {} running", s.running, s.desired)).unwrap_or_default();
            format!("{count} of {group}{running}")
        })
        .collect();
    if parts.is_empty() { "tasks that ECS counts and does not list".to_owned() } else { parts.join("; ") }
}

fn names(tasks: &[&Task]) -> String {
    const MOST: usize = 3;
    let mut names: Vec<String> =
        tasks.iter().take(MOST).map(|task| format!("{} of {}", short(task.arn.short()), task.group)).collect();
    if tasks.len() > MOST {
        names.push(format!("and {} more", tasks.len() - MOST));
    }
    names.join(", ")
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
