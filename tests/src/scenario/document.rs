//! What SSM documents do.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What an SSM document does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a document is inspect, stage, reboot, revert, shell, or a list of lines")]
pub enum DocumentSpec {
    /// One of the known ones.
    Known(KnownDocument),
    /// Lines of a shell script.
    Lines(Vec<String>),
}

/// The documents that the simulator has stand-ins for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownDocument {
    /// The document `EcsUpdater-Inspect`.
    Inspect,
    /// The document `EcsUpdater-Stage`.
    Stage,
    /// The document `EcsUpdater-Reboot`.
    Reboot,
    /// The document `EcsUpdater-Revert`.
    Revert,
    /// `AWS-RunShellScript`: the lines are in the parameter `commands`.
    Shell,
}

/// Returns the documents that are there in every scenario.
pub(super) fn default_documents() -> BTreeMap<String, DocumentSpec> {
    [
        ("EcsUpdater-Inspect", KnownDocument::Inspect),
        ("EcsUpdater-Stage", KnownDocument::Stage),
        ("EcsUpdater-Reboot", KnownDocument::Reboot),
        ("EcsUpdater-Revert", KnownDocument::Revert),
        ("AWS-RunShellScript", KnownDocument::Shell),
    ]
    .into_iter()
    .map(|(name, document)| (name.to_owned(), DocumentSpec::Known(document)))
    .collect()
}
