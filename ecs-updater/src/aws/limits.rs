//! A share of each of the account's token buckets, half where nobody says otherwise: others who work in the account must not
//! be throttled because of a rollout. The buckets are those of the ECS and EC2 API references ("request throttling"); Systems
//! Manager and EC2 Auto Scaling publish none, and get a modest guess.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use models::api_share::ApiShare;
use tokio::time::Instant;

/// The actions of one row share one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bucket {
    /// Changes to container instances and tasks.
    ClusterModify,
    /// Descriptions and lists of container instances and tasks.
    ClusterRead,
    /// Descriptions of services.
    ServiceRead,
    /// `GetTaskProtection`.
    TaskProtection,
    /// EC2's descriptions.
    Ec2Read,
    /// `TagResource`.
    EcsTags,
    /// `CreateTags` and `DeleteTags`.
    Ec2Tags,
    /// `SendCommand`.
    SsmSend,
    /// `ListCommandInvocations`.
    SsmInvocations,
    /// `DescribeInstanceInformation`.
    SsmInformation,
    /// EC2 Auto Scaling's descriptions, whose rates are not published either.
    AutoScalingRead,
    /// `DescribeAlarms`: 9 a second (CloudWatch service quotas).
    AlarmRead,
    /// `DescribeCapacityProviders`.
    ProviderRead,
    /// `DescribeTaskDefinition`.
    DefinitionRead,
}

impl Bucket {
    /// Its burst, and what it refills with in a second.
    fn whole(self) -> (f64, f64) {
        match self {
            Self::ClusterModify => (100.0, 40.0),
            Self::ClusterRead | Self::ServiceRead | Self::Ec2Read => (100.0, 20.0),
            Self::TaskProtection => (200.0, 80.0),
            Self::EcsTags => (20.0, 10.0),
            Self::Ec2Tags => (100.0, 10.0),
            Self::SsmSend | Self::SsmInvocations | Self::SsmInformation | Self::AutoScalingRead => (40.0, 10.0),
            Self::AlarmRead => (8.0, 8.0),
            Self::ProviderRead | Self::DefinitionRead => (50.0, 20.0),
        }
    }
}

/// What the whole process has taken of its share of the buckets.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    share: ApiShare,
    levels: Arc<Mutex<BTreeMap<Bucket, Level>>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// Below zero: taken by calls that wait.
    tokens: f64,
    at: Instant,
}

impl Limits {
    /// Returns the limits of a process that may take this share, and has taken nothing yet.
    pub(crate) fn sharing(share: ApiShare) -> Self {
        Self { share, levels: Arc::default() }
    }

    /// Waits until a call may be sent.
    pub(super) async fn take(&self, bucket: Bucket) {
        let wait = self.reserve(bucket, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, bucket: Bucket, now: Instant) -> Duration {
        let (burst, rate) = bucket.whole();
        let (burst, rate) = (burst * self.share.factor(), rate * self.share.factor());
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = levels.entry(bucket).or_insert(Level { tokens: burst, at: now });
        let passed = now.saturating_duration_since(level.at).as_secs_f64();
        level.tokens = (level.tokens + passed * rate).min(burst) - 1.0;
        level.at = now;
        Duration::try_from_secs_f64((-level.tokens).max(0.0) / rate).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_burst_at_once_and_then_half_the_rate() {
        let (limits, now) = (Limits::default(), Instant::now());
        let waits: Vec<Duration> = (0..70).map(|_| limits.reserve(Bucket::ClusterRead, now)).collect();
        assert!(waits[..50].iter().all(Duration::is_zero));
        assert_eq!(waits[50], Duration::from_millis(100));
        assert_eq!(waits[69], Duration::from_secs(2));
        assert_eq!(limits.reserve(Bucket::Ec2Read, now), Duration::ZERO, "each by itself");
        let later = now + Duration::from_secs(60);
        assert_eq!(limits.clone().reserve(Bucket::ClusterRead, later), Duration::ZERO, "shared, and refilled");
    }

    #[test]
    fn as_much_as_the_share_says() {
        let now = Instant::now();
        for (share, at_once, last_ms) in [("0.1", 10, 500), ("0.9", 90, 56), ("1", 100, 50)] {
            let limits = Limits::sharing(share.parse().unwrap());
            let waits: Vec<Duration> = (0..=at_once).map(|_| limits.reserve(Bucket::ClusterRead, now)).collect();
            assert!(waits[..at_once].iter().all(Duration::is_zero), "{share}");
            assert_eq!(waits[at_once].as_secs_f64().mul_add(1_000.0, 0.0).round() as u64, last_ms, "{share}");
        }
    }
}
