//! What holds for each cluster and where it comes from, for a person who asks. AWS is not asked: the clusters' tags are not in it.

use std::collections::BTreeMap;

use models::ids::{ClusterName, GroupName};
use models::policy::Policy;
use serde::Serialize;

use super::error::{ConfigError, Origin};
use super::fragment::{ClusterFragment, GroupFragment, PolicyFragment};
use super::group;
use super::inputs::{Environment, Inputs};
use super::key::Key;
use super::names::{API_SHARE_VARIABLE, LEASE_TABLE_VARIABLE, SETTINGS_VARIABLE};
use super::settings::ClusterSettings;

/// All settings of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The version of this shape in JSON.
    pub version: u32,
    pub lease_table: Said,
    pub api_share: Said,
    pub clusters: Vec<EffectiveCluster>,
}

/// What one cluster is worked on by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveCluster {
    pub cluster: ClusterName,
    /// In the order of the documents; empty where something is wrong.
    pub settings: Vec<Setting>,
    /// Its groups, by order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<EffectiveGroup>,
    /// What is wrong with it, in full sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What a group of a cluster's instances is worked on by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveGroup {
    pub group: GroupName,
    /// The expression.
    #[serde(rename = "match")]
    pub matches: String,
    pub order: i32,
    /// What a group may set, in the order of the documents. `max_unavailable` only where the group has its own: it is beside
    /// the cluster's.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub key: &'static str,
    #[serde(flatten)]
    pub said: Said,
}

/// A value, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// As it would stand in TOML.
    pub value: String,
    /// The place, or `default`.
    pub origin: String,
}

/// Where nobody says anything.
const DEFAULT: &str = "default";

impl Effective {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.problems.is_empty())
    }
}

impl Inputs {
    /// Joins all places, with the origin of each value. `environment` is the one that these were gathered from.
    ///
    /// # Errors
    /// No cluster is named.
    pub fn effective(&self, environment: &Environment) -> Result<Effective, ConfigError> {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) if self.names().is_empty() => return Err(error),
            Err(_) => self.joined(self.names()),
        };
        let lease_table = Said {
            value: format!("{:?}", settings.lease_table.clone().unwrap_or_default()),
            origin: self.origin_of_lease_table(),
        };
        let tables = self.listed();
        let clusters = settings.clusters.into_iter().map(|cluster| {
            let listed = tables.get(&cluster.name).copied();
            self.effective_for(cluster, listed, environment)
        });
        let api_share = Said { value: settings.api_share.to_string(), origin: self.origin_of_api_share() };
        Ok(Effective { version: 1, lease_table, api_share, clusters: clusters.collect() })
    }

    /// `listed` is the cluster's table in the file.
    fn effective_for(
        &self,
        cluster: ClusterSettings,
        listed: Option<&ClusterFragment>,
        environment: &Environment,
    ) -> EffectiveCluster {
        let ClusterSettings { name, policy } = cluster;
        let policy = match policy {
            Ok(policy) => policy,
            Err(error) => {
                let problems = error.problems().iter().map(ToString::to_string).collect();
                return EffectiveCluster { cluster: name, settings: Vec::new(), groups: Vec::new(), problems };
            }
        };
        let said = |key: Key, policy: &Policy, tables: &Tables<'_>| {
            let origin = self.origin(key, tables, environment);
            let origin = origin.map_or_else(|| DEFAULT.to_owned(), |origin| origin.to_string());
            Setting { key: key.path(), said: Said { value: key.value(policy), origin } }
        };
        let tables = self.tables(listed);
        let settings = Key::all().map(|key| said(key, &policy, &tables)).collect();
        let listed_groups: BTreeMap<&GroupName, &GroupFragment> =
            listed.iter().flat_map(|listed| &listed.groups).map(|group| (&group.name, group)).collect();
        let groups = policy.groups.iter().map(|group| {
            let budget = group.max_unavailable.unwrap_or(policy.max_unavailable);
            let own = Policy { max_unavailable: budget, ..(*group.policy).clone() };
            let has_budget = group.max_unavailable.is_some();
            let keys = Key::all().filter(|key| key.may_stand_in_group());
            let keys = keys.filter(|key| has_budget || key.path() != group::MAX_UNAVAILABLE);
            let tables = tables.and_of_group(listed_groups.get(&group.name).copied(), &name);
            EffectiveGroup {
                group: group.name.clone(),
                matches: group.matches.to_string(),
                order: group.order,
                settings: keys.map(|key| said(key, &own, &tables)).collect(),
            }
        });
        let groups = groups.collect();
        EffectiveCluster { settings, groups, problems: Vec::new(), cluster: name }
    }

    /// Returns who says what a key is for a cluster, or for a group of it, with these tables; `None`: nobody does.
    fn origin(&self, key: Key, tables: &Tables<'_>, environment: &Environment) -> Option<Origin> {
        // A group's budget is beside the cluster's, even where a flag or a variable sets that one.
        let is_its_own = tables.is_of_group && key.path() == group::MAX_UNAVAILABLE;
        let above = self.origin_above_file(key, environment).filter(|_| !is_its_own);
        above.or_else(|| tables.origin(key))
    }

    fn origin_above_file(&self, key: Key, environment: &Environment) -> Option<Origin> {
        if self.flags.policy.has(key) {
            return Some(Origin::Flag(format!("--{}", key.flag())));
        }
        if !self.environment.policy.has(key) {
            return None;
        }
        let variable = key.variable();
        if environment.get(&variable).is_some_and(|value| !value.is_empty()) {
            return Some(Origin::Variable(variable));
        }
        let place = self.environment.policy.place(key);
        Some(Origin::InVariable { name: SETTINGS_VARIABLE.to_owned(), place })
    }

    /// Returns the tables of the file that say something for a cluster; `listed` is its own.
    fn tables<'f>(&'f self, listed: Option<&'f ClusterFragment>) -> Tables<'f> {
        let of_cluster = listed.map(|own| (&own.policy, format!("[[cluster]] \"{}\"", own.name)));
        let defaults = self.file.as_ref().map(|file| (&file.defaults, "[defaults]".to_owned()));
        Tables {
            source: self.file.as_ref().map_or("", |file| &file.source),
            by_rank: of_cluster.into_iter().chain(defaults).collect(),
            is_of_group: false,
        }
    }

    fn origin_of_lease_table(&self) -> String {
        let is_in_file = self.file.as_ref().is_some_and(|file| file.lease_table.is_some());
        let (flag, variable) = (&self.flags.lease_table, &self.environment.lease_table);
        self.origin_at_the_top(
            flag.is_some().then_some("--lease-table"),
            variable.is_some().then_some(LEASE_TABLE_VARIABLE),
            is_in_file,
        )
    }

    fn origin_of_api_share(&self) -> String {
        let is_in_file = self.file.as_ref().is_some_and(|file| file.api_share.is_some());
        let (flag, variable) = (self.flags.api_share, self.environment.api_share);
        self.origin_at_the_top(flag.map(|_| "--api-share"), variable.map(|_| API_SHARE_VARIABLE), is_in_file)
    }

    /// Returns who says what a key is that holds for the whole run.
    fn origin_at_the_top(&self, flag: Option<&str>, variable: Option<&str>, is_in_file: bool) -> String {
        let file = self.file.as_ref().filter(|_| is_in_file).map(|file| format!("the top of {}", file.source));
        let flag = flag.map(|flag| Origin::Flag(flag.to_owned()).to_string());
        let variable = || variable.map(|variable| Origin::Variable(variable.to_owned()).to_string());
        flag.or_else(variable).or(file).unwrap_or_else(|| DEFAULT.to_owned())
    }
}

/// The tables of a file that say something for a cluster, or for a group of it.
#[derive(Clone)]
struct Tables<'f> {
    /// The label of the file.
    source: &'f str,
    /// The one that counts first in front; each with what messages call it.
    by_rank: Vec<(&'f PolicyFragment, String)>,
    is_of_group: bool,
}

impl<'f> Tables<'f> {
    /// Returns these below the group's own.
    fn and_of_group(&self, own: Option<&'f GroupFragment>, cluster: &ClusterName) -> Self {
        let name =
            |own: &GroupFragment| format!("[[cluster.group]] {:?} of [[cluster]] \"{cluster}\"", own.name.as_str());
        let own = own.map(|own| (&own.policy, name(own)));
        let by_rank = own.into_iter().chain(self.by_rank.iter().cloned()).collect();
        Self { by_rank, is_of_group: true, ..*self }
    }

    fn origin(&self, key: Key) -> Option<Origin> {
        let (policy, table) = self.by_rank.iter().find(|(policy, _)| policy.has(key))?;
        Some(Origin::File { source: self.source.to_owned(), place: policy.place(key), table: table.clone() })
    }
}
