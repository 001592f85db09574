//! Condition and update expressions, read and evaluated: comparisons, `AND`, `OR`, `NOT`, parentheses,
//! `attribute_exists`, `attribute_not_exists`; `SET` with `+`, `-` and `if_not_exists`. Attributes are named by
//! placeholders only.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::failure::Failure;
use super::attribute::{attribute, invalid};
use crate::world::{Attribute, Item};

/// `ExpressionAttributeNames` and `ExpressionAttributeValues`, and which of them an expression has used: DynamoDB
/// refuses those that none uses.
pub(super) struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, Attribute>,
    used: RefCell<BTreeSet<String>>,
}

impl Placeholders {
    pub(super) fn read(names: Map<String, Value>, values: Map<String, Value>) -> Result<Self, Failure> {
        let name = |(placeholder, name): (String, Value)| match name {
            Value::String(name) if placeholder.starts_with('#') => Ok((placeholder, name)),
            _ => Err(invalid(format!(
                "ExpressionAttributeNames contains invalid key: Syntax error; key: {placeholder:?}"
            ))),
        };
        let value = |(placeholder, value): (String, Value)| {
            if placeholder.starts_with(':') {
                Ok((placeholder, attribute(&value)?))
            } else {
                Err(invalid(format!(
                    "ExpressionAttributeValues contains invalid key: Syntax error; key: {placeholder:?}"
                )))
            }
        };
        Ok(Self {
            names: names.into_iter().map(name).collect::<Result<_, _>>()?,
            values: values.into_iter().map(value).collect::<Result<_, _>>()?,
            used: RefCell::default(),
        })
    }

    pub(super) fn all_used(&self) -> Result<(), Failure> {
        let used = self.used.borrow();
        let unused = |placeholder: &&String| !used.contains(*placeholder);
        if let Some(name) = self.names.keys().find(unused) {
            return Err(invalid(format!(
                "Value provided in ExpressionAttributeNames unused in expressions: keys: {{{name}}}"
            )));
        }
        match self.values.keys().find(unused) {
            Some(value) => Err(invalid(format!(
                "Value provided in ExpressionAttributeValues unused in expressions: keys: {{{value}}}"
            ))),
            None => Ok(()),
        }
    }

    fn name(&self, placeholder: &str, expression: &str) -> Result<String, Failure> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.names.get(placeholder).cloned().ok_or_else(|| {
            invalid(format!(
                "Invalid {expression}: An expression attribute name used in the document path is not defined; \
                 attribute name: {placeholder}"
            ))
        })
    }

    fn value(&self, placeholder: &str, expression: &str) -> Result<Attribute, Failure> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.values.get(placeholder).cloned().ok_or_else(|| {
            invalid(format!(
                "Invalid {expression}: An expression attribute value used in expression is not defined; attribute \
                 value: {placeholder}"
            ))
        })
    }
}

/// A condition.
#[derive(Debug)]
pub(super) enum Condition {
    Or(Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Exists(String),
    Compare(Operand, Comparison, Operand),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Something with a value.
#[derive(Debug)]
pub(super) enum Operand {
    Name(String),
    Value(Attribute),
    IfNotExists(String, Box<Self>),
    Plus(Box<Self>, Box<Self>),
    Minus(Box<Self>, Box<Self>),
}

impl Condition {
    /// Whether it holds for an item; one that is not there has no attributes.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Or(one, other) => one.holds(item) || other.holds(item),
            Self::And(one, other) => one.holds(item) && other.holds(item),
            Self::Not(inner) => !inner.holds(item),
            Self::Exists(name) => item.contains_key(name),
            Self::Compare(left, comparison, right) => {
                let sides = left.get(item).ok().zip(right.get(item).ok());
                // An attribute that is not there equals nothing and is neither less nor greater.
                sides
                    .map_or(matches!(comparison, Comparison::NotEqual), |(left, right)| comparison.holds(&left, &right))
            }
        }
    }
}

impl Comparison {
    /// Values of different types are different, and neither is less.
    fn holds(self, left: &Attribute, right: &Attribute) -> bool {
        let order = match (left, right) {
            (Attribute::Text(left), Attribute::Text(right)) => Some(left.cmp(right)),
            (Attribute::Number(left), Attribute::Number(right)) => Some(left.cmp(right)),
            (Attribute::Text(_), Attribute::Number(_)) | (Attribute::Number(_), Attribute::Text(_)) => None,
        };
        match self {
            Self::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Self::NotEqual => order.is_none_or(std::cmp::Ordering::is_ne),
            Self::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
            Self::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

impl Operand {
    fn get(&self, item: &Item) -> Result<Attribute, Failure> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Name(name) => item.get(name).cloned().ok_or_else(|| {
                invalid("The provided expression refers to an attribute that does not exist in the item")
            }),
            Self::IfNotExists(name, other) => item.get(name).cloned().map_or_else(|| other.get(item), Ok),
            Self::Plus(left, right) => sum(&left.get(item)?, &right.get(item)?, 1),
            Self::Minus(left, right) => sum(&left.get(item)?, &right.get(item)?, -1),
        }
    }
}

fn sum(left: &Attribute, right: &Attribute, sign: i128) -> Result<Attribute, Failure> {
    match (left, right) {
        (Attribute::Number(left), Attribute::Number(right)) => {
            left.checked_add(sign * right).map(Attribute::Number).ok_or_else(|| {
                invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
            })
        }
        (_, _) => Err(invalid("An operand in the update expression has an incorrect data type")),
    }
}

/// The assignments of a `SET`.
#[derive(Debug)]
pub(super) struct Update(Vec<(String, Operand)>);

impl Update {
    /// The new values; all are computed from the item as it was.
    pub(super) fn apply(&self, item: &Item) -> Result<Vec<(String, Attribute)>, Failure> {
        self.0.iter().map(|(name, operand)| Ok((name.clone(), operand.get(item)?))).collect()
    }
}

pub(super) fn condition(text: &str, placeholders: &Placeholders) -> Result<Condition, Failure> {
    let mut reader = Reader::new("ConditionExpression", text, placeholders)?;
    let condition = reader.or()?;
    reader.end()?;
    Ok(condition)
}

pub(super) fn update(text: &str, placeholders: &Placeholders) -> Result<Update, Failure> {
    let mut reader = Reader::new("UpdateExpression", text, placeholders)?;
    reader.word("SET")?;
    let mut assignments: Vec<(String, Operand)> = Vec::new();
    loop {
        let name = reader.name()?;
        reader.symbol("=")?;
        let value = reader.sum()?;
        if assignments.iter().any(|(other, _)| *other == name) {
            return Err(invalid(
                "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of \
                 these paths",
            ));
        }
        assignments.push((name, value));
        if !reader.takes(",") {
            break;
        }
    }
    reader.end()?;
    Ok(Update(assignments))
}

struct Reader<'a> {
    expression: &'static str,
    tokens: Vec<&'a str>,
    at: usize,
    placeholders: &'a Placeholders,
}

impl<'a> Reader<'a> {
    fn new(expression: &'static str, text: &'a str, placeholders: &'a Placeholders) -> Result<Self, Failure> {
        let tokens = tokens(text).map_err(|token| syntax(expression, token))?;
        Ok(Self { expression, tokens, at: 0, placeholders })
    }

    fn or(&mut self) -> Result<Condition, Failure> {
        let mut left = self.and()?;
        while self.takes_word("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Condition, Failure> {
        let mut left = self.not()?;
        while self.takes_word("AND") {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Condition, Failure> {
        if self.takes_word("NOT") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        if self.takes("(") {
            let inner = self.or()?;
            self.symbol(")")?;
            return Ok(inner);
        }
        for (function, exists) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.takes(function) {
                self.symbol("(")?;
                let condition = Condition::Exists(self.name()?);
                self.symbol(")")?;
                return Ok(if exists { condition } else { Condition::Not(Box::new(condition)) });
            }
        }
        let left = self.simple()?;
        let comparison = match self.next() {
            Some("=") => Comparison::Equal,
            Some("<>") => Comparison::NotEqual,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some(">") => Comparison::Greater,
            Some(">=") => Comparison::GreaterOrEqual,
            other => return Err(syntax(self.expression, other.unwrap_or("<EOF>"))),
        };
        Ok(Condition::Compare(left, comparison, self.simple()?))
    }

    fn sum(&mut self) -> Result<Operand, Failure> {
        let left = self.operand()?;
        if self.takes("+") {
            return Ok(Operand::Plus(Box::new(left), Box::new(self.operand()?)));
        }
        if self.takes("-") {
            return Ok(Operand::Minus(Box::new(left), Box::new(self.operand()?)));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Operand, Failure> {
        if !self.takes("if_not_exists") {
            return self.simple();
        }
        self.symbol("(")?;
        let name = self.name()?;
        self.symbol(",")?;
        let other = self.operand()?;
        self.symbol(")")?;
        Ok(Operand::IfNotExists(name, Box::new(other)))
    }

    /// A name or a value.
    fn simple(&mut self) -> Result<Operand, Failure> {
        match self.tokens.get(self.at) {
            Some(token) if token.starts_with(':') => {
                self.at += 1;
                self.placeholders.value(token, self.expression).map(Operand::Value)
            }
            Some(_) | None => self.name().map(Operand::Name),
        }
    }

    fn name(&mut self) -> Result<String, Failure> {
        match self.next() {
            Some(token) if token.starts_with('#') => self.placeholders.name(token, self.expression),
            other => Err(syntax(self.expression, other.unwrap_or("<EOF>"))),
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn takes(&mut self, token: &str) -> bool {
        let is = self.tokens.get(self.at).is_some_and(|next| *next == token);
        self.at += usize::from(is);
        is
    }

    /// Key words are read in any case.
    fn takes_word(&mut self, word: &str) -> bool {
        let is = self.tokens.get(self.at).is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &str) -> Result<(), Failure> {
        if self.takes_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn symbol(&mut self, token: &str) -> Result<(), Failure> {
        if self.takes(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end(&self) -> Result<(), Failure> {
        if self.at == self.tokens.len() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Failure {
        syntax(self.expression, self.tokens.get(self.at).unwrap_or(&"<EOF>"))
    }
}

/// Why a token cannot stand where it does: DynamoDB would not take it, or it is beyond what is modelled here.
fn syntax(expression: &str, token: &str) -> Failure {
    if is_beyond(token) {
        return Failure::unknown("Expression", format!("{token:?} in {expression} is not modelled"));
    }
    invalid(format!("Invalid {expression}: Syntax error; token: {token:?}"))
}

/// Whether a token is DynamoDB's, but not ours: a key word, a function, an attribute without a placeholder, or a path into
/// an attribute.
fn is_beyond(token: &str) -> bool {
    let is_word = token.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_ours = ["SET", "AND", "OR", "NOT"].iter().any(|word| token.eq_ignore_ascii_case(word))
        || ["attribute_exists", "attribute_not_exists", "if_not_exists"].contains(&token);
    (is_word && !is_ours) || token.starts_with(['.', '['])
}

/// Words, placeholders and symbols; the first that is none of these otherwise.
fn tokens(text: &str) -> Result<Vec<&str>, &str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let prefix = usize::from(rest.starts_with(['#', ':']));
        let length = prefix + rest[prefix..].find(|c| !word(c)).unwrap_or(rest.len() - prefix);
        let symbols = ["<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "+", "-", ".", "[", "]"];
        let length = if length > prefix {
            length
        } else {
            symbols.iter().find(|symbol| rest.starts_with(*symbol)).map(|symbol| symbol.len()).ok_or(rest)?
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}
