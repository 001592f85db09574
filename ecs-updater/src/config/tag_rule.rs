//! What a cluster's tag may do to a key.

use std::cmp::Ordering;

use models::policy::Policy;

/// What a tag of an ECS cluster may do to a key. Anybody who may tag the cluster can write one, so that it is heard where
/// it is more careful than file, variable and default, or where no value is more careful than another.
#[derive(Clone, Copy)]
pub(super) enum Tag {
    /// What is written on hosts, and by whom: documents run as root there. Nor what the hosts' role allows, which is no matter
    /// of a cluster's, nor the windows that bind those who may tag it.
    Never,
    /// Only what allows no more.
    Stricter(Compare),
    /// A list of what is not allowed: the tag's is heard beside the one that stands without it.
    Adds(Join),
    Any,
}

impl Tag {
    /// As the documents name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Stricter(_) => "stricter",
            Self::Adds(_) => "adds",
            Self::Any => "any",
        }
    }
}

/// Compares how much two policies allow by one key; `None` where only the cluster's size tells.
pub(super) type Compare = fn(&Policy, &Policy) -> Option<Ordering>;

/// Adds what the first policy says by one key to what the second says.
pub(super) type Join = fn(&Policy, &mut Policy);
