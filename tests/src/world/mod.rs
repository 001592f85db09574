//! The world: clusters, machines, services, tasks, commands, and everything that happens to them by itself.
//!
//! A [`World`] is told the time and never waits; its driver ([`crate::Region`]) calls [`World::advance`] at
//! [`World::next_event`] and before every request. What it cannot do itself (run a document on a host) it leaves in
//! [`World::take_effects`]. The doc comment of each semantic names its heading in `docs/facts/`.
//!
//! Not here: the AWS protocols ([`crate::wire`]), and the rules that an updater must keep ([`crate::invariants`]).

mod actor;
mod agents;
mod alarms;
mod build;
mod cluster;
mod command;
mod daemons;
mod ec2;
mod effect;
mod events;
mod forge;
mod groups;
mod hooked;
mod hosts;
mod id_vec;
mod ids;
mod images;
mod log;
mod machine;
mod metadata;
mod min_sizes;
mod objects;
mod people;
mod placement;
mod points;
mod queue;
mod rebalancing;
mod registration;
mod rollout;
mod scaling;
mod scheduler;
mod service;
mod sizes;
mod spot;
mod ssm;
mod status;
mod table;
mod tables;
mod task;
mod tasks;
mod templates;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use jiff::{SignedDuration, Timestamp};

pub use actor::Actor;
pub use alarms::Alarm;
pub use cluster::{Cluster, OutOfService};
pub(crate) use command::Ping;
pub use command::{Command, Invocation, InvocationStatus, RateControl, Sending};
pub use effect::Effect;
pub use events::PostedEvent;
pub use hooked::Hooked;
pub use id_vec::{Id, IdVec};
pub use ids::{ClusterNo, CommandNo, MachineNo, RegistrationNo, ServiceNo, TaskNo};
pub(crate) use images::image_id;
pub use log::{BootStep, CommandStep, Entry, Event, InstanceChange, TaskChange};
pub use machine::{Ec2State, Machine, StatusCheck, TagError};
pub(crate) use metadata::role_key;
pub use objects::{Objects, StoredObject};
pub(crate) use points::comes_to;
pub use registration::{InstanceStatus, RESERVED_PORTS, Registration, Resources};
pub use service::{Service, ServiceEvent};
pub use table::{Attribute, Item, Table};
pub use task::{Desired, LastStatus, Task};
pub(crate) use templates::{LaunchTemplate, template_id};
pub(crate) use waiting::FAILED_TO_START;
pub use waiting::{NeverStarted, Waiting};

use crate::dice::Dice;
use crate::host::Repository;
use crate::invariants::Invariants;
use crate::scenario::{BucketSpec, EventSpec, GroupSpec, ParameterSpec, ProviderSpec, RegionSpec};
use min_sizes::Written;
use queue::{Due, Queue};
use scaling::Scaling;
use sizes::GroupSize;

/// The simulated Region. See the [module](self).
#[derive(Debug)]
pub struct World {
    pub(crate) now: Timestamp,
    pub(crate) start: Timestamp,
    pub(crate) dice: Dice,
    pub(crate) spec: RegionSpec,
    pub(crate) clusters: IdVec<ClusterNo, Cluster>,
    pub(crate) machines: IdVec<MachineNo, Machine>,
    pub(crate) registrations: IdVec<RegistrationNo, Registration>,
    pub(crate) groups: BTreeMap<String, GroupSpec>,
    pub(crate) providers: BTreeMap<String, ProviderSpec>,
    /// Managed scaling, by capacity provider.
    scaling: BTreeMap<String, Scaling>,
    /// The sizes of groups, where their capacity provider has managed scaling.
    sizes: BTreeMap<String, GroupSize>,
    /// What was written on groups.
    written: BTreeMap<String, Written>,
    /// The tasks that have waited for an instance in vain.
    never_started: Vec<NeverStarted>,
    pub(crate) services: IdVec<ServiceNo, Service>,
    pub(crate) tasks: IdVec<TaskNo, Task>,
    pub(crate) commands: IdVec<CommandNo, Command>,
    pub(crate) machine_ids: BTreeMap<String, MachineNo>,
    pub(crate) registration_arns: BTreeMap<String, RegistrationNo>,
    pub(crate) task_arns: BTreeMap<String, TaskNo>,
    pub(crate) command_ids: BTreeMap<String, CommandNo>,
    pub(crate) documents: BTreeMap<String, crate::scenario::DocumentSpec>,
    pub(crate) parameters: BTreeMap<String, ParameterSpec>,
    /// CloudWatch alarms.
    pub(crate) alarms: BTreeMap<String, Alarm>,
    pub(crate) buckets: BTreeMap<String, BucketSpec>,
    objects: Objects,
    pub(crate) repository: Repository,
    pub(crate) tables: BTreeMap<String, Table>,
    /// Whose call is being carried out: a number for each process that calls.
    pub(crate) caller: u32,
    /// Whether it is a person's.
    pub(crate) by_person: bool,
    pub(crate) invariants: Invariants,
    posted: Vec<PostedEvent>,
    queue: Queue,
    log: Vec<Entry>,
    effects: Vec<Effect>,
    script: Vec<Scripted>,
    /// By how many milliseconds the date is off where the program under test runs. Shared with its clocks.
    date_is_off: Arc<AtomicI64>,
    uses: u64,
}

/// An event of the scenario, and whether it is over.
#[derive(Debug)]
struct Scripted {
    spec: EventSpec,
    armed: bool,
    /// How many of the calls that it waits for were made.
    calls: u64,
}

impl World {
    /// The time of the last thing that happened.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// By how many milliseconds the date is off where the program under test runs, now and later.
    pub(crate) fn date_is_off(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.date_is_off)
    }

    /// How far the date is ahead where the program under test runs, if it is.
    pub(crate) fn date_is_ahead(&self) -> SignedDuration {
        let off = self.date_is_off.load(std::sync::atomic::Ordering::Relaxed);
        SignedDuration::from_millis(off.max(0))
    }

    /// When something happens next by itself.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.queue.next()
    }

    /// Lets everything happen that is due by `now`.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.queue.pop(now) {
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(now);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Host(machine) => self.wake_host(machine),
            Due::Task(task, epoch) => self.step_task(task, epoch),
            Due::TaskEnds(task) => self.end_task_by_itself(task),
            Due::Service(service) => self.look_at_service(service),
            Due::Zones(service) => self.look_at_zones(service),
            Due::Daemons(registration) => self.look_at_daemons(registration),
            Due::AgentLost(registration, epoch) => self.agent_lost(registration, epoch),
            Due::Deregister(machine) => self.deregister_terminated(machine),
            Due::Group(machine) => self.step_group(machine),
            Due::Spot(machine) => self.step_spot(machine),
            Due::Launch(machine) => drop(self.launch_in(machine, None)),
            Due::Boots(group) => self.boots(group),
            Due::Metric(provider) => self.measure(provider),
            Due::WaitEnds(service, serial) => self.wait_ends(service, serial),
            Due::Ec2State(machine, epoch) => self.step_ec2_state(machine, epoch),
            Due::Deliver(command, machine) => self.deliver(command, machine),
            Due::DeliveryTimeout(command, machine) => self.delivery_timeout(command, machine),
            Due::ExecutionTimeout(command, machine) => self.execution_timeout(command, machine),
            Due::Reported(command, machine) => self.command_reported(command, machine),
            Due::Container(machine, restart) => self.container_again(machine, restart),
            Due::Scripted(index) => self.perform(index),
            Due::Flap(registration) => self.flap(registration),
            Due::FlapEnds(registration, epoch) => self.flap_ends(registration, epoch),
        }
    }

    /// What the driver has to do now.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Everything that happened.
    pub fn log(&self) -> &[Entry] {
        &self.log
    }

    /// The rules and what broke them.
    pub fn invariants(&self) -> &Invariants {
        &self.invariants
    }

    /// The rules, to set budgets.
    pub fn invariants_mut(&mut self) -> &mut Invariants {
        &mut self.invariants
    }

    /// All machines, in the order of the scenario.
    pub fn machines(&self) -> &IdVec<MachineNo, Machine> {
        &self.machines
    }

    /// A machine by its EC2 id.
    pub fn machine(&self, id: &str) -> Option<(MachineNo, &Machine)> {
        self.machine_ids.get(id).map(|number| (*number, &self.machines[*number]))
    }

    /// The container instance that a machine's agent speaks for.
    pub fn registration_of(&self, machine: MachineNo) -> Option<&Registration> {
        self.machines[machine].registration.map(|number| &self.registrations[number])
    }

    /// All clusters.
    pub fn clusters(&self) -> &IdVec<ClusterNo, Cluster> {
        &self.clusters
    }

    /// Returns who writes by the call that is being carried out.
    pub(crate) fn writer(&self) -> Actor {
        if self.by_person { Actor::Person } else { Actor::Updater }
    }

    /// A cluster by its name or ARN.
    pub fn cluster(&self, name_or_arn: &str) -> Option<ClusterNo> {
        self.clusters
            .iter_with_ids()
            .find(|(_, cluster)| cluster.name == name_or_arn || cluster.arn == name_or_arn)
            .map(|(number, _)| number)
    }

    /// All services.
    pub fn services(&self) -> &IdVec<ServiceNo, Service> {
        &self.services
    }

    /// All tasks there ever were.
    pub fn tasks(&self) -> &IdVec<TaskNo, Task> {
        &self.tasks
    }

    /// Whether a machine serves: a container instance of it is ACTIVE and connected.
    pub fn is_in_service(&self, machine: MachineNo) -> bool {
        self.machines[machine].registrations.iter().any(|number| self.registrations[*number].takes_tasks())
    }

    /// Writes to the log and shows the entry to the invariants.
    pub(crate) fn record(&mut self, event: Event) {
        let entry = Entry { at: self.now, event };
        tracing::trace!("{entry}");
        let mut invariants = std::mem::take(&mut self.invariants);
        invariants.seen(self, &entry);
        self.invariants = invariants;
        self.trigger(&entry.event);
        self.log.push(entry);
    }

    fn schedule(&mut self, after: SignedDuration, due: Due) {
        let at = self.now.checked_add(after).unwrap_or(Timestamp::MAX);
        self.queue.push(at, due);
    }

    /// A number for the next use of the dice.
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn draw_between(&mut self, purpose: &str, low: SignedDuration, high: SignedDuration) -> SignedDuration {
        let millis = |time: SignedDuration| u64::try_from(time.as_millis()).unwrap_or(0);
        self.draw_ms(purpose, millis(low), millis(high.max(low)))
    }

    fn draw_ms(&mut self, purpose: &str, low: u64, high: u64) -> SignedDuration {
        let n = self.next_use();
        let ms = self.dice.between(purpose, n, low, high);
        SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
    }
}
