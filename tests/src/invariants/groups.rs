//! What Auto Scaling groups take away is not touched.

use jiff::{SignedDuration, Timestamp};
use models::claim::Transport;
use models::fleet::AutoScaling;
use models::ids::HostId;
use models::min_size::{HeldMinSize, MIN_SIZE_TAG};
use models::report::RunReport;

use super::{Invariants, Rule, UNKNOWABLE, Violation};
use crate::scenario::ServiceKind;
use crate::world::{LastStatus, MachineNo, Task, TaskNo, World};

impl Invariants {
    /// Whether the caller could know, when it decided, that the group of the machine does not have it in service. Without the
    /// right to ask it cannot.
    pub(super) fn check_group(&mut self, world: &World, machine: MachineNo, what: &str, decided: Timestamp) {
        let Some(since) = world.out_of_group_since(machine) else { return };
        let may_ask = !world.spec.deny.iter().any(|denied| denied == AutoScaling::INSTANCES);
        if may_ask && decided.duration_since(since) >= UNKNOWABLE {
            let state = &world.machines()[machine].in_group.state;
            self.broken(world, Rule::OutOfGroup, machine, format!("{what} while its group has it as {state}"));
        }
    }

    /// Whether a host bridge reboots its host although the metadata service tells it that AWS takes the host away: it looks just
    /// before.
    pub(super) fn check_target(&mut self, world: &World, machine: MachineNo) {
        let claim = self.claims.get(&machine).and_then(Option::as_ref);
        let by_bridge = claim.is_some_and(|claim| claim.transport == Transport::Bridge);
        let is_old = |at: Timestamp| world.now().duration_since(at) >= UNKNOWABLE;
        let answered = world.machines()[machine].metadata_away_until.is_none_or(is_old);
        if by_bridge && answered && world.told_to_go_since(machine).is_some_and(is_old) {
            let detail = "rebooted by its agent while the metadata service tells that AWS takes it away".to_owned();
            self.broken(world, Rule::OutOfGroup, machine, detail);
        }
    }

    /// The least size of the machine's group was changed without a word on the group.
    pub(crate) fn see_min_size(&mut self, world: &World, machine: MachineNo, what: String) {
        self.broken(world, Rule::MinSize, machine, what);
    }

    /// Whether a scale-in that the caller caused takes tasks with it. Those of DAEMON services are of the machine; what was
    /// placed after the group had chosen it nobody could foresee. Without the right to ask the caller cannot know.
    pub(super) fn see_scale_in(&mut self, world: &World, machine: MachineNo, state: &str) {
        let in_group = &world.machines()[machine].in_group;
        if !in_group.ended_by_updater || !state.starts_with("Terminating") {
            return;
        }
        let here = tasks_of_services(world, machine);
        let chosen = self.chosen.entry(machine).or_insert_with(|| here.clone());
        let is_over = state == "Terminating:Proceed";
        let lost: Vec<&str> = chosen
            .iter()
            .filter(|task| is_over && here.contains(task))
            .map(|task| world.tasks()[*task].group.as_str())
            .collect();
        let may_ask = !world.spec.deny.iter().any(|denied| SIZES.contains(&denied.as_str()));
        if may_ask && !lost.is_empty() {
            let detail = format!("was scaled in by what the updater had emptied, with tasks of {}", lost.join(", "));
            self.broken(world, Rule::TaskScaledIn, machine, detail);
        }
    }
}

/// The rights without which nothing is known of managed scaling.
const SIZES: [&str; 2] = ["ecs:DescribeCapacityProviders", AutoScaling::GROUPS];

/// So long a run tries to put a least size back, and a little more.
const TRIES: SignedDuration = SignedDuration::from_mins(4);

/// The groups whose least size is not what it was before the updater changed it, by the end of a run that could have put it back,
/// or that does not name them. It cannot where calls about the group were refused or not answered, and does not where another run
/// may hold it, or where nobody can read what the tag says.
pub(crate) fn kept_min_sizes(world: &World, last: &RunReport) -> Vec<Violation> {
    let is_given_up = last.clusters.iter().any(|cluster| cluster.error.is_some());
    let notes = || last.clusters.iter().flat_map(|cluster| &cluster.notes);
    let is_kept = |(group, from): &(&str, usize)| {
        let written = world.written_on(group);
        let tag = written.tags.get(MIN_SIZE_TAG).map(|tag| tag.parse::<HeldMinSize>());
        let is_of_others = tag.is_some_and(|tag| tag.map_or(true, |tag| tag.run != last.run));
        let tried_since = last.ended_at - world.date_is_ahead() - TRIES;
        let is_hindered = written.hindered.is_some_and(|at| at >= tried_since);
        let name = format!("MinSize of group {group} ");
        let is_named = notes().any(|note| note.contains(&name));
        let is_explained = if is_named { is_hindered || is_of_others } else { is_hindered && is_of_others };
        world.bounds_of(group).0 != *from && !is_explained
    };
    let broken = |(group, from): (&str, usize)| Violation {
        at: world.now(),
        rule: Rule::MinSize,
        instance: HostId::from(group),
        detail: format!("{} is left, and it was {from}", world.bounds_of(group).0),
    };
    let is_over = !is_given_up && !last.dry_run && !last.interrupted;
    world.held_min_sizes().filter(|held| is_over && is_kept(held)).map(broken).collect()
}

/// The tasks on a machine that have not stopped, but those of DAEMON services.
fn tasks_of_services(world: &World, machine: MachineNo) -> Vec<TaskNo> {
    let is_daemon = |task: &Task| task.service.is_some_and(|one| world.services()[one].kind == ServiceKind::Daemon);
    let registrations = world.machines()[machine].registrations.iter();
    let tasks = registrations.flat_map(|number| &world.registrations[*number].tasks).copied();
    tasks.filter(|task| world.tasks()[*task].last != LastStatus::Stopped && !is_daemon(&world.tasks()[*task])).collect()
}
