//! Steps that only read.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use models::fleet::{InstanceStatus, Reach, SeenTasks, Task};
use models::ids::{HostId, ServiceName, TaskArn};

use super::{Actor, CONCURRENT};
use crate::aws::AwsError;
use crate::planner::{TASKS_FRESH, after};

impl Actor<'_> {
    pub(super) async fn reach(&mut self, hosts: Vec<HostId>) {
        match self.aws.ping_status(&hosts).await {
            Ok(mut known) => {
                let at = self.now();
                for host in hosts {
                    let ping = known.remove(&host);
                    self.change(&host, |instance| instance.reach = Some(Reach { at, ping }));
                }
            }
            Err(error) => self.failed(&hosts, error),
        }
    }

    pub(super) async fn look_at_checks(&mut self, hosts: Vec<HostId>) {
        let now = self.now();
        match self.aws.status_checks(&hosts, now).await {
            Ok(mut checks) => {
                for host in hosts {
                    // Left out by EC2: not running (any more). The next full look says what became of it.
                    let unknown = || models::fleet::StatusChecks {
                        at: now,
                        instance: "unknown".to_owned(),
                        system: "unknown".to_owned(),
                    };
                    let seen = checks.remove(&host).unwrap_or_else(unknown);
                    self.change(&host, |instance| {
                        if let Some(ec2) = &mut instance.ec2 {
                            ec2.checks = Some(seen);
                        }
                    });
                }
            }
            Err(error) => self.failed(&hosts, error),
        }
    }

    /// Tasks, their protection where the instance is still in service, and the services that are not known yet.
    pub(super) async fn look_at_tasks(&mut self, hosts: Vec<HostId>) {
        let at = self.now();
        let looks = self.tasks_of(&hosts).await;
        let mut of_services = Vec::new();
        let mut services = BTreeSet::new();
        for (host, tasks) in &looks {
            let Ok(tasks) = tasks else { continue };
            let in_service = self.instance(host).is_some_and(|i| i.status == InstanceStatus::Active);
            for (task, service) in tasks.iter().filter_map(|task| Some((task, task.service.clone()?))) {
                if in_service {
                    of_services.push(task.arn.clone());
                }
                services.insert(service);
            }
        }
        let protected = match self.aws.protection(&self.fleet.cluster, &of_services).await {
            Ok(protected) => protected,
            Err(error) => return self.failed(&hosts, error),
        };
        if let Err(error) = self.know_services(services).await {
            return self.failed(&hosts, error);
        }
        for (host, tasks) in looks {
            match tasks {
                Ok(mut tasks) => {
                    for task in &mut tasks {
                        task.protected_until = protected.get(&task.arn).copied();
                    }
                    self.change(&host, |instance| instance.tasks = Some(SeenTasks { at, tasks }));
                }
                Err(error) => self.failed(&[host], error),
            }
        }
    }

    /// The tasks on each of these instances that have not stopped.
    pub(super) async fn tasks_of(&self, hosts: &[HostId]) -> Vec<(HostId, Result<Vec<Task>, AwsError>)> {
        let cluster = &self.fleet.cluster;
        let wanted = hosts.iter().filter_map(|host| Some((host, &self.instance(host)?.container_instance)));
        let mut looks: Vec<_> = futures_util::stream::iter(wanted)
            .map(|(host, arn)| async move { (host.clone(), self.aws.tasks_on(cluster, arn).await) })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        looks.sort_by(|(a, _), (b, _)| a.cmp(b));
        looks
    }

    async fn know_services(&mut self, names: BTreeSet<ServiceName>) -> Result<(), AwsError> {
        let now = self.now();
        let known = &self.fleet.services;
        let fresh = |name: &ServiceName| known.get(name).is_some_and(|service| now < after(service.at, TASKS_FRESH));
        let stale: Vec<ServiceName> = names.into_iter().filter(|name| !fresh(name)).collect();
        for service in self.aws.describe_services(&self.fleet.cluster, &stale, now).await? {
            self.fleet.services.insert(service.name.clone(), service);
        }
        Ok(())
    }

    pub(super) async fn stop_tasks(&mut self, steps: Vec<models::plan::PlannedStep>) {
        let reason = format!("ecs-updater run {}: the instance is drained for an OS update", self.run);
        for step in steps {
            let models::plan::Step::StopTasks { tasks } = step.step else { continue };
            for task in tasks {
                match self.aws.stop_task(&self.fleet.cluster, &task, &reason).await {
                    Ok(()) => self.asked_to_stop(&step.host, task),
                    Err(error) => self.failed(std::slice::from_ref(&step.host), error),
                }
            }
        }
    }

    fn asked_to_stop(&mut self, host: &HostId, task: TaskArn) {
        tracing::info!(%host, task = task.short(), "standalone task asked to stop");
        self.change(host, |instance| instance.run.stopped_tasks.push(task));
    }
}
