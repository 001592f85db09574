//! CloudWatch: how alarms are.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use jiff::Timestamp;
use models::clean;
use models::fleet::{Alarm, AlarmState};

use super::client::Aws;
use super::error::AwsError;
use super::limits::Bucket;

/// Names of one `DescribeAlarms` (CloudWatch API reference).
const MOST_NAMED: usize = 100;

impl Aws {
    /// Returns how these alarms are, by name. Those that CloudWatch does not have are left out. Without its types it would
    /// tell of metric alarms alone (CloudWatch API reference, `DescribeAlarms`).
    pub(crate) async fn alarms(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, Alarm>, AwsError> {
        let names: Vec<String> = names.iter().cloned().collect();
        let mut found = BTreeMap::new();
        for chunk in names.chunks(MOST_NAMED) {
            let mut token = None;
            loop {
                self.pace(Bucket::AlarmRead).await;
                let call = self.cloudwatch.describe_alarms().set_alarm_names(Some(chunk.to_vec()));
                let call = call.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
                let answer = call.set_next_token(token).send().await;
                let answer = answer.map_err(|error| AwsError::from_sdk("cloudwatch:DescribeAlarms", error))?;
                let metric = answer
                    .metric_alarms()
                    .iter()
                    .map(|one| (one.alarm_name(), one.state_value(), one.state_transitioned_timestamp()));
                let composite = answer
                    .composite_alarms()
                    .iter()
                    .map(|one| (one.alarm_name(), one.state_value(), one.state_transitioned_timestamp()));
                for (name, state, since) in metric.chain(composite) {
                    let (Some(name), Some(state)) = (name, state) else { continue };
                    let alarm = Alarm { state: state_of(state), since: since.and_then(moment) };
                    found.insert(name.to_owned(), alarm);
                }
                token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
                if token.is_none() {
                    break;
                }
            }
        }
        // What was not asked for tells of nothing.
        found.retain(|name, _| names.contains(name));
        Ok(found)
    }
}

fn state_of(state: &StateValue) -> AlarmState {
    match state {
        StateValue::Ok => AlarmState::Ok,
        StateValue::Alarm => AlarmState::Alarm,
        StateValue::InsufficientData => AlarmState::InsufficientData,
        other => AlarmState::Other(clean::name(other.as_str()).to_string()),
    }
}

fn moment(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_not_known_is_none_of_the_others() {
        let table = [
            ("OK", AlarmState::Ok),
            ("ALARM", AlarmState::Alarm),
            ("INSUFFICIENT_DATA", AlarmState::InsufficientData),
            ("MUTED", AlarmState::Other("MUTED".to_owned())),
        ];
        for (word, state) in table {
            assert_eq!(state_of(&StateValue::from(word)), state, "{word}");
        }
        assert_eq!(moment(&DateTime::from_secs_and_nanos(1, 5)), Timestamp::new(1, 5).ok());
    }
}
