//! A scenario as its file has it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Table;

use super::alarm::AlarmSpec;
use super::bucket::BucketSpec;
use super::document::DocumentSpec;
use super::fault::FaultSpec;
use super::function::FunctionSpec;
use super::groups::GroupSpec;
use super::parameter::ParameterSpec;
use super::providers::{ProviderSpec, StrategyItem};
use super::region::RegionSpec;
use super::workload::{ServiceSpec, TaskSpec};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) about: String,
    #[serde(default)]
    pub(super) seed: u64,
    pub(super) start: Option<String>,
    #[serde(default)]
    pub(super) warm_up: SignedDuration,
    #[serde(default)]
    pub(super) region: RegionSpec,
    #[serde(default)]
    pub(super) repository: Table,
    #[serde(default)]
    pub(super) clusters: Vec<String>,
    #[serde(default)]
    pub(super) cluster_tags: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) instances: Vec<Table>,
    #[serde(default)]
    pub(super) host: Vec<Table>,
    #[serde(default)]
    pub(super) groups: BTreeMap<String, GroupSpec>,
    #[serde(default)]
    pub(super) providers: BTreeMap<String, ProviderSpec>,
    #[serde(default)]
    pub(super) default_strategy: BTreeMap<String, Vec<StrategyItem>>,
    #[serde(default)]
    pub(super) service: Vec<ServiceSpec>,
    #[serde(default)]
    pub(super) task: Vec<TaskSpec>,
    #[serde(default)]
    pub(super) event: Vec<Table>,
    #[serde(default)]
    pub(super) fault: Vec<FaultSpec>,
    #[serde(default)]
    pub(super) documents: BTreeMap<String, DocumentSpec>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, ParameterSpec>,
    #[serde(default)]
    pub(super) alarms: BTreeMap<String, AlarmSpec>,
    #[serde(default)]
    pub(super) buckets: BTreeMap<String, BucketSpec>,
    #[serde(default)]
    pub(super) function: Vec<FunctionSpec>,
    #[serde(default)]
    pub(super) tables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) updater: Table,
    #[serde(default)]
    pub(super) expect: Table,
}
