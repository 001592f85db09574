//! All places that say something, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use models::ids::ClusterName;

use super::error::{Advice, ConfigError, Origin, Problem};
use super::file::{parse, shown};
use super::fragment::{Fragment, LEASE_TABLE_ALLOWED, PolicyFragment, lease_table};
use super::key::{CLUSTERS_VARIABLE, CONFIG_VARIABLE, Key, LEASE_TABLE_VARIABLE, LOG_VARIABLE, VARIABLE_PREFIX};

/// What was given on the command line, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Each `--cluster`.
    pub clusters: Vec<String>,
    /// `--lease-table`.
    pub lease_table: Option<String>,
    /// The flags that have a [`Key`].
    pub values: Vec<(Key, String)>,
}

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// This process's variables with our prefix. Bytes that are not UTF-8 are replaced; no value of ours allows them.
pub fn environment() -> Environment {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect()
}

/// What the environment, or the flags, say for every cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// The clusters to work on; empty: not said here.
    pub clusters: Vec<ClusterName>,
    /// The table with the leases: not said here, none, or its name.
    pub lease_table: Option<Option<String>>,
    /// The settings.
    pub policy: PolicyFragment,
}

/// All places that say something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The configuration file, where there is one.
    pub file: Option<Fragment>,
    /// The environment.
    pub environment: Layer,
    /// The flags.
    pub flags: Layer,
}

impl Inputs {
    /// Reads the file that the flags or the environment name, the environment and the flags.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub fn gather(given: &Given, environment: &Environment) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let variable = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        let file = given.config.as_deref().or(variable.map(Path::new)).and_then(|path| match read(path) {
            Ok(fragment) => Some(fragment),
            Err(error) => {
                problems.extend(error.into_problems());
                None
            }
        });
        let environment = of_environment(environment, &mut problems);
        let flags = of_flags(given, &mut problems);
        ConfigError::unless_sound(Self { file, environment, flags }, problems)
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

fn read(path: &Path) -> Result<Fragment, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::new(Problem::Unreadable { path: path.to_owned(), error }))?;
    parse(&text, &path.display().to_string())
}

/// An empty variable says nothing, since templates often cannot leave a variable out.
fn of_environment(environment: &Environment, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
        let key = Key::ALL.into_iter().find(|key| key.variable() == *name);
        match (name.as_str(), key) {
            (CONFIG_VARIABLE | LOG_VARIABLE, _) => {}
            (CLUSTERS_VARIABLE, _) if value.trim().is_empty() => {}
            (CLUSTERS_VARIABLE, _) => {
                layer.clusters = clusters(value.split(',').map(str::trim), || Origin::Variable(name.clone()), problems);
            }
            (LEASE_TABLE_VARIABLE, _) => {
                let origin = || Origin::Variable(name.clone());
                layer.lease_table = table(value, origin, problems).filter(|_| !value.is_empty());
            }
            (_, Some(_)) if value.is_empty() => {}
            (_, Some(key)) => set(&mut layer.policy, key, value, || Origin::Variable(name.clone()), problems),
            (_, None) => {
                let special =
                    [CLUSTERS_VARIABLE, CONFIG_VARIABLE, LEASE_TABLE_VARIABLE, LOG_VARIABLE].map(str::to_owned);
                let known = special.into_iter().chain(Key::ALL.into_iter().map(Key::variable));
                let advice = Advice::for_unknown_behind(VARIABLE_PREFIX, name, known);
                problems.push(Problem::UnknownVariable { name: name.clone(), advice });
            }
        }
    }
    layer
}

fn of_flags(given: &Given, problems: &mut Vec<Problem>) -> Layer {
    let names = given.clusters.iter().map(String::as_str);
    let mut layer =
        Layer { clusters: clusters(names, || Origin::Flag("--cluster".into()), problems), ..Layer::default() };
    let origin = || Origin::Flag("--lease-table".into());
    layer.lease_table = given.lease_table.as_deref().and_then(|value| table(value, origin, problems));
    for (key, value) in &given.values {
        set(&mut layer.policy, *key, value, || Origin::Flag(format!("--{}", key.flag())), problems);
    }
    layer
}

fn table(value: &str, origin: impl Fn() -> Origin, problems: &mut Vec<Problem>) -> Option<Option<String>> {
    let table = lease_table(value);
    if table.is_err() {
        problems.push(Problem::BadValue {
            key: "lease_table".to_owned(),
            shown: shown(value),
            origin: origin(),
            allowed: LEASE_TABLE_ALLOWED.to_owned(),
        });
    }
    table.ok()
}

fn set(policy: &mut PolicyFragment, key: Key, value: &str, origin: impl Fn() -> Origin, problems: &mut Vec<Problem>) {
    if policy.set(key, value).is_err() {
        problems.push(Problem::BadValue {
            key: key.path().to_owned(),
            shown: shown(value),
            origin: origin(),
            allowed: key.allowed(),
        });
    }
}

fn clusters<'a>(
    names: impl Iterator<Item = &'a str>,
    origin: impl Fn() -> Origin,
    problems: &mut Vec<Problem>,
) -> Vec<ClusterName> {
    let mut seen = BTreeSet::new();
    let mut clusters = Vec::new();
    for name in names {
        match cluster_name(name, origin()) {
            Ok(name) if seen.insert(name.clone()) => clusters.push(name),
            Ok(name) => {
                problems.push(Problem::DuplicateCluster { name: name.as_str().to_owned(), origin: origin() });
            }
            Err(problem) => problems.push(*problem),
        }
    }
    clusters
}
