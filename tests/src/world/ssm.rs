//! SSM Run Command: delivery, execution, and what SSM knows of it (docs/facts/ssm.md).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::actor::Actor;
use super::command::{Command, Invocation, InvocationStatus, Ping, Sending, combined_output};
use super::effect::Effect;
use super::ids::{CommandNo, MachineNo};
use super::log::{CommandStep, Event};
use super::machine::Ec2State;
use super::queue::Due;
use crate::documents::Output;

impl World {
    /// Takes a command for its hosts.
    pub(crate) fn send_command(&mut self, sending: Sending, by: Actor) -> CommandNo {
        let number = self.commands.next_id();
        let id = self.dice.uuid("command", u64::try_from(number.0).unwrap_or(u64::MAX));
        let (delivery, execution) = (sending.delivery_timeout, sending.execution_timeout);
        let mut invocations = BTreeMap::new();
        for (index, machine) in sending.machines.iter().enumerate() {
            let visible_after = self.draw_ms("invocation", 200, 500);
            let invocation = Invocation {
                status: InvocationStatus::Pending,
                visible_at: self.now + visible_after,
                started_at: None,
                ended_at: None,
                output: None,
                interrupted: false,
            };
            invocations.insert(*machine, invocation);
            if index < sending.rates.at_once {
                self.send_to(number, *machine);
            }
            self.schedule(delivery, Due::DeliveryTimeout(number, *machine));
        }
        self.command_ids.insert(id.clone(), number);
        self.commands.push(Command {
            id: id.clone(),
            document: sending.document,
            version: sending.version,
            parameters: sending.parameters,
            comment: sending.comment,
            sent_at: self.now,
            delivery_timeout: delivery,
            execution_timeout: execution,
            script: sending.script.clone(),
            invocations,
            most_errors: sending.rates.most_errors,
            queued: sending.machines.iter().skip(sending.rates.at_once).copied().collect(),
        });
        for machine in sending.machines {
            let (command, script) = (id.clone(), sending.script.clone());
            self.record(Event::Command { machine, command, step: CommandStep::Sent { script, by } });
        }
        number
    }

    /// A command is on its way to a host.
    fn send_to(&mut self, command: CommandNo, machine: MachineNo) {
        let travel = self.draw_ms("delivery", 300, 1_500) + self.late();
        if !self.chance("lost", self.spec.ssm_loses) {
            self.schedule(travel, Due::Deliver(command, machine));
        }
    }

    /// A host is done with a command: it goes to the next one, unless too many have failed.
    fn send_to_next(&mut self, number: CommandNo) {
        let command = &mut self.commands[number];
        let Some(machine) = command.queued.pop_front() else { return };
        let errors = command.invocations.values().filter(|invocation| invocation.status.is_an_error()).count();
        let stops = errors > command.most_errors;
        if stops {
            self.end_command(number, machine, InvocationStatus::Terminated);
        } else if self.is_open(number, machine) {
            self.send_to(number, machine);
        } else {
            self.send_to_next(number);
        }
    }

    /// How much later than usual a command reaches its host.
    fn late(&mut self) -> SignedDuration {
        match u64::try_from(self.spec.ssm_late.as_millis()) {
            Ok(most @ 1..) => self.draw_ms("late", 0, most),
            Ok(0) | Err(_) => SignedDuration::ZERO,
        }
    }

    /// Whether something with a probability of `percent` happens. What never happens takes no draw.
    pub(super) fn chance(&mut self, purpose: &str, percent: u64) -> bool {
        if percent == 0 {
            return false;
        }
        let n = self.next_use();
        self.dice.between(purpose, n, 0, 99) < percent
    }

    fn invocation(&mut self, command: CommandNo, machine: MachineNo) -> Option<&mut Invocation> {
        self.commands[command].invocations.get_mut(&machine)
    }

    fn is_open(&mut self, command: CommandNo, machine: MachineNo) -> bool {
        self.invocation(command, machine).is_some_and(|invocation| !invocation.status.is_final())
    }

    /// Tries to hand a command to a host's agent.
    pub(super) fn deliver(&mut self, command: CommandNo, number: MachineNo) {
        let (now, state, answers) = (self.now, self.machines[number].state, self.machines[number].seen.ssm);
        let execution_timeout = self.commands[command].execution_timeout;
        let Some(invocation) = self.invocation(command, number) else { return };
        if invocation.status.is_final() || invocation.started_at.is_some() {
            return;
        }
        if matches!(state, Ec2State::ShuttingDown | Ec2State::Terminated) {
            return self.end_command(command, number, InvocationStatus::Undeliverable);
        }
        if !answers {
            invocation.status = InvocationStatus::Delayed;
            self.machines[number].ssm_waiting.push(command);
            return;
        }
        invocation.status = InvocationStatus::InProgress;
        invocation.started_at = Some(now);
        self.machines[number].ssm_running.push(command);
        self.schedule(execution_timeout, Due::ExecutionTimeout(command, number));
        let sent = &self.commands[command];
        let parameters = sent.parameters.iter().map(|(name, values)| (name.clone(), values.join("\n"))).collect();
        self.effects.push(Effect::Run { command, machine: number, script: sent.script.clone(), parameters });
    }

    pub(super) fn delivery_timeout(&mut self, command: CommandNo, machine: MachineNo) {
        let waiting = self
            .invocation(command, machine)
            .is_some_and(|invocation| invocation.started_at.is_none() && !invocation.status.is_final());
        if waiting {
            self.end_command(command, machine, InvocationStatus::DeliveryTimedOut);
        }
    }

    /// The document's time is over: the agent ends it. Where the host is down nobody does, and SSM waits for the
    /// delivery time-out on top (total = delivery + the document's).
    pub(super) fn execution_timeout(&mut self, command: CommandNo, machine: MachineNo) {
        let total = self.commands[command].delivery_timeout + self.commands[command].execution_timeout;
        let deadline = self.commands[command].sent_at + total;
        let (now, answers) = (self.now, self.machines[machine].seen.ssm);
        if !self.is_open(command, machine) {
            return;
        }
        if answers || now >= deadline {
            self.effects.push(Effect::Abort { command, machine });
            self.end_command(command, machine, InvocationStatus::ExecutionTimedOut);
        } else {
            self.queue.push(deadline, Due::ExecutionTimeout(command, machine));
        }
    }

    /// A document ended on its host.
    pub fn document_ended(&mut self, command: CommandNo, machine: MachineNo, mut output: Output) {
        let open = self.is_open(command, machine);
        let Some(invocation) = self.invocation(command, machine) else { return };
        if open && !invocation.interrupted {
            if output.exit_code != 0 {
                // The agent's own words, as everybody who has used Run Command knows them.
                output.stderr.push_str(&format!("failed to run commands: exit status {}", output.exit_code));
            }
            invocation.output = Some(output);
            let travel = self.draw_ms("report", 200, 800);
            if !self.chance("forgotten", self.spec.ssm_forgets) {
                self.schedule(travel, Due::Reported(command, machine));
            }
        }
    }

    /// The agent's report reaches SSM, if the agent is still there to send it.
    pub(super) fn command_reported(&mut self, command: CommandNo, machine: MachineNo) {
        if !self.machines[machine].seen.ssm || !self.is_open(command, machine) {
            return;
        }
        let Some(invocation) = self.invocation(command, machine) else { return };
        let success = invocation.output.as_ref().is_some_and(|output| output.exit_code == 0);
        let status = if success { InvocationStatus::Success } else { InvocationStatus::Failed };
        self.end_command(command, machine, status);
    }

    fn end_command(&mut self, command: CommandNo, machine: MachineNo, status: InvocationStatus) {
        let now = self.now;
        let Some(invocation) = self.invocation(command, machine) else { return };
        invocation.status = status;
        invocation.ended_at = Some(now);
        let known = &mut self.machines[machine];
        known.ssm_running.retain(|other| *other != command);
        known.ssm_waiting.retain(|other| *other != command);
        let id = self.commands[command].id.clone();
        let step = CommandStep::Ended { status: status.details() };
        self.record(Event::Command { machine, command: id, step });
        self.send_to_next(command);
    }

    /// The agent is gone: what ran is cut off, and SSM is not told.
    pub(super) fn ssm_agent_stopped(&mut self, machine: MachineNo) {
        let now = self.now;
        self.machines[machine].ssm_lost_at = Some(now);
        for command in self.machines[machine].ssm_running.clone() {
            if let Some(invocation) = self.invocation(command, machine) {
                invocation.interrupted = true;
            }
            self.effects.push(Effect::Abort { command, machine });
        }
    }

    /// The agent is there again. What it was in the middle of is reported after a while, and perhaps wrongly: as
    /// failed, or as a success without the output, whatever really happened.
    pub(super) fn ssm_agent_started(&mut self, machine: MachineNo) {
        self.machines[machine].ssm_lost_at = None;
        for command in std::mem::take(&mut self.machines[machine].ssm_waiting) {
            let travel = self.draw_ms("delivery", 1_000, 3_000);
            self.schedule(travel, Due::Deliver(command, machine));
        }
        for command in self.machines[machine].ssm_running.clone() {
            let n = self.next_use();
            let claimed_success = self.dice.bits("interrupted", n).is_multiple_of(2);
            if let Some(invocation) = self.invocation(command, machine) {
                let exit_code = if claimed_success { 0 } else { -1 };
                invocation.output = Some(Output { exit_code, ..Output::default() });
            }
            let travel = self.draw_ms("report", 5_000, 20_000);
            self.schedule(travel, Due::Reported(command, machine));
        }
    }

    /// `PingStatus`: the loss of an agent shows late; `None` where SSM never heard of the host.
    pub(crate) fn ping(&self, number: MachineNo) -> Option<(Ping, Timestamp)> {
        let machine = &self.machines[number];
        if !machine.ssm_registered {
            return None;
        }
        Some(match machine.ssm_lost_at {
            Some(lost) if self.now.duration_since(lost) >= self.spec.ping_lag => (Ping::ConnectionLost, lost),
            Some(lost) => (Ping::Online, lost),
            None => (Ping::Online, self.now),
        })
    }

    /// What the API shows of an output: nothing before the end.
    pub(crate) fn shown_output(invocation: &Invocation) -> Option<&Output> {
        invocation.output.as_ref().filter(|_| invocation.ended_at.is_some())
    }

    /// The output in a listing, cut at 2,500 characters.
    pub(crate) fn listed_output(invocation: &Invocation) -> String {
        const MOST: usize = 2_500;
        const NOTICE: &str = "\n---Output truncated---";
        let whole = Self::shown_output(invocation).map(combined_output).unwrap_or_default();
        if whole.chars().count() <= MOST {
            return whole;
        }
        let kept: String = whole.chars().take(MOST - NOTICE.len()).collect();
        format!("{kept}{NOTICE}")
    }
}
