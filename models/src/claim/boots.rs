//! The boots that a claim names.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::ids::BootId;

/// The boots a claim applies to, as stored in the tag: the first eight hex digits of each boot id, joined by `+`. Empty for
/// steps that are not bound to a boot.
///
/// One call gives a thousand instances the same tags and no two instances different ones, at 5 calls a second (EC2 API
/// reference, "request throttling"): that a claim names the boots of many is what lets a thousand hosts reboot in a
/// minute. Eight hexadecimal digits of a random id are enough: that a host's next boot begins like one of twenty others has
/// a chance of one in 200 million, and then it is taken for not rebooted, and rebooted again while nothing is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Boots(Arc<str>);

impl Boots {
    /// Characters of a boot id that are written.
    const WRITTEN: usize = 8;

    /// Whether a host in this boot is meant.
    pub fn contain(&self, boot: &BootId) -> bool {
        !self.is_empty() && self.0.split('+').any(|mark| boot.as_str().starts_with(mark))
    }

    /// Whether no boot is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one boot is named by both.
    pub(super) fn share_one(&self, others: &Self) -> bool {
        let named =
            |boots: &Self, mark: &str| boots.0.split('+').any(|one| one.starts_with(mark) || mark.starts_with(one));
        !self.is_empty() && !others.is_empty() && self.0.split('+').any(|mark| named(others, mark))
    }

    /// These and the others.
    #[must_use]
    pub(super) fn and(&self, others: &Self) -> Self {
        let marks: BTreeSet<&str> = [self, others].into_iter().flat_map(|boots| boots.0.split('+')).collect();
        let marks: Vec<&str> = marks.into_iter().filter(|mark| !mark.is_empty()).collect();
        Self(marks.join("+").into())
    }

    /// As they stand in a tag. One that was written before claims named several is a whole id.
    pub(super) fn read(text: &str) -> Option<Self> {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        let is_mark =
            |mark: &str| (mark.len() == Self::WRITTEN && mark.bytes().all(is_digit)) || BootId::from(mark).is_uuid();
        text.split('+').all(is_mark).then(|| Self(text.into()))
    }
}

impl From<&BootId> for Boots {
    fn from(boot: &BootId) -> Self {
        Self(boot.as_str().get(..Self::WRITTEN).unwrap_or(boot.as_str()).into())
    }
}

impl fmt::Display for Boots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
