//! `[region]`: how AWS itself behaves.

use jiff::SignedDuration;
use models::policy::BridgePolicy;
use serde::Deserialize;

use super::groups::{ActiveWhileTerminating, TargetLifecycle};
use super::scaling::ScalingBehaviour;
use super::shape::RebalancedZones;

/// How AWS behaves in this scenario. What `docs/facts/` calls unknown is a switch here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionSpec {
    /// Name of the Region.
    pub name: String,
    /// Account id, twelve digits.
    pub account: String,
    /// Least time that an API call takes.
    pub latency_min: SignedDuration,
    /// Most time that an API call takes.
    pub latency_max: SignedDuration,
    /// Whether the token buckets refuse calls.
    pub throttle: bool,
    /// SSM's rates are not published; this is what each of its actions gets: burst and tokens a second.
    pub ssm_rate: (u32, u32),
    /// Operations that the caller has no permission for, such as `ecs:StopTask`.
    pub deny: Vec<String>,

    /// What the role of the hosts lets their bridges report on. An updater that reaches hosts by them is told the same,
    /// unless `[updater]` says otherwise.
    pub bridge_policy: BridgePolicy,
    /// Whether the container instances have the tag that names their EC2 instance from the start, as after an earlier run.
    pub instances_named: bool,

    /// From the agent's stop to `agentConnected = false`: "within a few minutes". A host that is back earlier never
    /// shows false.
    pub agent_lost_after: SignedDuration,
    /// How often the agent's connection breaks in normal life ("several times an hour"); never where it is missing.
    pub agent_flap_every: Option<SignedDuration>,
    /// How long such a break is.
    pub agent_flap_for: SignedDuration,
    /// Whether DRAINING survives a re-registration.
    pub draining_survives: bool,
    /// Whether attributes that a caller put survive a re-registration.
    pub attributes_survive: bool,
    /// Whether an agent that comes back on a lower version than it registered with registers under a new ARN.
    pub new_arn_after_rollback: bool,
    /// Whether draining leaves protected tasks alone.
    pub drain_honours_protection: bool,
    /// Whether `StartTask`, which names its instance and passes by the scheduler, starts a task on a DRAINING one.
    pub start_task_on_draining: bool,
    /// Whether an instance without a free GPU has an empty entry for GPUs; else it has none.
    pub empty_gpu_entry: bool,
    /// From a steady state to a look at the zones of a service that rebalances them.
    pub rebalance_after: SignedDuration,
    /// Which zones such a service is spread over.
    pub rebalance_over: RebalancedZones,
    /// Whether tasks on DRAINING instances count where a capacity provider strategy chooses the provider of their
    /// replacements (docs/facts/auto-scaling.md#capacity-providers).
    pub strategy_counts_leaving: bool,
    /// How long `STOPPED` tasks stay visible: at least an hour.
    pub stopped_tasks_visible: SignedDuration,
    /// How long a deleted service stays visible (docs/facts/ecs.md#tasks-and-services).
    pub deleted_services_visible: SignedDuration,
    /// From the end of an EC2 instance to its deregistration, if its agent was connected.
    pub deregister_after: SignedDuration,

    /// What becomes of an instance that somebody sets ACTIVE while its group waits to end it.
    pub active_while_terminating: ActiveWhileTerminating,
    /// What the metadata service says of where its Auto Scaling group takes an instance.
    pub target_lifecycle: TargetLifecycle,
    /// How managed scaling behaves.
    pub managed_scaling: ScalingBehaviour,

    /// How long the status checks are `initializing` after an instance was started (docs/facts/ec2.md#instances-and-status-checks).
    pub status_checks_begin: SignedDuration,
    /// How long the status checks stay `ok` after a host went down.
    pub status_check_lag: SignedDuration,
    /// How old the tags in an answer may be at most: EC2's API is eventually consistent.
    pub tags_lag: SignedDuration,
    /// Whether a `CreateTags` that one of its instances cannot take leaves the tags on those that are named before it;
    /// otherwise it changes nothing (docs/facts/ec2.md#tags).
    pub refused_tags_stay: bool,
    /// How late a changed tag shows in the metadata service of an instance at most, on each by its own time: that it
    /// shows while the instance runs is all that is documented.
    pub metadata_lag: SignedDuration,
    /// How old what `ListContainerInstances` and `ListTasks` select by may be at most.
    pub lists_lag: SignedDuration,
    /// How old status and connection of an instance may be at most in an answer of `DescribeContainerInstances`, also
    /// after the caller's own write (docs/facts/ecs.md#consistency).
    pub describes_lag: SignedDuration,

    /// Of a hundred entries for an event bus so many are not taken.
    pub events_refused: u64,

    /// Of a hundred commands so many never reach their host.
    pub ssm_loses: u64,
    /// Of a hundred commands that ended on their host so many are never reported.
    pub ssm_forgets: u64,
    /// How late a command may be delivered at most.
    pub ssm_late: SignedDuration,
    /// How much too early `ResponseFinishDateTime` dates the end of a command (docs/facts/ssm.md#answers).
    pub ssm_dated_early: SignedDuration,
    /// How long the SSM agent must be silent for `ConnectionLost`.
    pub ping_lag: SignedDuration,
    /// Whether `SendCommand` takes a host that is `ConnectionLost`; otherwise it is `InvalidInstanceId`.
    pub send_to_connection_lost: bool,
}

impl Default for RegionSpec {
    fn default() -> Self {
        Self {
            name: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            latency_min: SignedDuration::from_millis(30),
            latency_max: SignedDuration::from_millis(60),
            throttle: true,
            ssm_rate: (40, 10),
            deny: Vec::new(),
            bridge_policy: BridgePolicy::OwnHost,
            instances_named: true,
            agent_lost_after: SignedDuration::from_mins(3),
            agent_flap_every: None,
            agent_flap_for: SignedDuration::from_secs(5),
            draining_survives: true,
            attributes_survive: true,
            new_arn_after_rollback: false,
            drain_honours_protection: false,
            start_task_on_draining: true,
            empty_gpu_entry: false,
            rebalance_after: SignedDuration::from_mins(5),
            rebalance_over: RebalancedZones::default(),
            strategy_counts_leaving: false,
            stopped_tasks_visible: SignedDuration::from_hours(1),
            deleted_services_visible: SignedDuration::from_hours(1),
            deregister_after: SignedDuration::from_secs(30),
            active_while_terminating: ActiveWhileTerminating::default(),
            target_lifecycle: TargetLifecycle::default(),
            managed_scaling: ScalingBehaviour::default(),
            status_checks_begin: SignedDuration::from_mins(2),
            status_check_lag: SignedDuration::from_mins(2),
            tags_lag: SignedDuration::ZERO,
            refused_tags_stay: false,
            metadata_lag: SignedDuration::ZERO,
            lists_lag: SignedDuration::ZERO,
            describes_lag: SignedDuration::ZERO,
            events_refused: 0,
            ssm_loses: 0,
            ssm_forgets: 0,
            ssm_late: SignedDuration::ZERO,
            ssm_dated_early: SignedDuration::ZERO,
            ping_lag: SignedDuration::from_mins(5),
            send_to_connection_lost: true,
        }
    }
}
