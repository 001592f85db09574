//! What one place said: values that are right in themselves, any of them missing.

use std::collections::{BTreeMap, BTreeSet};

use models::api_share::ApiShare;
use models::ids::{ClusterName, GroupName};
use models::policy::Policy;
use models::query::Select;

use super::error::{Origin, Place, Problem};
use super::key::Key;
use super::syntax::NotAllowed;
use super::tag_rule::Join;
use super::value::Value;

/// One file, or another text of the same TOML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The label of the text, for a file its path.
    pub source: String,
    /// `lease_table`; `Some(None)` is the empty text, which stands for none.
    pub lease_table: Option<Option<String>>,
    pub api_share: Option<ApiShare>,
    /// `[defaults]`.
    pub defaults: PolicyFragment,
    /// Each `[[cluster]]`, in order; no name twice.
    pub clusters: Vec<ClusterFragment>,
}

/// What one place said for one cluster: its `[[cluster]]`, or its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFragment {
    pub name: ClusterName,
    /// What differs from lower places.
    pub policy: PolicyFragment,
    /// Each `[[cluster.group]]` of it, in order; no name twice.
    pub groups: Vec<GroupFragment>,
    /// What is wrong here. It concerns this cluster alone, which is not worked on then.
    pub problems: Vec<Problem>,
}

/// One `[[cluster.group]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFragment {
    pub name: GroupName,
    /// `match`.
    pub matches: Select,
    pub order: i32,
    /// What differs from the cluster's.
    pub policy: PolicyFragment,
}

/// The settings that one place gave for a cluster.
#[derive(Debug, Clone, Default)]
pub struct PolicyFragment {
    /// What was given, and where in its text.
    given: BTreeMap<Key, Option<Place>>,
    /// Holds the values of these keys; the rest of it means nothing.
    values: Policy,
}

/// What was given counts, wherever it stood.
impl PartialEq for PolicyFragment {
    fn eq(&self, other: &Self) -> bool {
        self.given.keys().eq(other.given.keys()) && self.values == other.values
    }
}

impl Eq for PolicyFragment {}

impl PolicyFragment {
    /// Returns these, and where they say nothing, the `lower` ones.
    #[must_use]
    pub fn or(mut self, lower: Self) -> Self {
        for (key, place) in lower.given {
            self.given.entry(key).or_insert_with(|| {
                key.copy(&lower.values, &mut self.values);
                place
            });
        }
        self
    }

    /// Returns these, and where they say nothing, what `policy` says.
    #[must_use]
    pub fn over(&self, mut policy: Policy) -> Policy {
        for key in self.given.keys() {
            key.copy(&self.values, &mut policy);
        }
        policy
    }

    /// The keys that were given.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.given.keys().copied()
    }

    /// Whether this key was given.
    pub(super) fn has(&self, key: Key) -> bool {
        self.given.contains_key(&key)
    }

    /// Returns where in its text the key was given, where there is one.
    pub(super) fn place(&self, key: Key) -> Option<Place> {
        self.given.get(&key).copied().flatten()
    }

    /// Returns what was given for these keys alone.
    #[must_use]
    pub(super) fn only(&self, keys: BTreeSet<Key>) -> Self {
        Self { given: keys.into_iter().map(|key| (key, self.place(key))).collect(), values: self.values.clone() }
    }

    /// Adds what a policy says by one key to what was given for it.
    pub(super) fn add(&mut self, key: Key, policy: &Policy, join: Join) {
        if self.has(key) {
            join(policy, &mut self.values);
        }
    }

    /// Sets one key from what was written.
    pub(super) fn set(&mut self, key: Key, value: &Value, place: Option<Place>) -> Result<(), NotAllowed> {
        key.set(&mut self.values, value)?;
        self.given.insert(key, place);
        Ok(())
    }
}

/// Checks a cluster's name as ECS would.
pub(super) fn cluster_name(name: &str, origin: Origin) -> Result<ClusterName, Box<Problem>> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    if let Some((_, last)) = name.strip_prefix("arn:").and_then(|arn| arn.rsplit_once('/')) {
        return Err(Box::new(Problem::ClusterArn { arn: name.to_owned(), name: last.to_owned(), origin }));
    }
    if (1..=255).contains(&name.len()) && name.chars().all(allowed) {
        Ok(ClusterName::new(name))
    } else {
        Err(Box::new(Problem::BadClusterName { name: name.to_owned(), origin }))
    }
}

/// What a value of `lease_table` may be, to follow "must be".
pub(super) const LEASE_TABLE_ALLOWED: &str =
    "the name of a DynamoDB table: 3 to 255 letters, digits and the characters _ - . ; or \"\" for none";

/// The pattern of `TableName` in the DynamoDB API; empty for none.
pub(super) fn lease_table(text: &str) -> Result<Option<String>, NotAllowed> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_-.".contains(char);
    match text.len() {
        0 => Ok(None),
        3..=255 if text.chars().all(allowed) => Ok(Some(text.to_owned())),
        _ => Err(NotAllowed),
    }
}
