//! Placement constraints of the kind `memberOf`: expressions in the cluster query language (ECS developer guide,
//! `cluster-query-language`), of an instance's attributes, its EC2 id, its agent, its registration, the number of its tasks
//! and their groups, all as they were at the last full look.
//!
//! What this cannot read, or cannot know (the agent's capabilities, the groups where nobody has looked at the tasks), is
//! neither true nor false: then placement is ECS's to decide, and the drain's time-out is the net below.

use std::collections::BTreeSet;

use jiff::Timestamp;
use models::fleet::{Instance, TASKS_KNOWN_FOR};
use models::ids::ServiceName;
use models::query::{self, Known};

/// What an expression is asked of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) groups: &'a Groups,
    /// Services whose tasks are to come.
    pub(crate) promised: &'a [&'a ServiceName],
}

/// The groups of the tasks on an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    /// As ECS writes them.
    present: BTreeSet<String>,
    /// Whether there are no others.
    is_complete: bool,
}

impl Groups {
    /// Returns what is known of an instance's groups. A task that stops may be there or not. There are no others only where
    /// ECS counts as many tasks now as were seen then: an instance that is back in service has none yet, and will.
    pub(crate) fn of(instance: &Instance, now: Timestamp) -> Self {
        let Some(seen) = instance.tasks.as_ref().filter(|seen| now.duration_since(seen.at) <= TASKS_KNOWN_FOR) else {
            return Self::default();
        };
        let stay = |task: &&models::fleet::Task| !task.stopping && !task.undescribed;
        let (running, pending) = (instance.running_tasks as usize, instance.pending_tasks as usize);
        let is_the_count = [running, running + pending].contains(&seen.tasks.len());
        Self {
            present: seen.tasks.iter().filter(stay).map(|task| task.group.to_string()).collect(),
            is_complete: is_the_count && !seen.tasks.is_empty() && seen.tasks.iter().all(|task| stay(&task)),
        }
    }
}

/// Whether an expression asks for the groups of tasks.
pub(crate) fn asks_for_groups(expression: &str) -> bool {
    expression.contains(TASK_GROUP)
}

const TASK_GROUP: &str = "task:group";

/// Whether the subject meets the expression; `None` where that cannot be told.
pub(crate) fn meets(expression: &str, subject: Subject<'_>) -> Option<bool> {
    query::constraint(expression).ok()?.holds(|asked| known(subject, asked))
}

fn known<'a>(Subject { instance, groups, promised }: Subject<'a>, asked: &query::Subject) -> Known<'a> {
    match asked {
        query::Subject::Attribute(name) if query::is_unnamed(name) => Known::Nothing,
        query::Subject::Attribute(name) => Known::One(instance.attributes.get(name)),
        query::Subject::Ec2InstanceId => Known::One(Some(instance.host.as_str())),
        query::Subject::TaskGroup => {
            let promised = promised.iter().map(|service| format!("service:{service}"));
            Known::Several {
                values: groups.present.iter().cloned().chain(promised).collect(),
                are_all: groups.is_complete,
            }
        }
        query::Subject::RunningTasksCount => one(instance.running_tasks as usize + promised.len()),
        query::Subject::AgentConnected => one(instance.agent_connected),
        query::Subject::AgentVersion => instance.agent_version.as_ref().map_or(Known::Nothing, one),
        query::Subject::RegisteredAt => instance.registered_at.map_or(Known::Nothing, one),
        query::Subject::Tag(_) | query::Subject::Provider => Known::Nothing,
    }
}

fn one<'a>(value: impl ToString) -> Known<'a> {
    Known::Several { values: vec![value.to_string()], are_all: true }
}

#[cfg(test)]
mod tests {
    use models::fleet::{Instance, SeenTasks, Task};

    use super::{Groups, Subject};
    use crate::planner::fixtures::{at, attributes, instance, task};

    fn meets(expression: &str, instance: &Instance) -> Option<bool> {
        super::meets(expression, Subject { instance, groups: &Groups::default(), promised: &[] })
    }

    #[test]
    fn expressions_of_the_guide() {
        let mut host = instance(1, None, at(0));
        host.attributes = attributes(&[
            ("ecs.instance-type", "g2.2xlarge"),
            ("ecs.availability-zone", "us-east-1a"),
            ("stack", "prod"),
        ]);
        let table = [
            ("attribute:ecs.instance-type == g2.2xlarge", Some(true)),
            ("attribute:ecs.instance-type != g2.2xlarge", Some(false)),
            ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", Some(true)),
            ("attribute:ecs.availability-zone not_in [us-east-1a]", Some(false)),
            ("attribute:ecs.availability-zone !in ['us-east-1d']", Some(true)),
            ("attribute:stack exists", Some(true)),
            ("attribute:stack !exists", Some(false)),
            ("attribute:gpu exists", Some(false)),
            ("attribute:gpu == yes", Some(false)),
            // As observed, see models::query.
            ("attribute:gpu != yes", Some(false)),
            ("not (attribute:gpu == yes)", Some(true)),
            ("not (attribute:stack == prod)", Some(false)),
            ("!(attribute:stack == \"test\")", Some(true)),
            ("attribute:stack == prod and attribute:ecs.availability-zone == us-east-1b", Some(false)),
            ("attribute:stack == test or attribute:ecs.availability-zone == us-east-1a", Some(true)),
            ("(attribute:stack == prod && attribute:gpu exists) || ec2InstanceId == i-1", Some(true)),
            ("ec2InstanceId in ['i-2', 'i-3']", Some(false)),
            ("agentConnected == true", Some(true)),
            ("agentConnected != true", Some(false)),
            ("runningTasksCount > 1", Some(false)),
            ("runningTasksCount <= 0", Some(true)),
            ("runningTasksCount < 10 and attribute:stack == prod", Some(true)),
            ("agentVersion >= 1.9.0", Some(true)),
            ("agentVersion < 1.98.0", Some(false)),
            ("registeredAt < 2027-01-01T00:00:00Z", Some(true)),
            ("registeredAt > 2027-01-01", None),
            // The whole value or a part of it: where both say the same, it is known.
            ("attribute:ecs.instance-type =~ g2.*", Some(true)),
            ("attribute:ecs.instance-type =~ t3.*", Some(false)),
            ("attribute:ecs.instance-type !~ t3.*", Some(true)),
            ("attribute:ecs.instance-type =~ g2", None),
            ("attribute:ecs.instance-type =~ '(?<=g)2'", None),
            // What cannot be known decides nothing, unless the rest decides by itself.
            ("attribute:ecs.capability.task-eni exists", None),
            ("task:group == service:production", None),
            ("task:group == service:x and attribute:stack == test", Some(false)),
            ("task:group == service:x or attribute:stack == prod", Some(true)),
            ("task:group == service:x and attribute:stack == prod", None),
            ("attribute:stack ==", None),
            ("attribute:stack == prod)", None),
            ("attribute:stack in [prod", None),
            ("", None),
        ];
        for (expression, wanted) in table {
            assert_eq!(meets(expression, &host), wanted, "{expression}");
        }
    }

    #[test]
    fn groups_of_tasks() {
        let now = at(10);
        let mut host = instance(1, None, now);
        host.running_tasks = 2;
        let stopping = Task { stopping: true, ..task(3, Some("db")) };
        let on = |tasks: Vec<Task>, seen| Some(SeenTasks { at: seen, tasks });
        let shop = || vec![task(0, Some("shop")), task(1, None)];
        let with_stopping = || vec![task(0, Some("shop")), stopping.clone()];
        let web = "web".into();
        for (tasks, promised, expression, wanted) in [
            (on(shop(), now), false, "task:group == service:shop", Some(true)),
            (on(shop(), now), false, "task:group == service:db", Some(false)),
            (on(shop(), now), false, "task:group != service:shop", Some(false)),
            (on(shop(), now), false, "task:group != service:db", Some(true)),
            (on(shop(), now), false, "not(task:group == service:db)", Some(true)),
            (on(shop(), now), false, "task:group in [service:db, family:batch]", Some(true)),
            (on(shop(), now), false, "task:group not_in [service:db]", Some(true)),
            (on(shop(), now), false, "task:group exists", Some(true)),
            // An instance that has just come back has no tasks yet.
            (on(vec![], now), false, "task:group == service:db", None),
            // ECS counts two now.
            (on(shop()[..1].to_vec(), now), false, "task:group == service:db", None),
            (on(shop()[..1].to_vec(), now), false, "task:group == service:shop", Some(true)),
            (on(shop(), now), false, "task:group =~ service:.*", Some(true)),
            (on(shop(), now), false, "task:group =~ service:d.*", Some(false)),
            (on(shop(), now), false, "task:group =~ service", None),
            // What is promised is as good as there.
            (on(shop(), now), true, "task:group == service:web", Some(true)),
            (None, true, "task:group == service:web", Some(true)),
            // What stops may be there or not; what is there is there.
            (on(with_stopping(), now), false, "task:group == service:db", None),
            (on(with_stopping(), now), false, "task:group == service:shop", Some(true)),
            (None, false, "task:group == service:shop", None),
            (on(shop(), at(4)), false, "task:group == service:shop", None),
        ] {
            host.tasks = tasks;
            let promised: &[_] = if promised { &[&web] } else { &[] };
            let subject = Subject { instance: &host, groups: &Groups::of(&host, now), promised };
            assert_eq!(super::meets(expression, subject), wanted, "{expression}: {:?}", host.tasks);
        }
    }
}
