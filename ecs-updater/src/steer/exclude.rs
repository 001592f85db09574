//! The exclusion of instances: an EC2 tag, which every run reads at each full look and just before each drain and reboot.

use models::claim::{EXCLUDE_TAG, is_exclusion};
use models::fleet::{Instance, InstanceStatus};
use models::ids::HostId;

use super::error::SteerError;
use super::steering::{Steered, Steering};
use crate::aws::AwsError;
use crate::aws::halving::Parts;

/// Keeps runs off instances, or gives that another note.
pub(super) async fn exclude(at: &Steering<'_>, hosts: &[HostId], note: &str) -> Result<Steered, SteerError> {
    let aws = at.aws();
    let fleet = at.look(&aws).await?;
    let mut due = Vec::new();
    for host in hosts {
        let instance = at.find(&fleet, host)?;
        match &instance.tags.exclude {
            Some(known) if known.tag == EXCLUDE_TAG && known.note == note => {
                at.say(format!("{host} is excluded already: {note}"));
            }
            Some(known) => {
                at.say(format!("{host} is excluded by {} = {:?}; the note becomes {note:?}", known.tag, known.note));
                due.push(host.clone());
            }
            None => {
                at.say(format!("{host} will be excluded: {note}{}", consequence(instance)));
                due.push(host.clone());
            }
        }
    }
    if due.is_empty() {
        return Ok(Steered::DONE);
    }
    if !at.is_agreed().await? {
        return Ok(Steered::NOT_WANTED);
    }
    let parts = aws.create_tags(&due, &[(EXCLUDE_TAG, note.to_owned())]).await;
    let quoted = note.replace('\'', "'\\''");
    done(at, parts, "is excluded", |ids| {
        format!(
            "aws ec2 create-tags{} --resources {ids} --tags 'Key={EXCLUDE_TAG},Value=\"{quoted}\"'",
            at.region_flag()
        )
    })
}

/// Lets runs update instances again.
pub(super) async fn include(at: &Steering<'_>, hosts: &[HostId]) -> Result<Steered, SteerError> {
    let aws = at.aws();
    let fleet = at.look(&aws).await?;
    for host in hosts {
        at.find(&fleet, host)?;
    }
    let machines = aws.describe_instances(hosts).await.map_err(|source| at.failed(source))?;
    let mut due: Vec<(HostId, Vec<String>)> = Vec::new();
    for host in hosts {
        let tags = machines.get(host).map(|machine| &machine.tags);
        let wishes: Vec<(&String, &String)> = tags.into_iter().flatten().filter(|(key, _)| is_exclusion(key)).collect();
        if wishes.is_empty() {
            at.say(format!("{host} is not excluded"));
            continue;
        }
        for (key, value) in &wishes {
            at.say(format!("{host} will lose its tag {key} = {value:?}: the next run takes it as any other"));
        }
        due.push((host.clone(), wishes.into_iter().map(|(key, _)| key.clone()).collect()));
    }
    if due.is_empty() {
        return Ok(Steered::DONE);
    }
    if !at.is_agreed().await? {
        return Ok(Steered::NOT_WANTED);
    }
    for (host, keys) in due {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let parts = aws.delete_tags(std::slice::from_ref(&host), &keys).await;
        let listed: Vec<String> = keys.iter().map(|key| format!("Key={key}")).collect();
        done(at, parts, "is not excluded any more", |ids| {
            format!("aws ec2 delete-tags{} --resources {ids} --tags {}", at.region_flag(), listed.join(" "))
        })?;
    }
    Ok(Steered::DONE)
}

/// What follows for an instance that a run has out of service.
fn consequence(instance: &Instance) -> &'static str {
    match instance.out_of_service_claim() {
        Some(claim) if claim.boots.is_empty() && instance.status == InstanceStatus::Draining => {
            "; a run at work, or the next one, sets it ACTIVE again"
        }
        Some(_) => "; a run is in the middle of its reboot, and finishes that first",
        None => "; runs leave it as it is",
    }
}

fn done(
    at: &Steering<'_>,
    parts: Parts<HostId, ()>,
    what: &str,
    by_hand: impl FnOnce(String) -> String,
) -> Result<Steered, SteerError> {
    for host in parts.done.iter().flat_map(|(part, ())| part) {
        at.say(format!("{host} {what}"));
    }
    let mut left: Vec<HostId> = parts.refused.iter().map(|(host, _)| host.clone()).collect();
    let mut error: Option<AwsError> = parts.refused.into_iter().map(|(_, error)| error).next();
    if let Some((hosts, failed)) = parts.failed {
        left.extend(hosts);
        error = Some(failed);
    }
    match error {
        None => Ok(Steered::DONE),
        Some(source) => {
            let ids: Vec<&str> = left.iter().map(HostId::as_str).collect();
            Err(SteerError::NotDone { cluster: at.cluster.clone(), source, by_hand: by_hand(ids.join(" ")) })
        }
    }
}
