//! What people ask for beside runs: to let none begin anything, to let go of an instance, to keep runs off one, to forget
//! what failed.
//!
//! - `pause`, `skip`: the cluster's tags. `exclude`: the instances' tag. All are a person's wish, and need no lease.
//! - `forget`: the marks of failed versions, which are a run's own tags: under the lease.
//! - `release`: a run that lets go of one instance.
//! - `status`: how the clusters stand, without a command to any host.
//! - `voice`: what is said and asked on the way. `note`: what can stand in a tag. `look`: what is there.

mod error;
mod exclude;
mod forget;
mod look;
pub mod note;
mod pause;
mod release;
mod skip;
pub mod status;
mod steering;
mod voice;

use models::ids::HostId;
use semver::Version;

pub use error::SteerError;
pub use steering::{Steered, Steering};
pub use voice::{Answer, Voice};

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To let no run begin anything on a cluster.
    Pause {
        /// Why.
        reason: String,
    },
    /// To lift that.
    Resume,
    /// To have runs install a version again.
    Unskip {
        /// Which.
        version: Version,
    },
    /// To keep runs off instances.
    Exclude {
        /// Which.
        hosts: Vec<HostId>,
        /// Why.
        note: String,
    },
    /// To lift that.
    Include {
        /// Which.
        hosts: Vec<HostId>,
    },
    /// To have failed versions tried again.
    ForgetFailed {
        /// Which; all where it is missing.
        version: Option<Version>,
        /// On which instances; on all of the cluster where none is named.
        hosts: Vec<HostId>,
    },
    /// To let go of an instance.
    Release {
        /// Which.
        host: HostId,
    },
}

impl Order {
    /// Whether it is about instances, which are in one cluster.
    pub fn is_about_instances(&self) -> bool {
        match self {
            Self::Pause { .. } | Self::Resume | Self::Unskip { .. } => false,
            Self::Exclude { .. } | Self::Include { .. } | Self::Release { .. } => true,
            Self::ForgetFailed { hosts, .. } => !hosts.is_empty(),
        }
    }

    /// Whether it can be done whatever is wrong with the settings of a cluster: a pause is for such times.
    pub fn needs_no_settings(&self) -> bool {
        match self {
            Self::Pause { .. } | Self::Resume | Self::Unskip { .. } | Self::Exclude { .. } | Self::Include { .. } => {
                true
            }
            Self::ForgetFailed { .. } | Self::Release { .. } => false,
        }
    }

    /// As on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Unskip { .. } => "unskip",
            Self::Exclude { .. } => "exclude",
            Self::Include { .. } => "include",
            Self::ForgetFailed { .. } => "forget-failed",
            Self::Release { .. } => "release",
        }
    }
}

/// Does what a person asks for on a cluster.
///
/// # Errors
/// It was not done, or not all of it. Asked again, it does the rest.
pub async fn steer(order: &Order, at: &Steering<'_>) -> Result<Steered, SteerError> {
    match order {
        Order::Pause { reason } => pause::pause(at, reason).await,
        Order::Resume => pause::resume(at).await,
        Order::Unskip { version } => skip::unskip(at, version).await,
        Order::Exclude { hosts, note } => exclude::exclude(at, hosts, note).await,
        Order::Include { hosts } => exclude::include(at, hosts).await,
        Order::ForgetFailed { version, hosts } => forget::forget(at, version.as_ref(), hosts).await,
        Order::Release { host } => release::release(at, host).await,
    }
}
