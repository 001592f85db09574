//! `[parameters]`: what SSM keeps under a name.

use std::collections::BTreeSet;

use serde::Deserialize;

/// An SSM parameter: a text, or its versions from the first to the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct ParameterSpec {
    versions: Vec<ParameterVersion>,
}

/// One version of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterVersion {
    pub value: String,
    /// The names that this version goes by.
    #[serde(default)]
    pub labels: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a parameter is a text, or a list of versions, each a table with a value")]
enum Written {
    Value(String),
    Versions(Vec<ParameterVersion>),
}

impl From<Written> for ParameterSpec {
    fn from(written: Written) -> Self {
        let versions = match written {
            Written::Value(value) => vec![ParameterVersion { value, labels: BTreeSet::new() }],
            Written::Versions(versions) => versions,
        };
        Self { versions }
    }
}

impl ParameterSpec {
    /// Writes another version.
    pub fn put(&mut self, value: String) {
        self.versions.push(ParameterVersion { value, labels: BTreeSet::new() });
    }

    /// Returns the latest version, or the one with this number or label, with its number; `None` where there is none.
    pub fn version(&self, selector: Option<&str>) -> Option<(usize, &ParameterVersion)> {
        let mut numbered = (1..).zip(&self.versions);
        match selector {
            None => numbered.last(),
            Some(selector) => numbered.find(|(number, version)| match selector.parse::<usize>() {
                Ok(wanted) => *number == wanted,
                Err(_) => version.labels.contains(selector),
            }),
        }
    }
}
