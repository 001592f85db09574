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

/// Names each task that no service replaces; `None` where there is none.
pub(crate) fn standalone_words(tasks: &[Task]) -> Option<String> {
    let names: Vec<String> = standalone(tasks).map(name).collect();
    (!names.is_empty()).then(|| names.join(", "))
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
    let mut by_group: BTreeMap<&TaskGroup, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        by_group.entry(&task.group).or_default().push(task);
    }
    let parts: Vec<String> = by_group
        .into_iter()
        .map(|(group, tasks)| {
            let service = match group {
                TaskGroup::Service(name) => services.get(name),
                TaskGroup::Other(_) => None,
            };
            let running = service.map(|s| format!(", {} of {} running", s.running, s.desired)).unwrap_or_default();
            let stopping: Vec<&Task> = tasks.iter().filter(|task| task.stopping).copied().collect();
            let stopping = if stopping.is_empty() { String::new() } else { format!(", stopping: {}", ids(&stopping)) };
            format!("{} of {group}{running}{stopping}", tasks.len())
        })
        .collect();
    if parts.is_empty() { "tasks that ECS counts and does not list".to_owned() } else { parts.join("; ") }
}

fn names(tasks: &[&Task]) -> String {
    first_few(tasks, name)
}

fn name(task: &Task) -> String {
    format!("{} of {}", short(task.arn.short()), task.group)
}

fn ids(tasks: &[&Task]) -> String {
    first_few(tasks, |task| short(task.arn.short()).to_owned())
}

fn first_few(tasks: &[&Task], name: impl Fn(&Task) -> String) -> String {
    const MOST: usize = 3;
    let mut names: Vec<String> = tasks.iter().take(MOST).map(|task| name(task)).collect();
    if tasks.len() > MOST {
        names.push(format!("and {} more", tasks.len() - MOST));
    }
    names.join(", ")
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::fixtures::{service, task};

    #[test]
    fn only_standalone_tasks_are_named_as_such() {
        let both = [task(1, Some("web")), task(2, None), task(3, None)];
        assert_eq!(standalone_words(&both).as_deref(), Some("00000002 of family:batch, 00000003 of family:batch"));
        assert_eq!(standalone_words(&both[..1]), None);
    }

    #[test]
    fn what_is_left_says_what_is_stopping() {
        let stopping = |number| Task { stopping: true, ..task(number, Some("web")) };
        let services = BTreeMap::from([("web".into(), service("web", 4, 100, 200))]);
        let table = [
            (vec![], "tasks that ECS counts and does not list"),
            (vec![task(1, Some("web")), task(2, None)], "1 of family:batch; 1 of service:web, 4 of 4 running"),
            (
                vec![task(1, Some("web")), stopping(2), stopping(3)],
                "3 of service:web, 4 of 4 running, stopping: 00000002, 00000003",
            ),
            (
                (1..6).map(stopping).collect(),
                "5 of service:web, 4 of 4 running, stopping: 00000001, 00000002, 00000003, and 2 more",
            ),
        ];
        for (tasks, wanted) in table {
            assert_eq!(left(&tasks, &services), wanted);
        }
    }
}
