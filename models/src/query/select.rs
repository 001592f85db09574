//! A person's `select`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::expression::{Expression, Known, QueryError, Subject};
use super::parser::{Dialect, Parser};

/// The longest that is taken, in characters: as long as ECS takes a placement constraint (ECS API reference,
/// [`PlacementConstraint`]).
///
/// [`PlacementConstraint`]: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PlacementConstraint.html
pub const MAX_SELECT: usize = 2000;

/// The expression that an instance has to meet before anything is begun on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Select {
    text: String,
    expression: Expression,
}

impl Select {
    /// Whether an instance meets it by what is known of it; `None` where that cannot be told.
    pub fn holds<'a>(&self, known: impl Fn(&Subject) -> Known<'a>) -> Option<bool> {
        self.expression.holds(known)
    }

    /// The keys of the EC2 tags that it asks for.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.expression.tags()
    }
}

impl FromStr for Select {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        if text.chars().count() > MAX_SELECT {
            return Err(QueryError::new(MAX_SELECT + 1, format!("it is longer than {MAX_SELECT} characters")));
        }
        let expression = Expression(Parser::whole(text, Dialect::Select)?);
        Ok(Self { text: text.to_owned(), expression })
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Select {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Select {}

impl TryFrom<String> for Select {
    type Error = QueryError;

    fn try_from(text: String) -> Result<Self, QueryError> {
        text.parse()
    }
}

impl From<Select> for String {
    fn from(select: Select) -> Self {
        select.text
    }
}
