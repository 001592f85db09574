//! What a cluster's loop says when it is over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::claim::{Claim, ClaimStep, Transport, whole_seconds};
use models::cluster_tags::IgnoredTag;
use models::fleet::Instance;
use models::ids::{ClusterName, HostId};
use models::location::Location;
use models::policy::StandaloneTasks;
use models::reason::HoldReason;
use models::report::{ClusterEnd, ClusterError, ClusterErrorKind, ClusterReport, InstanceReport, Outcome, Timeline};

use super::cluster::Cluster;
use crate::planner::{self, Ahead, Stop};
use crate::track::{UNDER_WAY, in_the_middle};

/// The report of a cluster that is not worked on.
pub(super) fn refused(cluster: &ClusterName, location: Location, error: &ClusterError) -> ClusterReport {
    ClusterReport {
        cluster: cluster.clone(),
        location,
        error: Some(error.clone()),
        taken_back: None,
        instances: Vec::new(),
        aws_calls: BTreeMap::new(),
        longest_out_of_service_s: None,
        estimate: None,
        ignored_tags: Vec::new(),
        auto_scaling_groups: Vec::new(),
        oldest_release: None,
        timeline: Default::default(),
        notes: Vec::new(),
        end: ClusterEnd::default(),
    }
}

impl Cluster<'_> {
    /// Where the work ended early, an instance that has a claim of this program is in the middle of something, and one that
    /// has none was not begun. Claims that another run may have taken over are that run's.
    fn tell_early_end(&self, instance: &Instance, given_up: Option<ClusterErrorKind>, report: &mut InstanceReport) {
        let is_interrupted = self.facts.stop == Some(Stop::Interrupted);
        if given_up.is_none() && !is_interrupted {
            return;
        }
        let is_begun = instance.claim().is_some() || instance.run.drained_at.is_some();
        if report.outcome == Outcome::InProgress && !is_begun {
            let why = if given_up.is_some() { HoldReason::ClusterGivenUp } else { HoldReason::Interrupted };
            report.outcome = Outcome::Held;
            report.reason = Some(why.code().to_owned());
            report.detail = Some(why.to_string());
        }
        let is_ours = given_up != Some(ClusterErrorKind::LeaseLost) && !self.facts.dry_run;
        let claim = instance.claim().filter(|_| is_ours && instance.run.verdict.is_none());
        if let Some(claim) = claim.filter(|_| report.outcome == Outcome::Held) {
            report.outcome = Outcome::InProgress;
            report.reason = Some(UNDER_WAY.to_owned());
            report.detail = Some(in_the_middle(instance, claim, false));
        }
    }

    /// Says until when a reboot may come that SSM was asked for, where the run ends before that.
    fn tell_of_a_reboot(&self, instance: &Instance, now: Timestamp, report: &mut InstanceReport) {
        let asks = |claim: &&Claim| claim.step == ClaimStep::Reboot && claim.transport == Transport::Ssm;
        let is_open = report.outcome == Outcome::InProgress && !self.facts.dry_run;
        let Some(claim) = instance.claim().filter(asks).filter(|_| is_open) else { return };
        let boot = instance.run.boot.as_ref().map(|boot| &boot.id);
        let until = planner::reboot_may_come_until(instance, claim, &self.facts);
        let until = until.filter(|until| *until > now && boot.is_none_or(|boot| claim.is_for(boot)));
        if let (Some(until), Some(detail)) = (until, &mut report.detail) {
            detail.push_str(&format!("; a reboot that was asked for may begin until {}", whole_seconds(until)));
        }
    }

    /// Says how the registration of a machine that is gone is removed: ECS keeps it where the agent was not
    /// connected at the machine's end.
    fn tell_of_a_registration(&self, instance: &Instance, report: &mut InstanceReport) {
        let is_left = report.outcome == Outcome::Gone && instance.is_registered();
        if let Some(detail) = report.detail.as_mut().filter(|_| is_left) {
            detail.push_str(&format!(
                "; if ECS still lists it in some minutes, remove its registration: aws ecs deregister-container-instance \
                 --force --cluster {} --container-instance {}",
                self.name, instance.container_instance
            ));
        }
    }

    /// Says in a plan which tasks the update would stop.
    fn tell_of_stopped_tasks(&self, instance: &Instance, report: &mut InstanceReport) {
        let policy = planner::policy_of(instance, self.policy);
        if report.outcome != Outcome::WouldUpdate || policy.standalone_tasks != StandaloneTasks::Stop {
            return;
        }
        let tasks = instance.tasks.as_ref().and_then(|seen| planner::standalone_words(&seen.tasks));
        report.detail = tasks.map(|tasks| format!("the update stops tasks that no service replaces: {tasks}"));
    }

    /// What is ahead of a run that would do what the plan says.
    fn ahead(&self, reports: &[InstanceReport], now: Timestamp) -> Ahead<'_> {
        let mut ahead = Ahead::new(&self.fleet, self.policy, &self.facts, now);
        for report in reports.iter().filter(|report| report.outcome == Outcome::WouldUpdate) {
            let instance = self.fleet.instances.get(&report.ec2_instance_id);
            if let (Some(instance), Some(from), Some(to)) = (instance, &report.from, &report.to) {
                ahead.update(instance, from.clone(), to.clone());
            }
        }
        ahead.bake(&self.plan.bakes);
        ahead
    }

    /// Says what AWS does not let this run know of Auto Scaling groups and capacity providers, where there are any.
    fn unknown_groups(&self) -> Option<String> {
        let denied = &self.fleet.auto_scaling.denied;
        let (_, first) = denied.first_key_value()?;
        let operations = denied.keys().map(|operation| operation.as_str()).collect::<Vec<_>>().join(", ");
        Some(format!(
            "what Auto Scaling groups do with their instances is not known in full ({first}): an instance that its \
             group terminates may be drained, rebooted or set ACTIVE; give the task role {operations}"
        ))
    }

    /// What concerns more than one instance.
    fn notes(&self, now: Timestamp, launched: &planner::GroupLaunches) -> Vec<String> {
        let mut notes = self.skip_notes(now);
        notes.extend(self.namer.note.iter().cloned());
        notes.extend(self.hooks.notes().cloned());
        if let Some(first) = self.fleet.unknown_registrations.first() {
            notes.push(format!(
                "ECS lists {} container instances but does not describe them, the first of them {}: nothing is known \
                 about them, \
                 and they are not in this report",
                self.fleet.unknown_registrations.len(),
                first.short(),
            ));
        }
        for (version, count) in planner::runs_skipped(&self.fleet, self.policy) {
            notes.push(format!(
                "{count} of the instances run {version}, which is skipped in this cluster: ecs-updater rollback --cluster {} \
                 --release {version} takes them back to the version before",
                self.name
            ));
        }
        if let Some(note) = planner::selects_none(&self.fleet, self.policy) {
            tracing::warn!(cluster = %self.name, note);
            notes.push(note);
        }
        notes.extend(planner::empty_groups(&self.fleet, self.policy));
        notes.extend(self.unknown_groups());
        notes.extend(planner::room_notes(&self.fleet));
        notes.extend(self.min_size_notes());
        notes.extend(planner::scale_in_notes(&self.fleet, self.policy, &self.plan));
        notes.extend(planner::scale_out_notes(&self.fleet, self.policy, self.facts.started_at, &launched.versions));
        let unnamed = if self.facts.dry_run { planner::unnamed(&self.fleet, self.policy, now).len() } else { 0 };
        if unnamed > 0 {
            let all = self.fleet.instances.len();
            notes.push(format!(
                "{unnamed} of {all} container instances are not tagged yet with ecs-updater:instance-arn: a run does that \
                 first, with ecs:TagResource, so that their host bridges may report (bridge_policy = \"own-host\")"
            ));
        }
        let (waited, longest) = self.track.confirming(now);
        if waited > 0 {
            notes.push(format!(
                "instances that were out of service for longer because of bridge_policy = \"cluster\", until ECS or \
                 SSM confirmed what their host bridges say: {waited}, by {} s at most; \"own-host\" needs no \
                 confirmation",
                longest.as_secs()
            ));
        }
        notes
    }

    /// How the cluster stands, for the metrics.
    fn end(&self, reports: &[InstanceReport], now: Timestamp) -> ClusterEnd {
        let finish = !self.facts.purpose.begins() || *self.finish.borrow();
        let asked = planner::Asked { outside_window: self.facts.outside_window, finish };
        let groups = self.policy.groups.iter().map(|group| &*group.policy);
        let is_closed = |policy| planner::closed_for_drains(&self.fleet, policy, asked, now).is_some();
        let selects_none = planner::selects_none(&self.fleet, self.policy).is_some();
        let comes_back = |host: &HostId| {
            let verdict = self.fleet.instances.get(host).and_then(|instance| instance.run.verdict.as_ref());
            verdict.is_none_or(|verdict| !matches!(verdict.outcome, Outcome::ScaledIn | Outcome::Gone))
        };
        let earlier = |since: &Timestamp| *since < self.facts.started_at;
        ClusterEnd {
            held_by_a_wish: std::iter::once(self.policy).chain(groups).all(is_closed),
            has_own_windows: self.policy.has_own_windows(),
            out_of_service: self.fleet.counted_and_out().1,
            drained_since: self.track.out_since(comes_back).filter(earlier),
            selects_none,
            last_progress: planner::last_progress(&self.fleet, reports, selects_none),
        }
    }

    /// Every instance as it stands now; `given_up`: why the work on the cluster ended early.
    pub(super) fn instance_reports(&self, given_up: Option<ClusterErrorKind>, now: Timestamp) -> Vec<InstanceReport> {
        let report = |instance: &Instance| {
            let standing = self.plan.standing(&instance.host);
            let mut report = self.track.report(instance, standing, now, self.facts.dry_run);
            self.tell_early_end(instance, given_up, &mut report);
            self.tell_of_a_reboot(instance, now, &mut report);
            self.tell_of_a_registration(instance, &mut report);
            self.tell_of_stopped_tasks(instance, &mut report);
            let member = planner::membership(instance, self.policy);
            report.group = member.only().map(|group| group.name.clone());
            report
        };
        self.fleet.instances.values().map(report).collect()
    }

    /// What nothing more is begun for, where that is a missing right or a mistake in the configuration.
    pub(super) fn not_permitted(&self) -> Option<ClusterError> {
        match self.facts.stopped() {
            Some(Stop::NotPermitted { detail, advice }) => {
                let message = format!("cluster {}: not permitted: {detail}; {advice}", self.name);
                Some(ClusterError { kind: ClusterErrorKind::NotPermitted, message })
            }
            Some(Stop::TwoGroups(why)) => {
                let message = format!("cluster {}: {why}", self.name);
                Some(ClusterError { kind: ClusterErrorKind::Configuration, message })
            }
            Some(Stop::Interrupted) | None => None,
        }
    }

    pub(super) fn report(self, error: Option<ClusterError>, launched: &planner::GroupLaunches) -> ClusterReport {
        let now = self.clock.now();
        let instances = self.instance_reports(error.as_ref().map(|error| error.kind), now);
        let error = error.or_else(|| self.not_permitted());
        let estimate = (self.facts.dry_run && error.is_none() && self.facts.stop.is_none())
            .then(|| planner::estimate(&self.ahead(&instances, now)));
        let notes = self.notes(now, launched);
        let end = self.end(&instances, now);
        let auto_scaling_groups = planner::groups(&self.fleet, &instances, launched);
        let (size, _) = self.fleet.counted_and_out();
        let ignored_tags: Vec<IgnoredTag> = self.policy.from_tags.ignored_at(size).cloned().collect();
        for IgnoredTag { tag, value, setting, stands } in ignored_tags.iter().skip(self.policy.from_tags.ignored.len())
        {
            tracing::warn!(cluster = %self.name, tag, value, setting, stands, size, "tag ignored: it loosens a setting");
        }
        ClusterReport {
            cluster: self.name.clone(),
            location: Location::default(),
            error,
            taken_back: self.taken_back(),
            instances,
            ignored_tags,
            auto_scaling_groups,
            oldest_release: None,
            timeline: if self.facts.dry_run { Timeline::default() } else { self.journal.into_timeline() },
            notes,
            end,
            aws_calls: self.aws.calls().counts(),
            longest_out_of_service_s: self.track.longest_out_of_service(now).map(|out| out.as_secs()),
            estimate,
        }
    }
}
