//! How the keys of a rollout stand in the configuration: a count, and a list of percentages.

use models::policy::Checkpoints;

use super::syntax::{NONE, NotAllowed, Syntax, quoted};
use super::value::Value;

/// A count from 1.
pub(super) struct Count;

/// A list of percentages: in TOML a list of texts, elsewhere a text with commas.
pub(super) struct Shares;

impl Syntax<u32> for Count {
    fn read(&self, value: &Value) -> Result<u32, NotAllowed> {
        let count = value.as_text().and_then(|text| text.parse().ok());
        count.filter(|count| *count > 0).ok_or(NotAllowed)
    }

    fn write(&self, value: &u32) -> String {
        value.to_string()
    }

    fn allowed(&self, example: &u32) -> String {
        format!("a count from 1, such as {example}")
    }

    fn placeholder(&self) -> String {
        "COUNT".to_owned()
    }
}

impl Syntax<Checkpoints> for Shares {
    /// An empty list is a mistake: what was to stop a rollout on its way would never stop it.
    fn read(&self, value: &Value) -> Result<Checkpoints, NotAllowed> {
        let texts: Vec<&str> = match value {
            Value::Scalar { text, .. } if text == NONE => return Ok(Checkpoints::default()),
            Value::Scalar { text, .. } => text.split(',').map(str::trim).collect(),
            Value::Array(items) if !items.is_empty() => {
                items.iter().map(|item| item.value.as_text().ok_or(NotAllowed)).collect::<Result<_, _>>()?
            }
            Value::Array(_) | Value::Table(_) | Value::Other { .. } => return Err(NotAllowed),
        };
        Checkpoints::read(texts).map_err(|_| NotAllowed)
    }

    fn write(&self, value: &Checkpoints) -> String {
        if value.is_empty() {
            return quoted(NONE);
        }
        let items: Vec<String> = value.percents().map(|percent| quoted(&format!("{percent}%"))).collect();
        format!("[{}]", items.join(", "))
    }

    fn allowed(&self, _: &Checkpoints) -> String {
        format!("a list of percentages from \"1%\" to \"99%\", or {NONE:?}")
    }

    fn placeholder(&self) -> String {
        "PERCENT,…".to_owned()
    }
}
