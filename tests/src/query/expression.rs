//! What an expression is, and whether it holds of an instance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex_lite::Regex;

/// What an expression can ask about a container instance.
#[derive(Debug)]
pub struct Subject<'a> {
    pub attributes: &'a BTreeMap<String, Option<String>>,
    /// Its agent's connection.
    pub agent_connected: bool,
    /// Its agent's version.
    pub agent_version: &'a str,
    /// The machine below.
    pub ec2_instance_id: &'a str,
    /// When it registered.
    pub registered_at: Timestamp,
    /// Groups of the tasks on it.
    pub task_groups: Vec<&'a str>,
    /// Its tasks whose desired status is RUNNING.
    pub running_tasks: usize,
}

/// What the updater's `select` can ask for besides.
#[derive(Debug)]
pub struct Extra<'a> {
    /// EC2 tags.
    pub tags: &'a BTreeMap<String, String>,
    /// The capacity provider.
    pub provider: Option<&'a str>,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Test(Field, Test),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Attribute(String),
    AgentConnected,
    AgentVersion,
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
    TaskGroup,
    Tag(String),
    Provider,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Compare(Comparison, String),
    In(Vec<String>),
    Matches(Regex),
    Exists,
    /// A bare truth value, as in `agentConnected and …`.
    IsTrue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Node {
    pub(super) fn holds(&self, subject: &Subject<'_>, extra: &Extra<'_>) -> bool {
        match self {
            Self::And(a, b) => a.holds(subject, extra) && b.holds(subject, extra),
            Self::Or(a, b) => a.holds(subject, extra) || b.holds(subject, extra),
            Self::Not(node) => !node.holds(subject, extra),
            Self::Test(field, test) => test.holds(field, subject, extra),
        }
    }
}

impl Field {
    /// Its values; `None` for an attribute without one. Only of tasks there can be several.
    fn values(&self, subject: &Subject<'_>, extra: &Extra<'_>) -> Vec<Option<String>> {
        let one = |value: String| vec![Some(value)];
        match self {
            Self::Attribute(name) => subject.attributes.get(name).cloned().into_iter().collect(),
            Self::Tag(key) => extra.tags.get(key).cloned().map(Some).into_iter().collect(),
            Self::Provider => extra.provider.map(|name| Some(name.to_owned())).into_iter().collect(),
            Self::AgentConnected => one(subject.agent_connected.to_string()),
            Self::AgentVersion => one(subject.agent_version.to_owned()),
            Self::Ec2InstanceId => one(subject.ec2_instance_id.to_owned()),
            Self::RegisteredAt => one(subject.registered_at.to_string()),
            Self::RunningTasksCount => one(subject.running_tasks.to_string()),
            Self::TaskGroup => subject.task_groups.iter().map(|group| Some((*group).to_owned())).collect(),
        }
    }
}

impl Test {
    /// Whether one of the subject's values passes.
    fn holds(&self, field: &Field, subject: &Subject<'_>, extra: &Extra<'_>) -> bool {
        field.values(subject, extra).iter().any(|value| self.passes(field, value.as_deref()))
    }

    fn passes(&self, field: &Field, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (_, None) => false,
            (Self::IsTrue, Some(value)) => value == "true",
            (Self::In(values), Some(value)) => values.iter().any(|one| one == value),
            (Self::Matches(pattern), Some(value)) => pattern.is_match(value),
            (Self::Compare(comparison, other), Some(value)) => {
                let order = order(field, value, other);
                match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                }
            }
        }
    }
}

/// Numbers, versions and times by what they mean, the rest as text.
fn order(field: &Field, value: &str, other: &str) -> std::cmp::Ordering {
    let numbers = value.parse::<u64>().ok().zip(other.parse::<u64>().ok());
    if let Some((a, b)) = numbers {
        return a.cmp(&b);
    }
    if *field == Field::RegisteredAt
        && let Some((a, b)) = value.parse::<Timestamp>().ok().zip(other.parse::<Timestamp>().ok())
    {
        return a.cmp(&b);
    }
    if *field == Field::AgentVersion
        && let Some((a, b)) = semver::Version::parse(value).ok().zip(semver::Version::parse(other).ok())
    {
        return a.cmp(&b);
    }
    value.cmp(other)
}
