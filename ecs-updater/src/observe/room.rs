//! What limits the room for tasks beside what the instances register: task definitions, and the interfaces of instance types.
//! What may not be read is asked for once; the report says so.

use std::collections::BTreeSet;

use models::fleet::{FleetSnapshot, RoomFacts, Service, TaskDefinition};
use smol_str::SmolStr;

use crate::aws::{Aws, AwsError, ErrorKind};

/// So many task definitions are read at once.
const AT_ONCE: usize = 8;

/// Adds to services what their task definitions say. Each definition is read once in a run.
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
        let answers = futures_util::future::join_all(reads).await;
        for (arn, read) in next.into_iter().zip(answers) {
            let read = match read {
                Err(error) if matches!(error.kind, ErrorKind::Refused(_)) && !error.is_missing_right() => {
                    tracing::warn!(%arn, %error, "what this task definition says of its tasks is not known");
                    Some(TaskDefinition::default())
                }
                read => unless_denied(fleet, RoomFacts::DEFINITIONS, read)?,
            };
            fleet.room.definitions.extend(read.map(|read| (arn, read)));
        }
    }
    Ok(())
}

/// Reads how many network interfaces the instances can have, where tasks have their own. Each type is asked about once in a
/// run.
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
    let read = unless_denied(fleet, RoomFacts::TYPES, read)?;
    fleet.room.interfaces.extend(read.into_iter().flatten());
    Ok(())
}

/// Returns `None`, and records it, where a right is missing.
fn unless_denied<T>(
    fleet: &mut FleetSnapshot,
    operation: &'static str,
    read: Result<T, AwsError>,
) -> Result<Option<T>, AwsError> {
    match read {
        Err(error) if error.is_missing_right() => {
            tracing::warn!(cluster = %fleet.cluster, %error, "not all kinds of room are known");
            fleet.room.denied.insert(operation.into(), error.to_string());
            Ok(None)
        }
        read => read.map(Some),
    }
}
