//! What runs on the hosts of a Region: the documents of SSM, and the agents of `host-bridge`.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::engine::{Engine, OnHosts, std_duration};
use crate::bridges::Bridges;
use crate::clock::SimClock;
use crate::documents::{self, Script};
use crate::host::{NoAnswer, Request as HostRequest, Response as HostResponse};
use crate::meter::Simulated;
use crate::wire::{Caller, Request, Signature};
use crate::world::{CommandNo, Effect, MachineNo, role_key};

type Documents = Arc<Mutex<BTreeMap<(CommandNo, MachineNo), AbortHandle>>>;

/// The documents and agents that run now.
pub(super) struct Running {
    engine: Weak<Engine>,
    clock: SimClock,
    /// What acts on the Region can be outside of its runtime.
    runtime: Handle,
    documents: Documents,
    bridges: Bridges,
}

impl Running {
    pub(super) fn new(engine: &Weak<Engine>, clock: SimClock) -> Self {
        let runtime = Handle::current();
        let bridges = Bridges::new(runtime.clone());
        Self { engine: Weak::clone(engine), clock, runtime, documents: Documents::default(), bridges }
    }
}

impl OnHosts for Running {
    fn perform(&self, effect: Effect) {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        match effect {
            Effect::Run { command, machine, script, parameters } => {
                let host = HostHandle {
                    engine: self.engine.clone(),
                    machine,
                    clock: self.clock,
                    documents: Arc::clone(&self.documents),
                };
                let run = self.runtime.spawn(Simulated(Box::pin(run_document(host, command, script, parameters))));
                documents.insert((command, machine), run.abort_handle());
            }
            Effect::Abort { command, machine } => {
                if let Some(run) = documents.remove(&(command, machine)) {
                    run.abort();
                }
            }
            Effect::Report { machine, parameters } => {
                let engine = self.engine.clone();
                drop(self.runtime.spawn(Simulated(Box::pin(async move {
                    if let Some(engine) = engine.upgrade() {
                        drop(engine.call_by(0, by_its_role(machine, &parameters)).await);
                    }
                }))));
            }
            Effect::Bridge { machine, runs } => self.bridges.set(&self.engine, machine, self.clock, runs),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for run in self.documents.lock().unwrap_or_else(PoisonError::into_inner).values() {
            run.abort();
        }
        self.bridges.end();
    }
}

/// `PutAttributes`, signed with the role of a host.
fn by_its_role(machine: MachineNo, parameters: &serde_json::Value) -> Request {
    Request {
        target: Some("AmazonEC2ContainerServiceV20141113.PutAttributes".to_owned()),
        is_cbor: false,
        rest: None,
        function: None,
        body: parameters.to_string().into(),
        by: Caller::Agent,
        signature: Some(Signature { access_key: role_key(machine), region: String::new() }),
    }
}

async fn run_document(host: HostHandle, command: CommandNo, script: Script, parameters: BTreeMap<String, String>) {
    let output = documents::run(&host, &script, &parameters).await;
    if let Some(engine) = host.engine.upgrade() {
        let machine = host.machine;
        host.documents.lock().unwrap_or_else(PoisonError::into_inner).remove(&(command, machine));
        engine.with(|inner, _| inner.world.document_ended(command, machine, output));
    }
}

/// A host, as a document on it sees it.
struct HostHandle {
    engine: Weak<Engine>,
    machine: MachineNo,
    clock: SimClock,
    documents: Documents,
}

impl documents::Machine for HostHandle {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sleep(&self, duration: SignedDuration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let clock = self.clock;
        Box::pin(async move { clock.sleep(std_duration(duration)).await })
    }

    fn api(&self, request: &HostRequest) -> Result<HostResponse, NoAnswer> {
        let engine = self.engine.upgrade().ok_or(NoAnswer::Refused)?;
        engine.with(|inner, _| inner.world.host_api(self.machine, request))
    }

    fn boot_id(&self) -> Option<String> {
        let engine = self.engine.upgrade()?;
        Some(engine.look(|world| world.machines()[self.machine].host.boot_id().to_owned()))
    }

    fn btime(&self) -> Option<i64> {
        let engine = self.engine.upgrade()?;
        Some(engine.look(|world| world.machines()[self.machine].host.btime()))
    }

    fn introspection(&self, path: &str) -> Option<(u16, String)> {
        let engine = self.engine.upgrade()?;
        engine.look(|world| world.introspection(self.machine, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_the_region_can_be_outside_of_its_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let running = runtime.block_on(async { Running::new(&Weak::new(), SimClock::start(Timestamp::UNIX_EPOCH, 1)) });
        let (script, parameters) = (Script::Inspect, BTreeMap::new());
        running.perform(Effect::Run { command: CommandNo(0), machine: MachineNo(0), script, parameters });
        running.perform(Effect::Bridge { machine: MachineNo(0), runs: true });
        running.perform(Effect::Report { machine: MachineNo(0), parameters: serde_json::Value::Null });
        assert_eq!(running.documents.lock().unwrap().len(), 1);
    }
}
