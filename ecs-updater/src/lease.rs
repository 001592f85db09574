//! One run at a time on a cluster: what a run may believe of its lease, and until when. Pure: the caller says what
//! time it is, and the table is [`crate::aws`]'s business.
//!
//! The lease is one item of a DynamoDB table: `lease` (the cluster's name), `holder` (a run's id), `epoch`, `expires`
//! (milliseconds since the epoch of Unix time), `ttl` (seconds). The run that takes it over raises the epoch by one, so that
//! of two runs that both believe to hold it the one with the higher epoch is right. Renewing and releasing keep it.
//!
//! A lease alone cannot stop a process that sleeps: it wakes with a write in hand and its lease long taken. So the time
//! is looked at before every single request that writes (`Tenure::may_write`), by two clocks. What the clocks miss, a
//! claim with a higher epoch on an instance makes doubtful (`doubted`), and the table settles: a tag can be anybody's.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use models::claim::Claim;
use models::fleet::FleetSnapshot;
use models::ids::{Epoch, HostId, RunId};
use models::time::after;

/// From an acquisition or a renewal to the expiry.
///
/// Long enough that DynamoDB may be away for 8 minutes (this, less [`LAST_WRITES`] and [`RENEW_EVERY`]) without a
/// drain being left half done; short enough that the next tick of an hourly schedule takes over from a run that died.
pub(crate) const LASTS: SignedDuration = SignedDuration::from_mins(10);
/// How often it is renewed: a tenth of [`LASTS`], so that many renewals may fail before one matters. A request a minute
/// costs nothing worth counting.
pub(crate) const RENEW_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// How soon a renewal that failed is tried again; the SDK's own retries come on top.
pub(crate) const RETRY_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// How far the clocks of two runs may be apart.
///
/// A lease is taken from another run only when our clock is this much past its expiry. `expires` is the holder's time:
/// if our clock is a minute ahead of the holder's, the expiry has just come on the holder's own, and that run stopped
/// writing [`LAST_WRITES`] before. If our clock is behind, we only wait longer. AWS keeps the clocks of its hosts
/// within milliseconds of each other; a minute is for a laptop.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// No write is sent so shortly before the expiry.
///
/// A request that was sent may still be carried out: one try lasts 20 s at most (`aws/timing.rs`), and what AWS
/// has accepted by then may take effect a little later. Three times that is room for both. The time is looked at before
/// each try, so that retries need no room here.
pub(crate) const LAST_WRITES: SignedDuration = SignedDuration::from_secs(60);
/// How long after its expiry the item may be deleted by DynamoDB: long after the last claim of its run is history. Only
/// tidying for clusters that are no more; nobody trusts it.
pub(crate) const TIDY_AFTER: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A moment by both clocks.
///
/// The date can be set while we run; the monotonic clock cannot, but it stands still while the machine is suspended.
/// What counts is whichever says that more time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Date and time, as other runs know it too.
    pub wall: Timestamp,
    /// The monotonic clock.
    pub ticks: Instant,
}

/// What is to stand in the table after an acquisition or a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// When the lease then expires.
    pub(crate) expires: Timestamp,
    /// From when on DynamoDB may delete the item.
    pub(crate) ttl: Timestamp,
    /// Another run's lease is free if it expired before this.
    pub(crate) free_before: Timestamp,
    /// The epoch before the first one, where there is no item: the seconds of Unix time. So epochs also grow over an
    /// item or a table that was deleted, and a claim from before never seems to be of a later run: a lease cannot
    /// change hands once a second.
    pub(crate) before_first: Epoch,
}

impl Wanted {
    pub(crate) fn at(now: Timestamp) -> Self {
        let expires = after(now, LASTS);
        Self {
            expires,
            ttl: after(expires, TIDY_AFTER),
            free_before: now.checked_sub(SKEW).unwrap_or(Timestamp::MIN),
            before_first: Epoch::new(u64::try_from(now.as_second()).unwrap_or(0)),
        }
    }
}

/// What the table says of a cluster's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The run that holds it, or held it last.
    pub(crate) holder: RunId,
    pub(crate) epoch: Epoch,
    /// Until when, by the holder's clock; the beginning of Unix time once it is released.
    pub(crate) expires: Timestamp,
}

/// What to do after a conditional write was refused, by the item as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// We hold it already: an earlier try took effect and its answer was lost. Renew it under this epoch.
    Ours(Epoch),
    /// Another run holds it.
    Theirs(Entry),
    /// There is no item any more.
    Gone,
}

impl Refusal {
    pub(crate) fn of(found: Option<Entry>, us: &RunId) -> Self {
        match found {
            Some(entry) if entry.holder == *us => Self::Ours(entry.epoch),
            Some(entry) => Self::Theirs(entry),
            None => Self::Gone,
        }
    }
}

/// A lease that we held when we last heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tenure {
    pub(crate) epoch: Epoch,
    /// When the write that made it so was *sent*: it cannot have been carried out earlier.
    since: Moment,
}

impl Tenure {
    pub(crate) fn new(epoch: Epoch, sent: Moment) -> Self {
        Self { epoch, since: sent }
    }

    /// Whether a request that writes may be sent now.
    pub(crate) fn may_write(&self, now: Moment) -> bool {
        self.passed(now) < LASTS - LAST_WRITES
    }

    /// Whether we surely held it at that moment or later: what made it so was not sent before.
    pub(crate) fn was_held_at(&self, moment: Moment) -> bool {
        self.since.ticks >= moment.ticks
    }

    /// Until when writes are sent, by the date.
    pub(crate) fn writes_until(&self) -> Timestamp {
        after(self.since.wall, LASTS - LAST_WRITES)
    }

    /// When it expires, as it stands in the table.
    pub(crate) fn expires(&self) -> Timestamp {
        after(self.since.wall, LASTS)
    }

    /// How long to wait before the next renewal.
    pub(crate) fn renew_in(&self, now: Moment) -> Duration {
        Duration::try_from(RENEW_EVERY - self.passed(now)).unwrap_or_default()
    }

    /// The time since it was acquired or renewed, by the clock that says more.
    pub(crate) fn passed(&self, now: Moment) -> SignedDuration {
        let ticks = now.ticks.saturating_duration_since(self.since.ticks);
        now.wall.duration_since(self.since.wall).max(SignedDuration::try_from(ticks).unwrap_or(SignedDuration::MAX))
    }
}

/// Returns the claims that no run can have written while we hold the lease under this epoch. So either the lease is lost,
/// or they are lies.
pub(crate) fn doubted<'a>(
    fleet: &'a FleetSnapshot,
    us: &'a RunId,
    ours: Epoch,
) -> impl Iterator<Item = (&'a HostId, &'a Claim)> {
    let claims = fleet.instances.values().filter_map(|one| Some((&one.host, one.claim()?)));
    claims.filter(move |(_, claim)| denies(claim, us, ours))
}

/// Whether the claim has a later epoch than ours, or ours and another run.
fn denies(claim: &Claim, us: &RunId, ours: Epoch) -> bool {
    claim.epoch.is_some_and(|epoch| epoch > ours || (epoch == ours && claim.run != *us))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1;
    const MIN: i64 = 60 * S;

    /// The date is `wall` seconds on, the monotonic clock `ticks`.
    fn later(from: Moment, wall: i64, ticks: u64) -> Moment {
        Moment { wall: from.wall + SignedDuration::from_secs(wall), ticks: from.ticks + Duration::from_secs(ticks) }
    }

    fn start() -> Moment {
        Moment { wall: "2026-11-23T03:00:00Z".parse().unwrap(), ticks: Instant::now() }
    }

    #[test]
    fn writes_end_before_the_lease_does_by_whichever_clock_is_ahead() {
        let held = Tenure::new(Epoch::new(7), start());
        let cases = [
            ("at once", 0, 0, true),
            ("just before", 9 * MIN - 1, 539, true),
            ("a minute before the expiry", 9 * MIN, 540, false),
            ("suspended: the monotonic clock stood still", 11 * MIN, 5, false),
            ("the date was set back while time went on", -MIN, 540, false),
            ("the date was set back, and it is early still", -MIN, 30, true),
            ("the date was set forward: renewed too early, which is harmless", 60 * MIN, 5, false),
        ];
        for (what, wall, ticks, may) in cases {
            assert_eq!(held.may_write(later(start_of(&held), wall, ticks)), may, "{what}");
        }
    }

    fn start_of(held: &Tenure) -> Moment {
        held.since
    }

    #[test]
    fn it_is_renewed_every_minute_and_at_once_when_late() {
        let held = Tenure::new(Epoch::new(7), start());
        assert_eq!(held.renew_in(later(held.since, 20, 20)), Duration::from_secs(40));
        assert_eq!(held.renew_in(later(held.since, 300, 0)), Duration::ZERO);
    }

    /// For every pair of clocks within [`SKEW`] of each other, the last write of one is carried out before the other
    /// may take the lease.
    #[test]
    fn no_skew_of_a_minute_lets_two_runs_write() {
        let try_lasts = SignedDuration::from_secs(20);
        for skew in (-SKEW.as_secs()..=SKEW.as_secs()).map(SignedDuration::from_secs) {
            // In the holder's time; the other's clock shows `skew` more.
            let start = start();
            let held = Tenure::new(Epoch::new(7), start);
            let last_write_done = after(held.writes_until(), try_lasts);
            let taken = |at: Timestamp| held.expires() < Wanted::at(after(at, skew)).free_before;
            assert!(!taken(last_write_done), "skew {skew}");
            let grace = after(held.expires(), SKEW + SKEW + SignedDuration::from_secs(1));
            assert!(taken(grace), "a dead run's lease is free in the end; skew {skew}");
        }
    }

    #[test]
    fn whoever_is_refused_learns_by_whom() {
        let entry = Entry { holder: "B".into(), epoch: Epoch::new(3), expires: start().wall };
        assert_eq!(Refusal::of(Some(entry.clone()), &"B".into()), Refusal::Ours(Epoch::new(3)));
        assert_eq!(Refusal::of(Some(entry.clone()), &"A".into()), Refusal::Theirs(entry));
        assert_eq!(Refusal::of(None, &"A".into()), Refusal::Gone);
    }

    #[test]
    fn what_puts_a_lease_in_doubt() {
        let ours = Epoch::new(7);
        let cases = [
            ("no epoch: an earlier run had no lease", "A", None, false),
            ("an earlier run", "A", Some(6), false),
            ("ours", "US", Some(7), false),
            ("our epoch by another run", "A", Some(7), true),
            ("a later run", "A", Some(8), true),
            ("the last epoch that there is", "A", Some(u64::MAX), true),
            ("a later epoch under our name", "US", Some(8), true),
        ];
        for (what, run, epoch, doubt) in cases {
            let epoch = epoch.map(|number| format!("+{number}")).unwrap_or_default();
            let claim = format!("v1/drain/{run}{epoch}/1.26.1/1.27.0/2026-11-23T03:00:00Z");
            assert_eq!(denies(&claim.parse().unwrap(), &"US".into(), ours), doubt, "{what}");
        }
    }

    #[test]
    fn epochs_grow_over_a_deleted_item() {
        let first = Wanted::at(start().wall).before_first;
        let much_later = Wanted::at(after(start().wall, TIDY_AFTER)).before_first;
        // One taking over a second, which no lease of minutes can reach.
        assert!(much_later.number() >= first.number() + u64::try_from(TIDY_AFTER.as_secs()).unwrap());
    }
}
