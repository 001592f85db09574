//! One visit to a host.

use std::time::Duration;

use semver::Version;
use tokio::time::Instant;

use crate::client::Client;

/// One visit to a host: operations one after the other, with one deadline for them all.
#[derive(Debug)]
pub struct Visit {
    pub(super) client: Client,
    pub(super) deadline: Instant,
    /// What this visit wrote to the inactive set.
    pub(super) wrote: Option<Version>,
    /// What `version-lock` was before this visit changed it, while it is not put back.
    pub(super) saved_lock: Option<String>,
}

impl Visit {
    /// A visit that ends at `deadline` at the latest; what runs then is [`super::UpdateError::Unsure`].
    pub fn new(client: &Client, deadline: Instant) -> Self {
        Self { client: client.clone(), deadline, wrote: None, saved_lock: None }
    }

    /// A visit that ends after `limit`.
    pub fn within(client: &Client, limit: Duration) -> Self {
        Self::new(client, Instant::now() + limit)
    }

    /// The version that this visit wrote to the inactive set, also where an operation failed afterwards.
    pub fn wrote(&self) -> Option<&Version> {
        self.wrote.as_ref()
    }

    /// What `version-lock` was before this visit changed it, while it is not put back.
    pub fn saved_lock(&self) -> Option<&str> {
        self.saved_lock.as_deref()
    }
}
