//! The settings of a run, joined and checked as a whole.

use std::collections::BTreeMap;

use models::api_share::ApiShare;
use models::ids::ClusterName;
use models::policy::{Policy, Target};

use super::error::{Advice, ConfigError, Problem};
use super::fragment::{ClusterFragment, Fragment};
use super::group::{Around, groups};
use super::inputs::Inputs;
use super::key::Key;
use super::tags::heard;

/// The path of the key that a person on the command line may set past the limits.
const TARGET: &str = "target";

/// What a run works by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The DynamoDB table with the leases; `None`: runs are not kept apart.
    pub lease_table: Option<String>,
    /// How much of the account's API rates a run may take by all its clusters together.
    pub api_share: ApiShare,
    /// The clusters of the run, in the order in which they were named; at least one that can be worked on, none twice.
    pub clusters: Vec<ClusterSettings>,
}

/// What one cluster is worked on by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    pub name: ClusterName,
    /// Its settings, or what is wrong with them: then it is not worked on.
    pub policy: Result<Policy, ConfigError>,
}

impl Inputs {
    /// Joins all places.
    ///
    /// The clusters are those of the flags; without any, those of the environment; without any, those of the file. A
    /// cluster named by flag or environment need not be in the file: then `[defaults]` apply to it.
    ///
    /// # Errors
    /// No cluster at all, or something wrong with the settings of each.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let names = self.names();
        if names.is_empty() {
            let file = self.file.as_ref().map(|file| file.source.clone());
            return Err(ConfigError::new(Problem::NoCluster { file }));
        }
        let settings = self.joined(names);
        if settings.clusters.iter().any(|cluster| cluster.policy.is_ok()) {
            return Ok(settings);
        }
        Err(ConfigError::all(settings.clusters.into_iter().filter_map(|cluster| cluster.policy.err())))
    }

    /// The clusters to work on.
    pub(super) fn names(&self) -> Vec<ClusterName> {
        let listed = || self.file.iter().flat_map(|file| &file.clusters).map(|cluster| cluster.name.clone()).collect();
        let named = [&self.flags.clusters, &self.environment.clusters].into_iter().find(|names| !names.is_empty());
        named.cloned().unwrap_or_else(listed)
    }

    /// What these clusters are worked on by, or what is wrong with each.
    pub(super) fn joined(&self, names: Vec<ClusterName>) -> Settings {
        let listed = self.listed();
        let settle =
            |name: ClusterName| ClusterSettings { policy: self.policy_of(&name, listed.get(&name).copied()), name };
        let in_file = self.file.as_ref().and_then(|file| file.lease_table.clone());
        let tables = [self.flags.lease_table.clone(), self.environment.lease_table.clone(), in_file];
        let lease_table = tables.into_iter().flatten().next().flatten();
        let in_file = self.file.as_ref().and_then(|file| file.api_share);
        let api_share = self.flags.api_share.or(self.environment.api_share).or(in_file).unwrap_or_default();
        Settings { lease_table, api_share, clusters: names.into_iter().map(settle).collect() }
    }

    /// The tables of the file's clusters.
    pub(super) fn listed(&self) -> BTreeMap<&ClusterName, &ClusterFragment> {
        self.file.iter().flat_map(|file| &file.clusters).map(|cluster| (&cluster.name, cluster)).collect()
    }

    /// `listed` is the cluster's table in the file.
    fn policy_of(&self, name: &ClusterName, listed: Option<&ClusterFragment>) -> Result<Policy, ConfigError> {
        let tagged = self.tags.get(name);
        let mut problems: Vec<Problem> =
            listed.into_iter().chain(tagged).flat_map(|own| own.problems.iter().cloned()).collect();
        let defaults = self.file.as_ref().map(|file| file.defaults.clone()).unwrap_or_default();
        let in_file = listed.map(|own| own.policy.clone()).unwrap_or_default().or(defaults);
        let lower = self.environment.policy.clone().or(in_file.clone());
        let base = lower.over(Policy::default());
        let open = self.flags.policy.over(base.clone());
        problems.extend(no_keys(name, &open));
        let heard = tagged.map(|tags| heard(tags, &self.flags.policy, &base, &open)).unwrap_or_default();
        problems.extend(heard.problems);
        let mut policy = self.flags.policy.clone().or(heard.policy).or(lower).over(Policy::default());
        if let Some(by_size) = &heard.from_tags.by_size {
            policy.max_unavailable = by_size.says.and(by_size.stands);
        }
        policy.from_tags = heard.from_tags;
        // Not one of the environment, which may have stood there for years.
        let on_command_line = Key::find(TARGET).is_some_and(|key| self.flags.policy.has(key));
        policy.target_is_named = on_command_line && matches!(policy.target, Target::Version(_));
        problems.extend(same_documents(name, &policy));
        let environment = &self.environment.policy;
        let around = Around { flags: &self.flags.policy, tags: tagged, environment, file: &in_file };
        policy.groups = groups(listed, &around, &policy);
        ConfigError::unless_sound(policy, problems)
    }
}

/// What `tags` opens must be a key.
fn no_keys(name: &ClusterName, policy: &Policy) -> Vec<Problem> {
    let keys = || Key::all().filter(|key| key.can_be_opened()).map(Key::path);
    let unknown = policy.tags.paths().filter(|path| !keys().any(|key| key == *path));
    let problem = |path: &str| Problem::NoSuchKey {
        key: path.to_owned(),
        cluster: name.as_str().to_owned(),
        advice: Advice::for_unknown(path, keys().map(str::to_owned)),
    };
    unknown.map(problem).collect()
}

impl Fragment {
    /// The settings by this file alone.
    ///
    /// # Errors
    /// As [`Inputs::settings`].
    pub fn settings(self) -> Result<Settings, ConfigError> {
        Inputs { file: Some(self), ..Inputs::default() }.settings()
    }
}

/// A document that stands for two steps would reboot where it should only write.
fn same_documents(name: &ClusterName, policy: &Policy) -> Vec<Problem> {
    let documents = &policy.documents;
    let steps = [
        ("inspect", &documents.inspect),
        ("stage", &documents.stage),
        ("reboot", &documents.reboot),
        ("revert", &documents.revert),
    ];
    let mut problems = Vec::new();
    for (at, (first, document)) in steps.iter().enumerate() {
        if let Some((second, _)) = steps[at + 1..].iter().find(|(_, other)| other == document) {
            problems.push(Problem::SameDocument {
                cluster: name.as_str().to_owned(),
                first,
                second,
                document: (*document).clone(),
            });
        }
    }
    problems
}
