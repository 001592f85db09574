//! Tasks that ECS lists on an instance and does not describe: what else is known of them.

use std::collections::{BTreeMap, BTreeSet};

use models::fleet::{Resources, Task, TaskGroup};
use models::ids::{HostId, ServiceName, TaskArn};

use super::Actor;
use crate::aws::AwsError;

impl Actor<'_> {
    /// Returns what is known of these tasks: what an earlier look has seen, or else the service in whose list they stand.
    pub(super) async fn stand_ins(&self, arns: &BTreeSet<TaskArn>) -> Result<BTreeMap<TaskArn, Task>, AwsError> {
        let mut known = BTreeMap::new();
        if arns.is_empty() {
            return Ok(known);
        }
        for task in self.seen_tasks().filter(|task| arns.contains(&task.arn)) {
            known.insert(task.arn.clone(), Task { undescribed: true, ..task.clone() });
        }
        for name in self.fleet.services.keys() {
            if arns.iter().all(|arn| known.contains_key(arn)) {
                break;
            }
            for arn in self.aws.list_tasks_of(&self.fleet.cluster, name).await? {
                if arns.contains(&arn) && !known.contains_key(&arn) {
                    known.insert(arn.clone(), self.of_service(arn, name));
                }
            }
        }
        for arn in arns {
            known.entry(arn.clone()).or_insert_with(|| unknown(arn.clone()));
        }
        Ok(known)
    }

    /// Leaves out the instances with a task that nothing is known of: whether it may be moved cannot be told.
    pub(super) fn forget_unknown(&mut self, tasks: &mut BTreeMap<HostId, Vec<Task>>) {
        self.forget(tasks, |task| {
            let is_unknown = task.undescribed && task.group == TaskGroup::Other(String::new());
            is_unknown.then(|| format!("ecs:DescribeTasks: task {} is listed and not described", task.arn.short()))
        });
    }

    /// Leaves out the instances with a task that ECS refuses to describe: whether it is protected, or how its service may
    /// lose it.
    pub(super) fn forget_refused(
        &mut self,
        tasks: &mut BTreeMap<HostId, Vec<Task>>,
        unprotected: &BTreeSet<TaskArn>,
        services: &BTreeSet<ServiceName>,
    ) {
        self.forget(tasks, |task| {
            let of_task = || format!("ecs:GetTaskProtection: task {} is refused", task.arn.short());
            let of_service = |name: &ServiceName| format!("ecs:DescribeServices: service {name} is refused");
            let service = task.service().filter(|name| services.contains(*name));
            unprotected.contains(&task.arn).then(of_task).or_else(|| service.map(of_service))
        });
    }

    /// Leaves out the instances with a task for which there is a reason. They are looked at again, as after a refusal.
    fn forget(&mut self, tasks: &mut BTreeMap<HostId, Vec<Task>>, why: impl Fn(&Task) -> Option<String>) {
        let unknown: Vec<(HostId, String)> =
            tasks.iter().filter_map(|(host, tasks)| Some((host.clone(), tasks.iter().find_map(&why)?))).collect();
        for (host, why) in unknown {
            tasks.remove(&host);
            self.refused(&host, why);
        }
    }

    fn seen_tasks(&self) -> impl Iterator<Item = &Task> {
        self.fleet.instances.values().filter_map(|instance| instance.tasks.as_ref()).flat_map(|seen| &seen.tasks)
    }

    /// Returns a task of this service, as large as the others.
    fn of_service(&self, arn: TaskArn, name: &ServiceName) -> Task {
        let sizes = self.seen_tasks().filter(|task| task.service() == Some(name)).map(|task| &task.needs);
        let needs = sizes.max_by_key(|needs| (needs.memory, needs.cpu)).cloned().unwrap_or_default();
        Task { group: TaskGroup::Service(name.clone()), needs, ..unknown(arn) }
    }
}

fn unknown(arn: TaskArn) -> Task {
    Task {
        arn,
        group: TaskGroup::Other(String::new()),
        stopping: false,
        provider: None,
        needs: Resources::default(),
        protected_until: None,
        undescribed: true,
    }
}
