//! What can be wrong with a configuration, in words that name the place, the value, what is allowed and what to do.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::names::{CLUSTERS_VARIABLE, CONFIG_VARIABLE, NEVER_OPENED, OPENS};

/// Everything that is wrong with a configuration; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(first: Problem) -> Self {
        Self { problems: vec![first] }
    }

    /// `Ok(value)` when nothing was wrong.
    pub(super) fn unless_sound<T>(value: T, problems: Vec<Problem>) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self { problems }) }
    }

    /// The problems of all, each once.
    pub(super) fn all(errors: impl Iterator<Item = Self>) -> Self {
        let mut seen = BTreeSet::new();
        let problems = errors.flat_map(Self::into_problems).filter(|problem| seen.insert(problem.to_string()));
        Self { problems: problems.collect() }
    }

    /// The problems, in the order of the places they were found in.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// One problem as it is; several as a list.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "{} problems in the configuration:", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

/// A line and a column in a file, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of a byte of `text`.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        Places::in_text(text).at(byte)
    }
}

/// The places in a text, each found without reading all that stands before it.
pub(super) struct Places<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn in_text(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    /// Returns the place of a byte.
    pub(super) fn at(&self, byte: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        let before = self.text[start..].char_indices().take_while(|(at, _)| start + at < byte);
        Place { line, column: before.count() + 1 }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file, or another text in TOML.
    File {
        /// The label of the text, for a file its path.
        source: String,
        /// Where in it, for a text; a table that was parsed by somebody else has no places.
        place: Option<Place>,
        /// The table, such as `[defaults]`.
        table: String,
    },
    /// An environment variable.
    Variable(String),
    /// An environment variable that holds several settings in TOML.
    InVariable {
        name: String,
        /// Where in it.
        place: Option<Place>,
    },
    /// A flag, with its dashes.
    Flag(String),
    /// A tag on an ECS cluster.
    Tag { key: String, cluster: String },
}

/// As in "in …".
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { source, place, table } => {
                write!(f, "{table} of {source}")?;
                place.map_or(Ok(()), |place| write!(f, ":{}:{}", place.line, place.column))
            }
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::InVariable { name, place } => write!(f, "environment variable {name}{}", At(*place)),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Tag { key, cluster } => write!(f, "tag {key} of cluster {cluster:?}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file named by `--config` or the environment.
    #[error("configuration file {} cannot be read ({error}); check the path given by --config or {CONFIG_VARIABLE}", path.display())]
    Unreadable {
        path: PathBuf,
        /// What the system said; part of the sentence, so not in the chain of sources.
        error: String,
    },
    /// `ssm:` in front of what no SSM parameter can be called.
    #[error(
        "SSM parameter name {name:?} in {origin} must be letters, digits and the characters _ . - / :, such as ssm:/ecs-updater/config"
    )]
    BadParameterName {
        /// As written, without `ssm:`.
        name: String,
        origin: Origin,
    },
    /// The SSM parameter named by `--config` or the environment.
    #[error(
        "SSM parameter {name} does not exist in this account and Region; make it, or check the name given by --config or {CONFIG_VARIABLE}"
    )]
    NoParameter { name: String },
    /// Not TOML at all.
    #[error("{source_label}{at} is not valid TOML: {message}", at = At(*place))]
    Syntax { source_label: String, place: Option<Place>, message: String },
    /// A key nobody knows.
    #[error("unknown key `{key}` in {origin}; {advice}")]
    UnknownKey {
        key: String,
        origin: Origin,
        /// What was probably meant, or what there is.
        advice: Advice,
    },
    /// A variable with our prefix that nobody knows.
    #[error("unknown environment variable {name}; {advice}")]
    UnknownVariable {
        name: String,
        /// What was probably meant, or what there is.
        advice: Advice,
    },
    /// A tag of a cluster with our prefix that nobody knows.
    #[error("unknown tag {key} of cluster {cluster:?}; {advice}")]
    UnknownTag {
        key: String,
        cluster: String,
        /// What was probably meant, or what there is.
        advice: Advice,
    },
    /// A tag of a cluster for a key that is not open to tags.
    #[error("tag {tag} of cluster {cluster:?} may not set `{key}`; {}", Open(key))]
    ClosedTag { tag: String, cluster: String, key: &'static str },
    /// A name under `tags` that is no key.
    #[error("`tags` of cluster {cluster:?} names `{key}`, which is not a key that tags can set; {advice}")]
    NoSuchKey { key: String, cluster: String, advice: Advice },
    /// A value that its key does not allow.
    #[error("`{key}` = {shown} in {origin} must be {allowed}")]
    BadValue {
        /// The full key, such as `timeouts.drain`.
        key: String,
        shown: String,
        origin: Origin,
        allowed: String,
    },
    /// `[[cluster]]` without a name.
    #[error("{origin} has no `name`; add name = \"…\", the name of the ECS cluster")]
    NamelessCluster { origin: Origin },
    /// A name that ECS would not take.
    #[error(
        "cluster name {name:?} in {origin} must be 1 to 255 letters, digits, hyphens and underscores{}",
        Several(name, origin)
    )]
    BadClusterName { name: String, origin: Origin },
    /// An ARN says a Region and an account, and silently ignoring them could reach another cluster of the same name.
    #[error(
        "cluster {arn:?} in {origin} is an ARN; give its name {name:?} alone, and choose its Region with --region or AWS_REGION"
    )]
    ClusterArn { arn: String, name: String, origin: Origin },
    /// The same cluster twice in one place.
    #[error("cluster {name:?} is named twice in {origin}; name it once")]
    DuplicateCluster {
        name: String,
        /// Where it stands the second time.
        origin: Origin,
    },
    /// A key of a whole cluster in one of its groups.
    #[error(
        "`{key}` in {origin} is a setting of the whole cluster; put it in its [[cluster]] or in [defaults]. A group may set: {}",
        known.join(", ")
    )]
    NotInGroup { key: &'static str, origin: Origin, known: Vec<&'static str> },
    /// `[[cluster.group]]` without what it needs.
    #[error("{origin} has no `{key}`; add {key} = \"…\", {what}")]
    IncompleteGroup { key: &'static str, what: &'static str, origin: Origin },
    /// The same group twice in one cluster.
    #[error("group {name:?} is named twice in {origin}; name it once")]
    DuplicateGroup { name: String, origin: Origin },
    /// Nothing to work on.
    #[error("no cluster is named; {}", NameOne(file.as_deref()))]
    NoCluster {
        /// The file that was read and names none.
        file: Option<String>,
    },
    /// Two steps with one document.
    #[error(
        "`documents.{first}` and `documents.{second}` of cluster {cluster:?} are both {document:?}; each step has a document of its own"
    )]
    SameDocument { cluster: String, first: &'static str, second: &'static str, document: String },
}

/// What to write in place of an unknown name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// One name is near.
    DidYouMean(String),
    /// It is a key, at another place.
    BelongsIn(&'static str),
    /// None is near: all there are.
    Known(Vec<String>),
}

impl Advice {
    /// The known name nearest to `unknown`, if one is near enough to be a slip of the fingers; else all of them.
    pub(super) fn for_unknown(unknown: &str, known: impl IntoIterator<Item = String>) -> Self {
        let fold = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
        let known: Vec<String> = known.into_iter().collect();
        let folded = fold(unknown);
        let nearest = known
            .iter()
            .map(|name| {
                let is_last_part = name.rsplit_once('.').is_some_and(|(_, last)| fold(last) == folded);
                (if is_last_part { 0 } else { strsim::osa_distance(&folded, &fold(name)) }, name)
            })
            .min_by_key(|(distance, _)| *distance);
        match nearest {
            Some((distance, name)) if distance <= 1 + name.chars().count() / 5 => Self::DidYouMean(name.clone()),
            _ => Self::Known(known),
        }
    }

    /// As [`Advice::for_unknown`] for names that all begin alike; what they share does not make them near.
    pub(super) fn for_unknown_behind(prefix: &str, unknown: &str, known: impl IntoIterator<Item = String>) -> Self {
        let bare = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
        let whole = |name: String| format!("{prefix}{name}");
        match Self::for_unknown(&bare(unknown), known.into_iter().map(|name| bare(&name))) {
            Self::DidYouMean(name) => Self::DidYouMean(whole(name)),
            Self::Known(names) => Self::Known(names.into_iter().map(whole).collect()),
            Self::BelongsIn(place) => Self::BelongsIn(place),
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DidYouMean(name) => write!(f, "did you mean `{name}`?"),
            Self::BelongsIn(place) => write!(f, "it belongs in {place}"),
            Self::Known(names) => write!(f, "known are: {}", names.join(", ")),
        }
    }
}

/// A text for a message: quoted, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{:?}", format!("{}…", &text[..at])),
        None => format!("{text:?}"),
    }
}

struct Open<'a>(&'a str);

impl fmt::Display for Open<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(key) = self;
        write!(f, "it belongs in the configuration file, the environment or a flag")?;
        if NEVER_OPENED.contains(key) { Ok(()) } else { write!(f, ", or these let tags set it: {OPENS} = [{key:?}]") }
    }
}

struct At(Option<Place>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |place| write!(f, ":{}:{}", place.line, place.column))
    }
}

/// What to write for several names, where commas stand in one.
struct Several<'a>(&'a str, &'a Origin);

impl fmt::Display for Several<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, origin) = self;
        let names: Vec<&str> = name.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        match origin {
            Origin::Flag(flag) if names.len() > 1 => {
                let flags: Vec<String> = names.iter().map(|name| format!("{flag} {name}")).collect();
                write!(f, "; for several clusters repeat the flag: {}", flags.join(" "))
            }
            Origin::Variable(_) if names.is_empty() => write!(f, "; no comma stands at the end"),
            Origin::Flag(_)
            | Origin::Variable(_)
            | Origin::File { .. }
            | Origin::InVariable { .. }
            | Origin::Tag { .. } => Ok(()),
        }
    }
}

struct NameOne<'a>(Option<&'a str>);

impl fmt::Display for NameOne<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "give --cluster NAME, set {CLUSTERS_VARIABLE}, or ")?;
        match self.0 {
            Some(file) => write!(f, "add a [[cluster]] with its name to {file}"),
            None => write!(f, "name a file with [[cluster]] entries by --config or {CONFIG_VARIABLE}"),
        }
    }
}
