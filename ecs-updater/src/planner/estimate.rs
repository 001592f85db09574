//! How long a rollout will take, told before it begins.

use jiff::SignedDuration;
use models::plan::Estimate;
use models::policy::Policy;

/// Writing an image: a few hundred MiB to download and write.
const STAGE: SignedDuration = SignedDuration::from_mins(3);
/// Replacements start and become healthy (40 s without a health check), then tasks stop (30 s).
const DRAIN: SignedDuration = SignedDuration::from_mins(3);
/// Shutdown, boot, agent, checks.
const REBOOT: SignedDuration = SignedDuration::from_mins(3);

/// For `count` instances to update in a cluster of `size`, of which `out` are out of service already.
pub fn estimate(count: usize, size: usize, out: usize, policy: &Policy) -> Estimate {
    if count == 0 {
        return Estimate { duration: SignedDuration::ZERO, rests_on: Vec::new() };
    }
    let at_once = policy.max_unavailable.of(size).saturating_sub(out).max(1);
    let rounds = count.div_ceil(at_once);
    let each = DRAIN + REBOOT;
    let rounds_i32 = i32::try_from(rounds).unwrap_or(i32::MAX);
    let duration = each.checked_mul(rounds_i32).unwrap_or(SignedDuration::MAX).saturating_add(STAGE);
    Estimate {
        duration,
        rests_on: vec![
            format!(
                "{at_once} at once (max_unavailable {} of {size} instances, {out} out of service now)",
                policy.max_unavailable
            ),
            format!("{} to write the first images; later ones are written ahead", minutes(STAGE)),
            format!(
                "{} a drain, {} a reboot with its checks: a service that is slow to move takes longer",
                minutes(DRAIN),
                minutes(REBOOT)
            ),
        ],
    }
}

fn minutes(duration: SignedDuration) -> String {
    format!("{} min", duration.as_mins())
}
