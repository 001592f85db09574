//! Identity-based policies, and what they allow.
//!
//! Source: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators", "Multivalued context
//! keys".

mod hosts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::need::Need;

/// The one policy variable that is known: the ARN of the EC2 instance whose role calls, where one does (IAM user guide,
/// "AWS global condition context keys"; EC2 user guide, `iam-example-source-instance`).
const SOURCE_INSTANCE: &str = "${ec2:SourceInstanceARN}";
/// The condition key that it stands for.
pub(super) const SOURCE_INSTANCE_KEY: &str = "ec2:SourceInstanceARN";

/// Identity-based policies that are in force together; only `Allow` is known.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its `Sid`; empty without one.
    pub sid: String,
    /// What it allows.
    pub actions: BTreeSet<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    StringEquals,
    ForAllValuesStringEquals,
    /// `ArnEquals` and `ArnLike`, which are the same.
    ArnLike,
    Null,
}

/// A policy that this does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy statement {sid:?}: {what}")]
pub struct NotUnderstood {
    /// The statement's `Sid`.
    pub sid: String,
    /// What is not understood.
    pub what: String,
}

impl Policies {
    /// Reads one policy document and adds it.
    ///
    /// # Errors
    /// [`NotUnderstood`] where the document has something that is not modelled.
    pub fn and(mut self, document: &Value) -> Result<Self, NotUnderstood> {
        let statements = document.get("Statement").and_then(Value::as_array);
        let none = || NotUnderstood { sid: String::new(), what: "no list of statements".to_owned() };
        for statement in statements.ok_or_else(none)? {
            self.statements.push(Statement::read(statement)?);
        }
        Ok(self)
    }

    /// Whether some statement allows it.
    pub fn allow(&self, need: &Need) -> bool {
        self.statements.iter().any(|statement| statement.allows(need))
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// All but one statement.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let kept = self.statements.iter().enumerate().filter(|(at, _)| *at != index);
        Self { statements: kept.map(|(_, statement)| statement.clone()).collect() }
    }

    /// Every action that a statement names.
    pub fn actions(&self) -> BTreeSet<String> {
        self.statements.iter().flat_map(|statement| statement.actions.iter().cloned()).collect()
    }
}

impl Statement {
    fn read(statement: &Value) -> Result<Self, NotUnderstood> {
        let sid = statement.get("Sid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let odd = |what: String| NotUnderstood { sid: sid.clone(), what };
        let table = statement.as_object().ok_or_else(|| odd("no object".to_owned()))?;
        if let Some(element) =
            table.keys().find(|key| !["Sid", "Effect", "Action", "Resource", "Condition"].contains(&key.as_str()))
        {
            return Err(odd(format!("element {element}")));
        }
        if table.get("Effect") != Some(&Value::from("Allow")) {
            return Err(odd("an effect other than Allow".to_owned()));
        }
        let texts = |element: &str| {
            texts(table.get(element)).ok_or_else(|| odd(format!("{element} is no text or list of texts")))
        };
        let actions: BTreeSet<String> = texts("Action")?.into_iter().collect();
        if let Some(action) = actions.iter().find(|action| action.contains(['*', '?'])) {
            return Err(odd(format!("action {action}")));
        }
        let mut conditions = Vec::new();
        let empty = Map::new();
        let operators = table.get("Condition").map_or(Some(&empty), Value::as_object);
        for (operator, keys) in operators.ok_or_else(|| odd("Condition is no object".to_owned()))? {
            let read = match operator.as_str() {
                "StringEquals" => Operator::StringEquals,
                "ForAllValues:StringEquals" => Operator::ForAllValuesStringEquals,
                "ArnEquals" | "ArnLike" => Operator::ArnLike,
                "Null" => Operator::Null,
                _ => return Err(odd(format!("operator {operator}"))),
            };
            for (key, values) in keys.as_object().ok_or_else(|| odd(format!("{operator} has no keys")))? {
                let values = self::texts(Some(values)).ok_or_else(|| odd(format!("{operator} {key} has no values")))?;
                if read == Operator::Null && values != ["true"] && values != ["false"] {
                    return Err(odd(format!("Null {key} {values:?}")));
                }
                let known = read == Operator::StringEquals && values.iter().all(|value| value == SOURCE_INSTANCE);
                if !known && values.iter().any(|value| value.contains("${")) {
                    return Err(odd(format!("a variable in {key}")));
                }
                conditions.push(Condition { operator: read, key: key.clone(), values });
            }
        }
        Ok(Self { actions, resources: texts("Resource")?, conditions, sid })
    }

    fn allows(&self, need: &Need) -> bool {
        self.actions.contains(&need.action)
            && self.resources.iter().any(|pattern| matches(pattern, &need.resource))
            && self.conditions.iter().all(|condition| condition.holds(need))
    }
}

impl Condition {
    fn holds(&self, need: &Need) -> bool {
        let found = need.context.get(&self.key).filter(|values| !values.is_empty());
        match (self.operator, found) {
            (Operator::Null, found) => (self.values == ["true"]) == found.is_none(),
            (Operator::ForAllValuesStringEquals, None) => true,
            (Operator::StringEquals | Operator::ArnLike, None) => false,
            (Operator::ForAllValuesStringEquals, Some(found)) => found.iter().all(|value| self.values.contains(value)),
            (Operator::StringEquals, Some(found)) if self.values == [SOURCE_INSTANCE] => {
                // Where it has no value, nothing is equal to it (IAM user guide, "Policy variables with no value").
                need.context.get(SOURCE_INSTANCE_KEY).is_some_and(|source| found.iter().any(|one| source.contains(one)))
            }
            (Operator::StringEquals, Some(found)) => found.iter().any(|value| self.values.contains(value)),
            (Operator::ArnLike, Some(found)) => {
                found.iter().any(|arn| self.values.iter().any(|pattern| arn_matches(pattern, arn)))
            }
        }
    }
}

/// A text or a list of texts that is not empty.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Each of the six parts of an ARN for itself.
fn arn_matches(pattern: &str, arn: &str) -> bool {
    let (pattern, arn): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern.len() == 6 && arn.len() == 6 && pattern.iter().zip(&arn).all(|(pattern, part)| matches(pattern, part))
}

/// `*` is any text, `?` one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(char) if *char == '?' || *char == text[here] => {
                at += 1;
                here += 1;
            }
            Some(_) | None => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    at = before + 1;
                    here = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|char| *char == '*')
}
