//! The one place where the controller learns what time it is.
//!
//! Within a run time goes on by the monotonic clock, from the date at its start: a date that is set, or that leaps while a
//! machine is suspended, changes no pace, no deadline and no duration. Only a lease goes by the date too, since other runs
//! do.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use models::time::after;
use tokio::time::Instant;

use crate::lease::Moment;

/// Tells the time of a run.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The date at `origin`.
    base: Timestamp,
    origin: Instant,
    date: Date,
}

#[derive(Clone)]
enum Date {
    System,
    Given(Arc<dyn Fn() -> Timestamp + Send + Sync>),
}

impl Date {
    fn read(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Given(read) => read(),
        }
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Given(_) => "Given",
        })
    }
}

impl Clock {
    /// A clock that shows the system's date now.
    pub fn system() -> Self {
        Self::by(Date::System)
    }

    /// A clock that shows this date now.
    pub fn of(date: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::by(Date::Given(Arc::new(date)))
    }

    fn by(date: Date) -> Self {
        Self { base: date.read(), origin: Instant::now(), date }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.origin.elapsed()).unwrap_or(SignedDuration::MAX);
        after(self.base, elapsed)
    }

    /// Returns the time, by the date and by the monotonic clock. A date that was set back does not count: what stands in
    /// the table until then would seem to have expired.
    pub fn moment(&self) -> Moment {
        Moment { wall: self.date.read().max(self.now()), ticks: Instant::now().into_std() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_date_that_leaps_changes_no_duration() {
        let start: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let date = Arc::new(Mutex::new(start));
        let clock = Clock::of({
            let date = Arc::clone(&date);
            move || *date.lock().unwrap()
        });
        for (leap, wall) in [(60, 60), (-60, 1)] {
            *date.lock().unwrap() = start + SignedDuration::from_mins(leap);
            let clock = clock.clone();
            let began = clock.now();
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(clock.now().duration_since(began), SignedDuration::from_secs(30));
            assert_eq!(clock.moment().wall, start + SignedDuration::from_mins(wall), "{leap} min");
        }
    }
}
