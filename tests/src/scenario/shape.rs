//! What services and tasks are like.

use jiff::SignedDuration;

/// Scheduling strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceKind {
    /// So many tasks, spread over zones and instances.
    Replica,
    /// One on each instance.
    Daemon,
}

impl ServiceKind {
    /// ECS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replica => "REPLICA",
            Self::Daemon => "DAEMON",
        }
    }
}

/// Which zones are the configured ones of zone rebalancing on EC2 (docs/facts/room.md#zone-rebalancing: unknown).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebalancedZones {
    /// Those of the instances that take tasks.
    #[default]
    InService,
    /// Those of all container instances, as long as they are registered.
    Registered,
}

/// Size and manners of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskShape {
    /// CPU units.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// A fixed TCP port of the host.
    pub host_port: Option<u16>,
    /// Whole GPUs.
    pub gpus: u32,
    /// Whether it has a network interface of its own (network mode `awsvpc`).
    pub awsvpc: bool,
    /// From PENDING to RUNNING.
    pub start_delay: SignedDuration,
    /// From RUNNING to healthy: 40 s where there is neither health check nor load balancer
    /// (docs/facts/ecs.md#draining).
    pub health_delay: SignedDuration,
    /// How long a load balancer drains its connections first (DEACTIVATING).
    pub deregistration_delay: SignedDuration,
    /// How long its containers take to stop after SIGTERM.
    pub stop_time: SignedDuration,
    /// After which they are killed.
    pub stop_timeout: SignedDuration,
}

impl Default for TaskShape {
    fn default() -> Self {
        Self {
            cpu: 256,
            memory: 512,
            host_port: None,
            gpus: 0,
            awsvpc: false,
            start_delay: SignedDuration::from_secs(5),
            health_delay: SignedDuration::from_secs(40),
            deregistration_delay: SignedDuration::ZERO,
            stop_time: SignedDuration::from_secs(5),
            stop_timeout: SignedDuration::from_secs(30),
        }
    }
}
