//! Times in a file: since the start of the scenario, or absolute.

use jiff::{SignedDuration, Timestamp};
use toml::{Table, Value};

use super::error::ScenarioError;

/// Replaces `"+2h"` by the time two hours after the start, and TOML's own times by text.
pub(super) fn absolute_times(table: Table, start: Timestamp) -> Result<Table, ScenarioError> {
    table.into_iter().map(|(key, value)| Ok((key, absolute_value(value, start)?))).collect()
}

fn absolute_value(value: Value, start: Timestamp) -> Result<Value, ScenarioError> {
    Ok(match value {
        Value::String(text) if text.starts_with('+') => {
            let fail = |source| ScenarioError::Time { text: text.clone(), source };
            let since: SignedDuration = text[1..].parse().map_err(fail)?;
            Value::String(start.checked_add(since).map_err(fail)?.to_string())
        }
        Value::Datetime(time) => Value::String(time.to_string()),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| absolute_value(value, start)).collect::<Result<_, _>>()?)
        }
        Value::Table(table) => Value::Table(absolute_times(table, start)?),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value,
    })
}
