//! What functions of the user's have answered.

use super::ids::MachineNo;

/// An answer of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooked {
    pub cluster: String,
    pub run: String,
    /// Such as `before_drain`.
    pub step: String,
    /// The machine that it was asked about, where it was.
    pub machine: Option<MachineNo>,
    pub key: String,
    /// Whether it said ok.
    pub ok: bool,
    /// Whether it failed itself, or what it said is no answer.
    pub error: bool,
}
