//! What CloudWatch's alarms say of a rollout: that nothing is begun, or that a bake begins once more.

use jiff::Timestamp;
use models::fleet::{Alarm, AlarmState, FleetSnapshot};
use models::policy::{AlarmMissing, Policy};
use models::reason::HoldReason;
use models::time::after;

use super::context::Context;
use super::times::MAX_AHEAD;

/// Returns why nothing is begun by what is known of the alarms, if so. One that fires does so while CloudWatch does not answer
/// as well.
pub(super) fn held_by_alarms(fleet: &FleetSnapshot, policy: &Policy) -> Option<HoldReason> {
    if policy.alarms.is_empty() {
        return None;
    }
    if let Some((alarm, known)) = firing(fleet, policy).next() {
        let since = known.since.map(|since| format!(" (since {since})")).unwrap_or_default();
        return Some(HoldReason::AlarmFiring { alarm: alarm.clone(), since });
    }
    let unknown = |alarm: &String, why: String| Some(HoldReason::AlarmUnknown { alarm: alarm.clone(), why });
    let first = policy.alarms.first()?;
    if let Some(silence) = &fleet.health.silence {
        return unknown(first, silence.detail.clone());
    }
    let Some(alarms) = &fleet.health.alarms else {
        return unknown(first, "CloudWatch has not been asked yet".to_owned());
    };
    policy.alarms.iter().find_map(|name| match alarms.get(name).map(|alarm| &alarm.state) {
        Some(AlarmState::Ok | AlarmState::Alarm) => None,
        Some(AlarmState::Other(state)) => {
            unknown(name, format!("CloudWatch says that its state is {state}, which is newer than this program"))
        }
        Some(AlarmState::InsufficientData) if policy.alarm_missing == AlarmMissing::Hold => unknown(
            name,
            "it has not enough data (INSUFFICIENT_DATA); alarm_missing = \"ignore\" takes that for OK".to_owned(),
        ),
        None if policy.alarm_missing == AlarmMissing::Hold => unknown(
            name,
            "CloudWatch has no alarm of that name in this Region; alarm_missing = \"ignore\" goes on without it"
                .to_owned(),
        ),
        Some(AlarmState::InsufficientData) | None => None,
    })
}

/// The alarms of the settings that fire.
pub(super) fn firing<'a>(
    fleet: &'a FleetSnapshot,
    policy: &'a Policy,
) -> impl Iterator<Item = (&'a String, &'a Alarm)> {
    let alarms = fleet.health.alarms.iter().flatten();
    alarms.filter(|(name, alarm)| alarm.state == AlarmState::Alarm && policy.alarms.contains(*name))
}

/// Returns the alarm that changed its state last, and when: one that has fired in a bake and fires no longer has not let it end
/// well. One that is ignored for want of data has no say.
pub(super) fn last_change<'a>(cx: &Context<'a>) -> Option<(Timestamp, &'a str)> {
    if broken!(HealthIgnored) {
        return None;
    }
    let alarms = cx.snapshot.health.alarms.iter().flatten();
    let known = alarms.filter(|(name, alarm)| alarm.state == AlarmState::Ok && cx.policy.alarms.contains(*name));
    let changes = known.filter_map(|(name, alarm)| Some((alarm.since?, name.as_str())));
    changes.filter(|(at, _)| *at <= after(cx.now, MAX_AHEAD)).max()
}
