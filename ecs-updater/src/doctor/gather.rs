//! What is read of a cluster: by reads alone, each by itself, so that one bad answer leaves the others.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use models::claim::Transport;
use models::fleet::{
    Alarm, AutoScaling, FleetSnapshot, Instance, RoomFacts, SeenGroup, SeenLifecycle, SeenTasks, Task,
};
use models::ids::{ClusterName, HostId, ImageId, ServiceName, TaskArn};
use models::min_size::HeldMinSize;
use models::policy::Policy;
use smol_str::SmolStr;

use crate::aws::ssm::SsmAgent;
use crate::aws::{Aws, AwsError, ErrorKind};
use crate::clock::Clock;
use crate::observe;
use crate::planner;
use crate::steer::status::{self, Beside};

/// One cluster, as far as it could be read.
pub(super) struct Facts<'a> {
    /// What `status` rests on too.
    pub(super) status: status::Facts<'a>,
    /// Whether its container instances could be read.
    pub(super) is_read: bool,
    /// The reads that went wrong.
    pub(super) troubles: Vec<AwsError>,
    /// The table with the leases, and why the lease could not be read there.
    pub(super) table: Option<(&'a str, Option<AwsError>)>,
    /// The alarms that CloudWatch has, of those that are named.
    pub(super) alarms: Option<BTreeMap<String, Alarm>>,
    /// What SSM says of the hosts that it was asked about; `None`: it does not know the host.
    pub(super) ssm: BTreeMap<HostId, Option<SsmAgent>>,
    /// By how much this machine's clock is ahead.
    pub(super) clock_ahead: Option<SignedDuration>,
}

impl Facts<'_> {
    /// Whether this read went wrong.
    pub(super) fn lacks(&self, operation: &str) -> bool {
        self.troubles.iter().any(|error| error.operation == operation)
    }
}

/// Reads a cluster.
pub(super) async fn gather<'a>(
    aws: &Aws,
    cluster: &ClusterName,
    policy: &'a Policy,
    table: Option<&'a str>,
    clock: &Clock,
) -> Facts<'a> {
    let mut fleet = FleetSnapshot::nothing_seen(cluster, clock.now());
    let (troubles, is_read) = observe::survey(aws, &mut fleet, policy, clock.now()).await;
    let mut reads = Reads { aws, fleet, policy, troubles };
    let no_tags = reads.troubles.iter().find(|error| error.operation == MACHINES).map(ToString::to_string);
    // Where there is no such cluster, nothing of it can be read.
    let is_there = reads.troubles.iter().all(|error| error.kind != ErrorKind::NotFound);
    let table = table.filter(|_| is_there);
    let Beside { lease, error, summary } = status::beside(aws, cluster, table, clock).await;
    // What is wrong with the table itself is said by itself.
    let of_reads = |error: &&AwsError| !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Refused(_));
    let of_table = error.iter().filter(of_reads).cloned();
    let mut ssm = BTreeMap::new();
    let (mut alarms, mut held) = (None, BTreeMap::new());
    if is_there {
        if is_read {
            held = reads.groups(clock).await;
            reads.tasks(clock).await;
            ssm = reads.ssm_agents(clock).await;
        }
        if !policy.alarms.is_empty() {
            alarms = reads.noted(aws.alarms(&policy.alarms).await);
        }
    }
    reads.troubles.extend(of_table);
    reads.note_denied();
    let Reads { fleet, troubles, .. } = reads;
    let status = status::Facts { fleet, policy, no_tags, lease, summary, held, now: clock.now() };
    Facts {
        status,
        is_read,
        troubles,
        table: table.map(|table| (table, error)),
        alarms,
        ssm,
        clock_ahead: aws.clock_ahead(),
    }
}

/// The operation that tells of machines and their tags.
pub(super) const MACHINES: &str = "ec2:DescribeInstances";

struct Reads<'a> {
    aws: &'a Aws,
    fleet: FleetSnapshot,
    policy: &'a Policy,
    troubles: Vec<AwsError>,
}

impl Reads<'_> {
    /// Returns what was read; what went wrong is noted.
    fn noted<T>(&mut self, read: Result<T, AwsError>) -> Option<T> {
        read.map_err(|error| self.troubles.push(error)).ok()
    }

    /// Where instances are in their Auto Scaling groups, and what these do and launch. Returns what runs hold of the sizes of groups.
    async fn groups(&mut self, clock: &Clock) -> BTreeMap<SmolStr, HeldMinSize> {
        let mut held = BTreeMap::new();
        if !self.fleet.has_groups() {
            return held;
        }
        let tagged = self.fleet.instances.values().filter(|one| one.group_tag().is_some());
        let hosts: Vec<HostId> = tagged.map(|one| one.host.clone()).collect();
        let at = clock.now();
        let Some(members) = self.noted(self.aws.group_members(&hosts).await) else { return held };
        let names: BTreeSet<SmolStr> = members.values().map(|member| member.group.clone()).collect();
        for host in hosts {
            let seen = SeenLifecycle { at, member: members.get(&host).cloned() };
            if let Some(instance) = self.fleet.instances.get_mut(&host) {
                instance.auto_scaling = Some(Box::new(seen));
            }
        }
        let all = names.union(&self.fleet.groups_of_providers()).cloned().collect();
        let mut told = self.noted(self.aws.groups(&all).await).unwrap_or_default();
        held.extend(told.iter().filter_map(|(name, group)| Some((name.clone(), group.tag.clone()?.ok()?))));
        for name in names {
            let refresh = self.noted(self.aws.refresh_in_progress(&name).await).flatten();
            let group = told.remove(&name).unwrap_or_default();
            if let Some(size) = &group.size {
                let tag = group.tag.and_then(Result::ok);
                self.fleet.auto_scaling.note_held(&name, size.least, tag.as_ref());
            }
            let seen = SeenGroup { at, load_balancer_check: group.load_balancer_check, refresh, size: group.size };
            self.fleet.auto_scaling.groups.insert(name, seen);
        }
        self.launches().await;
        held
    }

    /// What groups launch. A plan says whether it is old; here it is only seen whether it may be read.
    async fn launches(&mut self) {
        let groups = planner::group_names(&self.fleet);
        let mut images: BTreeSet<ImageId> = planner::youngest_images(&self.fleet);
        if let Some(launches) = self.noted(self.aws.launches(&groups).await) {
            images.extend(launches.values().flat_map(|launch| &launch.images).map(|launch| launch.image.clone()));
        }
        if !images.is_empty() {
            self.noted(self.aws.image_names(&Vec::from_iter(images)).await);
        }
    }

    /// The tasks on each instance in service, and their services.
    async fn tasks(&mut self, clock: &Clock) {
        let (aws, cluster, at) = (self.aws, self.fleet.cluster.clone(), clock.now());
        let Some(arns) = self.noted(aws.list_running_tasks(&cluster).await) else { return };
        let Some(mut live) = self.noted(aws.live_tasks(&cluster, arns).await) else { return };
        if let Some(task) = live.not_described.first() {
            let message = format!("{} of the tasks are left out of the answers", live.not_described.len());
            tracing::debug!(%task, "not described");
            let kind = ErrorKind::Refused("NotDescribed".to_owned());
            self.troubles.push(AwsError { operation: "ecs:DescribeTasks", kind, message });
            return;
        }
        let of_services = live.on.values().flatten().filter_map(|task| Some((&task.arn, task.service()?)));
        let names: BTreeSet<ServiceName> = of_services.clone().map(|(_, service)| service.clone()).collect();
        let arns: Vec<TaskArn> = of_services.map(|(arn, _)| arn.clone()).collect();
        let protected = self.noted(aws.protection(&cluster, &arns).await);
        let read = observe::merge_services(aws, &mut self.fleet, &Vec::from_iter(names), at).await;
        self.noted(read);
        for instance in self.fleet.instances.values_mut().filter(|instance| instance.in_service()) {
            let mut tasks: Vec<Task> = live.on.remove(&instance.container_instance).unwrap_or_default();
            for task in &mut tasks {
                task.protected_until = protected.as_ref().and_then(|known| known.until.get(&task.arn).copied());
            }
            instance.tasks = Some(SeenTasks { at, tasks });
        }
        let read = observe::look_at_types(aws, &mut self.fleet).await;
        self.noted(read);
    }

    /// What SSM says of the hosts that are reached by it.
    async fn ssm_agents(&mut self, clock: &Clock) -> BTreeMap<HostId, Option<SsmAgent>> {
        let now = clock.now();
        let asked = self.fleet.instances.values().filter(|one| is_reached_by_ssm(one, self.policy, now));
        let hosts: Vec<HostId> = asked.map(|one| one.host.clone()).collect();
        if hosts.is_empty() {
            return BTreeMap::new();
        }
        let parts = self.aws.agents(&hosts).await;
        self.troubles.extend(parts.failed.map(|(_, error)| error));
        self.troubles.extend(parts.refused.into_iter().map(|(_, error)| error));
        let each = parts.done.into_iter().flat_map(|(hosts, mut known)| {
            hosts.into_iter().map(move |host| {
                let agent = known.remove(&host);
                (host, agent)
            })
        });
        each.collect()
    }

    /// Notes the rights that a look lacks and does without.
    fn note_denied(&mut self) {
        let looks = [
            (AutoScaling::PROVIDERS, &self.fleet.auto_scaling.denied),
            (RoomFacts::DEFINITIONS, &self.fleet.room.denied),
            (RoomFacts::TYPES, &self.fleet.room.denied),
        ];
        let denied = looks.into_iter().filter_map(|(operation, denied)| Some((operation, denied.get(operation)?)));
        let errors: Vec<AwsError> = denied
            .map(|(operation, words)| {
                let message = words.trim_start_matches(operation).trim_start_matches(": ").to_owned();
                AwsError { operation, kind: ErrorKind::Denied, message }
            })
            .collect();
        self.troubles.extend(errors);
    }
}

/// Whether the host runs, is this program's to update, and is reached by SSM.
pub(super) fn is_reached_by_ssm(instance: &Instance, policy: &Policy, now: jiff::Timestamp) -> bool {
    let is_ours = !instance.host.is_external() && !instance.managed_by_aws && instance.variant.is_some();
    let runs = !instance.is_dead() && !instance.is_off() && !instance.is_warm();
    is_ours && runs && instance.transport(policy.host, now) == Transport::Ssm
}
