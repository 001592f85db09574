//! How long a rollout will take, told before it begins.

use jiff::SignedDuration;
use models::build::DOCS;
use models::count::plural;
use models::plan::Estimate;
use models::policy::Policy;
use semver::Version;

/// Writing an image: a few hundred MiB to download and write.
const STAGE: SignedDuration = SignedDuration::from_mins(3);
/// Replacements start and become healthy (40 s without a health check), then tasks stop (30 s).
const DRAIN: SignedDuration = SignedDuration::from_mins(3);
/// Shutdown, boot, agent, checks.
const REBOOT: SignedDuration = SignedDuration::from_mins(3);
/// How long one instance is out of service.
pub(super) const OUT_OF_SERVICE: SignedDuration = SignedDuration::from_mins(DRAIN.as_mins() + REBOOT.as_mins());

/// So many minor releases are many for one update in place: each leaves data behind
/// (docs/operations.md#a-host-that-has-no-room-for-its-data-store).
const MANY_RELEASES: u64 = 10;

/// What is ahead of a rollout.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The instances to update, from which version to which.
    pub(crate) updates: Vec<(Version, Version)>,
    /// Those of them whose standalone tasks are waited for.
    pub(crate) waits: usize,
    /// The cluster's instances.
    pub(crate) registered: usize,
    /// Those that are out of service already.
    pub(crate) out: usize,
    /// The bakes that the run waits for.
    pub(crate) bakes: usize,
}

/// Returns how long so many updates take, with so many at once.
pub(super) fn lasts(updates: usize, at_once: usize) -> SignedDuration {
    STAGE.saturating_add(times(OUT_OF_SERVICE, updates.div_ceil(at_once)))
}

fn times(each: SignedDuration, count: usize) -> SignedDuration {
    each.checked_mul(i32::try_from(count).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX)
}

/// Returns how long the rollout takes.
pub(crate) fn estimate(ahead: &Ahead, policy: &Policy) -> Estimate {
    let Ahead { updates, waits, registered, out, bakes } = ahead;
    if updates.is_empty() {
        return Estimate { duration: SignedDuration::ZERO, rests_on: Vec::new() };
    }
    let at_once = policy.max_unavailable.of(*registered).saturating_sub(*out).max(1);
    let wait = longest_wait(policy);
    // Each drain comes by itself then, and the next one waits for the end of it too.
    let beside = if policy.soak.is_zero() { at_once } else { at_once.min(2) };
    let duration = lasts(updates.len(), beside)
        .saturating_add(times(wait, waits.div_ceil(at_once)))
        .saturating_add(times(policy.bake, *bakes))
        .saturating_add(times(policy.soak, updates.len().saturating_sub(1)));
    let mut rests_on = vec![
        format!(
            "{at_once} at once (max_unavailable {} of {}, {out} out of service now)",
            policy.max_unavailable,
            plural(*registered, "instance")
        ),
        format!("{} to write the first images; later ones are written ahead", minutes(STAGE)),
        format!(
            "{} a drain, {} a reboot with its checks: a service that is slow to move takes longer",
            minutes(DRAIN),
            minutes(REBOOT)
        ),
    ];
    if *waits > 0 {
        let drain = minutes(policy.timeouts.drain);
        rests_on.push(format!("{waits} with tasks of no service, whose end is waited for: {drain} each at most"));
    }
    if *bakes > 0 {
        rests_on.push(format!("{} of {} that this run waits for", plural(*bakes, "bake"), minutes(policy.bake)));
    }
    if !policy.soak.is_zero() {
        rests_on.push(format!("{} s after each drain and each return (soak)", policy.soak.as_secs()));
    }
    if policy.has_orders() || policy.groups.iter().any(|group| group.max_unavailable.is_some()) {
        rests_on.push("the limits and the order of groups are not counted: with them it can take longer".to_owned());
    }
    rests_on.extend(jump(updates));
    Estimate { duration, rests_on }
}

/// Returns how much longer a drain may take that waits for the end of standalone tasks.
pub(super) fn longest_wait(policy: &Policy) -> SignedDuration {
    (policy.timeouts.drain - DRAIN).max(SignedDuration::ZERO)
}

/// Says where an update skips many releases.
fn jump(updates: &[(Version, Version)]) -> Option<String> {
    let releases = |(from, to): &(Version, Version)| to.minor.saturating_sub(from.minor);
    let far: Vec<_> =
        updates.iter().filter(|update| update.0.major == update.1.major && releases(update) >= MANY_RELEASES).collect();
    let (from, to) = far.iter().max_by_key(|update| releases(update))?;
    Some(format!(
        "{} of them far behind ({from} to {to} at most): the data store of a host can grow too large on such a way, see \
         {DOCS}/operations.md#a-host-that-has-no-room-for-its-data-store",
        far.len()
    ))
}

fn minutes(duration: SignedDuration) -> String {
    format!("{} min", duration.as_mins())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::fixtures::version;

    fn ahead(updates: &[(&str, &str)], waits: usize) -> Ahead {
        let updates = updates.iter().map(|(from, to)| (version(from), version(to))).collect();
        Ahead { updates, waits, registered: 4, out: 0, bakes: 0 }
    }

    #[test]
    fn what_an_estimate_rests_on() {
        let near = [("1.26.1", "1.27.0"); 3];
        let far = [("1.26.1", "1.27.0"), ("1.16.0", "1.27.0"), ("1.14.1", "1.27.0")];
        let table = [
            (ahead(&[], 0), 0, 0),
            (ahead(&near, 0), 3 * 6 + 3, 3),
            (ahead(&near, 2), 3 * 6 + 3 + 2 * 17, 4),
            (ahead(&far, 0), 3 * 6 + 3, 4),
        ];
        for (ahead, minutes, sentences) in table {
            let estimate = estimate(&ahead, &Policy::default());
            assert_eq!((estimate.duration.as_mins(), estimate.rests_on.len()), (minutes, sentences), "{ahead:?}");
        }
        let estimate = estimate(&ahead(&far, 0), &Policy::default());
        assert!(estimate.rests_on[3].starts_with("2 of them far behind (1.14.1 to 1.27.0 at most)"), "{estimate:?}");
    }
}
