//! How long an update is expected to take, before this run has seen one.

use jiff::SignedDuration;
use models::policy::Policy;

/// Writing an image: a few hundred MiB to download and write.
pub(super) const STAGE: SignedDuration = SignedDuration::from_mins(3);
/// Replacements start and become healthy (40 s without a health check), then tasks stop (30 s).
pub(super) const DRAIN: SignedDuration = SignedDuration::from_mins(3);
/// Shutdown, boot, agent, checks.
pub(super) const REBOOT: SignedDuration = SignedDuration::from_mins(3);
/// How long one instance is out of service.
pub(super) const OUT_OF_SERVICE: SignedDuration = SignedDuration::from_mins(DRAIN.as_mins() + REBOOT.as_mins());

/// Returns how long so many updates take, with so many at once.
pub(super) fn lasts(updates: usize, at_once: usize) -> SignedDuration {
    STAGE.saturating_add(times(OUT_OF_SERVICE, updates.div_ceil(at_once)))
}

/// Returns so many times a duration; the longest there is where that is too much.
pub(super) fn times(each: SignedDuration, count: usize) -> SignedDuration {
    each.checked_mul(i32::try_from(count).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX)
}

/// Returns how much longer a drain may take that waits for the end of standalone tasks.
pub(super) fn longest_wait(policy: &Policy) -> SignedDuration {
    (policy.timeouts.drain - DRAIN).max(SignedDuration::ZERO)
}
