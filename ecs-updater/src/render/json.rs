//! The report for programs: one JSON document, whose shape `docs/configuration.md` promises.

use models::clean;
use serde::Serialize;

/// How the document is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Pretty,
    /// On one line.
    Compact,
}

/// The document, with a line break at its end. Characters that a terminal would obey are escaped.
///
/// # Errors
/// None that a report can cause; serde's signature has one.
pub fn render(report: &impl Serialize, layout: Layout) -> Result<String, serde_json::Error> {
    let text = match layout {
        Layout::Pretty => serde_json::to_string_pretty(report)?,
        Layout::Compact => serde_json::to_string(report)?,
    };
    Ok(format!("{}\n", clean::json(&text)))
}
