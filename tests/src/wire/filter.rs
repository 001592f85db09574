//! The cluster query language (ECS developer guide, "Cluster query language"), for `filter` of
//! `ListContainerInstances` and for placement constraints.
//!
//! Where the guide is silent: a comparison with an attribute that is not there is false, and its negation true.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use regex_lite::Regex;

/// What an expression can ask about a container instance.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its attributes.
    pub attributes: &'a BTreeMap<String, Option<String>>,
    /// Its agent's connection.
    pub agent_connected: bool,
    /// Its agent's version.
    pub agent_version: &'a str,
    /// The machine below.
    pub ec2_instance_id: &'a str,
    /// When it registered.
    pub registered_at: Timestamp,
    /// `runningTasksCount`.
    pub running_tasks: usize,
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Filter(Node);

#[derive(Debug, Clone)]
enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Test(Field, Test),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Attribute(String),
    AgentConnected,
    AgentVersion,
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
}

#[derive(Debug, Clone)]
enum Test {
    Compare(Comparison, String),
    In(Vec<String>),
    Matches(Regex),
    Exists,
    /// A bare truth value, as in `agentConnected and …`.
    IsTrue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It ended too early.
    #[error("the expression ends where {0} is expected")]
    Ends(&'static str),
    /// A word in the wrong place.
    #[error("{found:?} stands where {expected} is expected")]
    Unexpected {
        /// What was there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A quote that is never closed.
    #[error("a quotation is not closed")]
    OpenQuote,
    /// A pattern that is none.
    #[error("{0:?} is no regular expression")]
    Pattern(String),
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { words: words(text)?, at: 0 };
        let node = parser.any()?;
        match parser.next() {
            None => Ok(Self(node)),
            Some(found) => Err(FilterError::Unexpected { found: found.text, expected: "the end" }),
        }
    }

    /// Whether the instance is one of those that the expression speaks of.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.0.holds(subject)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl Node {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::And(a, b) => a.holds(subject) && b.holds(subject),
            Self::Or(a, b) => a.holds(subject) || b.holds(subject),
            Self::Not(node) => !node.holds(subject),
            Self::Test(field, test) => test.holds(field, subject),
        }
    }
}

impl Field {
    /// The value; `Some(None)` for an attribute without one.
    fn value(&self, subject: &Subject<'_>) -> Option<Option<String>> {
        Some(match self {
            Self::Attribute(name) => return subject.attributes.get(name).cloned(),
            Self::AgentConnected => Some(subject.agent_connected.to_string()),
            Self::AgentVersion => Some(subject.agent_version.to_owned()),
            Self::Ec2InstanceId => Some(subject.ec2_instance_id.to_owned()),
            Self::RegisteredAt => Some(subject.registered_at.to_string()),
            Self::RunningTasksCount => Some(subject.running_tasks.to_string()),
        })
    }
}

impl Test {
    fn holds(&self, field: &Field, subject: &Subject<'_>) -> bool {
        let Some(value) = field.value(subject) else { return false };
        if matches!(self, Self::Exists) {
            return true;
        }
        let Some(value) = value else { return false };
        match self {
            Self::Exists => true,
            Self::IsTrue => value == "true",
            Self::In(values) => values.contains(&value),
            Self::Matches(pattern) => pattern.is_match(&value),
            Self::Compare(comparison, other) => {
                let order = order(field, &value, other);
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

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

struct Parser {
    words: Vec<Word>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn take(&mut self, any_of: &[&str]) -> bool {
        let found = self
            .words
            .get(self.at)
            .is_some_and(|word| !word.quoted && any_of.iter().any(|one| word.text.eq_ignore_ascii_case(one)));
        if found {
            self.at += 1;
        }
        found
    }

    fn any(&mut self) -> Result<Node, FilterError> {
        let mut node = self.all()?;
        while self.take(&["or", "||"]) {
            node = Node::Or(Box::new(node), Box::new(self.all()?));
        }
        Ok(node)
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut node = self.one()?;
        while self.take(&["and", "&&"]) {
            node = Node::And(Box::new(node), Box::new(self.one()?));
        }
        Ok(node)
    }

    fn one(&mut self) -> Result<Node, FilterError> {
        if self.take(&["not", "!"]) {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.take(&["("]) {
            let node = self.any()?;
            self.expect(")")?;
            return Ok(node);
        }
        let field = self.field()?;
        self.test(field)
    }

    fn expect(&mut self, what: &'static str) -> Result<(), FilterError> {
        if self.take(&[what]) {
            return Ok(());
        }
        match self.next() {
            Some(found) => Err(FilterError::Unexpected { found: found.text, expected: what }),
            None => Err(FilterError::Ends(what)),
        }
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let word = self.next().ok_or(FilterError::Ends("a subject"))?;
        match word.text.as_str() {
            "agentConnected" => Ok(Field::AgentConnected),
            "agentVersion" => Ok(Field::AgentVersion),
            "ec2InstanceId" => Ok(Field::Ec2InstanceId),
            "registeredAt" => Ok(Field::RegisteredAt),
            "runningTasksCount" => Ok(Field::RunningTasksCount),
            text => match text.strip_prefix("attribute:") {
                Some(name) if !name.is_empty() => Ok(Field::Attribute(name.to_owned())),
                Some(_) | None => {
                    Err(FilterError::Unexpected { found: word.text, expected: "a subject such as attribute:NAME" })
                }
            },
        }
    }

    fn test(&mut self, field: Field) -> Result<Node, FilterError> {
        let comparisons: [(&[&str], Comparison); 5] = [
            (&["==", "equals"], Comparison::Equal),
            (&[">", "greater_than"], Comparison::Greater),
            (&[">=", "greater_than_equal"], Comparison::GreaterOrEqual),
            (&["<", "less_than"], Comparison::Less),
            (&["<=", "less_than_equal"], Comparison::LessOrEqual),
        ];
        for (names, comparison) in comparisons {
            if self.take(names) {
                return Ok(Node::Test(field, Test::Compare(comparison, self.value()?)));
            }
        }
        let not = |node| Node::Not(Box::new(node));
        if self.take(&["!=", "not_equals"]) {
            return Ok(not(Node::Test(field, Test::Compare(Comparison::Equal, self.value()?))));
        }
        if self.take(&["exists"]) {
            return Ok(Node::Test(field, Test::Exists));
        }
        if self.take(&["!exists", "not_exists"]) {
            return Ok(not(Node::Test(field, Test::Exists)));
        }
        if self.take(&["in"]) {
            return Ok(Node::Test(field, Test::In(self.list()?)));
        }
        if self.take(&["!in", "not_in"]) {
            return Ok(not(Node::Test(field, Test::In(self.list()?))));
        }
        if self.take(&["=~", "matches"]) {
            return Ok(Node::Test(field, Test::Matches(self.pattern()?)));
        }
        if self.take(&["!~", "not_matches"]) {
            return Ok(not(Node::Test(field, Test::Matches(self.pattern()?))));
        }
        match (&field, self.words.get(self.at)) {
            (Field::AgentConnected, _) => Ok(Node::Test(field, Test::IsTrue)),
            (_, Some(found)) => {
                Err(FilterError::Unexpected { found: found.text.clone(), expected: "an operator such as ==" })
            }
            (_, None) => Err(FilterError::Ends("an operator such as ==")),
        }
    }

    fn value(&mut self) -> Result<String, FilterError> {
        let word = self.next().ok_or(FilterError::Ends("a value"))?;
        let is_sign = !word.quoted && matches!(word.text.as_str(), "(" | ")" | "[" | "]" | ",");
        if is_sign {
            return Err(FilterError::Unexpected { found: word.text, expected: "a value" });
        }
        Ok(word.text)
    }

    fn list(&mut self) -> Result<Vec<String>, FilterError> {
        self.expect("[")?;
        let mut values = vec![self.value()?];
        while self.take(&[","]) {
            values.push(self.value()?);
        }
        self.expect("]")?;
        Ok(values)
    }

    fn pattern(&mut self) -> Result<Regex, FilterError> {
        let text = self.value()?;
        Regex::new(&text).map_err(|_| FilterError::Pattern(text))
    }
}

fn words(text: &str) -> Result<Vec<Word>, FilterError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or(FilterError::OpenQuote)?;
                (Word { text: inner[..end].to_owned(), quoted: true }, &inner[end + 1..])
            }
            _ => {
                let end = word_end(rest);
                (Word { text: rest[..end].to_owned(), quoted: false }, &rest[end..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// Where the first word of a text that is not empty ends: signs are words of their own, the rest runs up to a space
/// or a sign.
fn word_end(text: &str) -> usize {
    const SIGNS: [&str; 20] = [
        "!exists", "!in", "==", "!=", ">=", "<=", "=~", "!~", "&&", "||", ">", "<", "(", ")", "[", "]", ",", "!", "=",
        "~",
    ];
    let whole = |sign: &str| {
        let is_word = sign.ends_with(|c: char| c.is_ascii_alphabetic());
        text.strip_prefix(sign).is_some_and(|after| !is_word || !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    if let Some(sign) = SIGNS.iter().find(|sign| whole(sign)) {
        return sign.len();
    }
    text.find(|c: char| c.is_whitespace() || "=!<>()[],&|~".contains(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expression: &str) -> bool {
        let attributes: BTreeMap<String, Option<String>> = [
            ("bottlerocket.variant", Some("aws-ecs-2")),
            ("ecs.instance-type", Some("m6i.large")),
            ("ecs.capability.task-eni", None),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        .collect();
        let subject = Subject {
            attributes: &attributes,
            agent_connected: true,
            agent_version: "1.98.0",
            ec2_instance_id: "i-1",
            registered_at: "2026-11-22T03:00:00Z".parse().unwrap(),
            running_tasks: 10,
        };
        Filter::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).matches(&subject)
    }

    #[test]
    fn expressions() {
        for expression in [
            "attribute:bottlerocket.variant exists",
            "attribute:bottlerocket.variant == aws-ecs-2",
            "attribute:bottlerocket.variant in [aws-ecs-1, aws-ecs-2]",
            "attribute:bottlerocket.variant in ['aws-ecs-1','aws-ecs-2']",
            "attribute:bottlerocket.variant =~ ^aws-ecs-.*",
            "attribute:bottlerocket.variant=~aws-ecs.*",
            "attribute:bottlerocket.variant != aws-ecs-1",
            "attribute:nothing !exists",
            "attribute:nothing not_exists",
            "attribute:nothing != x",
            "attribute:ecs.capability.task-eni exists",
            "attribute:ecs.instance-type !in [t3.micro]",
            "agentConnected == true",
            "agentConnected and not runningTasksCount == 0",
            "runningTasksCount > 9",
            "(runningTasksCount < 3 or agentVersion >= 1.9.0) && ec2InstanceId in [i-1]",
            "!(ec2InstanceId == i-2)",
            "registeredAt < 2026-11-23T00:00:00Z",
            "attribute:ecs.instance-type equals \"m6i.large\"",
        ] {
            assert!(holds(expression), "{expression}");
        }
        for expression in [
            "attribute:nothing exists",
            "attribute:nothing == x",
            "attribute:bottlerocket.variant !exists",
            "attribute:bottlerocket.variant !~ aws.*",
            "agentConnected == false",
            "runningTasksCount < 9",
            "agentConnected == true and ec2InstanceId == i-2 or runningTasksCount == 9",
        ] {
            assert!(!holds(expression), "{expression}");
        }
    }

    #[test]
    fn malformed_expressions_are_refused() {
        for expression in [
            "",
            "attribute:",
            "attribute:x",
            "attribute:x ==",
            "nonsense == 1",
            "attribute:x in []",
            "attribute:x in [a",
            "(agentConnected == true",
            "agentConnected == true extra",
            "attribute:x == 'open",
            "attribute:x =~ '('",
        ] {
            assert!(Filter::parse(expression).is_err(), "{expression}");
        }
    }
}
