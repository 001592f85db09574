//! Errors of AWS.

use serde_json::{Map, Value};

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What the body of the error has besides.
    pub(crate) more: Map<String, Value>,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into(), more: Map::new() }
    }

    /// Something that the simulator does not model.
    pub(crate) fn unknown(what: &str, message: impl Into<String>) -> Self {
        Self::new(&format!("{UNKNOWN}{what}"), message)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.code.starts_with(UNKNOWN)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }
}

const UNKNOWN: &str = "SimulatorUnknown";
