//! What an expression is, and whether it holds by what is known.

use std::collections::BTreeSet;
use std::fmt;

use regex_lite::Regex;

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
            (test, Known::One(Some(value))) => Some(test.passes(value) != is_negated),
            (test, Known::Several { values, are_all }) => {
                let found = values.iter().any(|value| test.passes(value));
                (found || are_all).then_some(found != is_negated)
            }
        }
    }

    fn passes(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::In(values) => values.iter().any(|one| one == value),
            Self::Matches(pattern) => pattern.is_match(value),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "attribute:{name}"),
            Self::Ec2InstanceId => f.write_str("ec2InstanceId"),
            Self::TaskGroup => f.write_str("task:group"),
            Self::Tag(key) => write!(f, "tag:{key}"),
            Self::Provider => f.write_str("provider"),
        }
    }
}
