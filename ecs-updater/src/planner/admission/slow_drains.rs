//! Drains that take long, and must not be overtaken.

use std::collections::BTreeMap;

use models::fleet::{InstanceStatus, Task};
use models::ids::{HostId, ServiceName};
use models::reason::HoldReason;

use super::moving::moving;
use crate::planner::claimed::Claimed;
use crate::planner::context::Context;

/// The services that have a task on an instance of ours which drains slowly and is not stopping, each with one such
/// instance.
#[derive(Debug)]
pub(super) struct SlowDrains<'a> {
    by_service: BTreeMap<&'a ServiceName, &'a HostId>,
}

impl<'a> SlowDrains<'a> {
    pub(super) fn find(cx: &'a Context<'a>) -> Self {
        let drains = cx.snapshot.instances.values().filter(|instance| {
            instance.run.verdict.is_none()
                && instance.status == InstanceStatus::Draining
                && instance.claim().is_some_and(|claim| Claimed { instance, claim, cx }.is_slow_drain())
        });
        let left = drains.filter_map(|instance| Some((instance, instance.tasks.as_ref()?)));
        let by_service = left.flat_map(|(instance, seen)| {
            let moving = moving(&seen.tasks, &cx.snapshot.services);
            moving.into_iter().map(|(_, service)| (&service.name, &instance.host))
        });
        Self { by_service: by_service.collect() }
    }

    /// Finds a slow drain that draining these tasks could delay further. ECS does not define the order in which a
    /// service moves tasks off DRAINING instances, so a steady supply of new drains can starve an old one. Where its
    /// service finds no replacements, more drains would not end either.
    pub(super) fn delayed_by(&self, tasks: &[Task]) -> Option<HoldReason> {
        if broken!(SlowDrainsOvertaken) {
            return None;
        }
        let mut services = tasks.iter().filter(|task| !task.stopping).filter_map(Task::service);
        let (service, host) = services.find_map(|service| self.by_service.get_key_value(service))?;
        Some(HoldReason::SlowDrainFirst { host: (*host).clone(), service: service.to_string() })
    }
}
