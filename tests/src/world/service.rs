//! A service: how many tasks of which kind, and how fast they may be replaced.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;

use super::ids::{ClusterNo, TaskNo};
use super::rebalancing::Rebalancing;
use super::rollout::Rollout;
use super::waiting::Waiting;
use crate::query::Filter;
use crate::scenario::{ServiceKind, StrategyItem, TaskShape};

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    pub arn: String,
    pub cluster: ClusterNo,
    /// Where its tasks go.
    pub kind: ServiceKind,
    /// Desired tasks; a DAEMON service computes its own.
    pub desired: u32,
    /// Its `minimumHealthyPercent`.
    pub min_percent: u32,
    /// Its `maximumPercent`.
    pub max_percent: u32,
    /// Family of its task definition.
    pub family: String,
    /// What its tasks are like.
    pub shape: TaskShape,
    /// Placement constraint `distinctInstance`.
    pub distinct_instance: bool,
    /// Placement constraint `memberOf`, with its text.
    pub member_of: Option<(String, Filter)>,
    /// The same of its task definition.
    pub definition_member_of: Option<(String, Filter)>,
    /// How its newest deployment stands.
    pub rollout: Rollout,
    /// `availabilityZoneRebalancing`, and what it moves.
    pub rebalancing: Rebalancing,
    /// Its capacity provider strategy; empty where it has the launch type EC2.
    pub strategy: Vec<StrategyItem>,
    /// Its tasks that are not STOPPED.
    pub tasks: BTreeSet<TaskNo>,
    /// Newest first, at most [`Service::MOST_EVENTS`].
    pub events: VecDeque<ServiceEvent>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Its tasks that wait for an instance, the oldest first.
    pub waiting: Vec<Waiting>,
    /// The providers at which its next tasks are tried again.
    pub(super) pinned: Vec<String>,
    /// Until when it starts none, since one has waited in vain.
    pub(super) throttled_until: Option<Timestamp>,
    /// A look at it is scheduled.
    pub(super) look_at: Option<Timestamp>,
    /// There was no room for a task at the last look.
    pub starved: bool,
    /// Whether the last event says that it is steady.
    pub(super) steady: bool,
    /// Counts the deployments.
    pub(super) deployment: u32,
    /// How many of its first tasks are protected, and how long.
    pub(super) protect_at_start: (u32, Option<jiff::SignedDuration>),
}

/// A line of a service's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEvent {
    /// A UUID.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// ECS's words.
    pub message: String,
}

impl Service {
    /// Its newest deployment.
    pub fn deployment(&self) -> u32 {
        self.deployment
    }

    /// ECS's name of its status: DRAINING while a deleted one still has tasks.
    pub fn status(&self) -> &'static str {
        match self.deleted_at {
            None => "ACTIVE",
            Some(_) if self.tasks.is_empty() => "INACTIVE",
            Some(_) => "DRAINING",
        }
    }

    /// Whether a task of it waits for an instance, or has waited in vain a short time ago.
    pub fn waits_for_capacity(&self, now: Timestamp) -> bool {
        !self.waiting.is_empty() || self.throttled_until.is_some_and(|until| now < until)
    }

    /// ECS shows the last 100.
    pub const MOST_EVENTS: usize = 100;

    /// What all its constraints ask for.
    pub(super) fn constraints(&self) -> impl Iterator<Item = &Filter> {
        self.member_of.iter().chain(&self.definition_member_of).map(|(_, filter)| filter)
    }

    /// How many tasks must be healthy at least: `minimumHealthyPercent`, rounded up (docs/facts/ecs.md#draining).
    pub fn min_healthy(&self) -> u32 {
        (u64::from(self.desired) * u64::from(self.min_percent)).div_ceil(100).try_into().unwrap_or(u32::MAX)
    }

    /// How many tasks there may be at most: `maximumPercent`, rounded down.
    pub fn max_total(&self) -> u32 {
        (u64::from(self.desired) * u64::from(self.max_percent) / 100).try_into().unwrap_or(u32::MAX)
    }
}
