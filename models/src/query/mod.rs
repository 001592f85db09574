//! Expressions in the cluster query language (ECS developer guide, [`cluster-query-language`]), as far as they speak of an
//! instance's attributes, its EC2 id and the groups of its tasks; and [`Select`], a person's own, which may also name EC2 tags
//! and capacity providers.
//!
//! The guide does not say what a comparison with an attribute means that is not there. Observed: it does not hold, `!=`
//! included ([containers-roadmap #486]); `not (…)` turns what is inside round.
//!
//! [`cluster-query-language`]: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-query-language.html
//! [containers-roadmap #486]: https://github.com/aws/containers-roadmap/issues/486

mod expression;
mod parser;
mod select;
mod words;

pub use expression::{Expression, Known, QueryError, Subject, is_unnamed};
pub use select::{MAX_SELECT, Select};

use parser::{Dialect, Parser};

/// Reads a placement constraint. What this program does not know of the language is neither true nor false in it.
///
/// # Errors
/// The text is no expression.
pub fn constraint(text: &str) -> Result<Expression, QueryError> {
    Parser::whole(text, Dialect::Constraint).map(Expression)
}

#[cfg(test)]
mod tests;
