//! What EC2 says of a machine: its state and its tags.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::{
    CLAIM_TAG, Claim, EXCLUDE_TAG, FAILED_TAG, FailedVersions, SAVED_LOCK_TAG, is_exclusion, is_unknown,
};
use models::clean;
use models::fleet::{BadClaim, Ec2, Exclusion, Instance, MachineState, Tags};
use models::last::LAST_TAG;
use models::policy::Policy;

use crate::aws::ec2::{self, Machines};

/// Merges what EC2 says. What it leaves out of its answer, it says nothing of; nor does it of a machine that it does not
/// find and whose agent ECS hears.
pub(crate) fn merge_ec2(instance: &mut Instance, machines: &Machines, policy: &Policy, now: Timestamp) {
    if instance.host.is_external() {
        return;
    }
    if let Some(machine) = machines.get(&instance.host) {
        let checks = instance.ec2.take().and_then(|ec2| ec2.checks);
        instance.ec2 = Some(Ec2 { checks, ..machine.ec2.clone() });
        instance.managed_by_aws |= machine.managed_by_aws;
        instance.left_out_since = None;
        merge_tags(instance, machine, policy, now);
    } else if machines.is_not_found(&instance.host) && !instance.agent_connected {
        instance.ec2.get_or_insert_default().state = MachineState::NotFound;
        instance.left_out_since = None;
    } else {
        instance.left_out_since.get_or_insert(now);
    }
}

/// How long EC2 may show tags from before a write: its API is eventually consistent.
const TAGS_EVENTUAL_CONSISTENCY: SignedDuration = SignedDuration::from_secs(20);

/// Merges the tags. What this run has written stays for a while.
pub(crate) fn merge_tags(instance: &mut Instance, machine: &ec2::Described, policy: &Policy, now: Timestamp) {
    let mut read = read_tags(machine);
    let asked_for = policy.asked_tags();
    let value = |key: &str| Some((key.to_owned(), machine.all_tags.get(key)?.clone()));
    read.asked_for = asked_for.into_iter().filter_map(value).collect();
    let fresh = instance.run.tags_written_at.is_some_and(|at| now.duration_since(at) < TAGS_EVENTUAL_CONSISTENCY);
    instance.tags = if fresh {
        let Tags { exclude, unknown, others, asked_for, .. } = read;
        Tags { exclude, unknown, others, asked_for, ..std::mem::take(&mut instance.tags) }
    } else {
        read
    };
    instance.note_claim(now);
}

/// Returns the tags as EC2 shows them.
pub(crate) fn read_tags(machine: &ec2::Described) -> Tags {
    let tags = &machine.tags;
    Tags {
        claim: tags
            .get(CLAIM_TAG)
            .map(|value| value.parse::<Claim>().map_err(|error| BadClaim { value: value.clone(), error })),
        failed: tags.get(FAILED_TAG).map(|value| FailedVersions::parse(value)).unwrap_or_default(),
        exclude: exclusion(tags),
        saved_lock: tags.get(SAVED_LOCK_TAG).filter(|value| !value.is_empty()).cloned(),
        last: tags.get(LAST_TAG).and_then(|value| value.parse().ok()),
        others: machine.others,
        asked_for: BTreeMap::new(),
        unknown: tags.keys().filter(|key| is_unknown(key)).map(|key| clean::name(key)).collect(),
    }
}

/// Returns the tag that excludes the instance; the right one before those that are mistyped.
fn exclusion(tags: &BTreeMap<String, String>) -> Option<Exclusion> {
    let wishes = tags.iter().filter(|(key, value)| is_exclusion(key) && !value.eq_ignore_ascii_case("false"));
    let (tag, note) = wishes.min_by_key(|(key, _)| *key != EXCLUDE_TAG)?;
    Some(Exclusion { tag: clean::name(tag), note: note.clone() })
}
