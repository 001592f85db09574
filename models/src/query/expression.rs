//! What an expression is, and whether it holds by what is known.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use regex_lite::Regex;
use semver::Version;

use crate::attributes::PREFIX;

/// What the names of attributes begin with that are read for nothing but what they are for: the agent's capabilities, which
/// are many, and our own.
const UNNAMED: [&str; 3] = ["ecs.capability.", "com.amazonaws.ecs.capability.", PREFIX];

/// Whether an attribute is one that no placement constraint of a service names, and no `select` may.
pub fn is_unnamed(name: &str) -> bool {
    UNNAMED.iter().any(|prefix| name.starts_with(prefix))
}

/// An expression that was read.
#[derive(Debug, Clone)]
pub struct Expression(pub(super) Node);

/// What an expression can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The attribute of the container instance with this name.
    Attribute(String),
    Ec2InstanceId,
    /// The groups of the tasks on the instance.
    TaskGroup,
    /// How many tasks on it are desired RUNNING.
    RunningTasksCount,
    /// Whether its agent is connected: `true` or `false`.
    AgentConnected,
    AgentVersion,
    RegisteredAt,
    /// The EC2 tag with this key.
    Tag(String),
    /// The name of the capacity provider.
    Provider,
}

/// What is known of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<'a> {
    /// Nothing.
    Nothing,
    /// Its value, or that it has none.
    One(Option<&'a str>),
    /// Some of its values; a test holds where one of them passes it.
    Several {
        values: Vec<String>,
        /// Whether there are no others.
        are_all: bool,
    },
}

/// Why a text is no expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at character {at})")]
pub struct QueryError {
    /// The place, in characters from 1.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

impl QueryError {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    /// A test of a subject, and whether it is negated.
    Test(Subject, Test, bool),
    Unknown,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Exists,
    In(Vec<String>),
    /// The whole value.
    Matches(Regex),
    /// A part of the value, and the whole: which of them ECS takes is not documented.
    MayMatch(Regex, Regex),
    /// An order between numbers, versions or times.
    Compare(Comparison, String),
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// Whether a value stands so to another one; `None` where they have no order.
    fn holds(self, value: &str, other: &str) -> Option<bool> {
        let order = order(value, other)?;
        Some(match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        })
    }
}

/// The order of two numbers, versions or times.
fn order(value: &str, other: &str) -> Option<Ordering> {
    let numbers = value.parse::<i64>().ok().zip(other.parse::<i64>().ok()).map(|(one, two)| one.cmp(&two));
    let versions = || Version::parse(value).ok().zip(Version::parse(other).ok()).map(|(one, two)| one.cmp(&two));
    let times = || value.parse::<Timestamp>().ok().zip(other.parse::<Timestamp>().ok()).map(|(one, two)| one.cmp(&two));
    numbers.or_else(versions).or_else(times)
}

impl Expression {
    /// Whether it holds by what is known; `None` where that cannot be told.
    pub fn holds<'a>(&self, known: impl Fn(&Subject) -> Known<'a>) -> Option<bool> {
        self.0.holds(&known)
    }

    /// The keys of the EC2 tags that it asks for.
    pub fn tags(&self) -> BTreeSet<&str> {
        let mut tags = BTreeSet::new();
        self.0.collect_tags(&mut tags);
        tags
    }
}

impl Node {
    fn holds<'a>(&self, known: &impl Fn(&Subject) -> Known<'a>) -> Option<bool> {
        match self {
            Self::And(one, other) => {
                let (one, other) = (one.holds(known), other.holds(known));
                if one == Some(false) || other == Some(false) { Some(false) } else { one.and(other) }
            }
            Self::Or(one, other) => {
                let (one, other) = (one.holds(known), other.holds(known));
                if one == Some(true) || other == Some(true) { Some(true) } else { one.and(other) }
            }
            Self::Not(node) => node.holds(known).map(|holds| !holds),
            Self::Test(subject, test, is_negated) => test.holds(known(subject), *is_negated),
            Self::Unknown => None,
        }
    }

    fn collect_tags<'n>(&'n self, tags: &mut BTreeSet<&'n str>) {
        match self {
            Self::And(one, other) | Self::Or(one, other) => {
                one.collect_tags(tags);
                other.collect_tags(tags);
            }
            Self::Not(node) => node.collect_tags(tags),
            Self::Test(Subject::Tag(key), ..) => drop(tags.insert(key)),
            Self::Test(..) | Self::Unknown => {}
        }
    }
}

impl Test {
    fn holds(&self, known: Known<'_>, is_negated: bool) -> Option<bool> {
        match (self, known) {
            (_, Known::Nothing) => None,
            (Self::Exists, Known::One(value)) => Some(value.is_some() != is_negated),
            (_, Known::One(None)) => Some(false),
            (test, Known::One(Some(value))) => test.passes(value).map(|passes| passes != is_negated),
            (test, Known::Several { values, are_all }) => {
                let passes: Vec<Option<bool>> = values.iter().map(|value| test.passes(value)).collect();
                let (found, is_told) = (passes.contains(&Some(true)), !passes.contains(&None));
                (found || (are_all && is_told)).then_some(found != is_negated)
            }
        }
    }

    /// `None` where that cannot be told.
    fn passes(&self, value: &str) -> Option<bool> {
        match self {
            Self::Exists => Some(true),
            Self::In(values) => Some(values.iter().any(|one| one == value)),
            Self::Matches(pattern) => Some(pattern.is_match(value)),
            Self::MayMatch(part, whole) => {
                let (part, whole) = (part.is_match(value), whole.is_match(value));
                (part == whole).then_some(part)
            }
            Self::Compare(comparison, other) => comparison.holds(value, other),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "attribute:{name}"),
            Self::Ec2InstanceId => f.write_str("ec2InstanceId"),
            Self::TaskGroup => f.write_str("task:group"),
            Self::RunningTasksCount => f.write_str("runningTasksCount"),
            Self::AgentConnected => f.write_str("agentConnected"),
            Self::AgentVersion => f.write_str("agentVersion"),
            Self::RegisteredAt => f.write_str("registeredAt"),
            Self::Tag(key) => write!(f, "tag:{key}"),
            Self::Provider => f.write_str("provider"),
        }
    }
}
