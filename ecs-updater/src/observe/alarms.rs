//! How the alarms are that hold a rollout. A run that has none asks nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Silence};
use models::policy::Policy;
use models::time::after;

use crate::aws::{Aws, ErrorKind};

/// How long the answer is waited for: what is under way needs the look that this is part of.
const PATIENCE: Duration = Duration::from_secs(10);

/// For so long an answer is good for a last look: an alarm takes longer to notice anything.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// The same just before a drain, unless CloudWatch has just answered.
pub(crate) async fn last_look(aws: &Aws, fleet: &mut FleetSnapshot, policy: &Policy, now: Timestamp) {
    if fleet.health.heard_at.is_none_or(|at| now >= after(at, FRESH)) {
        look(aws, fleet, policy, now).await;
    }
}

/// Asks CloudWatch for the alarms. What it does not say is recorded as such: nothing is begun meanwhile.
pub(crate) async fn look(aws: &Aws, fleet: &mut FleetSnapshot, policy: &Policy, now: Timestamp) {
    if policy.alarms.is_empty() {
        return;
    }
    let (is_refusal, detail) = match tokio::time::timeout(PATIENCE, aws.alarms(&policy.alarms)).await {
        Ok(Ok(alarms)) => {
            fleet.health.alarms = Some(alarms);
            fleet.health.heard_at = Some(now);
            fleet.health.silence = None;
            return;
        }
        Ok(Err(error)) if error.kind == ErrorKind::Stopped => return,
        Ok(Err(error)) if error.kind.is_refusal() => (true, format!("{error}; {}", error.advice())),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("CloudWatch did not answer within {} s", PATIENCE.as_secs())),
    };
    tracing::warn!(cluster = %fleet.cluster, detail, "how the alarms are is not known");
    let since = fleet.health.silence.as_ref().map_or(now, |silence| silence.since);
    fleet.health.silence = Some(Silence { since, is_refusal, detail });
}
