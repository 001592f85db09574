//! How a list of alarms stands in the configuration: in TOML a list of names, elsewhere a text with commas between them.

use std::collections::BTreeSet;

use super::syntax::{NONE, NotAllowed, Syntax, quoted};
use super::value::Value;

/// A list of names of CloudWatch alarms.
pub(super) struct AlarmList;

/// Names of one `DescribeAlarms` (CloudWatch API reference).
const MOST: usize = 100;
/// Characters of a name (the same).
const LONGEST: usize = 255;

impl Syntax<BTreeSet<String>> for AlarmList {
    /// An empty list is a mistake: what was to hold a rollout would never hold it.
    fn read(&self, value: &Value) -> Result<BTreeSet<String>, NotAllowed> {
        let names: BTreeSet<String> = match value {
            Value::Scalar { text, .. } if text == NONE => return Ok(BTreeSet::new()),
            Value::Scalar { text, .. } => text.split(',').map(name).collect::<Result<_, _>>()?,
            Value::Array(items) => {
                items.iter().map(|item| name(item.value.as_text().ok_or(NotAllowed)?)).collect::<Result<_, _>>()?
            }
            Value::Table(_) | Value::Other { .. } => return Err(NotAllowed),
        };
        if names.is_empty() || names.len() > MOST { Err(NotAllowed) } else { Ok(names) }
    }

    fn write(&self, value: &BTreeSet<String>) -> String {
        if value.is_empty() {
            return quoted(NONE);
        }
        let items: Vec<String> = value.iter().map(|name| quoted(name)).collect();
        format!("[{}]", items.join(", "))
    }

    fn allowed(&self, _: &BTreeSet<String>) -> String {
        format!("a list of names of CloudWatch alarms, {MOST} at most, or {NONE:?}")
    }

    fn placeholder(&self) -> String {
        "ALARM,…".to_owned()
    }
}

/// A name, and no ARN: alarms are asked for by their names.
fn name(text: &str) -> Result<String, NotAllowed> {
    let name = text.trim();
    let is_name = !name.is_empty()
        && name.chars().count() <= LONGEST
        && !name.chars().any(char::is_control)
        && !name.starts_with("arn:");
    if is_name { Ok(name.to_owned()) } else { Err(NotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_stand_with_commas() {
        let long = "a".repeat(256);
        let table = [
            ("none", Some("\"none\"")),
            ("web-5xx", Some("[\"web-5xx\"]")),
            ("web 5xx, api/latency", Some("[\"api/latency\", \"web 5xx\"]")),
            ("", None),
            ("web,,api", None),
            ("arn:aws:cloudwatch:eu-central-1:111122223333:alarm:web", None),
            ("a\u{7}b", None),
            (&long, None),
        ];
        for (text, written) in table {
            let read = AlarmList.read(&Value::text(text)).map(|names| AlarmList.write(&names));
            assert_eq!(read.ok().as_deref(), written, "{text:?}");
        }
        let many = |count: usize| (0..count).map(|number| format!("a{number}")).collect::<Vec<_>>().join(",");
        assert!(AlarmList.read(&Value::text(&many(100))).is_ok());
        assert_eq!(AlarmList.read(&Value::text(&many(101))).err(), Some(NotAllowed));
    }
}
