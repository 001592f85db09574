//! A host on its own, without a Region around it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::machine::Machine;
use crate::host::introspection::{Metadata, Tasks};
use crate::host::{Host, NoAnswer, Repository, Request, Response};

/// A [`Machine`] of one host and its repository on tokio's clock, which may be paused: for tests of what runs on a
/// host.
#[derive(Debug)]
pub struct LoneMachine {
    began: (Instant, Timestamp),
    inside: Mutex<Inside>,
}

/// What a [`LoneMachine`] is made of.
#[derive(Debug)]
pub struct Inside {
    pub host: Host,
    /// The repository that it reads.
    pub repository: Repository,
    /// What its ECS agent says; nothing listens where `None`, or while [`Host::ecs_agent_up`] is false.
    pub agent: Option<(Metadata, Tasks)>,
}

impl LoneMachine {
    /// A machine whose clock says `now` at this moment.
    pub fn new(host: Host, repository: Repository, now: Timestamp) -> Self {
        Self { began: (Instant::now(), now), inside: Mutex::new(Inside { host, repository, agent: None }) }
    }

    /// Opens it, to look or to change something. Drop the guard before the next await.
    pub fn open(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self) -> MutexGuard<'_, Inside> {
        let now = self.now();
        let mut inside = self.open();
        let Inside { host, repository, .. } = &mut *inside;
        host.settle(now, repository);
        inside
    }
}

impl Machine for LoneMachine {
    fn now(&self) -> Timestamp {
        let (instant, timestamp) = self.began;
        let passed = SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX);
        timestamp.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, duration: SignedDuration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration.unsigned_abs()))
    }

    fn api(&self, request: &Request) -> Result<Response, NoAnswer> {
        let now = self.now();
        let Inside { host, repository, .. } = &mut *self.open();
        host.handle(now, repository, request)
    }

    fn boot_id(&self) -> Option<String> {
        let inside = self.up();
        inside.host.is_up(self.now()).then(|| inside.host.boot_id().to_owned())
    }

    fn btime(&self) -> Option<i64> {
        let inside = self.up();
        inside.host.is_up(self.now()).then(|| inside.host.btime())
    }

    fn introspection(&self, path: &str) -> Option<(u16, String)> {
        let inside = self.up();
        let (metadata, tasks) = inside.agent.as_ref().filter(|_| inside.host.ecs_agent_up(self.now()))?;
        match path {
            "/v1/metadata" => metadata.render().ok().map(|body| (200, body)),
            "/v1/tasks" => tasks.render().ok().map(|body| (200, body)),
            _ => Some((404, String::new())),
        }
    }
}
