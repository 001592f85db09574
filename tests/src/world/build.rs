//! The world at the start of a scenario: everything has been running for a day.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::cluster_tags::skipped;
use models::own_host::INSTANCE_TAG;
use models::schedule::pause;

use super::actor::Actor;
use super::alarms::Alarm;
use super::cluster::Cluster;
use super::effect::Effect;
use super::id_vec::IdVec;
use super::ids::{ClusterNo, MachineNo};
use super::machine::{DETACHED, Ec2State, HostContainer, InGroup, Machine, Seen};
use super::placement::Placing;
use super::queue::{Due, Queue};
use super::rebalancing::Rebalancing;
use super::registration::{InstanceStatus, Resources};
use super::rollout::Rollout;
use super::service::Service;
use super::table::Table;
use super::tasks::NewTask;
use super::{Scripted, World};
use crate::dice::Dice;
use crate::host::{Host, HostSpec};
use crate::invariants::Invariants;
use crate::query::Filter;
use crate::scenario::{
    AlarmSpec, EventTime, InstanceSpec, MachineSpec, ProviderSpec, Scenario, ScenarioError, ServiceKind, ServiceSpec,
    TaskSpec,
};

impl World {
    /// The world of a scenario.
    ///
    /// # Errors
    /// [`ScenarioError`] where a name leads nowhere; a [`Scenario`] that was parsed has been checked.
    pub fn new(scenario: &Scenario) -> Result<Self, ScenarioError> {
        let mut world = Self {
            now: scenario.start,
            start: scenario.start,
            dice: Dice::new(scenario.seed),
            spec: scenario.region.clone(),
            clusters: IdVec::default(),
            machines: IdVec::default(),
            registrations: IdVec::default(),
            groups: scenario.groups.clone(),
            providers: scenario.providers.clone(),
            scaling: BTreeMap::new(),
            sizes: BTreeMap::new(),
            written: BTreeMap::new(),
            never_started: Vec::new(),
            services: IdVec::default(),
            tasks: IdVec::default(),
            commands: IdVec::default(),
            machine_ids: BTreeMap::new(),
            registration_arns: BTreeMap::new(),
            task_arns: BTreeMap::new(),
            command_ids: BTreeMap::new(),
            documents: scenario.documents.clone(),
            parameters: scenario.parameters.clone(),
            alarms: scenario.alarms.iter().map(|(name, spec)| (name.clone(), alarm(spec, scenario.start))).collect(),
            buckets: scenario.buckets.clone(),
            objects: Default::default(),
            repository: scenario.repository.clone(),
            tables: scenario
                .tables
                .iter()
                .map(|(name, key)| (name.clone(), Table { key: key.clone(), items: BTreeMap::new() }))
                .collect(),
            caller: 0,
            by_person: false,
            invariants: Invariants::default(),
            posted: Vec::new(),
            queue: Queue::default(),
            log: Vec::new(),
            effects: Vec::new(),
            script: Vec::new(),
            date_is_off: Default::default(),
            uses: 0,
        };
        world.fill(scenario)?;
        Ok(world)
    }

    fn fill(&mut self, scenario: &Scenario) -> Result<(), ScenarioError> {
        for name in &scenario.clusters {
            self.add_cluster(scenario, name);
        }
        for spec in &scenario.machines {
            let cluster = scenario.cluster_of("a machine", Some(&spec.instance.cluster))?;
            self.add_machine(ClusterNo(cluster), spec);
        }
        for spec in &scenario.services {
            let cluster = scenario.cluster_of(&format!("service {}", spec.name), spec.cluster.as_deref())?;
            self.add_service(ClusterNo(cluster), spec)?;
        }
        for spec in &scenario.tasks {
            self.add_standalone(spec);
        }
        self.place_everything();
        self.apply_beginnings(&scenario.machines);
        self.begin_scaling();
        self.add_script(scenario);
        Ok(())
    }

    fn add_script(&mut self, scenario: &Scenario) {
        for (index, spec) in scenario.events.iter().enumerate() {
            let armed = matches!(spec.due, EventTime::After(..));
            self.script.push(Scripted { spec: spec.clone(), armed, calls: 0 });
            if let EventTime::At(at) = spec.due {
                self.schedule(at, Due::Scripted(index));
            }
        }
    }

    fn add_cluster(&mut self, scenario: &Scenario, name: &str) {
        let tags = scenario.cluster_tags.get(name).cloned().unwrap_or_default();
        let of_machines = scenario.machines.iter().map(|machine| &machine.instance);
        let of_machines =
            of_machines.filter(|one| one.cluster == name && !one.managed).filter_map(|one| one.provider.clone());
        let is_here =
            |(_, provider): &(&String, &ProviderSpec)| provider.cluster.as_ref().is_none_or(|own| own == name);
        let with_table = scenario.providers.iter().filter(is_here).map(|(name, _)| name.clone());
        self.clusters.push(Cluster {
            name: name.to_owned(),
            arn: format!("arn:aws:ecs:{}:{}:cluster/{name}", self.spec.name, self.spec.account),
            paused_since: pause(&tags).map(|_| self.now),
            skips: skipped(&tags).into_iter().map(|version| (version, self.now)).collect(),
            skips_lifted: BTreeMap::new(),
            tags,
            providers: of_machines.chain(with_table).collect(),
            default_strategy: scenario.default_strategy.get(name).cloned().unwrap_or_default(),
            registrations: BTreeSet::new(),
            services: BTreeSet::new(),
            tasks: BTreeSet::new(),
            out_of_service: BTreeMap::new(),
        });
    }

    pub(super) fn add_machine(&mut self, cluster: ClusterNo, spec: &MachineSpec) {
        let number = self.machines.next_id();
        let InstanceSpec { instance_type, bottlerocket, external, .. } = &spec.instance;
        let index = number.0;
        let id = if *external { format!("mi-{index:017}") } else { format!("i-{index:017}") };
        let seed = self.dice.bits("host", u64::try_from(index).unwrap_or(u64::MAX));
        let host = Host::new(spec.host.clone(), seed, self.now);
        let day_ago = self.now - SignedDuration::from_hours(24);
        let new_arn = spec.instance.new_arn_after_rollback.unwrap_or(self.spec.new_arn_after_rollback);
        self.machine_ids.insert(id.clone(), number);
        self.machines.push(Machine {
            id,
            cluster,
            zone: spec.instance.zone.clone(),
            instance_type: instance_type.clone(),
            lifecycle: spec.instance.lifecycle.clone(),
            tags: tags_at_launch(&spec.instance),
            tags_before: Vec::new(),
            state: Ec2State::Running,
            state_since: day_ago,
            state_epoch: 0,
            launched_at: day_ago,
            private_ip: format!("10.0.{}.{}", (index / 250) % 250, 4 + index % 250),
            bottlerocket: *bottlerocket,
            bridge: spec.instance.bridge && *bottlerocket,
            container: HostContainer::default(),
            metadata_tags: spec.instance.metadata_tags,
            metadata_away_until: None,
            spot_notice: None,
            ssm_registered: spec.instance.ssm_registered,
            ssm_agent: spec.instance.ssm_agent.clone(),
            ssm_lost_at: None,
            ssm_waiting: Vec::new(),
            ssm_running: Vec::new(),
            in_group: InGroup::new(spec.instance.group_state.as_deref(), day_ago),
            seen: Seen::default(),
            down_since: None,
            up_since: day_ago,
            registration: None,
            registrations: Vec::new(),
            new_arn_after_rollback: new_arn,
            registered_version: host.running_version().clone(),
            reboot_is_foreign: false,
            wake_at: None,
            agent_refused: !spec.instance.connected,
            instance: spec.instance.clone(),
            launched_as: launched_as(spec),
            host_table: spec.host_table.clone(),
            host,
        });
        let mut attributes = agent_attributes(&self.machines[number], &spec.host.variant, &spec.host.arch);
        let custom = spec.instance.attributes.clone();
        let names: BTreeSet<String> = custom.keys().cloned().collect();
        attributes.extend(custom.into_iter().map(|(name, value)| (name, Some(value))));
        let registration = self.register(number, attributes, capacity(&spec.instance, index));
        let named = (self.spec.instances_named && *bottlerocket && !*external).then(|| self.instance_arn(number));
        let registration = &mut self.registrations[registration];
        registration.tags.extend(named.map(|arn| (INSTANCE_TAG.to_owned(), arn)));
        registration.custom_attributes = names;
        registration.registered_at = day_ago;
        self.set_seen(number);
    }

    fn set_seen(&mut self, number: MachineNo) {
        let now = self.now;
        let machine = &mut self.machines[number];
        let host = &machine.host;
        let ssm = machine.ssm_registered && host.ssm_agent_up(now);
        let bridge = machine.bridge && host.is_up(now);
        let ecs = !machine.agent_refused && host.ecs_agent_up(now);
        machine.seen = Seen { up: host.is_up(now), ssm, ecs, bridge };
        if bridge {
            self.effects.push(Effect::Bridge { machine: number, runs: true });
        }
        if machine.ssm_registered && !ssm {
            machine.ssm_lost_at = Some(now - SignedDuration::from_hours(24));
        }
    }

    fn add_service(&mut self, cluster: ClusterNo, spec: &ServiceSpec) -> Result<(), ScenarioError> {
        let (min, max) = match spec.kind {
            ServiceKind::Replica => (100, 200),
            ServiceKind::Daemon => (0, 100),
        };
        let name = &spec.name;
        let fail = |error: crate::query::FilterError| ScenarioError::MemberOf {
            name: name.clone(),
            reason: error.to_string(),
        };
        let read = |text: &Option<String>| match text {
            Some(text) => Filter::parse(text).map(|filter| Some((text.clone(), filter))),
            None => Ok(None),
        };
        let member_of = read(&spec.member_of).map_err(fail)?;
        let definition_member_of = read(&spec.definition_member_of).map_err(fail)?;
        let strategy = match (spec.kind, &spec.strategy) {
            (ServiceKind::Replica, Some(own)) => own.clone(),
            (ServiceKind::Replica, None) => self.clusters[cluster].default_strategy.clone(),
            (ServiceKind::Daemon, _) => Vec::new(),
        };
        let number = self.services.push(Service {
            name: name.clone(),
            arn: format!(
                "arn:aws:ecs:{}:{}:service/{}/{name}",
                self.spec.name, self.spec.account, self.clusters[cluster].name
            ),
            cluster,
            kind: spec.kind,
            desired: spec.desired,
            min_percent: spec.min_percent.unwrap_or(min),
            max_percent: spec.max_percent.unwrap_or(max),
            family: spec.family.clone().unwrap_or_else(|| name.clone()),
            shape: spec.shape(),
            distinct_instance: spec.distinct_instance,
            member_of,
            definition_member_of,
            rollout: Rollout::completed(spec.circuit_breaker),
            rebalancing: Rebalancing::new(spec.zone_rebalancing),
            strategy,
            tasks: BTreeSet::new(),
            events: std::collections::VecDeque::new(),
            created_at: self.now - SignedDuration::from_hours(240),
            deleted_at: None,
            waiting: Vec::new(),
            pinned: Vec::new(),
            throttled_until: None,
            look_at: None,
            starved: false,
            steady: true,
            protect_at_start: (spec.protected, spec.protected_for),
            deployment: 0,
        });
        self.clusters[cluster].services.insert(number);
        Ok(())
    }

    fn add_standalone(&mut self, spec: &TaskSpec) {
        let Some(registration) = self.machines[MachineNo(spec.host)].registration else { return };
        let by_default = !self.clusters[self.registrations[registration].cluster].default_strategy.is_empty();
        for _ in 0..spec.count {
            let new = NewTask {
                registration,
                service: None,
                arn: None,
                by_strategy: spec.strategy.unwrap_or(by_default),
                group: spec.group.clone().unwrap_or_else(|| format!("family:{}", spec.family)),
                family: spec.family.clone(),
                started_by: spec.started_by.clone(),
                shape: spec.shape(),
            };
            let task = self.start_task(new, true);
            if let Some(at) = spec.ends_at {
                self.schedule(at, Due::TaskEnds(task));
            }
        }
    }

    fn place_everything(&mut self) {
        for number in self.registrations.ids() {
            self.look_at_daemons(number);
        }
        for number in self.services.ids() {
            let service = &self.services[number];
            if service.kind == ServiceKind::Daemon {
                continue;
            }
            let desired = service.desired;
            let mut candidates = self.candidates(number);
            let place = |world: &mut Self, candidates: &mut _| {
                let provider = world.next_provider(number, candidates);
                world.place(number, candidates, Placing { provider, arn: None, settled: true })
            };
            let placed = (0..desired).take_while(|_| place(self, &mut candidates).is_some()).count();
            if placed < usize::try_from(desired).unwrap_or(usize::MAX) {
                self.services[number].starved = true;
                self.services[number].steady = false;
                self.no_room(number);
            }
            if let (count @ 1.., Some(time)) = self.services[number].protect_at_start {
                let until = self.now + time;
                self.protect_tasks(number, usize::try_from(count).unwrap_or(usize::MAX), until);
            }
        }
    }

    /// What had happened before the start: people who drained, agents that are away.
    fn apply_beginnings(&mut self, specs: &[MachineSpec]) {
        for (machine, spec) in self.machines.ids().zip(specs) {
            let Some(number) = self.machines[machine].registration else { continue };
            if spec.instance.draining {
                self.set_status(number, InstanceStatus::Draining, Actor::Person);
            }
            if !self.machines[machine].seen.ecs {
                self.registrations[number].connected = false;
                self.refresh_service(machine, Actor::World);
            }
        }
        let long_ago = self.now - SignedDuration::from_hours(1);
        for cluster in self.clusters.iter_mut() {
            for out in cluster.out_of_service.values_mut() {
                out.since = long_ago;
            }
        }
    }
}

/// What a new instance registers.
fn capacity(spec: &InstanceSpec, index: usize) -> Resources {
    let gpus = (0..spec.gpus).map(|n| format!("GPU-{index:08}-0000-4000-8000-{n:012}")).collect();
    let interfaces = spec.trunk.unwrap_or(spec.interfaces.saturating_sub(1));
    Resources { cpu: spec.cpu, memory: spec.memory.0, ports: BTreeSet::new(), gpus, interfaces }
}

/// What the agent registers on Bottlerocket: the variant, and no version (docs/facts/ecs.md#attributes).
fn agent_attributes(machine: &Machine, variant: &str, arch: &str) -> BTreeMap<String, Option<String>> {
    let cpu = if arch == "aarch64" { "arm64" } else { "x86_64" };
    let with = [
        ("ecs.ami-id", "ami-0123456789abcdef0"),
        ("ecs.availability-zone", machine.zone.as_str()),
        ("ecs.instance-type", machine.instance_type.as_str()),
        ("ecs.os-type", "linux"),
        ("ecs.os-family", "LINUX"),
        ("ecs.cpu-architecture", cpu),
    ];
    let bare = [
        "com.amazonaws.ecs.capability.docker-remote-api.1.44",
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "ecs.capability.task-eni",
        "ecs.capability.execution-role-awslogs",
    ];
    let mut attributes: BTreeMap<String, Option<String>> =
        with.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect();
    attributes.extend(bare.into_iter().map(|name| (name.to_owned(), None)));
    if machine.instance.trunk.is_some() {
        attributes.insert("ecs.awsvpc-trunk-id".to_owned(), Some(format!("eni-{}", &machine.id[2..])));
    }
    if machine.bottlerocket {
        attributes.insert("bottlerocket.variant".to_owned(), Some(variant.to_owned()));
    }
    if machine.is_external() {
        attributes.insert("ecs.capability.external".to_owned(), None);
        attributes.remove("ecs.availability-zone");
        attributes.remove("ecs.ami-id");
        attributes.remove("ecs.instance-type");
    }
    attributes
}

fn tags_at_launch(instance: &InstanceSpec) -> BTreeMap<String, String> {
    let is_had = instance.group_state.as_deref() != Some(DETACHED);
    let group =
        instance.asg.iter().filter(|_| is_had).map(|group| ("aws:autoscaling:groupName".to_owned(), group.clone()));
    let others = (0..instance.other_tags).map(|n| (format!("other-{n}"), String::new()));
    instance.tags.clone().into_iter().chain(group).chain(others).collect()
}

/// The host in the image that the machine was launched from.
fn launched_as(spec: &MachineSpec) -> HostSpec {
    match &spec.instance.image {
        Some(version) => HostSpec { version: version.clone(), previous_version: None, ..spec.host.clone() },
        None => spec.host.clone(),
    }
}

/// An alarm that has been as it is for a while.
fn alarm(spec: &AlarmSpec, start: Timestamp) -> Alarm {
    Alarm { composite: spec.composite, state: spec.state, since: start - spec.lasts }
}
