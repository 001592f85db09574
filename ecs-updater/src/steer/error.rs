//! Why a person's wish was not carried out.

use models::ids::{ClusterName, HostId};
use models::report::{ClusterError, ClusterErrorKind};

use crate::aws::{AwsError, ErrorKind};
use crate::exit::ExitStatus;

/// Why a person's wish was not carried out, or not all of it. Asked again, the rest is done.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// Nobody has said yes.
    #[error("nobody was asked, since there is no terminal: nothing was done; --yes says yes beforehand")]
    NotAgreed,
    /// An instance is in one cluster.
    #[error("several clusters are set, and an instance is in one of them: name it by --cluster")]
    WhichCluster,
    /// It is none of the cluster's.
    #[error("{host} is not a container instance of cluster {cluster}; check its id, the cluster and the Region")]
    NoSuchInstance { host: HostId, cluster: ClusterName },
    /// A look, or a write that only this program makes.
    #[error("cluster {cluster}: {source}; {}", source.advice())]
    Aws { cluster: ClusterName, source: AwsError },
    /// A write that anybody can make who may.
    #[error("cluster {cluster}: {source}; {}. Somebody who may can do it: {by_hand}", source.advice())]
    NotDone {
        cluster: ClusterName,
        source: AwsError,
        /// The line to type.
        by_hand: String,
    },
    /// The lease, or the run that let go of an instance.
    #[error("{}", .0.message)]
    Cluster(ClusterError),
}

impl SteerError {
    /// How the program ends with it.
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::NotAgreed | Self::WhichCluster | Self::NoSuchInstance { .. } => ExitStatus::Usage,
            Self::Aws { source, .. } | Self::NotDone { source, .. } => match &source.kind {
                ErrorKind::Refused(_) => ExitStatus::Failures,
                ErrorKind::Denied
                | ErrorKind::NotFound
                | ErrorKind::Throttled
                | ErrorKind::NoAnswer
                | ErrorKind::LeaseOver => ExitStatus::NotReached,
                ErrorKind::Stopped => ExitStatus::Interrupted,
            },
            // A person who asked for it is told that it was not done; the tick of a schedule is not.
            Self::Cluster(error) => match error.kind {
                ClusterErrorKind::ClusterNotFound
                | ClusterErrorKind::NotPermitted
                | ClusterErrorKind::NotReachable
                | ClusterErrorKind::AnotherRun => ExitStatus::NotReached,
                ClusterErrorKind::Configuration => ExitStatus::Usage,
                ClusterErrorKind::Unexpected => ExitStatus::Failures,
                ClusterErrorKind::LeaseLost => ExitStatus::Interrupted,
            },
        }
    }
}
