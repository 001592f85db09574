//! EventBridge: messages for an event bus.

use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use jiff::Timestamp;

use super::client::Aws;
use super::error::{AwsError, invalid};

const PUT_EVENTS: &str = "events:PutEvents";
/// `PutEvents` takes no more at once
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).
pub(crate) const MAX_ENTRIES: usize = 10;

/// A message as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) at: Timestamp,
    pub(crate) source: &'static str,
    pub(crate) detail_type: &'static str,
    /// JSON.
    pub(crate) detail: String,
}

impl Aws {
    /// Puts at most [`MAX_ENTRIES`] messages on a bus. Returns for each of them, in their order, why it was not taken. One for
    /// a bus that does not exist counts as taken
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>).
    pub(crate) async fn put_events(&self, bus: &str, messages: &[Posted]) -> Result<Vec<Option<String>>, AwsError> {
        let entries = messages.iter().map(|message| {
            PutEventsRequestEntry::builder()
                .event_bus_name(bus)
                .time(DateTime::from_secs(message.at.as_second()))
                .source(message.source)
                .detail_type(message.detail_type)
                .detail(&message.detail)
                .build()
        });
        let answer = self.eventbridge.put_events().set_entries(Some(entries.collect())).send().await;
        let answer = answer.map_err(|error| AwsError::from_sdk(PUT_EVENTS, error))?;
        let said = answer.entries();
        if said.len() != messages.len() {
            let what = format!("{} messages were sent, and {} answered", messages.len(), said.len());
            return Err(invalid(PUT_EVENTS, &what));
        }
        let refusal = |entry: &aws_sdk_eventbridge::types::PutEventsResultEntry| {
            let code = entry.error_code()?;
            Some(format!("{} ({code})", entry.error_message().unwrap_or("no message")))
        };
        Ok(said.iter().map(refusal).collect())
    }
}
