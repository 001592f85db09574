//! `DescribeInstanceStatus`.

use super::super::failure::Failure;
use super::super::form::{EcFilter, Form};
use super::super::xml::{text, wrap};
use super::{Wanted, chosen, matches_pattern, next_token, state};
use crate::world::{Ec2State, MachineNo, StatusCheck, World};

pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let wanted = Wanted::read(&mut form)?;
    let all = form.take("IncludeAllInstances").is_some_and(|all| all == "true");
    form.done("DescribeInstanceStatus")?;
    if wanted.ids.len() > 100 {
        return Err(Failure::new("InvalidParameterValue", "You can specify at most 100 instance IDs."));
    }
    let mut chosen = chosen(world, &wanted.ids)?;
    // Running instances only, unless told otherwise (docs/facts/ec2.md#instances-and-status-checks).
    chosen.retain(|number| all || world.machines[*number].state == Ec2State::Running);
    for filter in &wanted.filters {
        check(filter)?;
    }
    let paged = wanted.page(world, chosen, |number, filter| Ok(passes(world, number, filter)))?;
    let items: String = paged.items.iter().map(|number| wrap("item", item(world, *number))).collect();
    Ok(wrap("instanceStatusSet", items) + &next_token(paged.next.as_deref()))
}

/// What an instance's checks say.
struct Checks {
    /// Of the machine below, which an OS boot does not touch.
    system: Check,
    instance: Check,
}

/// The summary of a check, and the status of its only detail, `reachability`; empty where there is none.
type Check = (&'static str, &'static str);

impl Checks {
    fn of(world: &World, number: MachineNo) -> Self {
        let instance = match world.machines[number].status_check(world.now, &world.spec) {
            StatusCheck::Ok => PASSED,
            StatusCheck::Impaired => ("impaired", "failed"),
            StatusCheck::Initializing => ("initializing", "initializing"),
            StatusCheck::NotApplicable => ("not-applicable", ""),
        };
        let system = if instance.0 == "impaired" { PASSED } else { instance };
        Self { system, instance }
    }
}

const PASSED: Check = ("ok", "passed");

/// The filters of the API model. Of those that speak of scheduled events and of AWS's own instances there is nothing
/// here that passes.
fn check(filter: &EcFilter) -> Result<(), Failure> {
    match filter.name.as_str() {
        "availability-zone"
        | "event.code"
        | "event.description"
        | "event.instance-event-id"
        | "event.not-after"
        | "event.not-before"
        | "event.not-before-deadline"
        | "instance-state-code"
        | "instance-state-name"
        | "instance-status.reachability"
        | "instance-status.status"
        | "operator.managed"
        | "operator.principal"
        | "system-status.reachability"
        | "system-status.status" => Ok(()),
        name @ ("availability-zone-id" | "attached-ebs-status.status") => {
            Err(Failure::unknown("Parameter", format!("filter {name} of DescribeInstanceStatus is not modelled")))
        }
        name => Err(Failure::new("InvalidParameterValue", format!("The filter '{name}' is invalid"))),
    }
}

fn passes(world: &World, number: MachineNo, filter: &EcFilter) -> bool {
    let (machine, checks) = (&world.machines[number], Checks::of(world, number));
    let any = |value: &str| filter.values.iter().any(|pattern| matches_pattern(pattern, value));
    match filter.name.as_str() {
        "availability-zone" => any(&machine.zone),
        "instance-state-code" => any(&machine.state.code().to_string()),
        "instance-state-name" => any(machine.state.name()),
        "instance-status.reachability" => any(checks.instance.1),
        "instance-status.status" => any(checks.instance.0),
        "operator.managed" => any("false"),
        "system-status.reachability" => any(checks.system.1),
        "system-status.status" => any(checks.system.0),
        _ => false,
    }
}

fn item(world: &World, number: MachineNo) -> String {
    let (machine, checks) = (&world.machines[number], Checks::of(world, number));
    let check = |name: &str, (summary, detail): Check| {
        let details = match detail {
            "" => String::new(),
            detail => wrap("details", wrap("item", text("name", "reachability") + &text("status", detail))),
        };
        wrap(name, text("status", summary) + &details)
    };
    [
        text("instanceId", &machine.id),
        text("availabilityZone", &machine.zone),
        state("instanceState", machine.state),
        check("systemStatus", checks.system),
        check("instanceStatus", checks.instance),
    ]
    .concat()
}
