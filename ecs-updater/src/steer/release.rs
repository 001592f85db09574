//! Lets go of one instance: a run of its own, under the lease, that begins nothing and leaves all other instances as they
//! are. What it may do and in which order, the planner says, as for every run.

use std::cell::RefCell;

use models::claim::{Claim, ClaimStep};
use models::fleet::{Instance, InstanceStatus};
use models::ids::HostId;
use models::plan::{Phase, Step};
use models::reason::HoldReason;
use models::report::{InstanceReport, Outcome, RunReport};
use models::selection::Named;

use super::error::SteerError;
use super::steering::{Steered, Steering};
use crate::exit::ExitStatus;
use crate::planner::Purpose;
use crate::run::{Job, View, Watch, run};

/// Lets go of an instance.
pub(super) async fn release(at: &Steering<'_>, host: &HostId) -> Result<Steered, SteerError> {
    let fleet = at.look(&at.aws()).await?;
    let instance = at.find(&fleet, host)?;
    at.say(format!("{host}: {}", stands(instance, at)));
    let Some(ahead) = ahead(instance) else { return Ok(Steered::DONE) };
    at.say(format!("{host}: {ahead}"));
    if at.lease_table.is_none() {
        at.say("no lease table is set: no run may be at work on the cluster meanwhile");
    }
    if !at.is_agreed().await? {
        return Ok(Steered::NOT_WANTED);
    }
    let job = Job {
        run: at.run.clone(),
        clusters: vec![(at.cluster.clone(), Ok(at.policy.clone()))],
        locations: [(at.cluster.clone(), at.location.clone())].into(),
        purpose: Purpose::Release(host.clone()),
        dry_run: false,
        outside_window: false,
        dates_oldest: false,
        named: Named::default(),
        lease_table: at.lease_table.map(str::to_owned),
        api_share: at.api_share,
    };
    let teller = Teller { at, host, said: RefCell::default() };
    let mut report = run(at.config, at.clock, job, &teller, at.signals.clone()).await;
    for cluster in &mut report.clusters {
        cluster.instances.retain(|one| one.ec2_instance_id == *host);
        if let Some(error) = cluster.error.clone() {
            for ended in &cluster.instances {
                at.say(format!("{host}: {}", end_words(ended)));
            }
            return Err(SteerError::Cluster(error));
        }
    }
    Ok(concluded(at, host, report))
}

fn concluded(at: &Steering<'_>, host: &HostId, report: RunReport) -> Steered {
    let ended = report.clusters.iter().flat_map(|cluster| &cluster.instances).next();
    let line = ended.map_or_else(|| "it is not in the cluster any more".to_owned(), end_words);
    at.say(format!("{host}: {line}"));
    Steered { status: ExitStatus::of(&report), report: Some(report) }
}

fn end_words(ended: &InstanceReport) -> String {
    let detail = ended.detail.as_deref().unwrap_or_default();
    let to = ended.to.as_ref().map(|to| format!(" {to}")).unwrap_or_default();
    match ended.outcome {
        Outcome::Held if ended.reason.as_deref() == Some(HoldReason::Released.code()) => {
            let more = detail.strip_prefix(&HoldReason::Released.to_string()).unwrap_or_default();
            format!("released: in service as before, and without a claim{more}")
        }
        Outcome::Updated => format!("it had rebooted: verified on{to}, in service, and without a claim"),
        Outcome::Current => "in service, and without a claim".to_owned(),
        Outcome::InProgress => format!("not released yet: {detail}; release goes on with it"),
        Outcome::Failed | Outcome::ScaledIn => format!("not released: {detail}"),
        Outcome::Held | Outcome::RolledBack | Outcome::Gone | Outcome::WouldUpdate => {
            format!("{}: {detail}", ended.outcome.as_str())
        }
    }
}

/// How the instance stands.
fn stands(instance: &Instance, at: &Steering<'_>) -> String {
    let status = instance.status.as_str();
    match &instance.tags.claim {
        Some(Ok(Claim { step, run, since, from, to, .. })) => {
            format!("{status}, with the claim {} of run {run} since {since} ({from} to {to})", step.as_str())
        }
        Some(Err(bad)) => format!(
            "{status}, with a tag that is not a valid claim ({}): nothing is done to it. Check the instance; to remove the tag: \
             aws ec2 delete-tags{} --resources {} --tags Key=ecs-updater:claim",
            bad.error,
            at.region_flag(),
            instance.host
        ),
        None if instance.status == InstanceStatus::Draining => format!(
            "{status}, and not by this program: that is left to the person or program that did it. To set it ACTIVE: aws ecs \
             update-container-instances-state{} --cluster {} --container-instances {} --status ACTIVE",
            at.region_flag(),
            at.cluster,
            instance.container_instance
        ),
        None => format!("{status}, without a claim of this program"),
    }
}

/// What letting go of it means; `None` where there is nothing to let go of.
fn ahead(instance: &Instance) -> Option<&'static str> {
    if matches!(instance.tags.claim, Some(Err(_))) {
        return None;
    }
    let lock = "its version-lock is put back as it was found";
    let Some(claim) = instance.claim() else {
        return instance.tags.saved_lock.as_ref().map(|_| lock);
    };
    Some(match claim.step {
        ClaimStep::Stage => "its claim will be removed; what was written to its inactive partition set stays there",
        ClaimStep::Cancel => "its version-lock will be put back where it was changed, and its claim removed",
        ClaimStep::Drain => {
            "it will be set ACTIVE, its version-lock put back where it was changed, and its claim removed"
        }
        ClaimStep::Reboot => {
            "its reboot will be called off (8 minutes at most, until it can no longer come), its activation undone, \
             then it is set ACTIVE and its claim removed. If it reboots anyway, it is verified first"
        }
        ClaimStep::Revert => {
            "it is on its way back to its old version: once it is there, it is set ACTIVE and its claim removed"
        }
    })
}

/// Says what the run does with the instance, each thing once.
struct Teller<'a> {
    at: &'a Steering<'a>,
    host: &'a HostId,
    said: RefCell<String>,
}

impl Watch for Teller<'_> {
    fn see(&self, view: View<'_>) {
        let step = view.plan.steps.iter().find(|planned| planned.host == *self.host).map(|planned| &planned.step);
        let phase = view.plan.standing(self.host).map(|standing| standing.phase);
        let Some(words) = doing(step, phase) else { return };
        if *self.said.borrow() != words {
            self.at.say(format!("{}: {words}", self.host));
            words.clone_into(&mut self.said.borrow_mut());
        }
    }
}

fn doing(step: Option<&Step>, phase: Option<Phase>) -> Option<&'static str> {
    match step {
        Some(Step::Cancel(_)) => return Some("undoing the activation, and putting the version-lock back"),
        Some(Step::Finish(_)) => return Some("setting it ACTIVE, and removing the claim"),
        Some(Step::MarkFailed(_)) => return Some("marking the version as failed there"),
        Some(Step::Revert(_) | Step::Reboot(_)) => return Some("going back to its old version"),
        Some(
            Step::Reach
            | Step::Inspect(_)
            | Step::Confirm
            | Step::LookAtChecks
            | Step::LookAtTasks
            | Step::Leave(_)
            | Step::Stage(_)
            | Step::Drain(_)
            | Step::StopTasks(_),
        )
        | None => {}
    }
    match phase? {
        Phase::Draining | Phase::Drained => Some("waiting for its host to report"),
        Phase::Rebooting => Some("waiting until no reboot can come any more, or it is back"),
        Phase::Verifying | Phase::Confirming => Some("it has rebooted: waiting until it is healthy"),
        Phase::Reverting => Some("waiting until it is back on its old version"),
        Phase::Unseen => Some("asking its host for its state"),
        Phase::Current | Phase::Outdated | Phase::Staging | Phase::Staged | Phase::Held | Phase::Settled => None,
    }
}
