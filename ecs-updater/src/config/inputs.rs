//! All places that say something, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use models::api_share::ApiShare;
use models::ids::ClusterName;

use super::error::{Advice, ConfigError, Origin, Problem, shown};
use super::file::{parse, parse_variable};
use super::fragment::{ClusterFragment, Fragment, LEASE_TABLE_ALLOWED, PolicyFragment, cluster_name, lease_table};
use super::key::Key;
use super::names::{
    API_SHARE_VARIABLE, CLUSTERS_VARIABLE, CONFIG_VARIABLE, LEASE_TABLE_VARIABLE, LOG_VARIABLE, METRICS_VARIABLE,
    PARAMETER_PREFIX, SETTINGS_VARIABLE, VARIABLE_PREFIX,
};
use super::tags::of_tags;
use super::value::Value;

/// What was given on the command line, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `--config`.
    pub config: Option<String>,
    /// Each `--cluster`.
    pub clusters: Vec<String>,
    /// `--lease-table`.
    pub lease_table: Option<String>,
    /// `--api-share`.
    pub api_share: Option<String>,
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
    pub api_share: Option<ApiShare>,
    pub policy: PolicyFragment,
}

/// All places that say something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The configuration file, or the SSM parameter in its place, where there is one.
    pub file: Option<Fragment>,
    /// What the environment says.
    pub environment: Layer,
    /// The clusters' tags.
    pub tags: BTreeMap<ClusterName, ClusterFragment>,
    /// What the flags say.
    pub flags: Layer,
}

/// The name of the SSM parameter that holds the configuration, where the flags or the environment name one.
///
/// # Errors
/// A name that SSM would not take.
pub fn parameter(given: &Given, environment: &Environment) -> Result<Option<String>, ConfigError> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_.-/:".contains(char);
    match place(given, environment) {
        Some((place, origin)) => match place.strip_prefix(PARAMETER_PREFIX) {
            Some(name) if !name.is_empty() && name.chars().all(allowed) => Ok(Some(name.to_owned())),
            Some(name) => Err(ConfigError::new(Problem::BadParameterName { name: name.to_owned(), origin })),
            None => Ok(None),
        },
        None => Ok(None),
    }
}

impl Inputs {
    /// Reads the file that the flags or the environment name, the environment and the flags. `text` is that of the
    /// SSM parameter where [`parameter`] names one; `None`: there is no such parameter.
    ///
    /// # Errors
    /// Everything that is wrong in any of them, but for what concerns one cluster alone.
    pub fn gather(given: &Given, environment: &Environment, text: Option<&str>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let file = place(given, environment).and_then(|(place, _)| match read(&place, text) {
            Ok(fragment) => Some(fragment),
            Err(error) => {
                problems.extend(error.into_problems());
                None
            }
        });
        let environment = of_environment(environment, &mut problems);
        let flags = of_flags(given, &mut problems);
        ConfigError::unless_sound(Self { file, environment, tags: BTreeMap::new(), flags }, problems)
    }

    /// These, and the tags of the clusters.
    #[must_use]
    pub fn with_tags(mut self, tags: &BTreeMap<ClusterName, BTreeMap<String, String>>) -> Self {
        self.tags = tags.iter().map(|(cluster, tags)| (cluster.clone(), of_tags(cluster, tags))).collect();
        self
    }
}

/// Where the configuration is, and who says so.
fn place(given: &Given, environment: &Environment) -> Option<(String, Origin)> {
    let flag = given.config.clone().map(|place| (place, Origin::Flag("--config".into())));
    let variable = environment.get(CONFIG_VARIABLE).filter(|place| !place.is_empty()).cloned();
    flag.or(variable.map(|place| (place, Origin::Variable(CONFIG_VARIABLE.into()))))
}

fn read(place: &str, parameter: Option<&str>) -> Result<Fragment, ConfigError> {
    if let Some(name) = place.strip_prefix(PARAMETER_PREFIX) {
        let missing = || ConfigError::new(Problem::NoParameter { name: name.to_owned() });
        return parse(parameter.ok_or_else(missing)?, place);
    }
    let unreadable =
        |error: std::io::Error| Problem::Unreadable { path: Path::new(place).to_owned(), error: error.to_string() };
    let bytes = std::fs::read(place).map_err(|error| ConfigError::new(unreadable(error)))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let is_wide = error.as_bytes().starts_with(&[0xff, 0xfe]) || error.as_bytes().starts_with(&[0xfe, 0xff]);
        let what = if is_wide { "it is UTF-16: save it as UTF-8" } else { "it is not UTF-8: save it as that" };
        ConfigError::new(unreadable(std::io::Error::other(what)))
    })?;
    // Some editors write a mark of the encoding.
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text), place)
}

/// The variables that are no keys.
const SPECIAL: [&str; 7] = [
    API_SHARE_VARIABLE,
    CLUSTERS_VARIABLE,
    CONFIG_VARIABLE,
    LEASE_TABLE_VARIABLE,
    LOG_VARIABLE,
    METRICS_VARIABLE,
    SETTINGS_VARIABLE,
];

/// An empty variable says nothing, since templates often cannot leave a variable out. What the variable of one key says
/// comes before what stands among several.
fn of_environment(environment: &Environment, problems: &mut Vec<Problem>) -> Layer {
    let (mut layer, mut several) = (Layer::default(), PolicyFragment::default());
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
        let key = Key::all().find(|key| key.variable() == *name);
        match (name.as_str(), key) {
            (CONFIG_VARIABLE | LOG_VARIABLE | METRICS_VARIABLE, _) => {}
            (SETTINGS_VARIABLE, _) => match parse_variable(value, name) {
                Ok(policy) => several = policy,
                Err(error) => problems.extend(error.into_problems()),
            },
            (CLUSTERS_VARIABLE, _) if value.trim().is_empty() => {}
            (CLUSTERS_VARIABLE, _) => {
                layer.clusters = clusters(value.split(',').map(str::trim), || Origin::Variable(name.clone()), problems);
            }
            (LEASE_TABLE_VARIABLE, _) => {
                let origin = || Origin::Variable(name.clone());
                layer.lease_table = table(value, origin, problems).filter(|_| !value.is_empty());
            }
            (API_SHARE_VARIABLE, _) if value.is_empty() => {}
            (API_SHARE_VARIABLE, _) => {
                layer.api_share = api_share(value, || Origin::Variable(name.clone()), problems);
            }
            (_, Some(_)) if value.is_empty() => {}
            (_, Some(key)) => set(&mut layer.policy, key, value, || Origin::Variable(name.clone()), problems),
            (_, None) => {
                let known = SPECIAL.map(str::to_owned).into_iter().chain(Key::all().map(Key::variable));
                let advice = Advice::for_unknown_behind(VARIABLE_PREFIX, name, known);
                problems.push(Problem::UnknownVariable { name: name.clone(), advice });
            }
        }
    }
    layer.policy = layer.policy.or(several);
    layer
}

fn of_flags(given: &Given, problems: &mut Vec<Problem>) -> Layer {
    let names = given.clusters.iter().map(String::as_str);
    let mut layer =
        Layer { clusters: clusters(names, || Origin::Flag("--cluster".into()), problems), ..Layer::default() };
    let origin = || Origin::Flag("--lease-table".into());
    layer.lease_table = given.lease_table.as_deref().and_then(|value| table(value, origin, problems));
    let origin = || Origin::Flag("--api-share".into());
    layer.api_share = given.api_share.as_deref().and_then(|value| api_share(value, origin, problems));
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

fn api_share(value: &str, origin: impl Fn() -> Origin, problems: &mut Vec<Problem>) -> Option<ApiShare> {
    let share = value.parse();
    if share.is_err() {
        problems.push(Problem::BadValue {
            key: "api_share".to_owned(),
            shown: shown(value),
            origin: origin(),
            allowed: ApiShare::ALLOWED.to_owned(),
        });
    }
    share.ok()
}

fn set(policy: &mut PolicyFragment, key: Key, value: &str, origin: impl Fn() -> Origin, problems: &mut Vec<Problem>) {
    let value = Value::text(value);
    if policy.set(key, &value, None).is_err() {
        problems.push(Problem::BadValue {
            key: key.path().to_owned(),
            shown: value.shown(),
            origin: origin(),
            allowed: key.allowed_for(&value),
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
