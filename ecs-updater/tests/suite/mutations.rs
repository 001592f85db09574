//! The list of small mistakes that some test finds (`tests/mutations.toml`) fits the code: `make mutations` can make each of
//! them, and no kind of promise is without.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Those that no test found once.
const LISTED: usize = 10;
/// The kinds of promise.
const KINDS: usize = 10;
/// Of each kind there are at least so many.
const OF_EACH_KIND: usize = 5;
/// What is mutated: what ships.
const PRODUCT: [&str; 3] = ["ecs-updater/src/", "host-bridge/src/", "models/src/"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    id: String,
    file: String,
    find: String,
    replace: String,
    breaks: String,
    caught_by: (String, String, String),
}

#[test]
fn each_can_be_made_in_one_place_of_what_ships() {
    let mut bad = Vec::new();
    for Mutation { id, file, find, replace, breaks, .. } in list() {
        let text = fs::read_to_string(workspace().join(&file)).unwrap_or_default();
        let count = text.matches(&find).count();
        if count != 1 {
            bad.push(format!("{id}: its text stands {count} times in {file}"));
        }
        let says_something = breaks.ends_with('.') && breaks.len() > 20;
        if find == replace || !says_something || !PRODUCT.iter().any(|product| file.starts_with(product)) {
            bad.push(format!("{id}: changes nothing that ships, or does not say what it breaks"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn none_is_missing() {
    let list = list();
    let ids: BTreeSet<&str> = list.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), list.len(), "an id stands there twice");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &ids {
        *kinds.entry(id.rsplit_once('-').unwrap().0).or_default() += 1;
    }
    let listed = (1..=LISTED).map(|number| format!("listed-{number}"));
    assert_eq!(listed.filter(|id| !ids.contains(id.as_str())).collect::<Vec<_>>(), Vec::<String>::new());
    for kind in (1..=KINDS).map(|number| format!("15.{number}")) {
        let count = kinds.remove(kind.as_str()).unwrap_or_default();
        assert!(count >= OF_EACH_KIND, "{count} of the kind {kind}");
    }
    // Of what a person asks for, each kind has as many as it needs.
    kinds.retain(|kind, _| !["17.", "18", "19.", "21."].iter().any(|of| kind.starts_with(of)));
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), ["listed"]);
}

/// Whether the test passes without the mistake, and is there at all, the command itself finds out.
#[test]
fn each_names_a_test() {
    for Mutation { id, caught_by: (package, executable, name), .. } in list() {
        let folder = workspace().join(if package == "fleet-sim" { "tests" } else { package.as_str() });
        let is_there = match executable.as_str() {
            "lib" => folder.join("src/lib.rs").exists(),
            other => {
                folder.join(format!("tests/{other}.rs")).exists() || folder.join(format!("tests/{other}")).is_dir()
            }
        };
        assert!(is_there && !name.is_empty(), "{id}: {package} {executable} {name}");
    }
}

fn list() -> Vec<Mutation> {
    let text = fs::read_to_string(workspace().join("tests/mutations.toml")).unwrap();
    toml::from_str::<List>(&text).unwrap().mutation
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
