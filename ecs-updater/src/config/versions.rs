//! How a list of versions stands in the configuration: in TOML a list of texts, elsewhere a text with commas between them;
//! or with spaces, since a tag of ECS takes no comma.

use std::collections::BTreeSet;

use models::host::parse_version;
use semver::Version;

use super::syntax::{NONE, NotAllowed, Syntax, quoted};
use super::value::Value;

/// A list of versions.
pub(super) struct VersionList;

impl Syntax<BTreeSet<Version>> for VersionList {
    /// An empty list is a mistake: what was to hold versions back would hold back none.
    fn read(&self, value: &Value) -> Result<BTreeSet<Version>, NotAllowed> {
        let version = |text: &str| parse_version(text).ok_or(NotAllowed);
        match value {
            Value::Scalar { text, .. } if text == NONE => Ok(BTreeSet::new()),
            Value::Scalar { text, .. } => {
                let between = |char: char| char == ',' || char.is_whitespace();
                let versions: BTreeSet<Version> =
                    text.split(between).filter(|part| !part.is_empty()).map(version).collect::<Result<_, _>>()?;
                if versions.is_empty() { Err(NotAllowed) } else { Ok(versions) }
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().map(|item| version(item.value.as_text().ok_or(NotAllowed)?)).collect()
            }
            Value::Array(_) | Value::Table(_) | Value::Other { .. } => Err(NotAllowed),
        }
    }

    fn write(&self, value: &BTreeSet<Version>) -> String {
        if value.is_empty() {
            return quoted(NONE);
        }
        let items: Vec<String> = value.iter().map(|version| quoted(&version.to_string())).collect();
        format!("[{}]", items.join(", "))
    }

    fn allowed(&self, _: &BTreeSet<Version>) -> String {
        format!("a list of versions such as \"1.27.0\", or {NONE:?}")
    }

    fn placeholder(&self) -> String {
        "VERSION,…".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_with_commas_or_spaces() {
        let read = |text: &str| VersionList.read(&Value::text(text)).map(|versions| VersionList.write(&versions));
        let table = [
            ("none", Some("\"none\"")),
            ("1.27.0", Some("[\"1.27.0\"]")),
            ("1.28.0, v1.27.0", Some("[\"1.27.0\", \"1.28.0\"]")),
            ("1.28.0 1.27.0", Some("[\"1.27.0\", \"1.28.0\"]")),
            ("", None),
            (" ", None),
            (",", None),
            ("1.27", None),
            ("1.27.x", None),
            ("latest", None),
        ];
        for (text, written) in table {
            assert_eq!(read(text).ok().as_deref(), written, "{text:?}");
        }
    }
}
