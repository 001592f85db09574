//! The ECS agent's introspection API on `127.0.0.1:51678`: the shapes of `/v1/metadata` and `/v1/tasks`
//! (`amazon-ecs-agent`, `agent/handlers/v1`). What they say is the world's knowledge; it fills them in.

use serde::Serialize;

/// The answer to `/v1/metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// Short name of the cluster.
    pub cluster: String,
    /// `None`, written as null, before the agent has registered.
    pub container_instance_arn: Option<String>,
    /// Such as `Amazon ECS Agent - v1.98.0 (*1a2b3c4d)`.
    pub version: String,
}

/// The answer to `/v1/tasks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tasks {
    /// Every task that the agent still knows, stopped ones too.
    pub tasks: Vec<Task>,
}

/// A task as the agent knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// The task's ARN.
    pub arn: String,
    /// What the agent was told: `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// What the agent sees: `NONE`, `PULLED`, `CREATED`, `RUNNING`, `STOPPED`, …
    pub known_status: String,
    /// Family of the task definition.
    pub family: String,
    /// Revision of the task definition.
    pub version: String,
    pub containers: Vec<Container>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// Docker's id, 64 hexadecimal digits.
    pub docker_id: String,
    /// Docker's name, such as `ecs-web-3-app-…`.
    pub docker_name: String,
    /// The name in the task definition.
    pub name: String,
}

impl Metadata {
    /// The body.
    ///
    /// # Errors
    /// Never in practice: the shape has no map with odd keys.
    pub fn render(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl Tasks {
    /// The body.
    ///
    /// # Errors
    /// Never in practice: the shape has no map with odd keys.
    pub fn render(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
