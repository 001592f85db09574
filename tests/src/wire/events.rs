//! EventBridge, JSON 1.1: `PutEvents`
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::params::Params;
use crate::world::{PostedEvent, World};

/// Entries of one call, and bytes of one entry.
const MOST: usize = 10;
const LARGEST: usize = 256 << 10;

pub(super) fn perform(world: &mut World, operation: &str, params: Params) -> Result<Value, Failure> {
    match operation {
        "PutEvents" => put_events(world, params),
        _ => Err(Failure::unknown("Operation", format!("events:{operation} is not modelled"))),
    }
}

/// Each entry is taken or refused by itself. One for a bus that does not exist is taken, and no rule finds it.
fn put_events(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let entries = params.objects("Entries")?;
    params.done("PutEvents")?;
    if entries.is_empty() || entries.len() > MOST {
        return Err(Failure::new("ValidationException", format!("1 to {MOST} entries, not {}", entries.len())));
    }
    let mut answers = Vec::new();
    for entry in entries {
        answers.push(match put(world, entry)? {
            Ok(id) => json!({ "EventId": id }),
            Err((code, message)) => json!({ "ErrorCode": code, "ErrorMessage": message }),
        });
    }
    let failed = answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count();
    Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
}

type Refusal = (&'static str, String);

fn put(world: &mut World, mut entry: Params) -> Result<Result<String, Refusal>, Failure> {
    let bus = entry.text("EventBusName")?.unwrap_or_else(|| "default".to_owned());
    let source = entry.text("Source")?.unwrap_or_default();
    let detail_type = entry.text("DetailType")?.unwrap_or_default();
    let detail = entry.text("Detail")?.unwrap_or_default();
    let time = entry.take("Time").and_then(|time| time.as_f64());
    entry.done("PutEvents")?;
    for (name, value) in [("Source", &source), ("DetailType", &detail_type), ("Detail", &detail)] {
        if value.is_empty() {
            return Ok(Err((
                "InvalidArgument",
                format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
            )));
        }
    }
    if source.len() + detail_type.len() + detail.len() > LARGEST {
        return Err(Failure::new("ValidationException", "Total size of the entries in the request is over the limit."));
    }
    let Ok(Value::Object(detail)) = serde_json::from_str(&detail) else {
        return Ok(Err(("MalformedDetail", "Detail is malformed.".to_owned())));
    };
    if world.refuses_event() {
        return Ok(Err(("InternalFailure", "Internal Service Failure".to_owned())));
    }
    let at = time.and_then(|time| Timestamp::from_second(time as i64).ok());
    Ok(Ok(world.post(PostedEvent { bus, source, detail_type, detail, at })))
}
