//! A host, as a script on it sees it.

use std::future::Future;
use std::pin::Pin;

use jiff::{SignedDuration, Timestamp};

use crate::host::{NoAnswer, Request, Response};

/// What a script can do on its host.
pub trait Machine: Send + Sync {
    /// The host's clock.
    fn now(&self) -> Timestamp;
    /// Waits on the world's clock.
    fn sleep(&self, duration: SignedDuration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// One request to the host API.
    ///
    /// # Errors
    /// [`NoAnswer`], at once: how long to wait for an answer that never comes is the caller's business.
    fn api(&self, request: &Request) -> Result<Response, NoAnswer>;
    /// `/proc/sys/kernel/random/boot_id`.
    fn boot_id(&self) -> Option<String>;
    /// `btime` of `/proc/stat`, in seconds since the epoch.
    fn btime(&self) -> Option<i64>;
    /// One request to the ECS agent's introspection port: status and body, `None` where nothing listens.
    fn introspection(&self, path: &str) -> Option<(u16, String)>;
}
