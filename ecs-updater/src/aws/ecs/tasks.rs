//! The tasks of a cluster: lists, descriptions, protection, and the request to stop one.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::DesiredStatus;
use jiff::Timestamp;
use models::clean;
use models::fleet::{Resources, Task, TaskGroup};
use models::ids::{ClusterName, ContainerInstanceArn, ServiceName, TaskArn};

use super::read::shared;
use crate::aws::client::Aws;
use crate::aws::error::{AwsError, ErrorKind};
use crate::aws::halving::halving;
use crate::aws::limits::Bucket;

/// Limits of the API (ECS API reference).
const DESCRIBE_TASKS: usize = 100;
const TASK_PROTECTION: usize = 100;
/// Host ports from here on are handed out by the kernel (`net.ipv4.ip_local_port_range`), so that no task asked for
/// them by number.
pub(super) const FIRST_EPHEMERAL_PORT: i32 = 32_768;

/// Tasks by their desired status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Desired {
    /// RUNNING: all but those that are stopping or have stopped.
    Running,
    /// STOPPED: those that are stopping, which run still, and those that have stopped.
    Stopped,
    /// RUNNING or STOPPED.
    Any,
}

/// Whose tasks are listed.
#[derive(Debug, Clone, Copy)]
enum Of<'a> {
    Cluster,
    Instance(&'a ContainerInstanceArn),
    Service(&'a ServiceName),
    Family(&'a str),
}

/// What ECS says of tasks that it was asked about.
#[derive(Debug, Default)]
pub(crate) struct LiveTasks {
    /// Those that have not stopped, by the container instance they are on.
    pub(crate) on: BTreeMap<ContainerInstanceArn, Vec<Task>>,
    /// Those that it lists under `failures`: whether they have stopped is not known.
    pub(crate) not_described: BTreeSet<TaskArn>,
}

/// Which tasks are protected from being stopped.
#[derive(Debug, Default)]
pub(crate) struct Protection {
    /// Until when, for each that is.
    pub(crate) until: BTreeMap<TaskArn, Timestamp>,
    /// Those that ECS refuses to say it of.
    pub(crate) unknown: BTreeSet<TaskArn>,
}

impl Aws {
    /// Returns the ARNs of the tasks on an instance with this desired status.
    pub(crate) async fn list_tasks_on(
        &self,
        cluster: &ClusterName,
        instance: &ContainerInstanceArn,
        desired: Desired,
    ) -> Result<Vec<TaskArn>, AwsError> {
        let statuses: &[DesiredStatus] = match desired {
            Desired::Running => &[DesiredStatus::Running],
            Desired::Stopped => &[DesiredStatus::Stopped],
            Desired::Any => &[DesiredStatus::Running, DesiredStatus::Stopped],
        };
        let mut arns = Vec::new();
        for status in statuses {
            arns.extend(self.list_tasks(cluster, Of::Instance(instance), status.clone()).await?);
        }
        Ok(arns)
    }

    /// The ARNs of the cluster's tasks that are desired RUNNING.
    pub(crate) async fn list_running_tasks(&self, cluster: &ClusterName) -> Result<Vec<TaskArn>, AwsError> {
        self.list_tasks(cluster, Of::Cluster, DesiredStatus::Running).await
    }

    /// The ARNs of a service's tasks that are desired RUNNING; none where the service is gone.
    pub(crate) async fn list_tasks_of(
        &self,
        cluster: &ClusterName,
        service: &ServiceName,
    ) -> Result<Vec<TaskArn>, AwsError> {
        none_of_a_gone_service(self.list_tasks(cluster, Of::Service(service), DesiredStatus::Running).await)
    }

    /// The ARNs of the tasks of a task definition's family that are desired RUNNING, whatever their revision.
    pub(crate) async fn list_tasks_of_family(
        &self,
        cluster: &ClusterName,
        family: &str,
    ) -> Result<Vec<TaskArn>, AwsError> {
        self.list_tasks(cluster, Of::Family(family), DesiredStatus::Running).await
    }

    async fn list_tasks(
        &self,
        cluster: &ClusterName,
        of: Of<'_>,
        desired: DesiredStatus,
    ) -> Result<Vec<TaskArn>, AwsError> {
        let list = self.ecs.list_tasks().cluster(cluster.as_str()).desired_status(desired).max_results(100);
        let list = match of {
            Of::Cluster => list,
            Of::Instance(arn) => list.container_instance(arn.as_str()),
            Of::Service(name) => list.service_name(name.as_str()),
            Of::Family(name) => list.family(name),
        };
        let mut pages = list.into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = self.paced(Bucket::ClusterRead, pages.next()).await {
            let page = page.map_err(|error| AwsError::from_sdk("ecs:ListTasks", error))?;
            let last = page.next_token.is_none();
            arns.extend(page.task_arns.unwrap_or_default().into_iter().map(TaskArn::from));
            if last {
                break;
            }
        }
        Ok(arns)
    }

    /// Describes these tasks; once more those that ECS does not describe with the others.
    pub(crate) async fn live_tasks(
        &self,
        cluster: &ClusterName,
        mut arns: Vec<TaskArn>,
    ) -> Result<LiveTasks, AwsError> {
        arns.sort();
        arns.dedup();
        let mut live = LiveTasks::default();
        let (failed, refused) = self.describe_tasks(cluster, &arns, &mut live).await?;
        let (failed, refused_then) = self.describe_tasks(cluster, &failed, &mut live).await?;
        live.not_described = failed.into_iter().chain(refused).chain(refused_then).collect();
        live.on.values_mut().for_each(Vec::shrink_to_fit);
        Ok(live)
    }

    /// Adds the tasks that have not stopped. Returns those that ECS lists under `failures`, and those that it refuses to
    /// describe.
    async fn describe_tasks(
        &self,
        cluster: &ClusterName,
        arns: &[TaskArn],
        live: &mut LiveTasks,
    ) -> Result<(Vec<TaskArn>, Vec<TaskArn>), AwsError> {
        let parts = halving(arns, DESCRIBE_TASKS, async |part: &[TaskArn]| {
            self.pace(Bucket::ClusterRead).await;
            let arns = part.iter().map(|arn| arn.as_str().to_owned()).collect();
            let call = self.ecs.describe_tasks().cluster(cluster.as_str()).set_tasks(Some(arns));
            call.send().await.map_err(|error| AwsError::from_sdk("ecs:DescribeTasks", error))
        });
        let (answers, refused) = parts.await.read()?;
        let (mut groups, mut failed) = (BTreeSet::new(), Vec::new());
        for answer in answers {
            for failure in answer.failures() {
                tracing::debug!(task = failure.arn(), reason = failure.reason(), "task not described");
                failed.extend(failure.arn().map(TaskArn::from));
            }
            for described in answer.tasks() {
                // A task without an instance is still being placed, or runs on Fargate.
                let Some(instance) = described.container_instance_arn() else { continue };
                if described.last_status() == Some("STOPPED") {
                    continue;
                }
                if let Some(mut task) = read_task(described) {
                    task.group = shared(task.group, &mut groups);
                    live.on.entry(instance.into()).or_default().push(task);
                }
            }
        }
        Ok((failed, refused))
    }

    /// Returns until when each of the tasks is protected. Those that are not are left out.
    pub(crate) async fn protection(&self, cluster: &ClusterName, tasks: &[TaskArn]) -> Result<Protection, AwsError> {
        let parts = halving(tasks, TASK_PROTECTION, async |part: &[TaskArn]| {
            self.pace(Bucket::TaskProtection).await;
            let arns = part.iter().map(|arn| arn.as_str().to_owned()).collect();
            let call = self.ecs.get_task_protection().cluster(cluster.as_str()).set_tasks(Some(arns));
            call.send().await.map_err(|error| AwsError::from_sdk("ecs:GetTaskProtection", error))
        });
        let (answers, unknown) = parts.await.read()?;
        let mut protected = BTreeMap::new();
        for answer in answers {
            for task in answer.protected_tasks() {
                if let Some(arn) = task.task_arn().filter(|_| task.protection_enabled()) {
                    let until = task.expiration_date().and_then(|date| Timestamp::from_second(date.secs()).ok());
                    protected.insert(arn.into(), until.unwrap_or(Timestamp::MAX));
                }
            }
        }
        Ok(Protection { until: protected, unknown: unknown.into_iter().collect() })
    }

    /// Asks ECS to stop a task; one that is gone already is no error.
    pub(crate) async fn stop_task(&self, cluster: &ClusterName, task: &TaskArn, reason: &str) -> Result<(), AwsError> {
        self.pace(Bucket::ClusterModify).await;
        let answer = self.ecs.stop_task().cluster(cluster.as_str()).task(task.as_str()).reason(reason).send().await;
        match answer.map_err(|error| AwsError::from_sdk("ecs:StopTask", error)) {
            Ok(_) => Ok(()),
            Err(error) if matches!(&error.kind, ErrorKind::Refused(code) if code == "InvalidParameterException") => {
                tracing::debug!(task = task.short(), %error, "task is gone already");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// A service that was deleted since it was described is refused by its name: it has no tasks.
fn none_of_a_gone_service(listed: Result<Vec<TaskArn>, AwsError>) -> Result<Vec<TaskArn>, AwsError> {
    let is_gone =
        |error: &AwsError| matches!(error.code(), Some("ServiceNotFoundException" | "ServiceNotActiveException"));
    match listed {
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        listed => listed,
    }
}

fn read_task(task: &aws_sdk_ecs::types::Task) -> Option<Task> {
    let containers = task.containers();
    let size = |of_task: Option<&str>, of_container: &dyn Fn(&aws_sdk_ecs::types::Container) -> i64| {
        of_task.and_then(|text| text.parse().ok()).unwrap_or_else(|| containers.iter().map(of_container).sum())
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let ports = containers
        .iter()
        .flat_map(|container| container.network_bindings())
        .filter_map(|binding| binding.host_port())
        .filter(|port| (1..FIRST_EPHEMERAL_PORT).contains(port))
        .filter_map(|port| u16::try_from(port).ok())
        .collect();
    Some(Task {
        arn: task.task_arn()?.into(),
        group: TaskGroup::from(clean::name(task.group().unwrap_or_default())),
        stopping: task.desired_status() == Some("STOPPED"),
        provider: task.capacity_provider_name().map(|name| clean::name(name).into()),
        needs: Resources {
            cpu: size(task.cpu(), &|container| number(container.cpu()).unwrap_or(0)),
            memory: size(task.memory(), &|container| {
                number(container.memory()).or(number(container.memory_reservation())).unwrap_or(0)
            }),
            ports,
            gpus: containers.iter().map(|container| container.gpu_ids().len() as i64).sum(),
            interfaces: interfaces(task),
        },
        protected_until: None,
        undescribed: false,
    })
}

/// The network interfaces that ECS has attached for the task, until they are gone (ECS developer guide,
/// `task-lifecycle-explanation`: in DEPROVISIONING).
fn interfaces(task: &aws_sdk_ecs::types::Task) -> i64 {
    let is_there = |attachment: &&aws_sdk_ecs::types::Attachment| {
        attachment.r#type() == Some("ElasticNetworkInterface")
            && !matches!(attachment.status(), Some("DELETED" | "DETACHED"))
    };
    task.attachments().iter().filter(is_there).count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_gone_has_no_tasks() {
        let refused = |code: &str| {
            let kind = ErrorKind::Refused(code.to_owned());
            Err(AwsError { operation: "ecs:ListTasks", kind, message: String::new() })
        };
        assert_eq!(none_of_a_gone_service(refused("ServiceNotFoundException")).unwrap(), []);
        assert_eq!(none_of_a_gone_service(refused("ServiceNotActiveException")).unwrap(), []);
        assert!(none_of_a_gone_service(refused("InvalidParameterException")).is_err());
        assert_eq!(none_of_a_gone_service(Ok(vec!["task".into()])).unwrap(), ["task".into()]);
    }
}
