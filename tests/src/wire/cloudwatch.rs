//! CloudWatch, RPC v2 CBOR in and out: `DescribeAlarms` (docs/facts/cloudwatch.md#alarms).

use std::collections::BTreeSet;

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::decode::DeserializeError;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::page;
use super::params::Params;
use crate::world::{Alarm, World};

/// The name of the service in the paths of its requests.
pub(super) const TARGET: &str = "GraniteServiceVersion20100801";
/// Names of one call, and alarms of one page.
const MOST: usize = 100;
/// Alarms of a page where nobody says how many.
const PAGE: i64 = 50;

pub(super) fn perform(world: &World, operation: &str, params: Params) -> Result<Vec<u8>, Failure> {
    match operation {
        "DescribeAlarms" => describe_alarms(world, params),
        _ => Err(Failure::unknown("Operation", format!("cloudwatch:{operation} is not modelled"))),
    }
}

fn describe_alarms(world: &World, mut params: Params) -> Result<Vec<u8>, Failure> {
    let names: BTreeSet<String> = params.texts("AlarmNames")?.into_iter().flatten().collect();
    let types = params.texts("AlarmTypes")?.unwrap_or_default();
    let size = params.integer("MaxRecords")?.unwrap_or(PAGE);
    let token = params.text("NextToken")?;
    params.done("DescribeAlarms")?;
    let size = usize::try_from(size).ok().filter(|size| (1..=MOST).contains(size));
    let size = size.ok_or_else(|| invalid("MaxRecords must be from 1 to 100"))?;
    if names.len() > MOST {
        return Err(invalid("AlarmNames has more than 100 members"));
    }
    // Without types there are metric alarms alone.
    let has = |alarm: &Alarm| {
        let kind = if alarm.composite { "CompositeAlarm" } else { "MetricAlarm" };
        types.iter().any(|one| one == kind) || (types.is_empty() && !alarm.composite)
    };
    let alarms = world.alarms.iter().filter(|(name, alarm)| (names.is_empty() || names.contains(*name)) && has(alarm));
    let page = page::cut(alarms.collect(), |(name, _)| name.as_str(), size, token.as_deref());
    let page = page.map_err(|_| Failure::new("InvalidNextToken", "The token is invalid."))?;
    let mut encoder = Encoder::new(Vec::new());
    encoder.begin_map();
    for (key, composite) in [("MetricAlarms", false), ("CompositeAlarms", true)] {
        let of_kind: Vec<_> = page.items.iter().filter(|(_, alarm)| alarm.composite == composite).collect();
        encoder.str(key).array(of_kind.len());
        for (name, alarm) in of_kind {
            encoder.begin_map();
            encoder.str("AlarmName").str(name);
            encoder.str("StateValue").str(alarm.state.name());
            encoder.str("StateUpdatedTimestamp").timestamp(&time(world.now()));
            encoder.str("StateTransitionedTimestamp").timestamp(&time(alarm.since));
            encoder.end();
        }
    }
    if let Some(next) = &page.next {
        encoder.str("NextToken").str(next);
    }
    encoder.end();
    Ok(encoder.into_writer())
}

fn invalid(message: &str) -> Failure {
    Failure::new("ValidationError", message)
}

fn time(at: Timestamp) -> DateTime {
    DateTime::from_secs_and_nanos(at.as_second(), u32::try_from(at.subsec_nanosecond()).unwrap_or(0))
}

/// An error as it is answered.
pub(super) fn error(failure: &Failure) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.begin_map();
    encoder.str("__type").str(&failure.code);
    encoder.str("message").str(&failure.message);
    encoder.end();
    encoder.into_writer()
}

/// Reads the parameters of a request: texts, numbers, and lists of texts.
pub(super) fn read(body: &[u8]) -> Result<Params, DeserializeError> {
    let decoder = &mut Decoder::new(body);
    let mut left = decoder.map()?;
    let mut map = Map::new();
    while goes_on(decoder, &mut left)? {
        let key = decoder.string()?;
        let value = match decoder.datatype()? {
            Type::Array | Type::ArrayIndef => {
                let mut left = decoder.list()?;
                let mut items = Vec::new();
                while goes_on(decoder, &mut left)? {
                    items.push(Value::String(decoder.string()?));
                }
                Value::Array(items)
            }
            Type::String | Type::StringIndef => Value::String(decoder.string()?),
            _ => Value::from(decoder.integer()?),
        };
        map.insert(key, value);
    }
    Ok(Params::new(map))
}

/// Whether another one follows in a list or a map, which tells how many it has or ends with a break.
fn goes_on(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, DeserializeError> {
    match left {
        Some(0) => Ok(false),
        Some(count) => {
            *count -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}
