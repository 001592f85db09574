//! A command of `thar-be-updates` that is under way.

use jiff::Timestamp;
use semver::Version;

use super::image::Image;
use super::status::Command;

/// A forked worker. It holds the lock until it ends.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    /// `None`: it hangs, and holds the lock until the next boot.
    pub(super) ends_at: Option<Timestamp>,
    pub(super) command: Command,
    pub(super) killed: bool,
    pub(super) work: Work,
}

/// What a worker will do. It reads the manifest when it starts, and changes the disk when it ends. A refresh reads the lock at
/// its end (docs/facts/host-api.md#trap-14), a prepare at its start.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Refresh { available: Vec<Version> },
    Write { image: Image, believed: Image, breaks: bool },
    WriteNothing { believed: Image },
    SetFlags,
    Fail { stderr: String },
}
