//! TOML to a [`Fragment`].
//!
//! The document is walked by hand instead of through serde's derive: serde stops at the first error and forgets where
//! keys stood, and a person wants all mistakes of a file at once, each with its line and column.

use std::collections::{BTreeMap, BTreeSet};

use models::api_share::{ApiShare, NoApiShare};
use models::ids::ClusterName;
use toml::de::DeTable;

use super::error::{Advice, ConfigError, Origin, Place, Places, Problem};
use super::fragment::{ClusterFragment, Fragment, LEASE_TABLE_ALLOWED, PolicyFragment, cluster_name, lease_table};
use super::inline::on_lines_of_their_own;
use super::key::Key;
use super::syntax::NotAllowed;
use super::value::{Entry, Node, Value};

/// Reads a configuration from its text. `source` names it in messages; for a file that is its path.
///
/// What is wrong with one `[[cluster]]` alone is kept with it, where nothing else is wrong.
///
/// # Errors
/// Everything in it that is wrong, in the order of the text; for a text that is not TOML, the first place where it is
/// not.
pub fn parse(text: &str, source: &str) -> Result<Fragment, ConfigError> {
    read(entries(text, text, source)?, source)
}

/// Reads settings as they would stand under `[defaults]`, from a variable that holds them as
/// [`inline`](super::inline) says.
///
/// # Errors
/// Everything in it that is wrong, in the order of the text; for a text that is not TOML, the first place where it is
/// not.
pub(super) fn parse_variable(text: &str, name: &str) -> Result<PolicyFragment, ConfigError> {
    let entries = entries(&on_lines_of_their_own(text), text, &format!("environment variable {name}"))?;
    let mut reader = Reader { source: name, is_variable: true, problems: Vec::new() };
    let mut policy = PolicyFragment::default();
    reader.policy(entries, "", "", &mut policy);
    ConfigError::unless_sound(policy, reader.problems.into_iter().map(|(_, problem)| problem).collect())
}

/// The entries of a document. Places are those in `shown`, which has the same bytes at the same places.
fn entries(text: &str, shown: &str, label: &str) -> Result<Vec<Entry>, ConfigError> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map(|span| span.start);
    match errors.into_iter().min_by_key(start) {
        None => Ok(Entry::of_text(table.get_ref(), &Places::in_text(shown))),
        Some(error) => Err(ConfigError::new(Problem::Syntax {
            source_label: label.to_owned(),
            place: start(&error).map(|start| Place::of(shown, start)),
            message: format!("{}{}", error.message().trim_end().replace('\n', ", "), hint(shown, start(&error))),
        })),
    }
}

/// What people write in other languages, and TOML does not take.
fn hint(text: &str, at: Option<usize>) -> &'static str {
    let line = at.and_then(|at| {
        let start = text.get(..at)?.rfind('\n').map_or(0, |start| start + 1);
        text.get(start..)?.lines().next()
    });
    let ends_with_comma = line.is_some_and(|line| line.trim_end().ends_with(',') && line.contains('='));
    if text.contains('\0') {
        "; it looks like UTF-16: save it as UTF-8"
    } else if ends_with_comma {
        "; no comma stands at the end of a line in TOML"
    } else {
        ""
    }
}

/// Reads a configuration from a table inside another document. Messages name `source`, and no lines.
///
/// # Errors
/// As [`parse`].
pub fn from_table(table: &toml::Table, source: &str) -> Result<Fragment, ConfigError> {
    read(Entry::of_table(table), source)
}

fn read(entries: Vec<Entry>, source: &str) -> Result<Fragment, ConfigError> {
    let mut reader = Reader { source, is_variable: false, problems: Vec::new() };
    let mut fragment = reader.document(entries);
    let found = reader.problems;
    if found.iter().any(|(cluster, _)| cluster.is_none()) {
        return ConfigError::unless_sound(fragment, found.into_iter().map(|(_, problem)| problem).collect());
    }
    let mut of_clusters: BTreeMap<ClusterName, Vec<Problem>> = BTreeMap::new();
    for (owner, problem) in found {
        if let Some(owner) = owner {
            of_clusters.entry(owner).or_default().push(problem);
        }
    }
    for cluster in &mut fragment.clusters {
        cluster.problems = of_clusters.get(&cluster.name).cloned().unwrap_or_default();
    }
    Ok(fragment)
}

pub(super) struct Reader<'a> {
    /// The label of the text, or the name of the variable.
    source: &'a str,
    is_variable: bool,
    /// In the order of the text; with the cluster that one concerns alone.
    problems: Vec<(Option<ClusterName>, Problem)>,
}

const TOP: &str = "the top level";

impl Reader<'_> {
    fn document(&mut self, entries: Vec<Entry>) -> Fragment {
        let mut fragment = Fragment { source: self.source.to_owned(), ..Fragment::default() };
        for Entry { key, key_place, node } in entries {
            match (key.as_str(), node.value) {
                ("defaults", Value::Table(table)) => self.policy(table, "", "[defaults]", &mut fragment.defaults),
                ("defaults", value) => {
                    self.bad(&key, &value, node.place, TOP, "a table: write [defaults] on a line of its own");
                }
                ("lease_table", value) => match value.as_text().ok_or(NotAllowed).and_then(lease_table) {
                    Ok(table) => fragment.lease_table = Some(table),
                    Err(NotAllowed) => self.bad(&key, &value, node.place, TOP, LEASE_TABLE_ALLOWED),
                },
                ("api_share", value) => match value.as_text().map_or_else(|| value.shown(), str::to_owned).parse() {
                    Ok(share) => fragment.api_share = Some(share),
                    Err(NoApiShare) => self.bad(&key, &value, node.place, TOP, ApiShare::ALLOWED),
                },
                ("cluster", Value::Array(items)) => fragment.clusters = self.clusters(items),
                ("cluster", value) => {
                    self.bad(&key, &value, node.place, TOP, "a list of tables: write [[cluster]], with two brackets");
                }
                (_, _) => {
                    let advice = if Key::find(&key).is_some() || is_table(&key) {
                        Advice::BelongsIn("[defaults] or in a [[cluster]]")
                    } else {
                        Advice::for_unknown(
                            &key,
                            ["defaults", "cluster", "lease_table", "api_share"].map(str::to_owned),
                        )
                    };
                    let origin = self.origin(key_place, TOP);
                    self.note(Problem::UnknownKey { key, origin, advice });
                }
            }
        }
        fragment
    }

    fn clusters(&mut self, items: Vec<Node>) -> Vec<ClusterFragment> {
        let mut seen = BTreeSet::new();
        let mut clusters = Vec::new();
        for node in items {
            let before = self.problems.len();
            let Value::Table(mut entries) = node.value else {
                self.bad("cluster", &node.value, node.place, TOP, "a table: write [[cluster]] on a line of its own");
                continue;
            };
            let name = entries.iter().position(|entry| entry.key == "name").map(|at| entries.remove(at));
            let (name, table) = match name {
                Some(entry) => self.name(entry),
                None => {
                    let origin = self.origin(node.place, "[[cluster]]");
                    self.note(Problem::NamelessCluster { origin });
                    (None, "[[cluster]]".to_owned())
                }
            };
            let groups = entries.iter().position(|entry| entry.key == "group").map(|at| entries.remove(at).node);
            let groups = groups.map(|node| self.groups(node, &table)).unwrap_or_default();
            let mut policy = PolicyFragment::default();
            self.policy(entries, "", &table, &mut policy);
            let Some((name, place)) = name else { continue };
            if seen.insert(name.clone()) {
                for (owner, _) in &mut self.problems[before..] {
                    *owner = Some(name.clone());
                }
                clusters.push(ClusterFragment { name, policy, groups, problems: Vec::new() });
            } else {
                let origin = self.origin(place, "[[cluster]]");
                self.note(Problem::DuplicateCluster { name: name.as_str().to_owned(), origin });
            }
        }
        clusters
    }

    /// The cluster's name where it is one, and how messages call the table.
    fn name(&mut self, entry: Entry) -> (Option<(ClusterName, Option<Place>)>, String) {
        let place = entry.node.place;
        let Value::Scalar { text, shown } = entry.node.value else {
            self.bad("name", &entry.node.value, place, "[[cluster]]", "the name of an ECS cluster in quotes");
            return (None, "[[cluster]]".to_owned());
        };
        let table = format!("[[cluster]] {shown}");
        match cluster_name(&text, self.origin(place, "[[cluster]]")) {
            Ok(name) => (Some((name, place)), table),
            Err(problem) => {
                self.note(*problem);
                (None, table)
            }
        }
    }

    /// Reads the keys of a policy; `prefix` is empty, or the name of a table with a dot.
    pub(super) fn policy(&mut self, entries: Vec<Entry>, prefix: &str, table: &str, policy: &mut PolicyFragment) {
        for Entry { key, key_place, node } in entries {
            let path = format!("{prefix}{key}");
            match (Key::find(&path), node.value) {
                (Some(key), value) => {
                    if policy.set(key, &value, key_place).is_err() {
                        self.bad(&path, &value, node.place, table, &key.allowed_for(&value));
                    }
                }
                (None, Value::Table(entries)) if is_table(&path) => {
                    self.policy(entries, &format!("{path}."), table, policy);
                }
                (None, value) if is_table(&path) => {
                    let keys: Vec<&str> = Key::all().filter(|key| key.table() == Some(&path)).map(Key::path).collect();
                    self.bad(&path, &value, node.place, table, &format!("a table, such as {}", keys.join(", ")));
                }
                (None, _) if matches!(path.as_str(), "lease_table" | "api_share") && !self.is_variable => {
                    let origin = self.origin(key_place, table);
                    let advice = Advice::BelongsIn("the top of the file, above [defaults] and each [[cluster]]");
                    self.note(Problem::UnknownKey { key: path, origin, advice });
                }
                (None, _) if path == "group" => {
                    let origin = self.origin(key_place, table);
                    let advice = Advice::BelongsIn("a [[cluster]], as [[cluster.group]] below its keys");
                    self.note(Problem::UnknownKey { key: path, origin, advice });
                }
                (None, _) => {
                    let advice = advice(&path, prefix, table);
                    let origin = self.origin(key_place, table);
                    self.note(Problem::UnknownKey { key: path, origin, advice });
                }
            }
        }
    }

    pub(super) fn note(&mut self, problem: Problem) {
        self.problems.push((None, problem));
    }

    pub(super) fn bad(&mut self, key: &str, value: &Value, place: Option<Place>, table: &str, allowed: &str) {
        let origin = self.origin(place, table);
        self.note(Problem::BadValue { key: key.to_owned(), shown: value.shown(), origin, allowed: allowed.to_owned() });
    }

    pub(super) fn origin(&self, place: Option<Place>, table: &str) -> Origin {
        if self.is_variable {
            return Origin::InVariable { name: self.source.to_owned(), place };
        }
        Origin::File { source: self.source.to_owned(), place, table: table.to_owned() }
    }
}

/// What to write in place of an unknown key of a policy.
fn advice(path: &str, prefix: &str, table: &str) -> Advice {
    if let Some(key) = Key::all().find(|key| key.flag().replace('-', "_") == path) {
        return Advice::DidYouMean(key.path().to_owned());
    }
    let of_group = table.starts_with("[[cluster.group]]");
    let names: &[&str] = match prefix {
        "" if of_group => &["name", "match", "order"],
        "" if table.starts_with("[[") => &["name"],
        _ => &[],
    };
    let keys = Key::all().filter(|key| !of_group || key.may_stand_in_group()).map(Key::path);
    let keys = keys.filter(|path| path.starts_with(prefix));
    Advice::for_unknown(path, names.iter().copied().chain(keys).map(str::to_owned))
}

/// Whether this is a table of a policy, such as `timeouts`.
fn is_table(path: &str) -> bool {
    Key::all().any(|key| key.table() == Some(path))
}
