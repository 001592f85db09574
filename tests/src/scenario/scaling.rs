//! `[region.managed_scaling]`: how managed scaling behaves where AWS does not say it (docs/facts/auto-scaling.md).

use jiff::SignedDuration;
use serde::Deserialize;

/// How managed scaling, its alarms and tasks that wait for an instance behave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScalingBehaviour {
    /// What counts among the running instances of the metric, besides those that are ACTIVE and connected.
    pub counts: Vec<Counted>,
    /// While tasks wait, empty instances are taken off those that are needed.
    pub empty_taken_off: bool,
    /// The threshold of the Low alarm, in percent of a target below 100.
    pub low_alarm_at: u32,
    /// Whether tasks of a launch type keep an instance from being empty.
    pub launch_type_keeps: bool,
    /// When the termination protection of an empty DRAINING instance ends.
    pub unprotects_draining: Unprotects,
    /// Between two looks of managed termination protection.
    pub protection_cycle: SignedDuration,
    /// Whether a service's `pendingCount` counts tasks that wait.
    pub waiting_is_pending: bool,
    /// Whether tasks that wait count against `maximumPercent`.
    pub waiting_counts: bool,
    /// So many tasks of a cluster may wait.
    pub quota: usize,
    /// Whether a service says in an event that the quota keeps a task from waiting.
    pub quota_event: bool,
    /// How long a task waits at least, and at most.
    pub waits: (SignedDuration, SignedDuration),
    /// How long a service whose task waited in vain starts none, at least and at most.
    pub throttle: (SignedDuration, SignedDuration),
    /// Whether a task that waited in vain is tried at the same provider again; otherwise the strategy chooses once more.
    pub same_provider_again: bool,
    /// From a launch to the registration of the instance.
    pub boot: SignedDuration,
}

/// A kind of instance that the metric may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// DRAINING without tasks.
    Draining,
    /// Its agent is not connected.
    Disconnected,
    /// In `Terminating:Wait`.
    Terminating,
    /// In `Standby`.
    Standby,
    /// Launched, and not yet registered.
    Unregistered,
}

/// When an instance loses its protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unprotects {
    /// Within a minute.
    AtOnce,
    /// At the next look of managed termination protection.
    Cycle,
    /// Not while it is DRAINING (containers-roadmap#2814).
    Never,
}

impl Default for ScalingBehaviour {
    fn default() -> Self {
        Self {
            counts: vec![Counted::Draining, Counted::Disconnected, Counted::Standby],
            empty_taken_off: false,
            low_alarm_at: 100,
            launch_type_keeps: true,
            unprotects_draining: Unprotects::Cycle,
            protection_cycle: SignedDuration::from_mins(3),
            waiting_is_pending: true,
            waiting_counts: true,
            quota: 500,
            quota_event: true,
            waits: (SignedDuration::from_mins(10), SignedDuration::from_mins(30)),
            throttle: (SignedDuration::from_mins(1), SignedDuration::from_mins(15)),
            same_provider_again: false,
            boot: SignedDuration::from_secs(150),
        }
    }
}
