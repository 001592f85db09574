//! CloudWatch alarms (docs/facts/cloudwatch.md#alarms). What they measure is no part of the Region: the scenario says when one
//! changes its state.

use jiff::Timestamp;

use super::World;
use crate::scenario::{AlarmAction, AlarmState};

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub composite: bool,
    pub state: AlarmState,
    /// Since when it is in that state.
    pub since: Timestamp,
}

impl World {
    /// Does what the scenario says to an alarm.
    pub(super) fn act_on_alarm(&mut self, action: &AlarmAction) {
        match action {
            AlarmAction::Alarm { alarm, state } => {
                let (now, state) = (self.now, *state);
                let known = self.alarms.entry(alarm.clone()).or_insert(Alarm { composite: false, state, since: now });
                if known.state != state {
                    (known.state, known.since) = (state, now);
                }
            }
            AlarmAction::DeleteAlarm { alarm } => {
                self.alarms.remove(alarm);
            }
        }
    }

    /// Returns the names of the alarms that fire, and since when.
    pub(crate) fn firing(&self) -> impl Iterator<Item = (&String, Timestamp)> {
        let alarms = self.alarms.iter().filter(|(_, alarm)| alarm.state == AlarmState::Alarm);
        alarms.map(|(name, alarm)| (name, alarm.since))
    }
}
