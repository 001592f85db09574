//! Reads the text of an expression.

use regex_lite::Regex;

use super::expression::{Comparison, Node, QueryError, Subject, Test, is_unnamed};
use super::words::{Word, words};

/// Whose expression it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A placement constraint, which ECS has taken: what this program cannot read of it is not known.
    Constraint,
    /// A person's `select`: what cannot be known is a mistake.
    Select,
}

pub(super) struct Parser {
    words: std::vec::IntoIter<Word>,
    dialect: Dialect,
    /// Behind the last character.
    end: usize,
}

/// How deep parentheses and `not` may go: no stack is to run out.
const DEEPEST: usize = 50;

impl Parser {
    /// Reads a whole text.
    pub(super) fn whole(text: &str, dialect: Dialect) -> Result<Node, QueryError> {
        let mut parser = Self { words: words(text)?.into_iter(), dialect, end: text.chars().count() + 1 };
        let node = parser.any(0)?;
        match parser.words.next() {
            None => Ok(node),
            Some(word) => Err(word.instead_of("\"and\", \"or\" or the end")),
        }
    }

    fn peek(&self) -> Option<&Word> {
        self.words.as_slice().first()
    }

    fn next(&mut self, wanted: &str) -> Result<Word, QueryError> {
        let end = self.end;
        self.words.next().ok_or_else(|| QueryError::new(end, format!("it ends where {wanted} is expected")))
    }

    fn takes(&mut self, any_of: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| any_of.iter().any(|one| word.is(one)));
        if found {
            self.words.next();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), QueryError> {
        let word = self.next(&format!("{sign:?}"))?;
        if word.is(sign) { Ok(()) } else { Err(word.instead_of(&format!("{sign:?}"))) }
    }

    fn any(&mut self, depth: usize) -> Result<Node, QueryError> {
        let mut node = self.all(depth)?;
        while self.takes(&["or", "||"]) {
            node = Node::Or(Box::new(node), Box::new(self.all(depth)?));
        }
        Ok(node)
    }

    fn all(&mut self, depth: usize) -> Result<Node, QueryError> {
        let mut node = self.one(depth)?;
        while self.takes(&["and", "&&"]) {
            node = Node::And(Box::new(node), Box::new(self.one(depth)?));
        }
        Ok(node)
    }

    fn one(&mut self, depth: usize) -> Result<Node, QueryError> {
        let at = self.peek().map_or(self.end, |word| word.at);
        if depth == DEEPEST {
            return Err(QueryError::new(at, "it goes too deep"));
        }
        if self.takes(&["!", "not"]) {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes(&["("]) {
            let node = self.any(depth + 1)?;
            self.expect(")")?;
            return Ok(node);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node, QueryError> {
        let word = self.next("a subject such as attribute:NAME")?;
        if word.is_sign() {
            return Err(word.instead_of("a subject such as attribute:NAME"));
        }
        if self.dialect == Dialect::Select
            && let Some(name) = word.text.strip_prefix(PROVIDER_IS).filter(|name| !name.is_empty())
        {
            return Ok(Node::Test(Subject::Provider, Test::In(vec![name.to_owned()]), false));
        }
        let subject = self.subject(&word)?;
        let operator = self.next(OPERATORS)?;
        let (test, is_negated) = self.test(&operator)?;
        Ok(match (subject, test) {
            (Some(subject), Some(test)) => Node::Test(subject, test, is_negated),
            (None, _) | (_, None) => Node::Unknown,
        })
    }

    /// `None` where nothing is known of it.
    fn subject(&self, word: &Word) -> Result<Option<Subject>, QueryError> {
        let name_of = |prefix: &str| word.text.strip_prefix(prefix).filter(|name| !name.is_empty());
        let subject = if let Some(name) = name_of("attribute:") {
            Some(Subject::Attribute(name.to_owned()))
        } else if let Some(name) = name_of("tag:").filter(|_| self.dialect == Dialect::Select) {
            Some(Subject::Tag(name.to_owned()))
        } else {
            match (word.text.as_str(), self.dialect) {
                ("ec2InstanceId", _) => Some(Subject::Ec2InstanceId),
                ("task:group", Dialect::Constraint) => Some(Subject::TaskGroup),
                ("runningTasksCount", Dialect::Constraint) => Some(Subject::RunningTasksCount),
                ("agentConnected", Dialect::Constraint) => Some(Subject::AgentConnected),
                ("agentVersion", Dialect::Constraint) => Some(Subject::AgentVersion),
                ("registeredAt", Dialect::Constraint) => Some(Subject::RegisteredAt),
                ("provider", Dialect::Select) => Some(Subject::Provider),
                _ => None,
            }
        };
        match (subject, self.dialect) {
            (Some(Subject::Attribute(name)), Dialect::Select) if is_unnamed(&name) => {
                let what =
                    format!("the attribute {name} is not read: no agent's capabilities, none of this program's own");
                Err(QueryError::new(word.at, what))
            }
            (None, Dialect::Select) => Err(word.instead_of(SUBJECTS)),
            (subject, _) => Ok(subject),
        }
    }

    /// Returns the test, `None` where it is not known when it holds, and whether it is negated.
    fn test(&mut self, operator: &Word) -> Result<(Option<Test>, bool), QueryError> {
        let known = if operator.is_quoted { "" } else { operator.text.as_str() };
        let is_constraint = self.dialect == Dialect::Constraint;
        let test = match known {
            "exists" | "!exists" | "not_exists" => Some(Test::Exists),
            "in" | "!in" | "not_in" => Some(Test::In(self.list()?)),
            "==" | "equals" | "!=" | "not_equals" => Some(Test::In(vec![self.value()?.text])),
            "=~" | "matches" | "!~" | "not_matches" => self.pattern()?,
            ">" | "greater_than" if is_constraint => Some(self.compared(Comparison::Greater)?),
            ">=" | "greater_than_equal" if is_constraint => Some(self.compared(Comparison::GreaterOrEqual)?),
            "<" | "less_than" if is_constraint => Some(self.compared(Comparison::Less)?),
            "<=" | "less_than_equal" if is_constraint => Some(self.compared(Comparison::LessOrEqual)?),
            _ if self.dialect == Dialect::Select || operator.is_sign() => return Err(operator.instead_of(OPERATORS)),
            _ => {
                self.value()?;
                None
            }
        };
        Ok((test, known.starts_with('!') || known.starts_with("not_")))
    }

    fn pattern(&mut self) -> Result<Option<Test>, QueryError> {
        let word = self.value()?;
        let whole = Regex::new(&format!("^(?:{})$", word.text));
        if self.dialect == Dialect::Constraint {
            // ECS has taken it, so that it is one there.
            return Ok(Regex::new(&word.text).ok().zip(whole.ok()).map(|(part, whole)| Test::MayMatch(part, whole)));
        }
        match whole {
            Ok(pattern) => Ok(Some(Test::Matches(pattern))),
            Err(_) => Err(QueryError::new(word.at, format!("{:?} is no regular expression", word.text))),
        }
    }

    fn compared(&mut self, comparison: Comparison) -> Result<Test, QueryError> {
        Ok(Test::Compare(comparison, self.value()?.text))
    }

    fn value(&mut self) -> Result<Word, QueryError> {
        let word = self.next("a value")?;
        if word.is_sign() { Err(word.instead_of("a value")) } else { Ok(word) }
    }

    fn list(&mut self) -> Result<Vec<String>, QueryError> {
        self.expect("[")?;
        let mut values = vec![self.value()?.text];
        while self.takes(&[","]) {
            values.push(self.value()?.text);
        }
        self.expect("]")?;
        Ok(values)
    }
}

impl Word {
    fn instead_of(&self, wanted: &str) -> QueryError {
        QueryError::new(self.at, format!("{:?} stands where {wanted} is expected", self.text))
    }
}

/// What stands before the name of a capacity provider where that is the whole test.
const PROVIDER_IS: &str = "provider:";
const OPERATORS: &str = "==, !=, in, !in, exists, !exists, =~ or !~";
const SUBJECTS: &str = "attribute:NAME, tag:NAME, provider, provider:NAME or ec2InstanceId";
