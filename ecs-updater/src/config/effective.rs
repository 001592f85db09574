//! What holds for each cluster and where it comes from, for a person who asks. AWS is not asked: the clusters' tags are not in it.

use models::ids::{ClusterName, GroupName};
use models::policy::Policy;
use serde::Serialize;

use super::error::{ConfigError, Origin};
use super::fragment::GroupFragment;
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
        let clusters = settings.clusters.into_iter().map(|cluster| self.effective_for(cluster, environment));
        let api_share = Said { value: settings.api_share.to_string(), origin: self.origin_of_api_share() };
        Ok(Effective { version: 1, lease_table, api_share, clusters: clusters.collect() })
    }

    fn effective_for(&self, cluster: ClusterSettings, environment: &Environment) -> EffectiveCluster {
        let ClusterSettings { name, policy } = cluster;
        let said = |key: Key, policy: &Policy, group: Option<&GroupName>| {
            let origin = self.origin(key, (&name, group), environment);
            let origin = origin.map_or_else(|| DEFAULT.to_owned(), |origin| origin.to_string());
            Setting { key: key.path(), said: Said { value: key.value(policy), origin } }
        };
        match policy {
            Ok(policy) => {
                let settings = Key::all().map(|key| said(key, &policy, None)).collect();
                let groups = policy.groups.iter().map(|group| {
                    let budget = group.max_unavailable.unwrap_or(policy.max_unavailable);
                    let own = Policy { max_unavailable: budget, ..(*group.policy).clone() };
                    let has_budget = group.max_unavailable.is_some();
                    let keys = Key::all().filter(|key| key.may_stand_in_group());
                    let keys = keys.filter(|key| has_budget || key.path() != group::MAX_UNAVAILABLE);
                    EffectiveGroup {
                        group: group.name.clone(),
                        matches: group.matches.to_string(),
                        order: group.order,
                        settings: keys.map(|key| said(key, &own, Some(&group.name))).collect(),
                    }
                });
                let groups = groups.collect();
                EffectiveCluster { settings, groups, problems: Vec::new(), cluster: name }
            }
            Err(error) => {
                let problems = error.problems().iter().map(ToString::to_string).collect();
                EffectiveCluster { cluster: name, settings: Vec::new(), groups: Vec::new(), problems }
            }
        }
    }

    /// Returns who says what a key is for a cluster, or for a group of it; `None`: nobody does.
    fn origin(
        &self,
        key: Key,
        (name, group): (&ClusterName, Option<&GroupName>),
        environment: &Environment,
    ) -> Option<Origin> {
        let in_group = group.and_then(|group| group::find(&self.file.as_ref()?.clusters, name, group));
        let in_group = in_group.filter(|group| group.policy.has(key));
        // Whoever sets the cluster's, a group's budget is its own.
        let of_group = |group: &GroupFragment| {
            let source = self.file.as_ref()?.source.clone();
            let table = format!("[[cluster.group]] {:?} of [[cluster]] \"{name}\"", group.name.as_str());
            Some(Origin::File { source, place: group.policy.place(key), table })
        };
        if key.path() == group::MAX_UNAVAILABLE
            && let Some(group) = in_group
        {
            return of_group(group);
        }
        if self.flags.policy.has(key) {
            return Some(Origin::Flag(format!("--{}", key.flag())));
        }
        if self.environment.policy.has(key) {
            let variable = key.variable();
            let is_its_own = environment.get(&variable).is_some_and(|value| !value.is_empty());
            let place = self.environment.policy.place(key);
            let inside = || Origin::InVariable { name: SETTINGS_VARIABLE.to_owned(), place };
            return Some(if is_its_own { Origin::Variable(variable) } else { inside() });
        }
        if let Some(group) = in_group {
            return of_group(group);
        }
        let file = self.file.as_ref()?;
        let own = file.clusters.iter().find(|cluster| cluster.name == *name).map(|cluster| &cluster.policy);
        let own = own.filter(|policy| policy.has(key)).map(|policy| (policy, format!("[[cluster]] \"{name}\"")));
        let shared = || file.defaults.has(key).then(|| (&file.defaults, "[defaults]".to_owned()));
        let (policy, table) = own.or_else(shared)?;
        Some(Origin::File { source: file.source.clone(), place: policy.place(key), table })
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
