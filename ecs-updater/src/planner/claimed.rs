//! An instance that a run took out of service, this one or one that died: bring it to an end.
//!
//! Time-outs count from the claim, so that they outlast a dead run; a run that finds an old claim still looks once
//! before it gives up.

use jiff::Timestamp;
use models::attributes::Progress;
use models::claim::{Claim, ClaimStep, Way};
use models::fleet::{Instance, InstanceStatus, SentReboot, StatusChecks, VisitEnd, report_since};
use models::host::{AgentState, ErrorCode, HostReport, UpdateState};
use models::ids::BootId;
use models::plan::{Cancel, End, HostCommand, Inspect, MarkFailed, Phase, Reboot, Revert, Stage, Step, StopTasks};
use models::policy::StandaloneTasks;
use models::reason::{FailReason, HoldReason};

use super::context::{Context, RunFacts};
use super::need::{Next, is_gone, trouble};
use super::times::{
    AGENT_FLAG_LAG, BOOT_POLL, CALL_OFF, DRAIN_POLL, EVENTUAL_CONSISTENCY, FIRST_BOOT_POLL, MAX_REBOOT_CLAIMS,
    MAX_STAGES, MAX_UNDOS, REBOOT_MAY_COME, RETRY, TASKS_FRESH, after,
};
use super::wanted::{is_staged, lock_to_restore};
use super::{unclaimed, workload};

/// The phase that a claim stands for.
pub(crate) fn phase(claim: &Claim) -> Phase {
    match claim.step {
        ClaimStep::Stage => Phase::Staging,
        ClaimStep::Drain => Phase::Draining,
        ClaimStep::Reboot => Phase::Rebooting,
        ClaimStep::Revert => Phase::Reverting,
        ClaimStep::Cancel => Phase::Held,
    }
}

/// What an instance needs next whose claim takes it out of service.
pub(crate) fn next<'a>(instance: &'a Instance, claim: &Claim, cx: &Context<'_>) -> Next<'a> {
    if is_gone(instance) {
        return Next::Do(Phase::Settled, Step::Leave(End::Gone));
    }
    if let Some(ec2) = instance.ec2.as_ref().filter(|ec2| !ec2.is_running()) {
        let detail = format!("EC2 says the instance is {}", ec2.state);
        return leave(FailReason::NeverCameBack { detail });
    }
    match claim.step {
        ClaimStep::Drain => drain(instance, claim, cx),
        ClaimStep::Reboot => reboot(instance, claim, cx),
        ClaimStep::Revert => revert(instance, claim, cx),
        ClaimStep::Stage | ClaimStep::Cancel => unclaimed::next(instance, cx),
    }
}

/// Carries out the end that was begun: where a reboot was called off, nothing can come of it any more by then.
pub(crate) fn conclude<'a>(instance: &'a Instance, end: &End, cx: &Context<'_>) -> Next<'a> {
    let phase = instance.claim().map_or(Phase::Held, phase);
    let finish = || Next::Do(phase, Step::Finish(end.clone()));
    let Some(off) = instance.run.called_off.as_deref().filter(|_| !is_gone(instance)) else { return finish() };
    if newest_report(instance).is_some_and(|(_, boot)| !off.claim.is_for(&boot)) {
        return next(instance, &off.claim, cx);
    }
    if instance.claim().is_some_and(|claim| instance.bridge_has_answered(claim)) {
        return finish();
    }
    let until = after(off.at, CALL_OFF);
    if cx.now < until {
        return Next::Wait(phase, until.min(after(cx.now, DRAIN_POLL)));
    }
    match instance.way(cx.policy.host, cx.now) {
        Way::Bridge => unheard(instance),
        Way::Ssm => after_wait(instance, &off.claim, until, end.clone(), cx, || unheard(instance)),
    }
}

/// Whether the host's bridge has said, for this claim, what kept it from rebooting: so it was in the claim's boot then.
fn could_not_reboot(instance: &Instance, claim: &Claim) -> bool {
    let said = instance.heard_bridge().and_then(|seen| Some((seen, seen.handled(claim)?)));
    said.is_some_and(|(seen, handled)| handled.progress == Progress::Failed || seen.report.report.error.is_some())
}

/// Left DRAINING: the host may have rebooted, or not.
fn unheard<'a>(instance: &Instance) -> Next<'a> {
    let silent = || "its host bridge does not say whether the reboot that was called off is off".to_owned();
    leave(FailReason::NeverCameBack { detail: said_by_bridge(instance).unwrap_or_else(silent) })
}

fn leave<'a>(why: FailReason) -> Next<'a> {
    Next::Do(Phase::Held, Step::Leave(End::Failed { why }))
}

fn drain<'a>(instance: &'a Instance, claim: &Claim, cx: &Context<'_>) -> Next<'a> {
    match (instance.status, instance.run.drained_at) {
        (InstanceStatus::Draining, _) => {}
        (InstanceStatus::Active, Some(at)) if instance.seen_at > after(at, EVENTUAL_CONSISTENCY) => {
            return Next::Do(Phase::Draining, Step::Finish(End::Held { why: HoldReason::ReactivatedBySomebody }));
        }
        (InstanceStatus::Active, Some(_)) => return Next::Wait(Phase::Draining, cx.next_poll(instance)),
        // Claimed by a run that died before it drained, or drained by it and set ACTIVE by a person since.
        (InstanceStatus::Active, None) => return unclaimed::next(instance, cx),
        (
            InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Deregistering
            | InstanceStatus::Inactive
            | InstanceStatus::Unknown,
            _,
        ) => {
            let detail = format!("its ECS status became {}", instance.status.as_str());
            return match cx.now < after(claim.since, cx.policy.timeouts.drain) {
                true => Next::Wait(Phase::Draining, cx.next_poll(instance)),
                false => leave(FailReason::NeverCameBack { detail }),
            };
        }
    }
    if let Some(note) = instance.tags.exclude.as_ref().filter(|_| !broken!(ExclusionIgnored)) {
        // An earlier run may have called a reboot off by this claim, and its bridge may not have read that yet.
        let off = after(claim.since, CALL_OFF);
        let is_settled = claim.way == Way::Ssm || claim.run == cx.run.run || instance.bridge_has_answered(claim);
        if !is_settled && cx.now < off {
            return Next::Wait(Phase::Draining, off.min(cx.next_poll(instance)));
        }
        let why = HoldReason::Excluded { note: note.clone() };
        return Next::Do(Phase::Draining, Step::Finish(End::Held { why }));
    }
    if instance.command.is_some() {
        return Next::Wait(Phase::Draining, cx.next_poll(instance));
    }
    match still_draining(instance, claim, cx) {
        Some(next) => next,
        None => drained(instance, claim, cx),
    }
}

/// Whether this drain has taken more than half of the time that it may take.
pub(crate) fn is_slow(claim: &Claim, cx: &Context<'_>) -> bool {
    claim.step == ClaimStep::Drain && cx.now >= after(claim.since, cx.policy.timeouts.drain / 2)
}

/// `None` once nothing that is known speaks against it being drained; the executor looks again before the reboot.
fn still_draining<'a>(instance: &'a Instance, claim: &Claim, cx: &Context<'_>) -> Option<Next<'a>> {
    let drained_at = instance.run.drained_at.unwrap_or(claim.since);
    let counted = instance.running_tasks > 0 || instance.pending_tasks > 0;
    // Once none is counted, those that were there before it drained are the ones that may still be stopping.
    let seen = instance.tasks.as_ref().filter(|seen| !counted || seen.at >= drained_at);
    let left = seen.is_some_and(|seen| !seen.tasks.is_empty()) && !broken!(DrainedByCount);
    if !counted && !left {
        return None;
    }
    let deadline = after(claim.since, cx.policy.timeouts.drain);
    // While tasks are counted, only a task that is to be stopped, to be named or waited for is worth a look.
    let stops = cx.policy.standalone_tasks == StandaloneTasks::Stop || broken!(StandaloneTasksStopped);
    let matters = !counted || is_slow(claim, cx) || stops;
    let good_for = if counted { TASKS_FRESH } else { DRAIN_POLL };
    if matters && seen.is_none_or(|seen| cx.now >= after(seen.at, good_for)) {
        return Some(Next::Do(Phase::Draining, Step::LookAtTasks));
    }
    let tasks = seen.map(|seen| seen.tasks.as_slice()).unwrap_or_default();
    if stops {
        let to_stop: Vec<_> = workload::standalone(tasks)
            .filter(|task| !task.stopping && !instance.run.stopped_tasks.contains(&task.arn))
            .map(|task| task.arn.clone())
            .collect();
        if !to_stop.is_empty() {
            return Some(Next::Do(Phase::Draining, Step::StopTasks(StopTasks { tasks: to_stop })));
        }
    }
    Some(match cx.now >= deadline && !broken!(NoDrainTimeout) {
        true => {
            let left = workload::left(tasks, &cx.snapshot.services);
            Next::Do(Phase::Draining, Step::Finish(End::Failed { why: FailReason::DrainTimedOut { left } }))
        }
        false if broken!(NoDrainTimeout) => Next::Wait(Phase::Draining, cx.next_poll(instance)),
        false => Next::Wait(Phase::Draining, deadline.min(cx.next_poll(instance))),
    })
}

fn drained<'a>(instance: &'a Instance, claim: &Claim, cx: &Context<'_>) -> Next<'a> {
    let refused = |detail: String| {
        Next::Do(Phase::Drained, Step::Finish(End::Failed { why: FailReason::RebootRefused { detail } }))
    };
    let Some((report, boot)) = newest_report(instance) else {
        return visit_again(instance, Phase::Drained, true, cx.inspect_deadline(), cx, || {
            refused("nothing was heard of the host since this run began".to_owned())
        });
    };
    if report.running().is_some_and(|running| running != claim.from) {
        // Somebody rebooted it into another version already.
        return verify(instance, claim, report, cx);
    }
    if instance.command.is_some() {
        return Next::Wait(Phase::Drained, cx.next_poll(instance));
    }
    if claim.step == ClaimStep::Reboot && instance.run.reboot_claims >= MAX_REBOOT_CLAIMS {
        let times = instance.run.reboot_claims;
        return refused(format!("{times} times it rebooted by itself before the command to reboot reached it"));
    }
    if is_staged(instance, report, &claim.to) {
        return Next::Do(Phase::Drained, Step::Reboot(Reboot { to: claim.to.clone(), boot }));
    }
    if instance.run.stages >= MAX_STAGES {
        let stage = instance.visit.as_ref().filter(|visit| matches!(visit.command, HostCommand::Stage { .. }));
        let why = stage.and_then(|visit| trouble(&visit.end)).map(|detail| format!(" ({detail})")).unwrap_or_default();
        return refused(format!("{} is not on its inactive partition set any more{why}", claim.to));
    }
    // The status file is lost at a reboot: whoever rebooted it in between unstaged it.
    let lock = match report.chosen().as_ref() == Some(&claim.to) {
        true => None,
        false => report.settings.as_ref().and_then(|settings| settings.version_lock.clone()),
    };
    let step = Step::Stage(Stage { from: claim.from.clone(), to: claim.to.clone(), lock });
    Next::Do(Phase::Drained, step)
}

fn newest_report(instance: &Instance) -> Option<(&HostReport, BootId)> {
    let report = &instance.report.as_ref()?.report;
    Some((report, report.boot_id.clone()?))
}

/// Visits the host at the pace of the phase; at the deadline, what `give_up` says.
fn visit_again<'a>(
    instance: &Instance,
    phase: Phase,
    refresh: bool,
    deadline: Timestamp,
    cx: &Context<'_>,
    give_up: impl FnOnce() -> Next<'a>,
) -> Next<'a> {
    if instance.command.is_some() {
        return Next::Wait(phase, after(cx.now, BOOT_POLL));
    }
    let visited = instance.visit.as_ref().map_or(Timestamp::MIN, |visit| after(visit.at, BOOT_POLL));
    let rebooted = instance.run.reboot.as_ref().map_or(Timestamp::MIN, |sent| after(sent.sent_at, FIRST_BOOT_POLL));
    let not_before = visited.max(rebooted);
    let looked = instance.visit.as_ref().is_some_and(|visit| visit.sent_at >= cx.run.started_at);
    match () {
        () if cx.now >= deadline && looked => give_up(),
        () if cx.now >= not_before => Next::Do(phase, Step::Inspect(Inspect { refresh })),
        () => Next::Wait(phase, not_before),
    }
}

/// The reboot command of this run for this claim.
fn reboot_sent<'a>(instance: &'a Instance, claim: &Claim) -> Option<&'a SentReboot> {
    instance.run.reboot.as_deref().filter(|reboot| reboot.sent_at >= claim.since)
}

/// If no reboot command for this claim, of whatever run, can have had an effect (undelivered, or the host had already
/// rebooted), returns when that was seen.
fn did_nothing(instance: &Instance, claim: &Claim, cx: &Context<'_>) -> Option<Timestamp> {
    let sent = reboot_sent(instance, claim)?;
    let (seen_at, end) = sent.end.as_ref()?;
    let idle = match end {
        VisitEnd::Error(error) => error.code == ErrorCode::OtherBoot,
        VisitEnd::NotDelivered { .. } => true,
        VisitEnd::Done | VisitEnd::Unsure { .. } | VisitEnd::Malformed { .. } => false,
    };
    (idle && sent.earlier.is_none() && is_this_runs_alone(instance, claim, cx.run)).then_some(*seen_at)
}

/// Whether no other run can have sent a command for this claim.
fn is_this_runs_alone(instance: &Instance, claim: &Claim, run: &RunFacts) -> bool {
    instance.run.began == Some(claim.since) && claim.run == run.run
}

/// Until when the host may begin a reboot that a command by SSM has asked for; `None` where no command can have arrived.
///
/// An earlier run can have sent its last command until this one began.
pub(crate) fn reboot_may_come_until(instance: &Instance, claim: &Claim, run: &RunFacts) -> Option<Timestamp> {
    let ours = reboot_sent(instance, claim).and_then(SentReboot::may_act_since);
    let others = (!is_this_runs_alone(instance, claim, run)).then_some(run.started_at);
    ours.max(others).map(|sent_at| after(sent_at, REBOOT_MAY_COME))
}

fn reboot<'a>(instance: &'a Instance, claim: &Claim, cx: &Context<'_>) -> Next<'a> {
    let timeout = cx.policy.timeouts.reboot;
    let deadline = after(claim.since, timeout).max(cx.inspect_deadline());
    // A command that was sent again has its whole time.
    let asked = reboot_sent(instance, claim).and_then(SentReboot::may_act_since);
    let silent_until = asked.map_or(deadline, |asked| deadline.max(after(asked, timeout)));
    let never = || never_came_back(instance);
    let Some((report, boot)) = newest_report(instance) else {
        return visit_again(instance, Phase::Rebooting, false, silent_until, cx, never);
    };
    if !claim.is_for(&boot) && !broken!(RebootWithoutBootId) {
        return after_boot(instance, claim, report, cx, deadline);
    }
    if instance.command.is_some() {
        return Next::Wait(Phase::Rebooting, after(cx.now, BOOT_POLL));
    }
    if let Some(status) = not_registered(instance) {
        return match cx.now < deadline {
            true => Next::Wait(Phase::Rebooting, after(cx.now, BOOT_POLL)),
            false => leave(FailReason::NeverCameBack { detail: format!("its ECS status became {status}") }),
        };
    }
    let give_up = |end: End| give_reboot_up(instance, claim, end, cx);
    let refused = |detail: String| give_up(End::Failed { why: FailReason::RebootRefused { detail } });
    // Once the reboot is asked for, ACTIVE can also mean that the new boot registered before the host was heard.
    if reboot_sent(instance, claim).is_none() {
        if instance.status == InstanceStatus::Active {
            // A bridge's report stands until the next one: this can be from before a reboot that its agent did not live
            // to tell of, and ECS may have forgotten DRAINING over it.
            if instance.way(cx.policy.host, cx.now) == Way::Bridge && !could_not_reboot(instance, claim) {
                return visit_again(instance, Phase::Rebooting, false, deadline, cx, never);
            }
            return give_up(End::Held { why: HoldReason::ReactivatedBySomebody });
        }
        if let Some(note) = instance.tags.exclude.clone() {
            return give_up(End::Held { why: HoldReason::Excluded { note } });
        }
    }
    if let Some(detail) = tasks_stay(instance, claim.since, deadline, cx) {
        return refused(detail);
    }
    if let Some(until) = tasks_left(instance, cx) {
        return Next::Wait(Phase::Draining, until);
    }
    let again = || {
        if instance.status == InstanceStatus::Active {
            return give_up(End::Held { why: HoldReason::ReactivatedBySomebody });
        }
        Next::Do(Phase::Drained, Step::Reboot(Reboot { to: claim.to.clone(), boot: boot.clone() }))
    };
    // What this run has not asked for, the one that wrote the claim may have died before asking. The command names
    // its boot, so that asking twice does no harm.
    let Some(sent) = reboot_sent(instance, claim) else { return again() };
    match &sent.end {
        Some((at, VisitEnd::NotDelivered { .. })) if cx.now < deadline => match cx.now >= after(*at, RETRY) {
            true => again(),
            false => Next::Wait(Phase::Rebooting, after(*at, RETRY)),
        },
        Some((_, end @ VisitEnd::NotDelivered { .. })) if reboot_may_come_until(instance, claim, cx.run).is_none() => {
            refused(trouble(end).unwrap_or_default())
        }
        Some((_, end @ VisitEnd::Error(error))) if end.did_nothing() && error.code != ErrorCode::OtherBoot => {
            refused(trouble(end).unwrap_or_default())
        }
        Some((
            _,
            VisitEnd::NotDelivered { .. }
            | VisitEnd::Error(_)
            | VisitEnd::Done
            | VisitEnd::Unsure { .. }
            | VisitEnd::Malformed { .. },
        ))
        | None => {
            if cx.now < deadline && came_to_nothing(instance, claim, cx) {
                return again();
            }
            let awake = report_since(instance, after(sent.sent_at, FIRST_BOOT_POLL)).is_some();
            let undoing = instance.run.undone == Some(claim.since);
            if cx.now >= deadline && awake && (undoing || answered_last(instance)) {
                return give_up(End::Failed { why: FailReason::RebootTimedOut });
            }
            visit_again(instance, Phase::Rebooting, false, silent_until, cx, never)
        }
    }
}

/// Whether the host was heard in its old boot after the time in which a command by SSM can have made it reboot.
fn came_to_nothing(instance: &Instance, claim: &Claim, cx: &Context<'_>) -> bool {
    let by_ssm = instance.way(cx.policy.host, cx.now) == Way::Ssm;
    let until = reboot_may_come_until(instance, claim, cx.run).filter(|_| by_ssm);
    until.is_some_and(|until| cx.now >= until && report_since(instance, until).is_some())
}

fn never_came_back<'a>(instance: &Instance) -> Next<'a> {
    let visited = instance.visit.as_ref().and_then(|visit| trouble(&visit.end));
    let detail = visited.or_else(|| said_by_bridge(instance)).unwrap_or_else(|| "no answer at all".to_owned());
    leave(FailReason::NeverCameBack { detail })
}

/// Gives a reboot up that has not come: what may still come of it is waited out first, with the activation left as it is. A
/// host that goes down after its activation was undone would look like one that fell back; and one that is ACTIVE would go
/// down with tasks on it.
fn give_reboot_up<'a>(instance: &'a Instance, claim: &Claim, end: End, cx: &Context<'_>) -> Next<'a> {
    let Some((report, boot)) = newest_report(instance) else { return never_came_back(instance) };
    match (claim.way, instance.way(cx.policy.host, cx.now)) {
        // The end takes the claim back first: the bridge may still act for it.
        (Way::Bridge, Way::Ssm) => Next::Do(Phase::Rebooting, Step::Finish(end)),
        // The bridge knows nothing of a command by SSM.
        (Way::Ssm, Way::Bridge) => match reboot_may_come_until(instance, claim, cx.run) {
            Some(until) if cx.now < until => Next::Wait(Phase::Rebooting, until.min(cx.next_poll(instance))),
            Some(_) | None => undo(instance, claim, report, boot, end, cx),
        },
        (Way::Bridge, Way::Bridge) => undo(instance, claim, report, boot, end, cx),
        (Way::Ssm, Way::Ssm) => match reboot_may_come_until(instance, claim, cx.run) {
            None => undo(instance, claim, report, boot, end, cx),
            Some(until) => after_wait(instance, claim, until, end, cx, || never_came_back(instance)),
        },
    }
}

/// Visits the host until then, which would tell if it has rebooted after all; and once more after it. If it is still in its
/// old boot, what was activated is undone.
fn after_wait<'a>(
    instance: &'a Instance,
    claim: &Claim,
    until: Timestamp,
    end: End,
    cx: &Context<'_>,
    silent: impl FnOnce() -> Next<'a>,
) -> Next<'a> {
    match newest_report(instance).filter(|_| report_since(instance, until).is_some()) {
        Some((report, boot)) => undo(instance, claim, report, boot, end, cx),
        None => {
            // One that goes down at the last moment has the rest of its time to come back.
            let back = (cx.policy.timeouts.reboot - REBOOT_MAY_COME).max(cx.policy.timeouts.inspect);
            visit_again(instance, Phase::Rebooting, false, after(until, back), cx, silent)
        }
    }
}

/// What the host's bridge says is in its way.
fn said_by_bridge(instance: &Instance) -> Option<String> {
    trouble(&VisitEnd::Error(instance.heard_bridge()?.report.report.error.clone()?))
}

/// The status of an instance that ECS can neither drain nor make ACTIVE: nothing that needs either can be done.
fn not_registered(instance: &Instance) -> Option<&'static str> {
    match instance.status {
        InstanceStatus::Active | InstanceStatus::Draining => None,
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive
        | InstanceStatus::Unknown => Some(instance.status.as_str()),
    }
}

/// The status of an instance that somebody took out of the cluster. A registration that fails can be the version's doing.
fn deregistered(instance: &Instance) -> Option<&'static str> {
    match instance.status {
        InstanceStatus::Deregistering | InstanceStatus::Inactive => Some(instance.status.as_str()),
        InstanceStatus::Active
        | InstanceStatus::Draining
        | InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Unknown => None,
    }
}

/// Until when to wait since the executor, just before a reboot, found tasks that have not stopped.
fn tasks_left(instance: &Instance, cx: &Context<'_>) -> Option<Timestamp> {
    let seen = instance.tasks.as_ref().filter(|seen| !seen.tasks.is_empty())?;
    let until = after(seen.at, DRAIN_POLL);
    (cx.now < until).then_some(until)
}

/// The tasks that the executor found just before a reboot since then, once there is no time left to wait for them: one
/// that somebody started there by the instance's name ends when it likes, and where the agent is dead, never.
fn tasks_stay(instance: &Instance, since: Timestamp, deadline: Timestamp, cx: &Context<'_>) -> Option<String> {
    let seen = instance.tasks.as_ref().filter(|seen| seen.at >= since && !seen.tasks.is_empty())?;
    let left = || format!("tasks on it do not stop: {}", workload::left(&seen.tasks, &cx.snapshot.services));
    (cx.now >= deadline).then(left)
}

/// Whether the newest visit brought a report.
fn answered_last(instance: &Instance) -> bool {
    instance.visit.as_ref().is_some_and(|visit| matches!(visit.end, VisitEnd::Done | VisitEnd::Error(_)))
}

/// Back into service in the old boot: nothing that was activated may be booted by accident, and the lock is as it
/// was found.
fn undo<'a>(
    instance: &Instance,
    claim: &Claim,
    report: &HostReport,
    boot: BootId,
    end: End,
    cx: &Context<'_>,
) -> Next<'a> {
    let activated = report.state() == Some(&UpdateState::Ready) || report.state().is_none();
    let lock = lock_to_restore(instance, report);
    let finish = Next::Do(Phase::Rebooting, Step::Finish(end));
    if !(activated || lock.is_some()) || broken!(LeaveActivated) {
        return finish;
    }
    let cancel = instance.visit.as_ref().filter(|visit| {
        matches!(visit.command, HostCommand::Revert { version: None, .. }) && visit.sent_at >= claim.since
    });
    let Some(cancel) = cancel else {
        let is_tried = instance.run.cancels >= MAX_UNDOS;
        return if is_tried { finish } else { Next::Do(Phase::Rebooting, Step::Cancel(Cancel { boot, lock })) };
    };
    if cancel.end == VisitEnd::Done {
        return finish;
    }
    if instance.run.cancels < MAX_UNDOS {
        let again = after(cancel.at, RETRY);
        return if cx.now < again {
            Next::Wait(Phase::Rebooting, again)
        } else {
            Next::Do(Phase::Rebooting, Step::Cancel(Cancel { boot, lock }))
        };
    }
    let is_lost = matches!(cancel.end, VisitEnd::NotDelivered { .. } | VisitEnd::Unsure { .. });
    if is_lost { never_came_back(instance) } else { finish }
}

/// In a new boot, after our reboot or somebody else's.
fn after_boot<'a>(
    instance: &'a Instance,
    claim: &Claim,
    report: &HostReport,
    cx: &Context<'_>,
    deadline: Timestamp,
) -> Next<'a> {
    if broken!(UpdatedUnseen) {
        let end = End::Updated { from: claim.from.clone(), to: claim.to.clone() };
        return Next::Do(Phase::Verifying, Step::Finish(end));
    }
    if report.running().as_ref() != Some(&claim.from) {
        return verify(instance, claim, report, cx);
    }
    let sent = reboot_sent(instance, claim);
    if sent.is_some_and(|sent| sent.end.is_none()) {
        // The host may have rebooted by itself before it got the command; the command's end will tell.
        return Next::Wait(Phase::Rebooting, after(cx.now, BOOT_POLL));
    }
    if let Some(seen_at) = did_nothing(instance, claim, cx) {
        if let Some((detail, boot)) = tasks_stay(instance, claim.since, deadline, cx).zip(report.boot_id.clone()) {
            let end = End::Failed { why: FailReason::RebootRefused { detail } };
            return undo(instance, claim, report, boot, end, cx);
        }
        if let Some(until) = tasks_left(instance, cx) {
            return Next::Wait(Phase::Draining, until);
        }
        return match report_since(instance, seen_at) {
            Some(_) => drained(instance, claim, cx),
            None => visit_again(instance, Phase::Drained, true, deadline, cx, || {
                leave(FailReason::NeverCameBack { detail: "it rebooted by itself".to_owned() })
            }),
        };
    }
    if instance.run.undone == Some(claim.since) {
        return verify(instance, claim, report, cx);
    }
    match instance.tags.failed.contains(&claim.to) {
        true if broken!(NoVerifyAfterFallBack) => {
            let end = rolled_back(claim, FailReason::FellBackAtBoot { version: claim.to.clone() });
            Next::Do(Phase::Verifying, Step::Finish(end))
        }
        true => verify(instance, claim, report, cx),
        false => Next::Do(Phase::Verifying, Step::MarkFailed(MarkFailed { version: claim.to.clone() })),
    }
}

/// In a new boot: wait until it is healthy, then put it back; if it does not become so, go back a version.
fn verify<'a>(instance: &'a Instance, claim: &Claim, report: &HostReport, cx: &Context<'_>) -> Next<'a> {
    let began = instance
        .run
        .boot
        .as_ref()
        .filter(|boot| Some(&boot.id) == report.boot_id.as_ref())
        .map_or(cx.now, |boot| boot.at);
    let deadline = after(began, cx.policy.timeouts.verify);
    let running = report.running();
    let fell_back = running.as_ref() == Some(&claim.from);
    let healthy = match health(instance, report, began, cx) {
        Health::Good => None,
        Health::Ask(step) => return Next::Do(Phase::Verifying, step),
        Health::Bad(missing) => Some(missing),
    };
    let Some(missing) = healthy else {
        let is_undone = instance.run.undone == Some(claim.since);
        if let Some(lock) = lock_to_restore(instance, report)
            && let Some(boot) = report.boot_id.clone()
            && instance.run.cancels == 0
        {
            return Next::Do(Phase::Verifying, Step::Cancel(Cancel { boot, lock: Some(lock) }));
        }
        let end = match (fell_back, claim.step) {
            (false, _) => End::Updated { from: claim.from.clone(), to: running.unwrap_or_else(|| claim.to.clone()) },
            (true, ClaimStep::Revert) => rolled_back(
                claim,
                FailReason::Unhealthy {
                    version: claim.to.clone(),
                    detail: instance.run.trouble.clone().unwrap_or_else(|| "seen by an earlier run".to_owned()),
                },
            ),
            (true, _) if is_undone => called_off(instance),
            (true, ClaimStep::Stage | ClaimStep::Drain | ClaimStep::Reboot | ClaimStep::Cancel) => {
                rolled_back(claim, FailReason::FellBackAtBoot { version: claim.to.clone() })
            }
        };
        return Next::Do(Phase::Verifying, Step::Finish(end));
    };
    // Somebody deregistered it: the version is not to blame, and there is nothing to go back for.
    if let Some(status) = deregistered(instance) {
        return visit_again(instance, Phase::Verifying, false, deadline, cx, || {
            leave(FailReason::NeverCameBack { detail: format!("its ECS status became {status}") })
        });
    }
    visit_again(instance, Phase::Verifying, false, deadline, cx, || match (fell_back, report.boot_id.clone()) {
        (true, _) | (false, None) => leave(FailReason::UnhealthyAfterRollback { detail: missing.clone() }),
        (false, Some(_)) if !instance.tags.failed.contains(&claim.to) => {
            Next::Do(Phase::Verifying, Step::MarkFailed(MarkFailed { version: claim.to.clone() }))
        }
        // Where the way back includes the reboot, the last look is over already, and found tasks.
        (false, Some(boot)) => {
            let patience = after(deadline, cx.policy.timeouts.drain);
            match (tasks_stay(instance, began, patience, cx), tasks_left(instance, cx)) {
                (Some(detail), _) => leave(FailReason::RollbackFailed { detail }),
                (None, Some(until)) => Next::Wait(Phase::Reverting, until),
                (None, None) => {
                    let lock = report.settings.as_ref().and_then(|settings| settings.version_lock.clone());
                    Next::Do(Phase::Verifying, Step::Revert(Revert { boot, lock, why: missing.clone() }))
                }
            }
        }
    })
}

/// The end of a reboot that was given up, whose host has rebooted since into the version that it ran.
fn called_off(instance: &Instance) -> End {
    if let Some(note) = instance.tags.exclude.clone() {
        return End::Held { why: HoldReason::Excluded { note } };
    }
    if instance.status == InstanceStatus::Active && instance.run.reboot.is_none() {
        return End::Held { why: HoldReason::ReactivatedBySomebody };
    }
    let detail = "the reboot was called off, and the host rebooted by itself since, into its old version".to_owned();
    End::Failed { why: FailReason::RebootRefused { detail } }
}

fn rolled_back(claim: &Claim, why: FailReason) -> End {
    End::RolledBack { from: claim.from.clone(), to: claim.to.clone(), why }
}

enum Health {
    Good,
    Ask(Step),
    Bad(String),
}

/// Whether the instance can take tasks: the agent of *this* boot is registered, ECS hears it, EC2 finds nothing
/// broken.
fn health(instance: &Instance, report: &HostReport, began: Timestamp, cx: &Context<'_>) -> Health {
    if broken!(ActiveBeforeVerify) || (broken!(VerifyByAgentConnectedOnly) && instance.agent_connected) {
        return Health::Good;
    }
    let agent = report.agent.as_ref().map(|agent| &agent.state);
    match agent {
        Some(AgentState::Registered) => {}
        Some(AgentState::Unregistered) => return Health::Bad("its ECS agent is not registered".to_owned()),
        Some(AgentState::Down) => return Health::Bad("its ECS agent does not answer on the host".to_owned()),
        // Where the host cannot be asked for its agent, only ECS's flag is left, and that lags.
        Some(AgentState::Unknown(_) | AgentState::Missing) | None if cx.now < after(began, AGENT_FLAG_LAG) => {
            return Health::Bad("its ECS agent cannot be asked on the host".to_owned());
        }
        Some(AgentState::Unknown(_) | AgentState::Missing) | None => {}
    }
    if instance.seen_at < began {
        return Health::Bad("ECS was not asked since its boot".to_owned());
    }
    if !instance.agent_connected {
        return Health::Bad("its ECS agent is not connected".to_owned());
    }
    match instance.status {
        InstanceStatus::Active | InstanceStatus::Draining => {}
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive
        | InstanceStatus::Unknown => return Health::Bad(format!("its ECS status is {}", instance.status.as_str())),
    }
    match instance.ec2.as_ref().and_then(|ec2| ec2.checks.as_ref()) {
        Some(checks) if checks.at >= began && StatusChecks::not_impaired(checks) => Health::Good,
        Some(checks) if cx.now < after(checks.at, BOOT_POLL) && checks.at >= began => {
            Health::Bad(format!("EC2 status checks: instance {}, system {}", checks.instance, checks.system))
        }
        Some(_) | None => Health::Ask(Step::LookAtChecks),
    }
}

fn revert<'a>(instance: &'a Instance, claim: &Claim, cx: &Context<'_>) -> Next<'a> {
    let timeouts = &cx.policy.timeouts;
    let deadline = after(after(claim.since, timeouts.stage), timeouts.reboot).max(cx.inspect_deadline());
    let failed = |detail: String| leave(FailReason::RollbackFailed { detail });
    let silent = || {
        let detail = instance.visit.as_ref().and_then(|visit| trouble(&visit.end));
        failed(detail.unwrap_or_else(|| "the host does not answer".to_owned()))
    };
    if !instance.tags.failed.contains(&claim.to) {
        return Next::Do(Phase::Reverting, Step::MarkFailed(MarkFailed { version: claim.to.clone() }));
    }
    let Some((report, boot)) = newest_report(instance) else {
        return visit_again(instance, Phase::Reverting, false, deadline, cx, silent);
    };
    if !claim.is_for(&boot) {
        return match report.running().as_ref() == Some(&claim.from) {
            true => verify(instance, claim, report, cx),
            false => failed(format!("it booted {} again", claim.to)),
        };
    }
    if instance.command.is_some() {
        return Next::Wait(Phase::Reverting, after(cx.now, BOOT_POLL));
    }
    if let Some(status) = not_registered(instance) {
        return match cx.now < deadline {
            true => Next::Wait(Phase::Reverting, after(cx.now, BOOT_POLL)),
            false => failed(format!("its ECS status became {status}")),
        };
    }
    if let Some(sent) = reboot_sent(instance, claim) {
        match &sent.end {
            Some((at, VisitEnd::NotDelivered { .. })) if cx.now < deadline => {
                let again = after(*at, RETRY);
                if cx.now < again {
                    return Next::Wait(Phase::Reverting, again);
                }
            }
            Some((_, end)) if end.did_nothing() => return failed(trouble(end).unwrap_or_default()),
            Some(_) | None => return visit_again(instance, Phase::Reverting, false, deadline, cx, silent),
        }
    }
    if let Some(detail) = tasks_stay(instance, claim.since, deadline, cx) {
        return failed(detail);
    }
    if let Some(until) = tasks_left(instance, cx) {
        return Next::Wait(Phase::Reverting, until);
    }
    if is_staged(instance, report, &claim.from) && report.state() == Some(&UpdateState::Ready) {
        return Next::Do(Phase::Reverting, Step::Reboot(Reboot { to: claim.from.clone(), boot }));
    }
    let lock = instance.tags.saved_lock.clone();
    let why = instance.run.trouble.clone().unwrap_or_else(|| "seen by an earlier run".to_owned());
    let again = Next::Do(Phase::Reverting, Step::Revert(Revert { boot, lock, why }));
    match instance.visit.as_ref().filter(|visit| {
        matches!(visit.command, HostCommand::Revert { version: Some(_), .. }) && visit.sent_at >= claim.since
    }) {
        None => again,
        Some(visit) => match trouble(&visit.end) {
            None => failed("it did not make the old version the next to boot".to_owned()),
            Some(detail) => match (&visit.end, cx.now < deadline) {
                (VisitEnd::NotDelivered { .. }, true) => match cx.now >= after(visit.at, RETRY) {
                    true => again,
                    false => Next::Wait(Phase::Reverting, after(visit.at, RETRY)),
                },
                (
                    VisitEnd::NotDelivered { .. }
                    | VisitEnd::Done
                    | VisitEnd::Error(_)
                    | VisitEnd::Unsure { .. }
                    | VisitEnd::Malformed { .. },
                    _,
                ) => failed(detail),
            },
        },
    }
}
