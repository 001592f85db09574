//! Facts for tests, made by hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::claim::{Boots, Claim, ClaimStep, FailedVersions, Transport};
use models::fleet::{
    Attributes, AutoScaling, Ec2, Exclusion, FleetSnapshot, Instance, InstanceStatus, MachineState, Reachability,
    Resources, RunMemory, SeenBoot, SeenTasks, Service, StatusChecks, Strategy, Tags, Task, TaskGroup, Visit, VisitEnd,
};
use models::host::{
    AgentState, ErrorCode, HostReport, ReportedAgent, ReportedError, ReportedOs, ReportedSettings, ReportedUpdate,
    SeenReport, UpdateState,
};
use models::plan::HostCommand;
use models::selection::Selection;
use models::time::after;
use semver::Version;

use super::{Purpose, RunFacts};

pub(super) const OLD_BOOT: &str = "0000000a-0000-0000-0000-000000000000";
pub(super) const NEW_BOOT: &str = "0000000b-0000-0000-0000-000000000000";

pub(super) fn start() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().unwrap()
}

/// `minutes` after the start.
pub(super) fn at(minutes: i64) -> Timestamp {
    after(start(), SignedDuration::from_mins(minutes))
}

pub(super) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub(super) fn facts() -> RunFacts {
    RunFacts {
        run: "RUN".into(),
        started_at: start(),
        purpose: Purpose::Update,
        dry_run: false,
        stop: None,
        idle_since: None,
        outside_window: false,
        selection: Selection::default(),
        api_share: Default::default(),
    }
}

/// A report of a host in its old boot on 1.26.1.
pub(super) fn report(state: UpdateState, chosen: Option<&str>, staged: Option<&str>) -> HostReport {
    HostReport {
        v: 1,
        step: "inspect".into(),
        boot_id: Some(OLD_BOOT.into()),
        os: Some(ReportedOs { version: "1.26.1".into(), variant: "aws-ecs-2".into(), arch: "x86_64".into() }),
        update: Some(ReportedUpdate {
            state,
            chosen: chosen.map(Into::into),
            staged: staged.map(Into::into),
            available: vec!["1.27.0".into(), "1.26.1".into(), "1.26.0".into()],
            last: None,
        }),
        settings: Some(ReportedSettings { version_lock: Some("latest".into()), ignore_waves: Some(false) }),
        agent: Some(ReportedAgent { state: AgentState::Registered, container_instance: None, tasks: Some(0) }),
        ..HostReport::default()
    }
}

/// A report from the boot after the reboot.
pub(super) fn rebooted(running: &str, agent: AgentState) -> HostReport {
    let mut report = report(UpdateState::Idle, None, None);
    report.update = None;
    report.boot_id = Some(NEW_BOOT.into());
    report.os.as_mut().unwrap().version = running.into();
    report.agent.as_mut().unwrap().state = agent;
    report
}

/// An instance in service that was heard of at `seen`.
pub(super) fn instance(number: u32, report: Option<HostReport>, seen: Timestamp) -> Instance {
    let host = format!("i-{number}");
    Instance {
        host: host.as_str().into(),
        container_instance: format!("arn:aws:ecs:eu-west-1:1:container-instance/web/{number}").into(),
        status: InstanceStatus::Active,
        agent_connected: true,
        disconnected_since: None,
        instance_tag: Some(format!("arn:aws:ec2:eu-west-1:1:instance/{host}").into()),
        running_tasks: 0,
        pending_tasks: 0,
        variant: Some("aws-ecs-2".into()),
        zone: Some("eu-west-1a".into()),
        provider: None,
        attributes: Attributes::default(),
        agent_version: Some("1.98.0".into()),
        registered_at: Some(start()),
        registered: Resources { cpu: 2048, memory: 7_680, ports: vec![], ..Resources::default() },
        remaining: Resources { cpu: 2048, memory: 7_680, ports: vec![], ..Resources::default() },
        seen_at: seen,
        ec2: Some(Ec2 {
            state: MachineState::Running,
            spot: false,
            taken_back: false,
            auto_scaling_group: None,
            image: None,
            launched_at: None,
            checks: None,
        }),
        undescribed_since: None,
        left_out_since: None,
        auto_scaling: None,
        managed_by_aws: false,
        tags: Tags::default(),
        tasks: Some(SeenTasks { at: seen, tasks: vec![] }),
        bridge: None,
        reach: Some(Reachability { at: seen, unreachable_because: None }),
        visit: report.is_some().then(|| visit(HostCommand::Inspect { refresh: true }, VisitEnd::Done, seen)),
        run: RunMemory {
            boot: report.as_ref().map(|report| SeenBoot { id: report.boot_id.clone().unwrap(), at: seen }),
            ..RunMemory::default()
        },
        report: report.map(|report| Box::new(SeenReport { at: seen, asked_at: seen, report })),
        command: None,
    }
}

pub(super) fn visit(command: HostCommand, end: VisitEnd, at: Timestamp) -> Box<Visit> {
    Box::new(Visit { command, sent_at: at, at, end })
}

pub(super) fn error(at: &str, code: ErrorCode) -> VisitEnd {
    VisitEnd::Error(ReportedError { at: at.into(), code, detail: "the host's words".into() })
}

/// The same instance, DRAINING by us.
pub(super) fn claimed(mut instance: Instance, step: ClaimStep, since: Timestamp) -> Instance {
    let needs_boot = matches!(step, ClaimStep::Reboot | ClaimStep::Revert);
    let boots = if needs_boot { Boots::from(&OLD_BOOT.into()) } else { Boots::default() };
    let (from, to) = (version("1.26.1"), version("1.27.0"));
    instance.tags.claim = Some(Ok(Claim {
        step,
        transport: Transport::Ssm,
        run: "RUN".into(),
        epoch: None,
        attempt: 1,
        from,
        to,
        since,
        boots,
    }));
    if step.takes_out_of_service() {
        instance.status = InstanceStatus::Draining;
        instance.run.drained_at = Some(since);
    }
    instance
}

pub(super) fn checked(mut instance: Instance, at: Timestamp, word: &str) -> Instance {
    let checks = StatusChecks { at, instance: word.into(), system: "ok".into() };
    instance.ec2.as_mut().unwrap().checks = Some(checks);
    instance
}

pub(super) fn failed_before(mut instance: Instance, versions: &str) -> Instance {
    instance.tags.failed = FailedVersions::parse(versions);
    instance
}

pub(super) fn exclusion(note: &str) -> Exclusion {
    Exclusion { tag: "ecs-updater:exclude".into(), note: note.into() }
}

pub(super) fn task(number: u32, service: Option<&str>) -> Task {
    Task {
        arn: format!("arn:aws:ecs:eu-west-1:1:task/web/{number:08}").into(),
        group: service.map_or(TaskGroup::Other("family:batch".into()), |name| TaskGroup::Service(name.into())),
        stopping: false,
        provider: None,
        needs: Resources { cpu: 512, memory: 1_024, ports: vec![], ..Resources::default() },
        protected_until: None,
        undescribed: false,
    }
}

pub(super) fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>().into()
}

pub(super) fn service(name: &str, desired: u32, min: u32, max: u32) -> Service {
    Service {
        name: name.into(),
        at: start(),
        strategy: Strategy::Replica,
        desired,
        running: desired,
        placed: desired,
        deploying: 0,
        failed_deployment: None,
        minimum_healthy_percent: min,
        maximum_percent: max,
        distinct_instance: false,
        on: BTreeSet::new(),
        member_of: Vec::new(),
        definition: None,
        new_task: None,
        rebalances: false,
        providers: BTreeSet::new(),
    }
}

/// A cluster of these, whose capacity providers are known.
pub(super) fn fleet(instances: Vec<Instance>, services: Vec<Service>) -> FleetSnapshot {
    let providers = instances.iter().filter_map(|instance| instance.provider.clone());
    let managed_providers = providers.map(|provider| (provider, false)).collect();
    FleetSnapshot {
        cluster: "web".into(),
        taken_at: start(),
        pause: None,
        skipped: BTreeSet::new(),
        unapproved: None,
        releases: Default::default(),
        instances: instances.into_iter().map(|instance| (instance.host.clone(), instance)).collect(),
        outdated_registrations: Default::default(),
        unknown_registrations: Default::default(),
        auto_scaling: AutoScaling { managed_providers, ..AutoScaling::default() },
        room: Default::default(),
        health: Default::default(),
        hooks: Default::default(),
        services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
    }
}
