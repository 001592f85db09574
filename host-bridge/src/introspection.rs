//! The ECS agent's introspection port, `127.0.0.1:51678`, which host containers share with the host.
//!
//! It is asked for two things: whether the agent of this boot works, and what still runs on the host.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use models::host::{AgentState, ReportedAgent};
use models::ids::{ClusterName, ContainerInstanceArn};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::transport::{Call, Connect, Limits, Tcp, Transport, TransportError};

/// Where the agent listens.
pub const INTROSPECTION: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 51678);

/// The agent answers from memory; it is on this host.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    tries: 1,
    read: Duration::from_secs(5),
    total: Duration::from_secs(10),
    idle: Duration::from_secs(3),
};

/// Asks the ECS agent on this host.
#[derive(Debug)]
pub struct Introspection(Transport);

/// A task as the agent knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Task {
    /// Its ARN.
    #[serde(rename = "Arn", default)]
    pub arn: Option<String>,
    /// Such as `RUNNING`; a task whose status is missing counts as running.
    #[serde(rename = "KnownStatus", default)]
    pub known_status: Option<String>,
    /// The family of its task definition.
    #[serde(rename = "Family", default)]
    pub family: Option<String>,
}

impl Task {
    /// Whether it still occupies the host.
    pub fn runs(&self) -> bool {
        self.known_status.as_deref() != Some("STOPPED")
    }
}

/// Why the agent's answer is not known.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionError {
    /// Nothing listens: there is no agent on this host, or it is down.
    #[error("no ECS agent listens on {peer}")]
    Down {
        /// The address.
        peer: String,
    },
    /// It took the connection and gave no answer.
    #[error("the ECS agent on {peer} does not answer {target}")]
    Silent {
        /// The address.
        peer: String,
        /// The path.
        target: &'static str,
        /// What became of the request.
        source: TransportError,
    },
    /// It answered with an error.
    #[error("the ECS agent answered {target} with status {status}")]
    Status {
        /// The path.
        target: &'static str,
        /// The status code.
        status: u16,
    },
    /// It answered something else than expected.
    #[error("the ECS agent's answer to {target} cannot be read")]
    Malformed {
        /// The path.
        target: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Tasks {
    #[serde(rename = "Tasks", default)]
    tasks: Option<Vec<Task>>,
}

/// What the agent has registered itself as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Short name of the cluster.
    pub cluster: ClusterName,
    pub container_instance: ContainerInstanceArn,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "Cluster", default)]
    cluster: Option<String>,
    #[serde(rename = "ContainerInstanceArn", default)]
    container_instance: Option<String>,
}

impl Introspection {
    /// The agent at an address, in life [`INTROSPECTION`].
    pub fn at(address: SocketAddr) -> Self {
        Self::over(Tcp(address))
    }

    /// The agent behind any stream.
    pub fn over(connect: impl Connect + 'static) -> Self {
        Self(Transport::new(connect, LIMITS))
    }

    /// The tasks the agent knows, stopped ones among them.
    ///
    /// # Errors
    /// [`IntrospectionError`].
    pub async fn tasks(&self) -> Result<Vec<Task>, IntrospectionError> {
        Ok(self.get::<Tasks>("/v1/tasks").await?.tasks.unwrap_or_default())
    }

    /// The container instance that the agent has registered, if any.
    ///
    /// # Errors
    /// [`IntrospectionError`].
    pub async fn container_instance(&self) -> Result<Option<ContainerInstanceArn>, IntrospectionError> {
        Ok(self.registration().await?.map(|registration| registration.container_instance))
    }

    /// As [`Introspection::container_instance`], with the cluster.
    ///
    /// # Errors
    /// [`IntrospectionError`].
    pub async fn registration(&self) -> Result<Option<Registration>, IntrospectionError> {
        let metadata = self.get::<Metadata>("/v1/metadata").await?;
        Ok(metadata.container_instance.filter(|arn| !arn.is_empty()).map(|arn| Registration {
            cluster: metadata.cluster.unwrap_or_default().into(),
            container_instance: arn.into(),
        }))
    }

    /// The agent as it stands in a report. What it does not say is left out.
    pub async fn report(&self) -> ReportedAgent {
        let (state, container_instance) = match self.container_instance().await {
            Ok(Some(arn)) => (AgentState::Registered, Some(arn)),
            Ok(None) => (AgentState::Unregistered, None),
            Err(IntrospectionError::Down { .. }) => (AgentState::Down, None),
            Err(error) => {
                tracing::debug!("{error}");
                (AgentState::Missing, None)
            }
        };
        let tasks = match state {
            AgentState::Down => None,
            _ => self.tasks().await.ok().map(|tasks| tasks.iter().filter(|task| task.runs()).count()),
        };
        ReportedAgent { state, container_instance, tasks: tasks.and_then(|count| u32::try_from(count).ok()) }
    }

    async fn get<T: DeserializeOwned>(&self, target: &'static str) -> Result<T, IntrospectionError> {
        let body = self.body(target).await?;
        serde_json::from_slice(&body).map_err(|source| IntrospectionError::Malformed { target, source })
    }

    /// Returns what the agent answers to a GET, as it is.
    ///
    /// # Errors
    /// [`IntrospectionError`].
    pub async fn body(&self, target: &'static str) -> Result<Bytes, IntrospectionError> {
        let call = Call::get(target);
        let peer = self.0.peer();
        let answer = self.0.send(&call).await.map_err(|source| match source {
            TransportError::Refused { .. } => IntrospectionError::Down { peer },
            source => IntrospectionError::Silent { peer, target, source },
        })?;
        if answer.status != StatusCode::OK {
            return Err(IntrospectionError::Status { target, status: answer.status.as_u16() });
        }
        Ok(answer.body)
    }
}
