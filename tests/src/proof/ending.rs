//! What must be true once a run has ended, besides the rules that hold all the time ([`crate::invariants`]).

use std::collections::BTreeMap;

use ecs_updater::exit::ExitStatus;
use jiff::{SignedDuration, Timestamp};
use models::claim::{CLAIM_TAG, SAVED_LOCK_TAG};
use models::report::{ClusterReport, InstanceReport, Outcome, RunReport};

use crate::emf;
use crate::invariants::{Rule, Violation};
use crate::scenario::ServiceKind;
use crate::world::{Actor, Ec2State, InstanceStatus, Machine, MachineNo, World};

/// Reasons for which an instance is left DRAINING on purpose (docs/operations.md#why-an-update-failed).
const LEFT_DRAINING: [&str; 10] = [
    "hook_failed",
    "never_came_back",
    "trouble_elsewhere",
    "unconfirmed",
    "rollback_failed",
    "unhealthy_after_rollback",
    "act_refused",
    "malformed_claim",
    "scaled_in",
    "not_in_service",
];

/// An instance that is left as it is keeps its claim, whatever status ECS gives it meanwhile.
pub(super) fn is_left_on_purpose(report: &RunReport, violation: &Violation) -> bool {
    let mut lines = report.clusters.iter().flat_map(|cluster| &cluster.instances);
    violation.rule == Rule::ClaimLeft
        && lines.any(|line| {
            line.ec2_instance_id == violation.instance
                && line.reason.as_deref().is_some_and(|reason| LEFT_DRAINING.contains(&reason))
        })
}

/// Right after a run that gave a report.
pub(super) fn of_run(world: &World, report: &RunReport) -> Vec<String> {
    let mut problems = emf::problems(report);
    problems.extend(says_that_nothing_was_updated(report));
    for instance in report.clusters.iter().flat_map(|cluster| &cluster.instances) {
        let id = instance.ec2_instance_id.as_str();
        let needs_reason = matches!(instance.outcome, Outcome::Held | Outcome::Failed | Outcome::RolledBack);
        if needs_reason && (instance.reason.is_none() || instance.detail.is_none()) {
            problems.push(format!("{id} is {} without a reason", instance.outcome.as_str()));
        }
        let Some((number, machine)) = world.machine(id) else {
            problems.push(format!("{id} is in the report, and there is no such machine"));
            continue;
        };
        problems.extend(told_truly(world, number, machine, instance));
    }
    problems
}

/// Whether the exit code and the last line agree with what the report says of the instances: 5 is for a run that ended well,
/// updated nothing, and held something that no person wished to be held.
fn says_that_nothing_was_updated(report: &RunReport) -> Option<String> {
    /// Holds that are a person's wish, or of what there is nothing to update.
    const QUIET: [&str; 26] = [
        "earlier_group",
        "baking",
        "soaking",
        "managed_by_aws",
        "scaled_in",
        "released",
        "excluded",
        "not_selected",
        "too_young",
        "version_skipped",
        "above_max_version",
        "skip_lifted",
        "drained_by_somebody_else",
        "version_locked",
        "wave_not_open",
        "reactivated_by_somebody",
        "not_bottlerocket",
        "external",
        "unsupported_variant",
        "no_in_place_updates",
        "not_running",
        "unknown_to_ec2",
        "not_active",
        "withdrawn",
        "ahead_of_target",
        "downgrade_offered",
    ];
    const OF_ALL: [&str; 5] = ["finishing", "paused", "frozen", "outside_window", "approval_changed"];
    let reasons = |cluster: &ClusterReport| -> Vec<String> {
        let held = cluster.instances.iter().filter(|instance| instance.outcome == Outcome::Held);
        held.filter_map(|instance| instance.reason.clone()).collect()
    };
    let is_wished = |reasons: &[String]| reasons.iter().any(|reason| OF_ALL.contains(&reason.as_str()));
    let is_quiet = |reason: &str, cluster: &ClusterReport| {
        QUIET.contains(&reason) && !(reason == "not_selected" && cluster.end.selects_none)
    };
    let hindered: usize = report
        .clusters
        .iter()
        .map(|cluster| (reasons(cluster), cluster))
        .filter(|(reasons, cluster)| !cluster.end.held_by_a_wish && !is_wished(reasons))
        .map(|(reasons, cluster)| reasons.iter().filter(|reason| !is_quiet(reason, cluster)).count())
        .sum();
    let updated: usize = report.clusters.iter().map(|cluster| cluster.count(Outcome::Updated)).sum();
    let is_well =
        ExitStatus::of(report) == ExitStatus::Success && report.clusters.iter().all(|one| one.error.is_none());
    let expected = if is_well && updated == 0 && hindered > 0 && !report.dry_run { hindered } else { 0 };
    let said = report.nothing_updated.as_ref().map_or(0, |found| found.outdated);
    let strict = ExitStatus::of_strict(report);
    if said != expected || (strict == ExitStatus::NothingUpdated) != (expected > 0) {
        return Some(format!(
            "{expected} are held for no wish's sake, {said} are said to be, and the run ends with {strict:?}"
        ));
    }
    let by_reason = report.nothing_updated.as_ref().map_or(0, |found| found.held.values().sum());
    (by_reason != said).then(|| format!("{said} are said to be held, and {by_reason} by a reason"))
}

/// Whether the machine is as the report says.
fn told_truly(world: &World, number: MachineNo, machine: &Machine, said: &InstanceReport) -> Option<String> {
    let id = &machine.id;
    let running = machine.host.running_version();
    let there = machine.state == Ec2State::Running && world.registration_of(number).is_some();
    match said.outcome {
        Outcome::Updated if there && said.to.as_ref() != Some(running) => {
            Some(format!("{id} is said to be updated to {:?} and runs {running}", said.to))
        }
        Outcome::RolledBack if there && said.from.as_ref() != Some(running) => {
            Some(format!("{id} is said to be rolled back to {:?} and runs {running}", said.from))
        }
        Outcome::Gone if machine.state == Ec2State::Running => Some(format!("{id} is said to be gone and runs")),
        Outcome::ScaledIn if world.out_of_group_since(number).or(world.spot_notice(number)).is_none() => {
            Some(format!("{id} is said to be scaled in, and its group has it in service"))
        }
        Outcome::Updated
        | Outcome::RolledBack
        | Outcome::ScaledIn
        | Outcome::Gone
        | Outcome::Current
        | Outcome::Held
        | Outcome::Failed
        | Outcome::WouldUpdate
        | Outcome::InProgress => None,
    }
}

/// Some minutes after the last run, which ended by itself with nothing to disturb it.
pub(super) fn at_rest(world: &World, report: &RunReport) -> Vec<String> {
    let lines: BTreeMap<&str, &InstanceReport> = report
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.instances)
        .map(|instance| (instance.ec2_instance_id.as_str(), instance))
        .collect();
    let mut problems = Vec::new();
    for cluster in &report.clusters {
        if let Some(error) = &cluster.error {
            problems.push(format!("cluster {} was given up: {}", cluster.cluster, error.message));
        }
    }
    for (number, machine) in world.machines().iter_with_ids() {
        let line = lines.get(machine.id.as_str()).copied();
        problems.extend(machine_at_rest(world, number, machine, line, looked_last(world, report)));
    }
    problems.extend(services_at_rest(world));
    problems
}

/// What stays broken excuses: a claim that could not be taken away, where the report says that the instance failed or is
/// not done with, or that ECS lists instances which it does not describe; and an instance that a run could not look at any
/// more, where it says so of the cluster.
pub(super) fn is_excused(world: &World, report: &RunReport, violation: &Violation) -> bool {
    let Some((number, _)) = world.machine(violation.instance.as_str()) else { return false };
    let (given_up, line) = (is_given_up(world, report, number), line_of(report, violation.instance.as_str()));
    match violation.rule {
        Rule::ClaimLeft => match line {
            Some(line) => given_up || !is_done(line.outcome),
            None => given_up || tells_of_unknown_ones(report),
        },
        Rule::LeftBehind => given_up && line.is_none(),
        Rule::Budget
        | Rule::Claim
        | Rule::ForeignDrain
        | Rule::TasksOnReboot
        | Rule::FailedVersion
        | Rule::SingleRun
        | Rule::Unverified
        | Rule::RebootInService
        | Rule::Excluded
        | Rule::Paused
        | Rule::OutOfGroup
        | Rule::TaskScaledIn
        | Rule::MinSize
        | Rule::PlacedOnDead
        | Rule::Selected
        | Rule::Order
        | Rule::Unwanted
        | Rule::Canary
        | Rule::Soak
        | Rule::Alarm
        | Rule::Hook => false,
    }
}

/// Until when a run can have looked at the whole cluster: it does so each 30 s, of small ones. A report's dates are those of the
/// machine that the run was on.
fn looked_last(world: &World, report: &RunReport) -> Timestamp {
    report.ended_at - world.date_is_ahead() - SignedDuration::from_secs(40)
}

/// Whether a report says that ECS lists instances that it does not describe.
fn tells_of_unknown_ones(report: &RunReport) -> bool {
    let mut notes = report.clusters.iter().flat_map(|cluster| &cluster.notes);
    notes.any(|note| note.contains("does not describe them"))
}

/// Some minutes after the last run of a world that stays broken: the report names everything.
pub(super) fn disturbed(world: &World, report: &RunReport) -> Vec<String> {
    let mut problems = Vec::new();
    let ended_at = looked_last(world, report);
    for (number, machine) in world.machines().iter_with_ids() {
        let Some(registration) = world.registration_of(number).filter(|known| known.registered_at <= ended_at) else {
            continue;
        };
        if registration.status == InstanceStatus::Inactive || machine.state != Ec2State::Running {
            continue;
        }
        let (id, given_up) = (&machine.id, is_given_up(world, report, number));
        let Some(line) = line_of(report, id) else {
            if !given_up && !tells_of_unknown_ones(report) {
                problems.push(format!("{id} is registered and not in the report"));
            }
            continue;
        };
        let (outcome, reason) = (line.outcome.as_str(), line.reason.as_deref().unwrap_or_default());
        if line.outcome == Outcome::InProgress && line.detail.is_none() {
            problems.push(format!("{id} is {outcome} without a word"));
        }
        let ours = registration.drained_by == Some(Actor::Updater) && !registration.foreign_drain;
        if registration.status == InstanceStatus::Draining && ours && is_done(line.outcome) {
            problems.push(format!("{id} is left DRAINING by us as {outcome}: {reason}"));
        }
        if world.is_in_service(number) && is_done(line.outcome) && !given_up {
            problems.extend(left_on_host(world, number, machine, line));
        }
    }
    problems
}

/// Whether a report says that nothing is left to do.
fn is_done(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Failed | Outcome::ScaledIn | Outcome::InProgress => false,
        Outcome::Updated
        | Outcome::Current
        | Outcome::Held
        | Outcome::RolledBack
        | Outcome::Gone
        | Outcome::WouldUpdate => true,
    }
}

/// Whether the report says that the work on the machine's cluster ended early.
fn is_given_up(world: &World, report: &RunReport, number: MachineNo) -> bool {
    let name = &world.clusters()[world.machines()[number].cluster].name;
    report.clusters.iter().any(|cluster| cluster.cluster.as_str() == name && cluster.error.is_some())
}

fn line_of<'a>(report: &'a RunReport, id: &str) -> Option<&'a InstanceReport> {
    let mut lines = report.clusters.iter().flat_map(|cluster| &cluster.instances);
    lines.find(|line| line.ec2_instance_id.as_str() == id)
}

fn machine_at_rest(
    world: &World,
    number: MachineNo,
    machine: &Machine,
    line: Option<&InstanceReport>,
    looked_last: Timestamp,
) -> Vec<String> {
    let mut problems = Vec::new();
    let id = &machine.id;
    let Some(registration) = world.registration_of(number) else { return problems };
    // Launched since.
    if registration.registered_at > looked_last {
        return problems;
    }
    // What is left of a machine that has ended belongs to nobody.
    if registration.status == InstanceStatus::Inactive || machine.state != Ec2State::Running {
        return problems;
    }
    let Some(line) = line else {
        return vec![format!("{id} is registered and not in the report")];
    };
    let reason = line.reason.as_deref().unwrap_or_default();
    let outcome = line.outcome.as_str();
    if line.outcome == Outcome::InProgress {
        problems.push(format!("{id} is left in the middle"));
    }
    let ours = registration.drained_by == Some(Actor::Updater) && !registration.foreign_drain;
    if registration.status == InstanceStatus::Draining && ours {
        if !LEFT_DRAINING.contains(&reason) {
            problems.push(format!("{id} is left DRAINING by us as {outcome}: {reason}"));
        }
        if !machine.tags.contains_key(CLAIM_TAG) {
            problems.push(format!("{id} is left DRAINING by us without a claim"));
        }
    }
    if world.is_in_service(number) {
        problems.extend(left_on_host(world, number, machine, line));
    }
    problems
}

/// What a run has changed on a host and not put back.
fn left_on_host(world: &World, number: MachineNo, machine: &Machine, line: &InstanceReport) -> Vec<String> {
    let mut problems = Vec::new();
    let (id, outcome, reason) = (&machine.id, line.outcome.as_str(), line.reason.as_deref().unwrap_or_default());
    let disk = machine.host.disk();
    let (lock, wanted) = (machine.host.version_lock(), machine.host.spec().version_lock.as_str());
    let detail = line.detail.as_deref().unwrap_or_default();
    let left = disk.next().is_some_and(|next| next != disk.active_index());
    let deaf = machine.bridge && !world.bridge_reads_its_tags(number);
    if left && !(deaf && is_named_as_activated(detail, machine)) {
        problems.push(format!("{id} is in service ({outcome}: {reason}) and boots its other partition set next"));
    }
    if lock != wanted && !machine.tags.contains_key(SAVED_LOCK_TAG) {
        problems.push(format!("{id} has version-lock {lock} instead of {wanted}"));
    }
    problems
}

/// Whether the report says which version the next boot takes. That is enough where the agent that has to undo it cannot read
/// that its claim has gone.
fn is_named_as_activated(detail: &str, machine: &Machine) -> bool {
    let image = machine.host.disk().inactive().image.as_ref();
    image.is_some_and(|image| detail.contains(&format!("{} was still activated", image.version)))
}

/// Service counts are back to what is desired, unless there is no room.
fn services_at_rest(world: &World) -> Vec<String> {
    // ECS does not give up the tasks of a machine that was switched off, or whose agent is gone.
    let lost = |machine: &Machine| machine.state != Ec2State::Running || machine.agent_refused;
    let dead = |number| world.registration_of(number).is_some_and(|known| !known.connected);
    // Nor of one whose agent is dead from its launch on, which ECS has not noticed.
    let is_dumb = |machine: &Machine| machine.state == Ec2State::Running && !machine.host.ecs_agent_up(world.now());
    // What comes to an instance that was launched a moment ago is not healthy yet.
    let is_new = |machine: &Machine| world.now().duration_since(machine.launched_at) < SignedDuration::from_mins(5);
    if world
        .machines()
        .iter_with_ids()
        .any(|(number, machine)| lost(machine) || dead(number) || is_dumb(machine) || is_new(machine))
    {
        return Vec::new();
    }
    let replicas = world.services().iter().filter(|service| service.kind == ServiceKind::Replica);
    let mut problems = Vec::new();
    for service in replicas.filter(|service| !service.starved && !service.waits_for_capacity(world.now())) {
        let tasks = service.tasks.iter().map(|task| &world.tasks()[*task]);
        let (healthy, all) = (tasks.clone().filter(|task| task.is_healthy(world.now())).count(), tasks.count());
        if u32::try_from(healthy) != Ok(service.desired) {
            let (name, desired) = (&service.name, service.desired);
            problems.push(format!("service {name} has {healthy} healthy tasks of {all}, {desired} are desired"));
        }
    }
    problems
}
