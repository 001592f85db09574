//! What limits the room for tasks beside what the instances register: task definitions, and the interfaces of instance types.
//! What may not be read is asked for once; the report says so.

use std::collections::BTreeSet;

use models::fleet::{FleetSnapshot, RoomFacts, Service, TaskDefinition};
use smol_str::SmolStr;

use crate::aws::{Aws, AwsError, ErrorKind};

/// So many task definitions are read at once.
const AT_ONCE: usize = 8;

/// Adds to services what their task definitions say. Each definition is read once in a run; what could not be read counts as
/// not known until the next look.
pub(super) async fn add_definitions(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    services: &mut [Service],
) -> Result<(), AwsError> {
    read_definitions(aws, fleet, services).await?;
    for service in services {
        let known = service.definition.as_ref().and_then(|arn| fleet.room.definitions.get(arn));
        if let Some(definition) = known {
            service.member_of.extend(definition.member_of.iter().cloned());
            service.new_task.clone_from(&definition.needs);
        }
    }
    Ok(())
}

/// Reads the definitions that are new. Each is a call of its own; the bucket of `aws` paces them.
async fn read_definitions(aws: &Aws, fleet: &mut FleetSnapshot, services: &[Service]) -> Result<(), AwsError> {
    let named: BTreeSet<&SmolStr> = services.iter().filter_map(|service| service.definition.as_ref()).collect();
    let mut new =
        named.into_iter().filter(|arn| !fleet.room.definitions.contains_key(*arn)).cloned().collect::<Vec<_>>();
    while !new.is_empty() && !fleet.room.denied.contains_key(RoomFacts::DEFINITIONS) {
        let next: Vec<SmolStr> = new.drain(..new.len().min(AT_ONCE)).collect();
        let reads = next.iter().map(|arn| aws.task_definition(arn));
        let mut is_heard = false;
        let answers = futures_util::future::join_all(reads).await;
        for (arn, read) in next.into_iter().zip(answers) {
            let read = match read {
                Err(error) if matches!(error.kind, ErrorKind::Refused(_)) => {
                    tracing::warn!(%arn, %error, "what this task definition says of its tasks is not known");
                    Some(TaskDefinition::default())
                }
                read => unless_unread(fleet, RoomFacts::DEFINITIONS, read)?,
            };
            is_heard |= read.is_some();
            fleet.room.definitions.extend(read.map(|read| (arn, read)));
        }
        if !is_heard {
            // Where none of so many was read, the others are not waited for in this look.
            break;
        }
    }
    Ok(())
}

/// Reads how many network interfaces the instances can have, where tasks have their own. Each type is asked about until EC2
/// answers.
pub(crate) async fn look_at_types(aws: &Aws, fleet: &mut FleetSnapshot) -> Result<(), AwsError> {
    if fleet.room.denied.contains_key(RoomFacts::TYPES) || !fleet.uses_interfaces() {
        return Ok(());
    }
    let types = fleet.instances.values().filter_map(|instance| instance.instance_type()).map(SmolStr::from);
    let new: BTreeSet<SmolStr> = types.filter(|name| !fleet.room.interfaces.contains_key(name)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let read = aws.interfaces_of(&Vec::from_iter(new)).await;
    let read = unless_unread(fleet, RoomFacts::TYPES, read)?;
    fleet.room.interfaces.extend(read.into_iter().flatten());
    Ok(())
}

/// Returns `None` where it could not be read. A right that is missing is recorded, and not asked with again; what got no answer
/// is asked for again by the next look. Nobody waits for that: it counts as not known.
///
/// # Errors
/// Nothing more is sent at all.
fn unless_unread<T>(
    fleet: &mut FleetSnapshot,
    operation: &'static str,
    read: Result<T, AwsError>,
) -> Result<Option<T>, AwsError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.kind, ErrorKind::Stopped | ErrorKind::LeaseOver) => Err(error),
        Err(error) => {
            tracing::warn!(cluster = %fleet.cluster, %error, "not all kinds of room are known");
            if error.is_missing_right() {
                fleet.room.denied.insert(operation.into(), error.to_string());
            }
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_is_not_answered_is_not_known_and_no_end_of_a_look() {
        let table = [
            (ErrorKind::Throttled, true, false),
            (ErrorKind::NoAnswer, true, false),
            (ErrorKind::NotFound, true, false),
            (ErrorKind::Refused("ClientException".to_owned()), true, false),
            (ErrorKind::Denied, true, true),
            (ErrorKind::Stopped, false, false),
            (ErrorKind::LeaseOver, false, false),
        ];
        for (kind, goes_on, is_denied) in table {
            let mut fleet = FleetSnapshot::nothing_seen(&"web".into(), Timestamp::UNIX_EPOCH);
            let error = AwsError { operation: RoomFacts::TYPES, kind: kind.clone(), message: "no".to_owned() };
            let read = unless_unread::<()>(&mut fleet, RoomFacts::TYPES, Err(error));
            assert_eq!(read.ok(), goes_on.then_some(None), "{kind:?}");
            assert_eq!(fleet.room.denied.contains_key(RoomFacts::TYPES), is_denied, "{kind:?}");
        }
    }
}
