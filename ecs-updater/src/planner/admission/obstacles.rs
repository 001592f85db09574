//! What is in the way of each instance's drain, whatever its host says: for who looks before a run.

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, Instance, Task};
use models::ids::{HostId, RunId};
use models::policy::Policy;
use models::reason::HoldReason;
use models::selection::Selection;

use super::room::Room;
use super::scale_out::ScaleOut;
use crate::planner::context::{Context, Contexts, RunFacts};
use crate::planner::purpose::Purpose;
use crate::planner::scale_in;
use crate::planner::workload;

/// Returns what holds each instance in service, by its group, its capacity provider, its tasks and the room for them. One whose
/// tasks nobody has looked at is judged by its group alone.
pub(crate) fn obstacles(snapshot: &FleetSnapshot, policy: &Policy, now: Timestamp) -> Vec<(HostId, HoldReason)> {
    let run = RunFacts {
        run: RunId::new(String::new()),
        started_at: now,
        purpose: Purpose::Update,
        dry_run: true,
        stop: None,
        idle_since: None,
        outside_window: false,
        selection: Selection::default(),
        api_share: Default::default(),
    };
    let all = Contexts::new(snapshot, policy, &run, now);
    let mut room = Room::bare(snapshot);
    let mut found = Vec::new();
    for instance in snapshot.instances.values().filter(|instance| instance.in_service()) {
        let of_group = snapshot.auto_scaling.hold(instance, now);
        let of_scaling = scale_in::hold(&all.whole, instance);
        let of_tasks =
            instance.tasks.as_ref().and_then(|seen| of_tasks(all.of(instance), &mut room, instance, &seen.tasks));
        let holds = of_group.into_iter().chain(of_scaling).chain(of_tasks);
        found.extend(holds.map(|hold| (instance.host.clone(), hold)));
    }
    found
}

fn of_tasks<'a>(
    cx: &'a Context<'a>,
    room: &mut Room<'a>,
    instance: &'a Instance,
    tasks: &'a [Task],
) -> Option<HoldReason> {
    workload::hold(tasks, &cx.snapshot.services, cx.policy.standalone_tasks, cx.now)
        .or_else(|| room.would_take(instance, tasks, ScaleOut::of(cx, instance, tasks).as_ref()).err())
}
