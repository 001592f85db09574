//! AWS → [`FleetSnapshot`]. The snapshot is brought up to date in place: a full look reads everything that the
//! budget and the claims rest on, a short look only the instances under way.

pub(crate) mod alarms;
mod heard;
mod machines;
mod moves;
mod providers;
pub(crate) mod releases;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use models::claim::Transport;
use models::fleet::{EVENTUAL_CONSISTENCY, FleetSnapshot, Instance, InstanceStatus, RunMemory, Tags};
use models::ids::{ContainerInstanceArn, HostId};
use models::policy::Policy;
use models::time::after;

use crate::aws::ec2::Machines;
use crate::aws::ecs::clusters::Wishes;
use crate::aws::ecs::instances::{self, Answer, Listed};
use crate::aws::{Aws, AwsError};

use heard::{adopt_bridge_report, merge_bridge};

pub(crate) use heard::record_ended;
pub(crate) use machines::{merge_ec2, merge_tags, read_tags};
pub(crate) use moves::{merge_services, undescribed};
pub(crate) use room::look_at_types;

/// Lists and describes the whole cluster, with the EC2 side.
pub(crate) async fn full_look(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    policy: &Policy,
    now: Timestamp,
) -> Result<(), AwsError> {
    moves::look(aws, fleet, now).await?;
    let seen = look_at_all(aws, fleet, policy).await?;
    let machines = seen.machines.as_ref().map_err(AwsError::clone)?;
    merge_all(fleet, &seen, machines, policy, now);
    look_at_types(aws, fleet).await
}

/// Looks at the whole cluster once, where nothing rests on where tasks go. Returns what EC2 says where it does not tell of
/// the machines: no tag is known then.
pub(crate) async fn glance(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<AwsError>, AwsError> {
    let seen = look_at_all(aws, fleet, policy).await?;
    let nothing = Machines::default();
    merge_all(fleet, &seen, seen.machines.as_ref().unwrap_or(&nothing), policy, now);
    Ok(seen.machines.err())
}

/// What ECS and EC2 say of a whole cluster.
struct Seen {
    wishes: Wishes,
    newest: BTreeMap<HostId, instances::Described>,
    outdated: BTreeSet<ContainerInstanceArn>,
    not_described: BTreeSet<ContainerInstanceArn>,
    machines: Result<Machines, AwsError>,
}

/// Looks at the whole cluster once, at what of it can be read. Returns what cannot, and whether the instances are known.
pub(crate) async fn survey(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    policy: &Policy,
    now: Timestamp,
) -> (Vec<AwsError>, bool) {
    let mut troubles = Vec::new();
    let (arns, wishes) =
        tokio::join!(aws.list_container_instances(&fleet.cluster, Listed::All), aws.wishes(&fleet.cluster));
    let wishes = wishes.unwrap_or_else(|error| {
        troubles.push(error);
        Wishes::default()
    });
    let seen = match arns {
        Ok(arns) => describe_all(aws, fleet, policy, &arns, wishes).await,
        Err(error) => Err(error),
    };
    match seen {
        Ok(seen) => {
            let nothing = Machines::default();
            merge_all(fleet, &seen, seen.machines.as_ref().unwrap_or(&nothing), policy, now);
            troubles.extend(seen.machines.err());
            (troubles, true)
        }
        Err(error) => {
            troubles.push(error);
            (troubles, false)
        }
    }
}

async fn look_at_all(aws: &Aws, fleet: &mut FleetSnapshot, policy: &Policy) -> Result<Seen, AwsError> {
    let (arns, wishes) =
        tokio::join!(aws.list_container_instances(&fleet.cluster, Listed::All), aws.wishes(&fleet.cluster));
    let arns = arns?;
    describe_all(aws, fleet, policy, &arns, wishes?).await
}

async fn describe_all(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    policy: &Policy,
    arns: &[ContainerInstanceArn],
    wishes: Wishes,
) -> Result<Seen, AwsError> {
    let Answer { described, not_described } =
        aws.describe_container_instances(&fleet.cluster, arns, policy.names_hosts()).await?;
    if described.is_empty() && !not_described.is_empty() {
        return Err(AwsError::not_described());
    }
    providers::look(aws, fleet, &described).await;
    let mut outdated: BTreeSet<ContainerInstanceArn> = described.iter().map(|one| one.arn.clone()).collect();
    let newest = newest_by_host(described);
    for one in newest.values() {
        outdated.remove(&one.arn);
    }
    let hosts: BTreeSet<&HostId> = fleet.instances.keys().chain(newest.keys()).collect();
    let on_ec2: Vec<HostId> = hosts.into_iter().filter(|host| !host.is_external()).cloned().collect();
    let machines = aws.describe_instances(&on_ec2).await;
    Ok(Seen { wishes, newest, outdated, not_described, machines })
}

fn merge_all(fleet: &mut FleetSnapshot, seen: &Seen, machines: &Machines, policy: &Policy, now: Timestamp) {
    let Seen { wishes, newest, outdated, not_described, machines: _ } = seen;
    fleet.pause.clone_from(&wishes.pause);
    fleet.skipped.clone_from(&wishes.skipped);
    fleet.outdated_registrations.clone_from(outdated);
    for (host, described) in newest {
        merge_ecs(fleet, host, described, policy, now);
    }
    for (host, instance) in &mut fleet.instances {
        let is_described = newest.contains_key(host);
        if !is_described && not_described.contains(&instance.container_instance) {
            // What ECS lists and does not describe stays as it was.
            instance.undescribed_since.get_or_insert(now);
        } else if !is_described {
            instance.status = InstanceStatus::Inactive;
            instance.agent_connected = false;
            instance.seen_at = now;
            instance.undescribed_since = None;
        }
        merge_ec2(instance, machines, policy, now);
    }
    let known: BTreeSet<&ContainerInstanceArn> =
        fleet.instances.values().map(|instance| &instance.container_instance).collect();
    let unknown = not_described.iter().filter(|arn| !known.contains(arn)).cloned().collect();
    fleet.unknown_registrations = unknown;
    // What is not registered any more and was nothing to us is no part of the cluster.
    fleet.instances.retain(|_, instance| {
        instance.status != InstanceStatus::Inactive
            || instance.claim().is_some()
            || instance.run.verdict.is_some()
            || instance.run.drained_at.is_some()
    });
    fleet.taken_at = now;
}

/// Of which instances a short look takes up whether ECS hears their agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    OfThese,
    /// Of all that are registered. What tasks the others have belongs to what services have placed, which a full look reads
    /// before.
    OfAll,
}

/// Describes the instances under way again. Returns those asked for that ECS does not describe, or has as INACTIVE: what
/// they are now a full look tells.
pub(crate) async fn short_look(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    (under_way, connections): (&BTreeSet<HostId>, Connections),
    policy: &Policy,
    now: Timestamp,
) -> Result<BTreeSet<HostId>, AwsError> {
    let is_asked =
        |one: &&Instance| under_way.contains(&one.host) || (connections == Connections::OfAll && one.is_registered());
    let asked = fleet.instances.values().filter(is_asked);
    let (mut missed, arns): (BTreeSet<HostId>, Vec<ContainerInstanceArn>) =
        asked.map(|one| (one.host.clone(), one.container_instance.clone())).unzip();
    let Answer { described, .. } =
        aws.describe_container_instances(&fleet.cluster, &arns, policy.names_hosts()).await?;
    for one in described.iter().filter(|one| one.status != InstanceStatus::Inactive) {
        missed.remove(&one.host);
        if under_way.contains(&one.host) {
            merge_ecs(fleet, &one.host, one, policy, now);
        } else if let Some(instance) = fleet.instances.get_mut(&one.host) {
            merge_connection(instance, one.agent_connected, now);
        }
    }
    Ok(missed)
}

/// Returns one entry a machine, the newest that is connected: after an OS rollback the old container instance can still be listed beside the new one.
fn newest_by_host(described: Vec<instances::Described>) -> BTreeMap<HostId, instances::Described> {
    let mut newest: BTreeMap<HostId, instances::Described> = BTreeMap::new();
    for one in described {
        let key = |d: &instances::Described| (d.status != InstanceStatus::Inactive, d.agent_connected, d.registered_at);
        match newest.get(&one.host) {
            Some(other) if key(other) >= key(&one) => {}
            Some(_) | None => {
                newest.insert(one.host.clone(), one);
            }
        }
    }
    newest
}

fn first_seen(host: &HostId, one: &instances::Described, now: Timestamp) -> Instance {
    Instance {
        host: host.clone(),
        container_instance: one.arn.clone(),
        status: one.status,
        agent_connected: one.agent_connected,
        disconnected_since: None,
        running_tasks: 0,
        pending_tasks: 0,
        variant: None,
        zone: None,
        provider: None,
        attributes: one.nameable.clone(),
        instance_tag: None,
        agent_version: None,
        registered_at: None,
        registered: one.registered.clone(),
        remaining: one.remaining.clone(),
        seen_at: now,
        undescribed_since: None,
        ec2: None,
        left_out_since: None,
        auto_scaling: None,
        managed_by_aws: false,
        tags: Tags::default(),
        tasks: None,
        bridge: None,
        reach: None,
        report: None,
        visit: None,
        command: None,
        run: RunMemory::default(),
    }
}

fn merge_ecs(fleet: &mut FleetSnapshot, host: &HostId, one: &instances::Described, policy: &Policy, now: Timestamp) {
    let is_managed = providers::is_managed(fleet, one);
    let instance = fleet.instances.entry(host.clone()).or_insert_with(|| first_seen(host, one, now));
    instance.managed_by_aws |= is_managed;
    if instance.container_instance != one.arn {
        tracing::info!(host = %host, from = instance.container_instance.short(), to = one.arn.short(), "registered again");
        instance.container_instance = one.arn.clone();
        instance.instance_tag = None;
        instance.tasks = None;
    }
    if one.status == InstanceStatus::Draining {
        found_draining(instance);
    }
    // An answer can be older than our own DRAINING.
    let drained = instance.run.drained_at.filter(|_| instance.status == InstanceStatus::Draining);
    let is_old = drained.is_some_and(|at| now < after(at, EVENTUAL_CONSISTENCY));
    if !(is_old && one.status == InstanceStatus::Active) {
        instance.status = one.status;
    }
    merge_connection(instance, one.agent_connected, now);
    if instance.in_service() {
        instance.run.last_seen.in_service = Some(now);
    }
    instance.running_tasks = one.running_tasks;
    instance.pending_tasks = one.pending_tasks;
    // A re-registration can lose attributes; what a host is does not change.
    instance.variant = one.variant.as_deref().map(Into::into).or(instance.variant.take());
    instance.zone = one.zone.clone().or(instance.zone.take());
    if instance.provider.as_deref() != one.provider.as_deref() {
        instance.provider = one.provider.as_deref().map(Into::into);
    }
    if instance.attributes != one.nameable {
        instance.attributes = one.nameable.clone();
    }
    merge_instance_tag(instance, one, policy, now);
    instance.agent_version.clone_from(&one.agent_version);
    instance.registered_at = Timestamp::from_second(one.registered_at).ok();
    instance.registered = one.registered.clone();
    instance.remaining = one.remaining.clone();
    instance.seen_at = now;
    instance.undescribed_since = None;
    if merge_bridge(instance, &one.attributes, now) && instance.transport(policy.host, now) == Transport::Bridge {
        adopt_bridge_report(instance, now);
    }
}

/// Merges whether ECS hears the agent.
fn merge_connection(instance: &mut Instance, is_connected: bool, now: Timestamp) {
    instance.agent_connected = is_connected;
    instance.disconnected_since = (!is_connected).then(|| instance.disconnected_since.unwrap_or(now));
    let last_seen = &mut instance.run.last_seen;
    let said = if is_connected { &mut last_seen.connected } else { &mut last_seen.disconnected };
    *said = Some(now);
}

/// Merges the tag that names the host, where tags were asked for. What this run has written stays for a while: ECS may still
/// show what was there before.
fn merge_instance_tag(instance: &mut Instance, one: &instances::Described, policy: &Policy, now: Timestamp) {
    let written = instance.run.naming.as_ref().filter(|naming| naming.on == one.arn && naming.refused.is_none());
    if !policy.names_hosts() || written.is_some_and(|naming| now < after(naming.at, EVENTUAL_CONSISTENCY)) {
        return;
    }
    if instance.instance_tag.as_deref() != one.instance_tag.as_deref() {
        instance.instance_tag = one.instance_tag.as_deref().map(Into::into);
    }
    instance.note_misnamed(now);
    // Who changes it is not waited for: it is put back at once.
    if instance.is_named()
        && let Some(naming) = &mut instance.run.naming
    {
        naming.tries = 0;
    }
}

/// Records that ECS says DRAINING. Where that is news, the known tasks are dropped, so that they are listed again.
pub(crate) fn found_draining(instance: &mut Instance) {
    if instance.status != InstanceStatus::Draining {
        instance.status = InstanceStatus::Draining;
        instance.tasks = None;
    }
}

#[cfg(test)]
mod tests;
