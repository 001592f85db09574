//! Steps that only read.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use models::claim::Transport;
use models::fleet::{Instance, InstanceStatus, Reachability, SeenTasks, Service, StatusChecks, Task};
use models::ids::{HostId, ServiceName, TaskArn};
use models::time::after;

use super::{Actor, CONCURRENT};
use crate::aws::AwsError;
use crate::aws::ecs::tasks::Desired;
use crate::host::bridge;
use crate::observe::{look_at_types, merge_services, undescribed};
use crate::planner::{DRAIN_POLL, EVENTUAL_CONSISTENCY, TASKS_FRESH};

/// No more instances' tasks are listed one by one in a round: what else there is to do does not wait for long.
const MAX_TASK_LISTS_PER_ROUND: usize = 30;

impl Actor<'_> {
    /// Records whether a command would be taken: SSM is asked; a bridge has reported already or has not.
    pub(super) async fn reach(&mut self, hosts: Vec<HostId>) {
        let at = self.now();
        let (by_bridge, by_ssm): (Vec<HostId>, Vec<HostId>) =
            hosts.into_iter().partition(|host| self.settle_transport(host) == Transport::Bridge);
        for host in by_bridge {
            self.with_instance_mut(&host, |instance| {
                record_reach(
                    instance,
                    Reachability { at, unreachable_because: bridge::unreachable_reason(instance, at) },
                );
            });
        }
        if by_ssm.is_empty() {
            return;
        }
        let parts = self.aws.agents(&by_ssm).await;
        let at = self.now();
        let mut record = |host: &HostId, closed: Option<String>| {
            self.succeeded(host);
            self.with_instance_mut(host, |instance| {
                record_reach(instance, Reachability { at, unreachable_because: closed })
            });
        };
        let mut open = Vec::new();
        for (hosts, mut known) in parts.done {
            for host in hosts {
                let closed = match known.remove(&host) {
                    Some(agent) if agent.is_online() => {
                        open.push(host.clone());
                        None
                    }
                    Some(agent) => Some(format!("its SSM agent is {}", agent.ping)),
                    None => Some("SSM does not know the instance".to_owned()),
                };
                record(&host, closed);
            }
        }
        for (host, error) in parts.refused {
            record(&host, Some(error.to_string()));
        }
        for host in &open {
            self.pin_transport(host);
        }
        if let Some((hosts, error)) = parts.failed {
            self.failed(&hosts, error);
        }
    }

    pub(super) async fn look_at_checks(&mut self, hosts: Vec<HostId>) {
        let now = self.now();
        let parts = self.aws.status_checks(&hosts, now).await;
        for (hosts, checks) in &parts.done {
            for host in hosts {
                // Left out by EC2: not running (any more). The next full look says what became of it.
                let unknown = || StatusChecks { at: now, instance: "unknown".to_owned(), system: "unknown".to_owned() };
                let seen = checks.get(host).cloned().unwrap_or_else(unknown);
                self.succeeded(host);
                self.with_instance_mut(host, |instance| {
                    if !seen.not_impaired() {
                        instance.run.last_seen.impaired = Some(now);
                    }
                    if let Some(ec2) = &mut instance.ec2 {
                        ec2.checks = Some(seen);
                    }
                });
            }
        }
        self.record_not_done(parts);
    }

    /// Tasks, their protection where the instance is still in service, the services that are not known yet, and what their
    /// groups do with the instances.
    pub(super) async fn look_at_tasks(&mut self, hosts: Vec<HostId>) {
        let is_leaving = |host: &HostId| self.instance(host).is_some_and(|one| known_to_leave(one).is_some());
        let (leaving, staying): (Vec<HostId>, Vec<HostId>) = hosts.into_iter().partition(is_leaving);
        if !leaving.is_empty() {
            self.look_at_groups(&leaving).await;
            self.look_at_known(leaving).await;
        }
        let staying = self.look_at_their_groups(staying).await;
        if staying.is_empty() {
            return;
        }
        let mut instances: Vec<&Instance> = staying.iter().filter_map(|host| self.instance(host)).collect();
        let whole = self.whole_is_cheaper(&instances);
        if !whole {
            // The ones whose last look is oldest come first, so that all have their turn.
            instances.sort_by_key(|instance| instance.tasks.as_ref().map(|seen| seen.at));
            instances.truncate(MAX_TASK_LISTS_PER_ROUND);
        }
        let staying: Vec<HostId> = instances.into_iter().map(|one| one.host.clone()).collect();
        if let Err(error) = self.look_at_staying(&staying, whole).await {
            self.failed(&staying, error);
        }
    }

    /// Looks at the tasks of instances in service. A look at the whole cluster counts for every instance that takes tasks,
    /// so that none needs one of its own before its turn is near.
    async fn look_at_staying(&mut self, hosts: &[HostId], whole: bool) -> Result<(), AwsError> {
        let at = self.now();
        let of_all = if whole { self.tasks_of_all(hosts).await? } else { None };
        let mut tasks = match of_all {
            Some(tasks) => tasks,
            None => self.tasks_of(hosts).await?,
        };
        self.forget_unknown(&mut tasks);
        let of_services = tasks.values().flatten().filter_map(|task| Some((&task.arn, task.service()?)));
        let services: BTreeSet<ServiceName> = of_services.clone().map(|(_, service)| service.clone()).collect();
        let arns: Vec<TaskArn> = of_services.map(|(arn, _)| arn.clone()).collect();
        let protected = self.aws.protection(&self.fleet.cluster, &arns).await?;
        let refused = self.know_services(services).await?;
        self.forget_refused(&mut tasks, &protected.unknown, &refused);
        for (host, mut tasks) in tasks {
            for task in &mut tasks {
                task.protected_until = protected.until.get(&task.arn).copied();
            }
            self.succeeded(&host);
            self.with_instance_mut(&host, |instance| instance.tasks = Some(SeenTasks { at, tasks }));
        }
        look_at_types(self.aws, self.fleet).await
    }

    /// Asks whether the known tasks have stopped, in one call for all instances. Any others are listed by the last look
    /// before the reboot.
    async fn look_at_known(&mut self, hosts: Vec<HostId>) {
        let at = self.now();
        let arns = hosts.iter().filter_map(|host| known_to_leave(self.instance(host)?)).flatten();
        let arns = arns.map(|task| task.arn.clone()).collect();
        match self.aws.live_tasks(&self.fleet.cluster, arns).await {
            Ok(mut live) => {
                for host in hosts {
                    let Some(instance) = self.instance(&host) else { continue };
                    let mut tasks = live.on.remove(&instance.container_instance).unwrap_or_default();
                    tasks.extend(undescribed(instance, &live.not_described));
                    self.succeeded(&host);
                    self.record_remaining_tasks(&host, SeenTasks { at, tasks });
                }
            }
            Err(error) => self.failed(&hosts, error),
        }
    }

    /// Records the tasks left on a draining instance. Tasks that have gone since are subtracted from `Service::placed`,
    /// because the snapshot's remaining resources still count them.
    pub(super) fn record_remaining_tasks(&mut self, host: &HostId, left: SeenTasks) {
        let known = self.instance(host).and_then(|instance| instance.tasks.as_ref());
        let is_left = |task: &&Task| left.tasks.iter().any(|other| other.arn == task.arn);
        let gone: Vec<ServiceName> = known
            .map(|seen| seen.tasks.iter().filter(|task| !is_left(task) && !task.stopping))
            .into_iter()
            .flatten()
            .filter_map(|task| task.service().cloned())
            .collect();
        for name in gone {
            if let Some(service) = self.fleet.services.get_mut(&name) {
                service.placed = service.placed.saturating_sub(1);
            }
        }
        self.with_instance_mut(host, |instance| instance.tasks = Some(left));
    }

    /// Returns the tasks of the whole cluster on these instances and on those that nobody has looked at. `None` where ECS
    /// does not describe one of them: which instance that is on, only a list of each tells.
    async fn tasks_of_all(&self, hosts: &[HostId]) -> Result<Option<BTreeMap<HostId, Vec<Task>>>, AwsError> {
        let arns = self.aws.list_running_tasks(&self.fleet.cluster).await?;
        let mut live = self.aws.live_tasks(&self.fleet.cluster, arns).await?;
        if !live.not_described.is_empty() {
            return Ok(None);
        }
        let unseen = self.fleet.instances.values().filter(|instance| is_unseen(instance));
        let asked = hosts.iter().filter_map(|host| self.instance(host));
        let tasks = unseen.chain(asked).map(|one| (one.host.clone(), &one.container_instance));
        let tasks: BTreeMap<HostId, _> = tasks.collect();
        Ok(Some(tasks.into_iter().map(|(host, arn)| (host, live.on.remove(arn).unwrap_or_default())).collect()))
    }

    /// Returns the tasks on each of these instances that are not known to have stopped.
    pub(super) async fn tasks_of(&self, hosts: &[HostId]) -> Result<BTreeMap<HostId, Vec<Task>>, AwsError> {
        let listed = self.list_on_each(hosts).await?;
        let arns = listed.iter().flat_map(|(_, arns)| arns).cloned().collect();
        let mut live = self.aws.live_tasks(&self.fleet.cluster, arns).await?;
        let mut stand_ins = self.stand_ins(&live.not_described).await?;
        let mut tasks = BTreeMap::new();
        for (host, arns) in listed {
            let instance = self.instance(&host);
            let described = instance.and_then(|instance| live.on.remove(&instance.container_instance));
            let mut here = described.unwrap_or_default();
            here.extend(arns.iter().filter_map(|arn| stand_ins.remove(arn)));
            tasks.insert(host, here);
        }
        Ok(tasks)
    }

    /// Lists tasks instance by instance.
    async fn list_on_each(&self, hosts: &[HostId]) -> Result<Vec<(HostId, Vec<TaskArn>)>, AwsError> {
        let (cluster, now) = (&self.fleet.cluster, self.now());
        let listed = futures_util::stream::iter(hosts.iter().filter_map(|host| self.instance(host)))
            .map(|instance| {
                let desired = if instance.in_service() {
                    Desired::Running
                } else if none_is_desired_running(instance, now) {
                    Desired::Stopped
                } else {
                    Desired::Any
                };
                let listed = self.aws.list_tasks_on(cluster, &instance.container_instance, desired);
                async { Ok((instance.host.clone(), listed.await?)) }
            })
            .buffer_unordered(CONCURRENT);
        listed.try_collect().await
    }

    /// Whether listing and describing the tasks of the whole cluster, a hundred a call, and asking for the protection of
    /// those that are new, costs less than a list for each of these instances. Only of instances in service is it enough to
    /// know the tasks that are desired RUNNING.
    fn whole_is_cheaper(&self, these: &[&Instance]) -> bool {
        let running = |instance: &Instance| instance.running_tasks as usize;
        let here: usize = these.iter().map(|instance| running(instance)).sum();
        let one_by_one = these.len() + 2 * here.div_ceil(100);
        let costs_less = || {
            let again: usize = these.iter().filter(|one| !is_unseen(one)).map(|instance| running(instance)).sum();
            let (all, new) = self.fleet.registered().fold((0, again), |(all, new), instance| {
                let (tasks, unseen) = (running(instance), is_unseen(instance));
                (all + tasks, new + if unseen { tasks } else { 0 })
            });
            2 * all.div_ceil(100) + new.div_ceil(100) < one_by_one
        };
        these.iter().all(|instance| instance.in_service()) && costs_less()
    }

    async fn know_services(&mut self, names: BTreeSet<ServiceName>) -> Result<BTreeSet<ServiceName>, AwsError> {
        let now = self.now();
        let known = &self.fleet.services;
        let fresh = |name: &ServiceName| known.get(name).is_some_and(|service| now < after(service.at, TASKS_FRESH));
        let stale: Vec<ServiceName> = names.into_iter().filter(|name| !fresh(name)).collect();
        let placed = |service: &Service| (service.name.clone(), service.placed);
        let placed: BTreeMap<ServiceName, u32> = self.fleet.services.values().map(placed).collect();
        let refused = merge_services(self.aws, self.fleet, &stale, now).await?;
        // What was placed since the last full look is not in the instances' remaining resources.
        for name in stale {
            if let (Some(service), Some(placed)) = (self.fleet.services.get_mut(&name), placed.get(&name)) {
                service.placed = service.placed.min(*placed);
            }
        }
        Ok(refused)
    }
}

fn record_reach(instance: &mut Instance, reach: Reachability) {
    if reach.unreachable_because.is_some() {
        instance.run.last_seen.unreachable = Some(reach.at);
    }
    instance.reach = Some(reach);
}

/// Whether it takes tasks, nobody has looked at them yet, and its turn may come.
fn is_unseen(instance: &Instance) -> bool {
    let in_service = instance.in_service() && instance.out_of_service_claim().is_none();
    instance.tasks.is_none() && in_service && instance.run.verdict.is_none()
}

/// The tasks that are known to be left on an instance that takes no new ones.
fn known_to_leave(instance: &Instance) -> Option<&[Task]> {
    let counted = instance.running_tasks > 0 || instance.pending_tasks > 0;
    let seen = instance.tasks.as_ref().filter(|_| instance.status == InstanceStatus::Draining && !counted)?;
    (!seen.tasks.is_empty()).then_some(seen.tasks.as_slice())
}

/// Whether ECS reported, recently and long enough after DRAINING to be consistent, that no task with `desiredStatus` RUNNING
/// is left (`runningTasksCount`: docs/facts/ecs.md#container-instances). No service places one since, so that a list of
/// them would be empty. Tasks that are stopping are not counted.
fn none_is_desired_running(instance: &Instance, now: Timestamp) -> bool {
    let just_said = now < after(instance.seen_at, DRAIN_POLL);
    let settled = instance.run.drained_at.is_some_and(|at| instance.seen_at >= after(at, EVENTUAL_CONSISTENCY));
    just_said
        && settled
        && instance.status == InstanceStatus::Draining
        && instance.running_tasks == 0
        && instance.pending_tasks == 0
}
