//! Reads the text of an expression.

use regex_lite::Regex;

use super::expression::{Comparison, Field, Node, Test};

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

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

pub(super) struct Parser {
    words: Vec<Word>,
    at: usize,
    /// Whether it is the updater's `select`.
    is_select: bool,
}

impl Parser {
    /// Reads a whole text.
    pub(super) fn whole(text: &str) -> Result<Node, FilterError> {
        Self::read(text, false)
    }

    /// Reads a whole `select`.
    pub(super) fn whole_select(text: &str) -> Result<Node, FilterError> {
        Self::read(text, true)
    }

    fn read(text: &str, is_select: bool) -> Result<Node, FilterError> {
        let mut parser = Self { words: words(text)?, at: 0, is_select };
        let node = parser.any()?;
        match parser.next() {
            None => Ok(node),
            Some(found) => Err(FilterError::Unexpected { found: found.text, expected: "the end" }),
        }
    }

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
        if let Some(name) = self.provider_alone() {
            return Ok(Node::Test(Field::Provider, Test::Compare(Comparison::Equal, name)));
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

    /// `provider:NAME`, without an operator.
    fn provider_alone(&mut self) -> Option<String> {
        let word = self.words.get(self.at).filter(|_| self.is_select)?;
        let name = word.text.strip_prefix("provider:").filter(|name| !name.is_empty())?.to_owned();
        self.at += 1;
        Some(name)
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let word = self.next().ok_or(FilterError::Ends("a subject"))?;
        match word.text.as_str() {
            "agentConnected" => Ok(Field::AgentConnected),
            "agentVersion" => Ok(Field::AgentVersion),
            "ec2InstanceId" => Ok(Field::Ec2InstanceId),
            "registeredAt" => Ok(Field::RegisteredAt),
            "runningTasksCount" => Ok(Field::RunningTasksCount),
            "task:group" => Ok(Field::TaskGroup),
            "provider" if self.is_select => Ok(Field::Provider),
            text if self.is_select && text.strip_prefix("tag:").is_some_and(|key| !key.is_empty()) => {
                Ok(Field::Tag(text["tag:".len()..].to_owned()))
            }
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
        // Of what is not there no comparison holds; a task's group is of the tasks that are there.
        let is_attribute = matches!(field, Field::Attribute(_) | Field::Tag(_) | Field::Provider);
        let exists = Node::Test(field.clone(), Test::Exists);
        let without = |node| Node::Not(Box::new(node));
        let not = |node| {
            let not = without(node);
            if is_attribute { Node::And(Box::new(exists.clone()), Box::new(not)) } else { not }
        };
        if self.take(&["!=", "not_equals"]) {
            return Ok(not(Node::Test(field, Test::Compare(Comparison::Equal, self.value()?))));
        }
        if self.take(&["exists"]) {
            return Ok(Node::Test(field, Test::Exists));
        }
        if self.take(&["!exists", "not_exists"]) {
            return Ok(without(Node::Test(field, Test::Exists)));
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
