//! The settings of a run, joined and checked as a whole.

use models::ids::ClusterName;
use models::policy::Policy;

use super::error::{ConfigError, Problem};
use super::fragment::{Fragment, PolicyFragment};
use super::inputs::Inputs;

/// What a run works by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The DynamoDB table with the leases; `None`: runs are not kept apart.
    pub lease_table: Option<String>,
    /// The clusters to work on, in the order in which they were named; at least one, none twice.
    pub clusters: Vec<ClusterSettings>,
}

/// What one cluster is worked on by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster.
    pub name: ClusterName,
    /// Its settings.
    pub policy: Policy,
}

impl Inputs {
    /// Joins all places.
    ///
    /// The clusters are those of the flags; without any, those of the environment; without any, those of the file. A
    /// cluster named by flag or environment need not be in the file: then `[defaults]` apply to it.
    ///
    /// # Errors
    /// No cluster at all, or settings that do not go together.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let Self { file, environment, flags } = self;
        let mut problems = Vec::new();
        let listed = || file.iter().flat_map(|file| &file.clusters).map(|cluster| cluster.name.clone());
        let names = [flags.clusters, environment.clusters].into_iter().find(|names| !names.is_empty());
        let names = names.unwrap_or_else(|| listed().collect());
        if names.is_empty() {
            problems.push(Problem::NoCluster { file: file.as_ref().map(|file| file.source.clone()) });
        }
        let tables =
            [flags.lease_table, environment.lease_table, file.as_ref().and_then(|file| file.lease_table.clone())];
        let lease_table = tables.into_iter().flatten().next().flatten();
        let given = flags.policy.or(environment.policy);
        let clusters = names
            .into_iter()
            .map(|name| {
                let own = file.as_ref().map(|file| file.policy_of(&name)).unwrap_or_default();
                let policy = given.clone().or(own).over(Policy::default());
                problems.extend(same_documents(&name, &policy));
                ClusterSettings { name, policy }
            })
            .collect();
        ConfigError::unless_sound(Settings { lease_table, clusters }, problems)
    }
}

impl Fragment {
    /// What this file says for a cluster: its own `[[cluster]]` over `[defaults]`.
    pub fn policy_of(&self, name: &ClusterName) -> PolicyFragment {
        let own = self.clusters.iter().find(|cluster| cluster.name == *name);
        own.map(|cluster| cluster.policy.clone()).unwrap_or_default().or(self.defaults.clone())
    }

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
