//! Calls that go wrong because the scenario says so.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::asked::Asked;
use super::buckets::throttled;
use super::failure::Failure;
use super::service::Service;
use crate::scenario::{FaultSpec, Reset, means};
use crate::world::{MachineNo, World};

/// The scenario's faults, and how often they have struck.
#[derive(Debug, Default)]
pub(super) struct Faults {
    specs: Vec<(FaultSpec, u64)>,
    calls: BTreeMap<String, u64>,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) failure: Option<Failure>,
    pub(super) delay: SignedDuration,
    pub(super) reset: Option<Reset>,
    pub(super) malformed: bool,
    /// How many of the things that are named fail, and why.
    pub(super) fails: Option<(usize, String)>,
}

impl Faults {
    pub(super) fn new(specs: &[FaultSpec]) -> Self {
        Self { specs: specs.iter().map(|spec| (spec.clone(), 0)).collect(), calls: BTreeMap::new() }
    }

    /// Counts a call, and says what goes wrong with it.
    pub(super) fn strike(&mut self, world: &World, asked: &Asked, now: Timestamp) -> Fault {
        let name = asked.name();
        let count = self.calls.entry(name.clone()).or_default();
        *count += 1;
        let (n, since) = (*count, now.duration_since(world.start));
        let mut fault = Fault::default();
        for (index, (spec, struck)) in self.specs.iter_mut().enumerate() {
            let chance = |percent: u64| world.dice.between(&format!("fault {index} {name}"), n, 0, 99) < percent;
            let applies = means(&spec.operation, &name)
                && spec.nth.contains(n)
                && spec.from.is_none_or(|from| from <= since)
                && spec.until.is_none_or(|until| since < until)
                && spec.times.is_none_or(|times| *struck < times)
                && spec.percent.is_none_or(chance)
                && spec.naming.is_none_or(|host| names(asked, world, host))
                && spec.group.as_ref().is_none_or(|group| asked.groups().contains(group));
            if !applies {
                continue;
            }
            *struck += 1;
            fault.delay += spec.delay.unwrap_or_default();
            fault.reset = fault.reset.or(spec.reset);
            fault.failure = fault.failure.or_else(|| failure(spec, asked.service));
            fault.malformed |= spec.malformed;
            fault.fails = fault
                .fails
                .or_else(|| Some((spec.fails?, spec.reason.clone().unwrap_or_else(|| "MISSING".to_owned()))));
        }
        fault
    }
}

/// Whether a call names the host, a container instance of it, or a task on it.
fn names(asked: &Asked, world: &World, host: usize) -> bool {
    let machine = MachineNo(host);
    let registrations = || world.registrations.iter().filter(|registration| registration.machine == machine);
    let tasks = || registrations().flat_map(|registration| &registration.tasks).map(|task| &world.tasks[*task].arn);
    let text = asked.text();
    let is_named = |id: &String| text.contains(id.as_str());
    is_named(&world.machines[machine].id) || registrations().map(|one| &one.arn).chain(tasks()).any(is_named)
}

fn failure(spec: &FaultSpec, service: Service) -> Option<Failure> {
    match (&spec.error, spec.status) {
        (None, None) => None,
        (None, Some(status)) => {
            let message = spec.message.clone().unwrap_or_else(|| "Service Unavailable".to_owned());
            Some(Failure { status, ..Failure::new("", message) })
        }
        (Some(code), status) => {
            let usual = throttled(service);
            let known = (*code == usual.code).then_some(usual.status);
            let message = spec.message.clone().unwrap_or_else(|| format!("{code} by the scenario"));
            let status = status.or(known).unwrap_or(400);
            Some(Failure { status, ..Failure::new(code, message) })
        }
    }
}
