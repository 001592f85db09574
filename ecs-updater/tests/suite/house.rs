//! Who may import whom: the rules of docs/design.md#who-may-import-whom, read from the sources.
//!
//! Cargo keeps the crates apart only as far as their manifests do, and knows nothing of modules. So the files are read
//! as text: comments and modules under `#[cfg(test)]` are left out, and every path that begins with `crate::`, `super::` or
//! the name of a dependency counts, whether it stands in a `use` line or in the middle of a function.

mod circles;
mod sizes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the controller, and which others each may look into. A new module needs a row here.
const ROOMS: &[(&str, &[&str])] = &[
    // Pure: the facts of one look in, a plan out.
    ("planner", &[]),
    ("track", &[]),
    ("exit", &[]),
    ("render", &["events"]),
    // What happened, as values; who made it happen is no matter of theirs.
    ("events", &[]),
    // Pure too: what to believe of a lease at a given moment.
    ("lease", &[]),
    // And how long to put up with an AWS that refuses or does not answer.
    ("patience", &[]),
    ("clock", &["lease"]),
    // Durations are written in the configuration as they are in reports.
    ("config", &["render"]),
    ("args", &["config", "planner", "steer"]),
    ("telemetry", &["args", "config", "render"]),
    ("delivery", &["args", "render"]),
    // SDK types stop in `aws`, so that it knows nobody but the plain values of a lease.
    ("aws", &["lease"]),
    ("host", &["aws"]),
    ("observe", &["aws", "host"]),
    // Of the planner, `execute` takes its constants, and its word on when something may be begun; it never decides.
    ("execute", &["aws", "clock", "host", "lease", "observe", "planner"]),
    ("keeper", &["aws", "clock", "lease", "patience"]),
    (
        "run",
        &["aws", "clock", "events", "execute", "host", "keeper", "lease", "observe", "patience", "planner", "track"],
    ),
    // Advice where there is no lease.
    ("own_task", &["aws"]),
    // The settings that AWS keeps.
    ("cluster_settings", &["aws", "config"]),
    // What a person types beside `run` and `plan`. Thin: carried out by what runs are made of.
    ("steer", &["aws", "clock", "cluster_settings", "exit", "keeper", "lease", "observe", "planner", "run"]),
    // What is missing before a run: reads alone, and what `status` and the planner make of them.
    ("doctor", &["aws", "clock", "cluster_settings", "host", "observe", "planner", "steer"]),
    (
        "cli",
        &[
            "args",
            "aws",
            "clock",
            "cluster_settings",
            "config",
            "delivery",
            "doctor",
            "events",
            "exit",
            "own_task",
            "render",
            "run",
            "steer",
            "telemetry",
            "track",
        ],
    ),
    // Deliberate mistakes, for tests alone.
    ("broken", &[]),
    ("lib", &[]),
    ("main", &[]),
];

/// Rooms that decide and do nothing else.
const PURE: &[&str] = &["lease", "patience", "planner"];

/// What those may use of others' crates.
const PURE_CRATES: &[&str] = &["jiff", "models", "semver", "std"];

/// Paths into the SDK outside `aws`, each with its reason.
const SDK_EXCEPTIONS: &[(&str, &str)] = &[
    // `run::run` takes the configuration and hands it on to `aws::Aws::new`: it is what tests and the simulator put
    // their own HTTP client into, so that everything that ships is under test.
    ("run/mod.rs", "aws_config::SdkConfig"),
];

/// Reads of a clock outside `clock.rs`, each with its reason.
const CLOCK_EXCEPTIONS: &[(&str, &str)] = &[
    // The crate `backoff` wants a start time, asks for it only to give up after a maximum time, and none is set.
    ("models/src/pace.rs", "Instant::now"),
    // How full a token bucket is goes by the clock that its sleeps go by, tokio's; no decision rests on it.
    ("aws/limits.rs", "Instant::now"),
    // For how long a write may still be carried out, and its answer is waited for, by the clock of that wait, tokio's.
    ("aws/in_flight.rs", "Instant::now"),
];

/// What `models` may depend on: values and their text forms. No runtime, no network, no AWS.
const MODELS_CRATES: &[&str] =
    &["backoff", "jiff", "regex_lite", "semver", "serde", "serde_json", "smol_str", "thiserror"];

#[test]
fn each_room_looks_only_into_the_rooms_it_may() {
    let mut wrong = Vec::new();
    for source in controller() {
        let room = source.room();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room {room} has no row in ROOMS", source.name));
            continue;
        };
        for (line, other) in source.rooms() {
            if other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}:{line}: {room} must not use {other}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_of_the_table_is_there() {
    let there: BTreeSet<String> = controller().iter().map(Source::room).collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(there, listed);
}

#[test]
fn what_decides_is_pure() {
    let mut crates = dependencies("ecs-updater", &["dependencies"]);
    crates.insert("std".to_owned());
    let mut wrong = Vec::new();
    for source in controller().iter().filter(|source| PURE.contains(&source.room().as_str())) {
        for (line, path) in source.crate_paths(&crates) {
            if !PURE_CRATES.contains(&head(&path)) {
                wrong.push(format!("{}:{line}: {path}", source.name));
            }
        }
        for (line, code) in source.lines() {
            if ["async", "await", "unsafe"].iter().any(|word| has_word(code, word)) {
                wrong.push(format!("{}:{line}: {}", source.name, code.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "the rooms {PURE:?} do no work of their own:\n{}", wrong.join("\n"));
}

#[test]
fn sdk_types_stop_in_aws() {
    let crates: BTreeSet<String> =
        dependencies("ecs-updater", &["dependencies"]).into_iter().filter(|name| name.starts_with("aws_")).collect();
    assert!(crates.contains("aws_sdk_ecs"), "{crates:?}");
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for source in controller().iter().filter(|source| source.room() != "aws") {
        for (line, path) in source.crate_paths(&crates) {
            match SDK_EXCEPTIONS.iter().find(|(file, taken)| *file == source.name && *taken == path) {
                Some(exception) => drop(used.insert(exception)),
                None => wrong.push(format!("{}:{line}: {path}", source.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "only aws/ speaks to the SDK:\n{}", wrong.join("\n"));
    assert_eq!(used.len(), SDK_EXCEPTIONS.len(), "an exception that nobody needs any more: {SDK_EXCEPTIONS:?}");
}

#[test]
fn only_the_clock_tells_the_time() {
    const READS: [&str; 4] = ["Timestamp::now", "Instant::now", "SystemTime::now", "Zoned::now"];
    let mut sources = controller();
    sources.retain(|source| source.room() != "clock");
    sources.extend(sources_of("models").into_iter().map(|source| source.named_under("models/src/")));
    let mut wrong = Vec::new();
    for source in &sources {
        for (line, code) in source.lines() {
            for read in READS.into_iter().filter(|read| has_path(code, read)) {
                if !CLOCK_EXCEPTIONS.contains(&(source.name.as_str(), read)) {
                    wrong.push(format!("{}:{line}: {read}", source.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "take the time from clock::Clock:\n{}", wrong.join("\n"));
}

#[test]
fn models_are_values() {
    let allowed: BTreeSet<String> = MODELS_CRATES.iter().map(|name| (*name).to_owned()).collect();
    let taken = dependencies("models", &["dependencies"]);
    let more: Vec<_> = taken.difference(&allowed).collect();
    assert!(more.is_empty(), "models depends on {more:?}");
}

#[test]
fn the_two_programs_meet_in_models_only() {
    for (one, other) in [("ecs-updater", "host_bridge"), ("host-bridge", "ecs_updater")] {
        let taken = dependencies(one, &["dependencies", "dev-dependencies"]);
        assert!(!taken.contains(other), "{one} depends on {other}: their contract is models::claim and models::host");
    }
}

/// One source file, without comments and tests, line by line.
struct Source {
    /// Its path below `src/`.
    name: String,
    code: Vec<String>,
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let mut code: Vec<String> = fs::read_to_string(path).unwrap().lines().map(without_comment).collect();
        let inline = |pair: &[String]| is_test_module(pair) && pair[1].trim_end().ends_with('{');
        let tests = code.windows(2).position(inline);
        code.truncate(tests.unwrap_or(code.len()));
        Self { name, code }
    }

    fn named_under(mut self, prefix: &str) -> Self {
        self.name.insert_str(0, prefix);
        self
    }

    /// The first part of the path, which is the module below the crate's root.
    fn room(&self) -> String {
        self.name.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// Every `crate::ROOM`, and `super::ROOM` where that leads to the crate's root.
    fn rooms(&self) -> Vec<(usize, String)> {
        let at_root = !self.name.contains('/') || self.name.matches('/').count() == 1 && self.name.ends_with("/mod.rs");
        let mut found = Vec::new();
        for (line, text) in self.statements() {
            for (prefix, counts) in [("crate::", true), ("super::", at_root), ("super::super::", !at_root)] {
                for at in positions(&text, prefix).filter(|_| counts) {
                    let after = &text[at + prefix.len()..];
                    let heads: Vec<&str> = match after.strip_prefix('{') {
                        Some(list) => top_level_names(list),
                        None => vec![head(after)],
                    };
                    let rooms = heads.into_iter().filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
                    found.extend(rooms.map(|room| (line, room.to_owned())));
                }
            }
        }
        found
    }

    /// Every path into one of the crates, as far as it is written in one piece.
    fn crate_paths(&self, crates: &BTreeSet<String>) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (line, code) in self.lines() {
            for name in crates.iter().map(String::as_str) {
                for at in positions(code, name) {
                    let rest = &code[at..];
                    let ends = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
                    let path = &rest[..ends.unwrap_or(rest.len())];
                    let imported = code.trim_start().starts_with("use ") || code.trim_start().starts_with("pub use ");
                    if head(path) == name && (path.contains("::") || imported) {
                        found.push((line, path.trim_end_matches(':').to_owned()));
                    }
                }
            }
        }
        found
    }

    /// Lines, those of a `use` over several lines joined at its first.
    fn statements(&self) -> Vec<(usize, String)> {
        let mut joined: Vec<(usize, String)> = Vec::new();
        let mut open = false;
        for (line, code) in self.lines() {
            let begins = code.trim_start().starts_with("use ") || code.trim_start().starts_with("pub use ");
            match joined.last_mut() {
                Some((_, last)) if open => last.push_str(code.trim()),
                Some(_) | None => joined.push((line, code.to_owned())),
            }
            open = (open || begins) && !code.contains(';');
        }
        joined
    }
}

fn controller() -> Vec<Source> {
    sources_of("ecs-updater")
}

fn sources_of(package: &str) -> Vec<Source> {
    let root = workspace().join(package).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 5, "no sources in {}", root.display());
    files.iter().map(|path| Source::read(&root, path)).collect()
}

/// Files of modules under `#[cfg(test)]` are left out: they may use what they like.
pub(crate) fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let sources = entries.iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let of_tests: BTreeSet<String> = sources.flat_map(|path| test_modules(path)).collect();
    for path in entries.into_iter().filter(|path| !of_tests.contains(path.file_stem().unwrap().to_str().unwrap())) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a file declares for tests only, as files of their own.
fn test_modules(path: &Path) -> Vec<String> {
    let lines: Vec<String> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    let elsewhere = lines.windows(2).filter(|pair| is_test_module(pair) && pair[1].trim_end().ends_with(';'));
    elsewhere.map(|pair| pair[1].trim().trim_start_matches("mod ").trim_end_matches(';').to_owned()).collect()
}

fn is_test_module(pair: &[String]) -> bool {
    pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The dependencies in the manifest of a package, as they are written in code.
fn dependencies(package: &str, sections: &[&str]) -> BTreeSet<String> {
    let manifest = fs::read_to_string(workspace().join(package).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    tables.flat_map(|table| table.keys()).map(|name| name.replace('-', "_")).collect()
}

/// Without a comment; a `//` in a string is taken for one, too, which loses nothing here.
fn without_comment(line: &str) -> String {
    line.split_once("//").map_or(line, |(code, _)| code).to_owned()
}

/// Where `name` stands as the beginning of a path.
fn positions<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let begins = |before: &str| !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "_:\"".contains(c));
    code.match_indices(name).map(|(at, _)| at).filter(move |at| begins(&code[..*at]))
}

fn head(path: &str) -> &str {
    path.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// The first names of `a, b::c, d::{e, f}}`.
fn top_level_names(list: &str) -> Vec<&str> {
    let (mut depth, mut names, mut begin) = (0_i32, Vec::new(), 0);
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(head(list[begin..at].trim_start()));
                begin = at + 1;
                if char == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|part| part == word)
}

fn has_path(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

#[test]
fn the_reader_finds_what_it_is_to_find() {
    let source =
        |name: &str, text: &str| Source { name: name.to_owned(), code: text.lines().map(without_comment).collect() };
    let crates = BTreeSet::from(["aws_config".to_owned(), "aws_sdk_ecs".to_owned(), "tokio".to_owned()]);
    let planner = source(
        "planner/next.rs",
        "use super::{Context, claimed};\nuse crate::{aws::{Aws, ecs},\n    clock::Clock};\n// crate::host\nfn f() { crate::run::run(tokio::time::sleep(x)); }",
    );
    assert_eq!(planner.rooms(), [(2, "aws".to_owned()), (2, "clock".to_owned()), (5, "run".to_owned())]);
    assert_eq!(planner.crate_paths(&crates), [(5, "tokio::time::sleep".to_owned())]);
    let top = source("run.rs", "use super::aws::Aws;\nuse tokio;\nfn f(config: &aws_config::SdkConfig) {}");
    assert_eq!(top.rooms(), [(1, "aws".to_owned())]);
    assert_eq!(top.crate_paths(&crates), [(2, "tokio".to_owned()), (3, "aws_config::SdkConfig".to_owned())]);
    let inner = source("planner/mod.rs", "use super::aws;\nuse aws_sdk_ecs::types::Task as T;\nlet my_tokio = 1;");
    assert_eq!(inner.rooms(), [(1, "aws".to_owned())]);
    assert_eq!(inner.crate_paths(&crates), [(2, "aws_sdk_ecs::types::Task".to_owned())]);
}
