//! A plan's steps by kind: those of one kind are done together, in one call for many instances wherever AWS takes many.

use models::ids::HostId;
use models::plan::{Cancel, Drain, End, Inspect, MarkFailed, PlannedStep, Reboot, Revert, Stage, Step, StopTasks};

/// What the steps of a batch have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kind {
    /// The name of the step.
    pub(super) name: &'static str,
    /// Whether the hosts themselves have to be asked.
    pub(super) goes_to_host: bool,
}

/// The steps of one kind, in the plan's order.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) kind: Kind,
    pub(super) steps: Vec<(HostId, T)>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { kind: Kind::default(), steps: Vec::new() }
    }
}

impl<T> Batch<T> {
    fn push(&mut self, kind: Kind, host: HostId, step: T) {
        self.kind = kind;
        self.steps.push((host, step));
    }
}

/// The batches in the order in which they are done: ends first, since they free places; then what is out of service;
/// then the rest.
#[derive(Debug, Default)]
pub(super) struct Batches {
    pub(super) leave: Batch<End>,
    pub(super) mark_failed: Batch<MarkFailed>,
    pub(super) finish: Batch<End>,
    pub(super) revert: Batch<Revert>,
    pub(super) reboot: Batch<Reboot>,
    pub(super) stop_tasks: Batch<StopTasks>,
    pub(super) drain: Batch<Drain>,
    pub(super) inspect: Batch<Inspect>,
    pub(super) confirm: Batch<()>,
    pub(super) look_at_tasks: Batch<()>,
    pub(super) look_at_checks: Batch<()>,
    pub(super) cancel: Batch<Cancel>,
    pub(super) stage: Batch<Stage>,
    pub(super) reach: Batch<()>,
}

impl Batches {
    pub(super) fn of(steps: Vec<PlannedStep>) -> Self {
        let mut batches = Self::default();
        for PlannedStep { host, step } in steps {
            let kind = Kind { name: step.name(), goes_to_host: goes_to_host(&step) };
            match step {
                Step::Leave(end) => batches.leave.push(kind, host, end),
                Step::MarkFailed(mark) => batches.mark_failed.push(kind, host, mark),
                Step::Finish(end) => batches.finish.push(kind, host, end),
                Step::Revert(revert) => batches.revert.push(kind, host, revert),
                Step::Reboot(reboot) => batches.reboot.push(kind, host, reboot),
                Step::StopTasks(stop) => batches.stop_tasks.push(kind, host, stop),
                Step::Drain(drain) => batches.drain.push(kind, host, drain),
                Step::Inspect(inspect) => batches.inspect.push(kind, host, inspect),
                Step::Confirm => batches.confirm.push(kind, host, ()),
                Step::LookAtTasks => batches.look_at_tasks.push(kind, host, ()),
                Step::LookAtChecks => batches.look_at_checks.push(kind, host, ()),
                Step::Cancel(cancel) => batches.cancel.push(kind, host, cancel),
                Step::Stage(stage) => batches.stage.push(kind, host, stage),
                Step::Reach => batches.reach.push(kind, host, ()),
            }
        }
        batches
    }
}

/// Whether a step asks something of the host, or whether it can be asked.
pub(crate) fn goes_to_host(step: &Step) -> bool {
    match step {
        Step::Reach
        | Step::Inspect(_)
        | Step::Confirm
        | Step::Stage(_)
        | Step::Reboot(_)
        | Step::Revert(_)
        | Step::Cancel(_) => true,
        Step::LookAtTasks
        | Step::LookAtChecks
        | Step::Drain(_)
        | Step::StopTasks(_)
        | Step::MarkFailed(_)
        | Step::Finish(_)
        | Step::Leave(_) => false,
    }
}

/// The hosts of some steps.
pub(super) fn hosts_of<T>(steps: &[(HostId, T)]) -> Vec<HostId> {
    steps.iter().map(|(host, _)| host.clone()).collect()
}
