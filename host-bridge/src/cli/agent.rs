//! `host-bridge agent`: the agent with the real things around it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::SignedDuration;

use super::args::{Agent as Arguments, Global};
use super::ending::Exit;
use super::signals::stopped;
use crate::agent::{Agent, Ecs, Environment, FileJournal, Imds, Limits, Lock, LockError, Settings, ThisMachine};
use crate::client::Client;
use crate::inspect::Boot;
use crate::introspection::Introspection;
use crate::transport::{Limits as Waits, Transport, UnixSocket};
use crate::update::chain;

/// Why the agent could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the agent does not start")]
    Lock(#[from] LockError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT. That ends it at once: the host goes on with what it has begun, the journal is whole,
/// and the next agent finds both.
pub(super) fn run(global: &Global, arguments: &Arguments) -> ExitCode {
    match start(global, arguments) {
        Ok(()) => ExitCode::from(Exit::Done as u8),
        Err(error @ StartError::Lock(LockError::Held { .. })) => {
            tracing::error!("{}", chain(&error));
            ExitCode::from(Exit::Refused as u8)
        }
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::from(Exit::Failed as u8)
        }
    }
}

fn start(global: &Global, arguments: &Arguments) -> Result<(), StartError> {
    let _lock = Lock::take(&arguments.journal)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    runtime.block_on(async {
        let agent = agent(global, arguments);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "the agent runs");
        tokio::select! {
            biased;
            () = stopped() => tracing::info!("stopped by a signal"),
            never = agent.run() => match never {},
        }
    });
    // A name being resolved is waited for by nobody.
    runtime.shutdown_background();
    Ok(())
}

fn agent(global: &Global, arguments: &Arguments) -> Agent {
    let proc = Path::new("/proc");
    let metadata = Arc::new(Imds::at(arguments.metadata));
    let confirm = SignedDuration::try_from(arguments.confirm_within).unwrap_or(Limits::default().confirm);
    let environment = Environment {
        client: Client::new(Transport::new(UnixSocket::new(&global.socket), Waits::default())),
        introspection: Introspection::at(global.ecs_agent),
        sink: Box::new(Ecs::new(Arc::clone(&metadata), arguments.ecs_endpoint.clone())),
        metadata,
        machine: Box::new(ThisMachine { proc: proc.to_owned(), host_root: global.host_root.clone() }),
        journal: Box::new(FileJournal::within(&arguments.journal)),
    };
    let mut hasher = DefaultHasher::new();
    Boot::read(proc).id.hash(&mut hasher);
    let limits = Limits { confirm, ..Limits::default() };
    Agent::new(environment, Settings { limits, ..Settings::default() }.spread(hasher.finish()))
}
