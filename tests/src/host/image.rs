//! An OS image, as the host API names it.

use semver::Version;
use serde::{Deserialize, Serialize};

/// An OS image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// The OS version.
    pub version: Version,
    /// Such as `aws-ecs-2`.
    pub variant: String,
}
