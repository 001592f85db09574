//! How long a request may take, and how often it is tried again.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

/// One request may take this long before the SDK tries it again: the answers here are small, and a stuck connection
/// must not hold up a drain's time-out.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// One operation with all its retries.
pub(super) const OPERATION_TIMEOUT: Duration = Duration::from_secs(120);
/// The same for SSM, EC2 Auto Scaling and CloudWatch, which are asked in the middle of the loop: while one hangs, what needs ECS alone
/// is to go on.
pub(super) const SHORT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// One operation of theirs with all its retries.
pub(super) const SHORT_OPERATION_TIMEOUT: Duration = Duration::from_secs(20);
/// Tries of one operation. With the SDK's back-off this outlasts an emptied token bucket of ECS (burst 100, 20 a
/// second) several times over.
const MAX_ATTEMPTS: u32 = 8;

/// The longest wait between two tries. With [`MAX_ATTEMPTS`] a person without a network waits half a minute for the
/// answer; throttling that lasts longer is waited out by the run's own loop.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How every client retries.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_max_backoff(MAX_BACKOFF)
}

/// Time-outs and retries of every client.
pub fn settings(loader: aws_config::ConfigLoader) -> aws_config::ConfigLoader {
    loader.retry_config(retries()).timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
}

pub(super) fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}
