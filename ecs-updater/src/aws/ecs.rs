//! ECS: container instances, tasks, services.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{
    ContainerInstance, ContainerInstanceStatus, DesiredStatus, PlacementConstraint, PlacementConstraintType, Resource,
    SchedulingStrategy,
};
use jiff::Timestamp;
use models::attributes::PREFIX;
use models::fleet::{Attributes, InstanceStatus, Resources, Service, Strategy, Task, TaskGroup};
use models::ids::{ClusterName, ContainerInstanceArn, HostId, ServiceName, TaskArn, ZoneName};

use super::limits::Bucket;
use super::{Aws, AwsError, ErrorKind};

/// A container instance as ECS describes it.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) arn: ContainerInstanceArn,
    pub(crate) host: HostId,
    pub(crate) status: InstanceStatus,
    pub(crate) agent_connected: bool,
    pub(crate) running_tasks: u32,
    pub(crate) pending_tasks: u32,
    pub(crate) variant: Option<String>,
    pub(crate) zone: Option<ZoneName>,
    /// Those that placement constraints can name.
    pub(crate) nameable: Attributes,
    pub(crate) registered: Resources,
    pub(crate) remaining: Resources,
    pub(crate) registered_at: i64,
    /// Those of the host bridge.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Tasks by what is desired of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Desired {
    /// RUNNING: all but those that are stopping or have stopped.
    Running,
    /// STOPPED: those that are stopping, which run still, and those that have stopped.
    Stopped,
    /// Both.
    Any,
}

/// Which container instances are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// All but INACTIVE.
    All,
    /// Those that are DRAINING.
    Draining,
    /// Those whose agent is not connected, by the cluster query language (ECS developer guide,
    /// `cluster-query-language`).
    Disconnected,
}

/// Whose tasks are listed.
#[derive(Debug, Clone, Copy)]
enum Of<'a> {
    Cluster,
    Instance(&'a ContainerInstanceArn),
    Service(&'a ServiceName),
    Family(&'a str),
}

/// A part of a call that failed for one resource: its ARN and ECS's reason, such as `MISSING`.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) arn: String,
    pub(crate) reason: String,
}

/// Limits of the API (ECS API reference).
const DESCRIBE_INSTANCES: usize = 100;
const UPDATE_STATE: usize = 10;
const DESCRIBE_TASKS: usize = 100;
const DESCRIBE_SERVICES: usize = 10;
const TASK_PROTECTION: usize = 100;
/// Host ports from here on are handed out by the kernel (`net.ipv4.ip_local_port_range`), so that no task asked for
/// them by number.
const FIRST_EPHEMERAL_PORT: i32 = 32_768;

/// Attributes that no constraint of a service names: the agent's capabilities, which are many, and our own.
const UNNAMED_ATTRIBUTES: [&str; 3] = ["ecs.capability.", "com.amazonaws.ecs.capability.", "ecs-updater."];

impl Aws {
    /// ARNs of the cluster's container instances.
    pub(crate) async fn list_container_instances(
        &self,
        cluster: &ClusterName,
        which: Listed,
    ) -> Result<Vec<ContainerInstanceArn>, AwsError> {
        let (status, filter) = match which {
            Listed::All => (None, None),
            Listed::Draining => (Some(ContainerInstanceStatus::Draining), None),
            Listed::Disconnected => (None, Some("agentConnected == false".to_owned())),
        };
        let mut pages = self
            .ecs
            .list_container_instances()
            .cluster(cluster.as_str())
            .set_status(status)
            .set_filter(filter)
            .max_results(100)
            .into_paginator()
            .send();
        let mut arns = Vec::new();
        while let Some(page) = self.paced(Bucket::ClusterRead, pages.next()).await {
            let page = page.map_err(|error| AwsError::from_sdk("ecs:ListContainerInstances", error))?;
            let last = page.next_token.is_none();
            arns.extend(page.container_instance_arns.unwrap_or_default().into_iter().map(ContainerInstanceArn::from));
            if last {
                break;
            }
        }
        Ok(arns)
    }

    /// Descriptions of up to any number of container instances; those that are gone are left out.
    pub(crate) async fn describe_container_instances(
        &self,
        cluster: &ClusterName,
        arns: &[ContainerInstanceArn],
    ) -> Result<Vec<Described>, AwsError> {
        let mut described = Vec::with_capacity(arns.len());
        let mut alike = BTreeSet::new();
        for chunk in arns.chunks(DESCRIBE_INSTANCES) {
            self.pace(Bucket::ClusterRead).await;
            let answer = self
                .ecs
                .describe_container_instances()
                .cluster(cluster.as_str())
                .set_container_instances(Some(chunk.iter().map(|arn| arn.as_str().to_owned()).collect()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ecs:DescribeContainerInstances", error))?;
            for failure in answer.failures() {
                tracing::debug!(arn = failure.arn(), reason = failure.reason(), "container instance not described");
            }
            described.extend(
                answer.container_instances.unwrap_or_default().iter().filter_map(|one| read_instance(one, &mut alike)),
            );
        }
        Ok(described)
    }

    /// Sets the status of up to any number of container instances. Returns what ECS did and what it refused.
    pub(crate) async fn update_state(
        &self,
        cluster: &ClusterName,
        arns: &[ContainerInstanceArn],
        status: InstanceStatus,
    ) -> (BTreeMap<ContainerInstanceArn, InstanceStatus>, Vec<Failure>, Option<AwsError>) {
        let (mut done, mut failures) = (BTreeMap::new(), Vec::new());
        for chunk in arns.chunks(UPDATE_STATE) {
            self.pace(Bucket::ClusterModify).await;
            let answer = self
                .ecs
                .update_container_instances_state()
                .cluster(cluster.as_str())
                .status(ContainerInstanceStatus::from(status.as_str()))
                .set_container_instances(Some(chunk.iter().map(|arn| arn.as_str().to_owned()).collect()))
                .send()
                .await;
            match answer {
                Ok(answer) => {
                    for instance in answer.container_instances() {
                        if let Some(arn) = instance.container_instance_arn() {
                            done.insert(arn.into(), read_status(instance.status()));
                        }
                    }
                    failures.extend(answer.failures().iter().map(|failure| Failure {
                        arn: failure.arn().unwrap_or_default().to_owned(),
                        reason: failure.reason().unwrap_or("no reason").to_owned(),
                    }));
                }
                Err(error) => {
                    let error = AwsError::from_sdk("ecs:UpdateContainerInstancesState", error);
                    return (done, failures, Some(error));
                }
            }
        }
        (done, failures, None)
    }

    /// The ARNs of the tasks on an instance of which this is desired.
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

    /// Those of the tasks that have not stopped, by the container instance they are on.
    pub(crate) async fn live_tasks(
        &self,
        cluster: &ClusterName,
        mut arns: Vec<TaskArn>,
    ) -> Result<BTreeMap<ContainerInstanceArn, Vec<Task>>, AwsError> {
        arns.sort();
        arns.dedup();
        let mut tasks: BTreeMap<ContainerInstanceArn, Vec<Task>> = BTreeMap::new();
        let mut groups = BTreeSet::new();
        for chunk in arns.chunks(DESCRIBE_TASKS) {
            self.pace(Bucket::ClusterRead).await;
            let answer = self
                .ecs
                .describe_tasks()
                .cluster(cluster.as_str())
                .set_tasks(Some(chunk.iter().map(|arn| arn.as_str().to_owned()).collect()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ecs:DescribeTasks", error))?;
            for described in answer.tasks() {
                // A task without an instance is still being placed, or runs on Fargate.
                let Some(instance) = described.container_instance_arn() else { continue };
                if described.last_status() == Some("STOPPED") {
                    continue;
                }
                if let Some(mut task) = read_task(described) {
                    task.group = shared(task.group, &mut groups);
                    tasks.entry(instance.into()).or_default().push(task);
                }
            }
        }
        tasks.values_mut().for_each(Vec::shrink_to_fit);
        Ok(tasks)
    }

    /// Until when each of the tasks is protected; those that are not are left out.
    pub(crate) async fn protection(
        &self,
        cluster: &ClusterName,
        tasks: &[TaskArn],
    ) -> Result<BTreeMap<TaskArn, Timestamp>, AwsError> {
        let mut protected = BTreeMap::new();
        for chunk in tasks.chunks(TASK_PROTECTION) {
            self.pace(Bucket::TaskProtection).await;
            let answer = self
                .ecs
                .get_task_protection()
                .cluster(cluster.as_str())
                .set_tasks(Some(chunk.iter().map(|arn| arn.as_str().to_owned()).collect()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ecs:GetTaskProtection", error))?;
            for task in answer.protected_tasks() {
                if let (true, Some(arn)) = (task.protection_enabled(), task.task_arn()) {
                    let until = task.expiration_date().and_then(|date| Timestamp::from_second(date.secs()).ok());
                    protected.insert(arn.into(), until.unwrap_or(Timestamp::MAX));
                }
            }
        }
        Ok(protected)
    }

    /// The services of these names; those that are gone are left out.
    pub(crate) async fn describe_services(
        &self,
        cluster: &ClusterName,
        names: &[ServiceName],
        now: Timestamp,
    ) -> Result<Vec<Service>, AwsError> {
        let mut services = Vec::new();
        for chunk in names.chunks(DESCRIBE_SERVICES) {
            self.pace(Bucket::ServiceRead).await;
            let answer = self
                .ecs
                .describe_services()
                .cluster(cluster.as_str())
                .set_services(Some(chunk.iter().map(|name| name.as_str().to_owned()).collect()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ecs:DescribeServices", error))?;
            services.extend(answer.services().iter().filter_map(|service| {
                let deployment = service.deployment_configuration();
                let (running, pending) = (count(service.running_count()), count(service.pending_count()));
                let constraints = service.placement_constraints();
                let is = |one: &PlacementConstraint, kind| one.r#type() == Some(&kind);
                Some(Service {
                    name: service.service_name()?.into(),
                    at: now,
                    strategy: match service.scheduling_strategy() {
                        Some(SchedulingStrategy::Daemon) => Strategy::Daemon,
                        Some(_) | None => Strategy::Replica,
                    },
                    desired: count(service.desired_count()),
                    running,
                    placed: running + pending,
                    deploying: deploying(service),
                    // Defaults of the API for REPLICA services.
                    minimum_healthy_percent: deployment.and_then(|d| d.minimum_healthy_percent()).map_or(100, count),
                    maximum_percent: deployment.and_then(|d| d.maximum_percent()).map_or(200, count),
                    distinct_instance: constraints.iter().any(|one| is(one, PlacementConstraintType::DistinctInstance)),
                    on: BTreeSet::new(),
                    member_of: constraints
                        .iter()
                        .filter(|one| is(one, PlacementConstraintType::MemberOf))
                        .filter_map(|one| one.expression().map(str::to_owned))
                        .collect(),
                })
            }));
        }
        Ok(services)
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

/// What the newest deployment has still to place, while an older one has tasks.
fn deploying(service: &aws_sdk_ecs::types::Service) -> u32 {
    let deployments = service.deployments();
    let newest = deployments.iter().find(|deployment| deployment.status() == Some("PRIMARY"));
    match newest.filter(|_| deployments.len() > 1) {
        Some(newest) => count(newest.desired_count() - newest.running_count() - newest.pending_count()),
        None => 0,
    }
}

/// `alike`: the attributes that were read before, to be shared.
fn read_instance(instance: &ContainerInstance, alike: &mut BTreeSet<Attributes>) -> Option<Described> {
    let attribute =
        |name: &str| instance.attributes().iter().find(|a| a.name() == name).and_then(|a| a.value()).map(str::to_owned);
    let nameable = instance
        .attributes()
        .iter()
        .filter(|attribute| !UNNAMED_ATTRIBUTES.iter().any(|prefix| attribute.name().starts_with(prefix)))
        .map(|attribute| (attribute.name().to_owned(), attribute.value().unwrap_or_default().to_owned()));
    Some(Described {
        nameable: shared(nameable.collect::<BTreeMap<_, _>>().into(), alike),
        arn: instance.container_instance_arn()?.into(),
        host: instance.ec2_instance_id()?.into(),
        status: read_status(instance.status()),
        agent_connected: instance.agent_connected(),
        running_tasks: count(instance.running_tasks_count()),
        pending_tasks: count(instance.pending_tasks_count()),
        variant: attribute("bottlerocket.variant"),
        zone: attribute("ecs.availability-zone").map(ZoneName::from),
        registered: read_resources(instance.registered_resources()),
        remaining: read_resources(instance.remaining_resources()),
        registered_at: instance.registered_at().map_or(0, aws_smithy_types::DateTime::secs),
        attributes: bridge_attributes(instance),
    })
}

/// The one of `known` that is equal, so that both are kept once; it is put there where there is none.
fn shared<T: Clone + Ord>(one: T, known: &mut BTreeSet<T>) -> T {
    if let Some(other) = known.get(&one) {
        return other.clone();
    }
    known.insert(one.clone());
    one
}

fn bridge_attributes(instance: &ContainerInstance) -> BTreeMap<String, String> {
    let ours = instance.attributes().iter().filter(|attribute| attribute.name().starts_with(PREFIX));
    ours.filter_map(|one| Some((one.name().to_owned(), one.value()?.to_owned()))).collect()
}

fn read_status(status: Option<&str>) -> InstanceStatus {
    use InstanceStatus as S;
    [S::Active, S::Draining, S::Registering, S::RegistrationFailed, S::Deregistering, S::Inactive]
        .into_iter()
        .find(|known| Some(known.as_str()) == status)
        .unwrap_or(S::Unknown)
}

fn read_resources(resources: &[Resource]) -> Resources {
    let integer =
        |name: &str| resources.iter().find(|r| r.name() == Some(name)).map_or(0, |r| i64::from(r.integer_value()));
    let ports = |name: &str| {
        let values = resources.iter().filter(move |r| r.name() == Some(name)).flat_map(|r| r.string_set_value());
        values.filter_map(|port| port.parse::<u16>().ok()).collect::<Vec<_>>()
    };
    let mut used = ports("PORTS");
    used.extend(ports("PORTS_UDP"));
    Resources { cpu: integer("CPU"), memory: integer("MEMORY"), ports: used }
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
        group: TaskGroup::from(task.group().unwrap_or_default().to_owned()),
        stopping: task.desired_status() == Some("STOPPED"),
        needs: Resources {
            cpu: size(task.cpu(), &|container| number(container.cpu()).unwrap_or(0)),
            memory: size(task.memory(), &|container| {
                number(container.memory()).or(number(container.memory_reservation())).unwrap_or(0)
            }),
            ports,
        },
        protected_until: None,
    })
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
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
