//! From facts to a status: pure.

use models::claim::Claim;
use models::count::plural;
use models::fleet::Instance;
use models::location::Location;
use models::policy::Policy;
use models::reason::HoldReason;
use models::status::{Begins, ClaimLine, ClusterStatus, GroupBegins, InstanceLine, LastRun, LeaseStatus};
use models::summary::Summary;

use super::gather::Facts;
use super::needs;
use super::out::out;
use super::typed::Typed;
use super::versions::{self, Summarized};
use crate::planner;

/// Returns how a cluster stands, but for where it is and what it cost to read it.
pub(crate) fn report(facts: &Facts<'_>, typed: &Typed) -> ClusterStatus {
    let summary = facts.summary.as_ref().ok();
    let summarized = summary.map(Summary::versions_by_host).unwrap_or_default();
    let instances: Vec<InstanceLine> =
        facts.fleet.registered().map(|instance| line(instance, facts, &summarized)).collect();
    let needs = needs::needs(facts, &instances, typed);
    let (counted, _) = facts.fleet.counted_and_out();
    let begins = begins(facts, facts.policy);
    ClusterStatus {
        cluster: facts.fleet.cluster.clone(),
        location: Location::default(),
        error: None,
        groups: groups(facts, &begins),
        begins: Some(begins),
        lease: facts.lease.clone(),
        last_run: summary.map(last_run),
        max_unavailable: Some(facts.policy.max_unavailable.of(counted)),
        versions: versions::counts(&instances),
        not_known: not_known(facts),
        needs,
        instances,
        aws_calls: Default::default(),
    }
}

fn line(instance: &Instance, facts: &Facts<'_>, summarized: &Summarized<'_>) -> InstanceLine {
    let troubled = facts.summary.as_ref().ok().and_then(|summary| {
        let mut troubled = summary.troubled.iter();
        troubled.find(|one| one.host == instance.host).cloned()
    });
    InstanceLine {
        ec2_instance_id: instance.host.clone(),
        container_instance: instance.container_instance.clone(),
        zone: instance.zone.clone(),
        group: planner::membership(instance, facts.policy).only().map(|group| group.name.clone()),
        status: instance.status,
        agent_connected: instance.agent_connected,
        machine: instance.machine_state(),
        out: out(instance, facts),
        claim: instance.claim().map(claim_line),
        malformed_claim: instance.tags.claim.as_ref().and_then(|claim| {
            let bad = claim.as_ref().err()?;
            Some(format!("{:?}: {}", bad.value, bad.error))
        }),
        excluded: instance.tags.exclude.clone(),
        failed: instance.tags.failed.marks().to_vec(),
        last: instance.tags.last.clone(),
        troubled,
        version: versions::known(instance, summarized, facts.now),
        unknown_tags: instance.tags.unknown.clone(),
    }
}

fn claim_line(claim: &Claim) -> ClaimLine {
    ClaimLine {
        step: claim.step,
        run: claim.run.clone(),
        epoch: claim.epoch,
        from: claim.from.clone(),
        to: claim.to.clone(),
        since: claim.since,
    }
}

/// The groups in which updates may begin otherwise than in the rest of the cluster.
fn groups(facts: &Facts<'_>, rest: &Begins) -> Vec<GroupBegins> {
    let all = facts.policy.groups.iter();
    let each = all.map(|group| GroupBegins { group: group.name.clone(), begins: begins(facts, &group.policy) });
    each.filter(|own| own.begins != *rest).collect()
}

/// Whether updates may begin by these settings: the cluster's or a group's.
fn begins(facts: &Facts<'_>, policy: &Policy) -> Begins {
    let Some(why) = planner::closed_for_drains(&facts.fleet, policy, planner::Asked::default(), facts.now) else {
        let until = planner::open_until(policy, facts.now);
        return Begins { may: true, reason: None, detail: None, until };
    };
    let until = if let HoldReason::OutsideWindow { until, .. } | HoldReason::Frozen { until, .. } = &why {
        Some(*until)
    } else {
        None
    };
    Begins { may: false, reason: Some(why.code().to_owned()), detail: Some(why.to_string()), until }
}

fn last_run(summary: &Summary) -> LastRun {
    LastRun {
        run: summary.run.clone(),
        started_at: summary.started_at,
        written_at: summary.written_at,
        ended: summary.ended,
        interrupted: summary.interrupted,
        error: summary.error.as_ref().map(|error| error.message.clone()),
        outcomes: summary.outcomes.clone(),
        held: summary.held.clone(),
        until: summary.until.clone(),
        left_out: summary.left_out,
    }
}

fn not_known(facts: &Facts<'_>) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(why) = &facts.no_tags {
        said.push(format!("claims, exclusions, failed versions and machines: {why}"));
    }
    match &facts.lease {
        LeaseStatus::NoTable => said.push(
            "whether a run is at work, and what the last one said: no lease table is set (lease_table, --lease-table or \
             ECS_UPDATER_LEASE_TABLE)"
                .to_owned(),
        ),
        LeaseStatus::NotKnown { why } => said.push(format!("who holds the lease: {why}")),
        LeaseStatus::Never | LeaseStatus::Free { .. } | LeaseStatus::Held { .. } | LeaseStatus::Expired { .. } => {}
    }
    match &facts.summary {
        Err(_) if facts.lease == LeaseStatus::NoTable => {}
        Err(why) => said.push(format!("what the last run said: {why}")),
        Ok(summary) if summary.left_out > 0 => said
            .push(format!("a part of what the last run said: {} entries had no room in its summary", summary.left_out)),
        Ok(_) => {}
    }
    let left_out = facts.fleet.registered().filter(|one| one.left_out_since.is_some()).count();
    if left_out > 0 && facts.no_tags.is_none() {
        said.push(format!("the tags of {}, which EC2 leaves out of its answers", plural(left_out, "instance")));
    }
    if !facts.fleet.unknown_registrations.is_empty() {
        said.push(format!(
            "{} container instances that ECS lists but does not describe",
            facts.fleet.unknown_registrations.len()
        ));
    }
    said
}
