//! TOML to a [`Fragment`].
//!
//! The document is walked by hand instead of through serde's derive: serde stops at the first error and forgets where
//! keys stood, and a person wants all mistakes of a file at once, each with its line and column.

use std::collections::BTreeSet;

use models::ids::ClusterName;
use toml::de::DeTable;

use super::error::{Advice, ConfigError, Origin, Place, Problem};
use super::fragment::{
    ClusterFragment, Fragment, LEASE_TABLE_ALLOWED, NotAllowed, PolicyFragment, cluster_name, lease_table,
};
use super::key::Key;
use super::value::{Entry, Node, Value};

/// Reads a configuration from its text. `source` names it in messages; for a file that is its path.
///
/// What is wrong with one `[[cluster]]` alone is kept with it, where nothing else is wrong.
///
/// # Errors
/// Everything in it that is wrong, in the order of the text; for a text that is not TOML, the first place where it is
/// not.
pub fn parse(text: &str, source: &str) -> Result<Fragment, ConfigError> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map(|span| span.start);
    match errors.into_iter().min_by_key(start) {
        None => read(Entry::of_text(table.get_ref(), text), source),
        Some(error) => Err(ConfigError::new(Problem::Syntax {
            source_label: source.to_owned(),
            place: start(&error).map(|start| Place::of(text, start)),
            message: error.message().trim_end().replace('\n', ", "),
        })),
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
    let mut reader = Reader { source, problems: Vec::new() };
    let mut fragment = reader.document(entries);
    let found = reader.problems;
    if found.iter().any(|(cluster, _)| cluster.is_none()) {
        return ConfigError::unless_sound(fragment, found.into_iter().map(|(_, problem)| problem).collect());
    }
    for cluster in &mut fragment.clusters {
        let own = found.iter().filter(|(owner, _)| owner.as_ref() == Some(&cluster.name));
        cluster.problems = own.map(|(_, problem)| problem.clone()).collect();
    }
    Ok(fragment)
}

struct Reader<'a> {
    source: &'a str,
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
                ("lease_table", Value::Scalar { text, shown }) => match lease_table(&text) {
                    Ok(table) => fragment.lease_table = Some(table),
                    Err(NotAllowed) => {
                        let origin = self.origin(node.place, TOP);
                        let allowed = LEASE_TABLE_ALLOWED.to_owned();
                        self.note(Problem::BadValue { key, shown, origin, allowed });
                    }
                },
                ("lease_table", value) => self.bad(&key, &value, node.place, TOP, LEASE_TABLE_ALLOWED),
                ("cluster", Value::Array(items)) => fragment.clusters = self.clusters(items),
                ("cluster", value) => {
                    self.bad(&key, &value, node.place, TOP, "a list of tables: write [[cluster]], with two brackets");
                }
                (_, _) => {
                    let advice = match find(&key) {
                        Some(_) => Advice::BelongsIn("[defaults] or in a [[cluster]]"),
                        None if ["timeouts", "documents"].contains(&key.as_str()) => {
                            Advice::BelongsIn("[defaults] or in a [[cluster]]")
                        }
                        None => Advice::for_unknown(&key, ["defaults", "cluster", "lease_table"].map(str::to_owned)),
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
            let mut policy = PolicyFragment::default();
            self.policy(entries, "", &table, &mut policy);
            let Some((name, place)) = name else { continue };
            if seen.insert(name.clone()) {
                for (owner, _) in &mut self.problems[before..] {
                    *owner = Some(name.clone());
                }
                clusters.push(ClusterFragment { name, policy, problems: Vec::new() });
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

    /// Reads the keys of a policy; `prefix` is empty, `timeouts.` or `documents.`.
    fn policy(&mut self, entries: Vec<Entry>, prefix: &str, table: &str, policy: &mut PolicyFragment) {
        for Entry { key, key_place, node } in entries {
            let path = format!("{prefix}{key}");
            match (find(&path), node.value) {
                (Some(key), Value::Scalar { text, shown }) => {
                    if policy.set(key, &text).is_err() {
                        let origin = self.origin(node.place, table);
                        self.note(Problem::BadValue { key: path, shown, origin, allowed: key.allowed() });
                    }
                }
                (Some(key), value) => self.bad(&path, &value, node.place, table, &key.allowed()),
                (None, Value::Table(entries)) if ["timeouts", "documents"].contains(&path.as_str()) => {
                    self.policy(entries, &format!("{path}."), table, policy);
                }
                (None, value) if ["timeouts", "documents"].contains(&path.as_str()) => {
                    let example = format!("a table, such as {path}.{}", inside(&path).join(&format!(", {path}.")));
                    self.bad(&path, &value, node.place, table, &example);
                }
                (None, _) => {
                    let by_flag = |key: &&Key| key.flag().replace('-', "_") == path;
                    let of_cluster = table.starts_with("[[") && prefix.is_empty();
                    let name = of_cluster.then(|| "name".to_owned());
                    let keys = Key::ALL.iter().map(|key| key.path()).filter(|path| path.starts_with(prefix));
                    let advice = match Key::ALL.iter().find(by_flag) {
                        Some(key) => Advice::DidYouMean(key.path().to_owned()),
                        None => Advice::for_unknown(&path, name.into_iter().chain(keys.map(str::to_owned))),
                    };
                    let origin = self.origin(key_place, table);
                    self.note(Problem::UnknownKey { key: path, origin, advice });
                }
            }
        }
    }

    fn note(&mut self, problem: Problem) {
        self.problems.push((None, problem));
    }

    fn bad(&mut self, key: &str, value: &Value, place: Option<Place>, table: &str, allowed: &str) {
        let origin = self.origin(place, table);
        self.note(Problem::BadValue { key: key.to_owned(), shown: value.shown(), origin, allowed: allowed.to_owned() });
    }

    fn origin(&self, place: Option<Place>, table: &str) -> Origin {
        Origin::File { source: self.source.to_owned(), place, table: table.to_owned() }
    }
}

fn find(path: &str) -> Option<Key> {
    Key::ALL.into_iter().find(|key| key.path() == path)
}

/// The keys of `timeouts` or `documents`.
fn inside(table: &str) -> Vec<&'static str> {
    Key::ALL.iter().filter_map(|key| key.path().strip_prefix(table)?.strip_prefix('.')).collect()
}
