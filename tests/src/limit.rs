//! How long a run may live before it counts as one that does not end.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::Region;

/// The most that a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Simulated time.
    pub time: Duration,
    /// AWS calls: one that calls without a pause would need hours of real time for a simulated day.
    pub calls: u64,
}

/// The limit that a run reached before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endless {
    /// So much simulated time.
    Time(Duration),
    /// So many calls.
    Calls(u64),
}

/// Simulated time between two looks at the count of calls.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Limit {
    /// None at all.
    pub const NONE: Self = Self { time: Duration::MAX, calls: u64::MAX };

    /// Does the work, as far as it comes within the limit.
    pub(crate) async fn hold<T>(self, region: &Region, work: impl Future<Output = T>) -> Result<T, Endless> {
        let before = region.call_count();
        let too_many = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let calls = region.call_count() - before;
                if calls > self.calls {
                    return calls;
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            calls = too_many, if self.calls < u64::MAX => Err(Endless::Calls(calls)),
            () = tokio::time::sleep(self.time) => Err(Endless::Time(self.time)),
        }
    }
}

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "did not end within {} hours", time.as_secs() / 3600),
            Self::Calls(calls) => write!(f, "did not end within {calls} calls"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;
    use crate::wire::Request;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_reaches_one_of_the_limits() {
        let region = Region::start(&Scenario::parse("").unwrap()).unwrap();
        let limit = Limit { time: Duration::from_secs(7200), calls: 500 };
        assert_eq!(limit.hold(&region, async { 7 }).await, Ok(7));
        let waits = limit.hold(&region, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(waits.to_string(), "did not end within 2 hours");
        let calls = async {
            loop {
                region.call(Request::default()).await;
            }
        };
        assert!(matches!(limit.hold::<()>(&region, calls).await, Err(Endless::Calls(501..))));
    }
}
