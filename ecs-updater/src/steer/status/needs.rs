//! What somebody has to do, with what to type: the gravest first.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use models::claim::whole_seconds;
use models::ids::{HostId, RunId};
use models::min_size::{HeldMinSize, MIN_SIZE_TAG};
use models::reason::HoldReason;
use models::report::Outcome;
use models::status::{ClaimLine, InstanceLine, LeaseStatus, Need, OutBy, OutOfService};

use super::gather::Facts;
use super::typed::Typed;
use crate::planner;

/// The codes, in the order in which they are told.
pub const NEED_CODES: [&str; 14] = [
    "tags_not_read",
    "left_draining",
    "dead_run",
    "min_size_held",
    "malformed_claim",
    "registration_left",
    "budget_used_up",
    "foreign_drain",
    "agent_disconnected",
    "release_failed",
    "release_skipped",
    "update_failed",
    "last_run_failed",
    "unknown_tag",
];

/// An agent that is not connected is a short outage until then, and so is a place in the budget that others take.
const SHORT: SignedDuration = SignedDuration::from_hours(1);
/// A drain by somebody else is work until then.
const FOREIGN: SignedDuration = SignedDuration::from_hours(24);
/// So long may an instance that is in service wait for its turn under a claim, where nothing tells whether its run lives.
const WAITS: SignedDuration = SignedDuration::from_hours(24);
/// For so many instances the command is told, and so many are named.
const MOST: usize = 3;

/// Returns what somebody has to do; nothing where all is well as far as is known.
pub(super) fn needs(facts: &Facts<'_>, instances: &[InstanceLine], typed: &Typed) -> Vec<Need> {
    let mut needs = Needs { facts, instances, typed, found: Vec::new() };
    needs.tags_not_read();
    needs.claims();
    needs.min_sizes();
    needs.malformed_claims();
    needs.registrations();
    needs.out_of_service();
    needs.releases();
    needs.skipped_releases();
    needs.failed_updates();
    needs.last_run();
    needs.unknown_tags();
    needs.found
}

struct Needs<'a> {
    facts: &'a Facts<'a>,
    instances: &'a [InstanceLine],
    typed: &'a Typed,
    found: Vec<Need>,
}

/// The code of an update that ended since an Auto Scaling group has set the instance aside: it is not let go before that is over.
const NOT_IN_SERVICE: &str = "not_in_service";

impl Needs<'_> {
    fn add(&mut self, code: &str, message: String, commands: Vec<String>, lines: &[&InstanceLine]) {
        let instances = lines.iter().map(|line| line.ec2_instance_id.clone()).collect();
        self.found.push(Need { code: code.to_owned(), message, commands, instances });
    }

    fn run(&self) -> String {
        self.typed.ours("run", &self.facts.fleet.cluster)
    }

    fn release(&self, line: &InstanceLine) -> String {
        let command = format!("release {}", super::typed::word(line.ec2_instance_id.as_str()));
        self.typed.ours(&command, &self.facts.fleet.cluster)
    }

    fn tags_not_read(&mut self) {
        let Some(why) = self.facts.no_tags.clone() else { return };
        let commands = vec![self.typed.aws("sts get-caller-identity", &[])];
        self.add("tags_not_read", format!("claims, exclusions and failures are not known: {why}"), commands, &[]);
    }

    /// Claims of updates that have failed, and claims whose run is not at work.
    fn claims(&mut self) {
        let (mut failed, mut dead) = (BTreeMap::<String, Vec<_>>::new(), BTreeMap::<&RunId, Vec<_>>::new());
        for line in self.instances {
            let Some(claim) = &line.claim else { continue };
            if self.is_scaled_in(line, claim) {
                continue;
            }
            if let Some(code) = self.failed_as(line, claim) {
                failed.entry(code).or_default().push(line);
            } else if !self.is_in_hand(claim) {
                dead.entry(&claim.run).or_default().push(line);
            }
        }
        for (code, lines) in failed {
            let message = format!("left DRAINING, since the update failed ({code}): {}", names(&lines));
            let mut commands = self.after_failure(&code, &lines);
            commands.extend(lines.first().filter(|_| code != NOT_IN_SERVICE).map(|first| self.release(first)));
            self.add("left_draining", message, commands, &lines);
        }
        for (run, lines) in dead {
            let out: Vec<_> = lines.iter().filter(|line| line.out.is_some()).copied().collect();
            let is_sure =
                matches!(self.facts.lease, LeaseStatus::Never | LeaseStatus::Free { .. } | LeaseStatus::Expired { .. });
            let dead = if is_sure { "is not at work" } else { "has not gone on for long and is probably dead" };
            let message = format!(
                "run {run} {dead}; {} with its claim ({} out of service), which the next run, or `finish`, completes: {}",
                plural(lines.len()),
                out.len(),
                names(if out.is_empty() { &lines } else { &out })
            );
            let mut commands = vec![self.typed.ours("finish", &self.facts.fleet.cluster)];
            commands.extend(out.first().map(|first| self.release(first)));
            self.add("dead_run", message, commands, &lines);
        }
    }

    /// The least sizes of groups that a run holds which is not at work.
    fn min_sizes(&mut self) {
        let is_at_work = |held: &HeldMinSize| match &self.facts.lease {
            LeaseStatus::Held { .. } => true,
            LeaseStatus::Never | LeaseStatus::Free { .. } | LeaseStatus::Expired { .. } => false,
            LeaseStatus::NoTable | LeaseStatus::NotKnown { .. } => self.facts.now.duration_since(held.since) < WAITS,
        };
        let left: Vec<_> = self.facts.held.iter().filter(|(_, held)| !is_at_work(held)).collect();
        for (group, HeldMinSize { old, held, run, .. }) in left {
            let message = format!(
                "run {run} holds MinSize of Auto Scaling group {group} at {held} and is not at work; it was {old}. The next run, or \
                 `finish`, puts it back"
            );
            let tag = format!("ResourceId={group},ResourceType=auto-scaling-group,Key={MIN_SIZE_TAG}");
            let (name, old) = (("--auto-scaling-group-name", group.as_str()), old.to_string());
            let commands = vec![
                self.typed.ours("finish", &self.facts.fleet.cluster),
                self.typed.aws("autoscaling update-auto-scaling-group", &[name, ("--min-size", &old)]),
                self.typed.aws("autoscaling delete-tags", &[("--tags", &tag)]),
            ];
            self.add("min_size_held", message, commands, &[]);
        }
    }

    /// Whether its Auto Scaling group ends it, as the run said that left it with its claim: nobody is needed for that.
    fn is_scaled_in(&self, line: &InstanceLine, claim: &ClaimLine) -> bool {
        let is_of_its_run = self.facts.summary.as_ref().is_ok_and(|summary| summary.run == claim.run && summary.ended);
        is_of_its_run && line.troubled.as_ref().is_some_and(|one| one.outcome == Outcome::ScaledIn.as_str())
    }

    /// The code of the failure by which an instance was left out of service with its claim.
    fn failed_as(&self, line: &InstanceLine, claim: &ClaimLine) -> Option<String> {
        if !matches!(line.out, Some(OutOfService { by: OutBy::Run { .. }, .. })) {
            return None;
        }
        let last = line.last.as_ref().filter(|last| last.is_failure() && last.at >= whole_seconds(claim.since));
        let summary = self.facts.summary.as_ref().ok().filter(|summary| summary.run == claim.run && summary.ended);
        let told = line.troubled.as_ref().filter(|one| summary.is_some() && one.outcome == "failed");
        last.map(|last| last.outcome().to_owned()).or_else(|| told?.reason.clone())
    }

    /// Whether a run is at work that goes on with a claim, as far as is known.
    fn is_in_hand(&self, claim: &ClaimLine) -> bool {
        let policy = self.facts.policy;
        let all = std::iter::once(policy).chain(policy.groups.iter().map(|group| &*group.policy));
        let updates = all.map(|one| one.timeouts.drain + one.timeouts.reboot + one.timeouts.verify).max();
        let asked = [&policy.hooks.before_reboot, &policy.hooks.before_active].into_iter().flatten();
        let asked = asked.fold(SignedDuration::ZERO, |all, _| all + policy.hooks.timeout);
        let updates = policy.timeouts.stage + updates.unwrap_or_default() + asked;
        let patience = if claim.step.takes_out_of_service() { updates } else { WAITS };
        let is_young = self.facts.now.duration_since(claim.since) < patience;
        match &self.facts.lease {
            LeaseStatus::Held { .. } => true,
            LeaseStatus::Never | LeaseStatus::Free { .. } | LeaseStatus::Expired { .. } => {
                // A run without the table would show nowhere else.
                claim.epoch.is_none() && is_young
            }
            LeaseStatus::NoTable | LeaseStatus::NotKnown { .. } => is_young,
        }
    }

    fn malformed_claims(&mut self) {
        let lines: Vec<_> = self.instances.iter().filter(|line| line.malformed_claim.is_some()).collect();
        if lines.is_empty() {
            return;
        }
        let message = format!(
            "the EC2 tag ecs-updater:claim cannot be read, so no run touches them: {}; check the tag, and remove it \
             if nobody is at work",
            names(&lines)
        );
        let commands = lines.iter().take(MOST).map(|line| self.typed.tags(&line.ec2_instance_id)).collect();
        self.add("malformed_claim", message, commands, &lines);
    }

    fn registrations(&mut self) {
        let is_gone = |line: &&InstanceLine| line.machine.is_some_and(|state| state.is_gone()) && !line.agent_connected;
        let lines: Vec<_> = self.instances.iter().filter(is_gone).collect();
        if lines.is_empty() {
            return;
        }
        let message = format!("the machine is gone, but ECS keeps the registration: {}", names(&lines));
        let cluster = self.facts.fleet.cluster.as_str();
        let command = |line: &&InstanceLine| {
            let given = [("--cluster", cluster), ("--container-instance", line.container_instance.as_str())];
            self.typed.aws("ecs deregister-container-instance --force", &given)
        };
        let commands = lines.iter().take(MOST).map(command).collect();
        self.add("registration_left", message, commands, &lines);
    }

    /// Instances out of service that no run has taken out, for long.
    fn out_of_service(&mut self) {
        let no_place = |line: &InstanceLine| {
            let state = self.facts.fleet.instances.get(&line.ec2_instance_id);
            state.is_some_and(|instance| !instance.counts())
        };
        let out = |by: fn(&OutBy) -> bool| {
            let lines = self.instances.iter().filter(|line| !no_place(line));
            lines.filter_map(move |line| Some((line, line.out.as_ref().filter(|out| by(&out.by))?)))
        };
        let others: Vec<_> = out(|by| !matches!(by, OutBy::Run { .. }))
            .filter(|(_, out)| self.is_long(out, SHORT))
            .map(|(line, _)| line)
            .collect();
        let foreign: Vec<_> = out(|by| matches!(by, OutBy::SomebodyElse))
            .filter(|(_, out)| out.lasts(self.facts.now).is_some_and(|lasts| lasts >= FOREIGN))
            .map(|(line, _)| line)
            .collect();
        let disconnected: Vec<_> = out(|by| matches!(by, OutBy::Itself))
            .filter(|(line, out)| !line.agent_connected && self.is_long(out, SHORT))
            .map(|(line, _)| line)
            .collect();
        let (counted, _) = self.facts.fleet.counted_and_out();
        let budget = self.facts.policy.max_unavailable.of(counted);
        if !others.is_empty() && others.len() >= budget {
            let message = format!(
                "no update can begin: max_unavailable allows {budget} out of service, and these are, by no run: {}",
                names(&others)
            );
            let commands = others.iter().take(MOST).map(|line| self.put_back(line)).collect();
            self.add("budget_used_up", message, commands, &others);
        }
        if !foreign.is_empty() {
            let message = format!(
                "somebody else has drained them for a day or more: {}; find out who, and when they are done set them ACTIVE",
                names(&foreign)
            );
            let commands = foreign.iter().take(MOST).map(|line| self.put_back(line)).collect();
            self.add("foreign_drain", message, commands, &foreign);
        }
        if !disconnected.is_empty() {
            let message = format!(
                "the ECS agent is not connected: {}; look at it on the host (systemctl status ecs)",
                names(&disconnected)
            );
            let commands = disconnected.iter().take(MOST).map(|line| self.put_back(line)).collect();
            self.add("agent_disconnected", message, commands, &disconnected);
        }
    }

    /// Whether it has been so for so long. What nobody can tell may have been; what the last run has not seen has not.
    fn is_long(&self, out: &OutOfService, limit: SignedDuration) -> bool {
        let now = self.facts.now;
        match (out.lasts(now), &self.facts.summary) {
            (Some(lasts), _) => lasts >= limit,
            (None, Ok(summary)) => now.duration_since(summary.written_at) >= limit,
            (None, Err(_)) => true,
        }
    }

    fn put_back(&self, line: &InstanceLine) -> String {
        match line.out.as_ref().map(|out| &out.by) {
            Some(OutBy::SomebodyElse) => self.typed.activate(&self.facts.fleet.cluster, &line.container_instance),
            Some(OutBy::NotKnown) => self.typed.tags(&line.ec2_instance_id),
            Some(OutBy::Run { .. } | OutBy::Itself) | None => {
                self.typed.aws("ssm start-session", &[("--target", line.ec2_instance_id.as_str())])
            }
        }
    }

    fn releases(&mut self) {
        for why in planner::failed_releases(&self.facts.fleet, self.facts.policy.stop_after_failures) {
            let HoldReason::VersionFailedElsewhere { version, .. } = &why else { continue };
            let filter = format!("Name=tag:ecs-updater:failed,Values=*{version}*");
            let commands = vec![self.typed.aws("ec2 describe-instances", &[("--filters", &filter)])];
            self.add("release_failed", why.to_string(), commands, &[]);
        }
    }

    /// Releases that the cluster's tag says to skip, and that instances run all the same.
    fn skipped_releases(&mut self) {
        for release in &self.facts.fleet.skipped {
            let runs_it = |line: &&InstanceLine| line.version.as_ref().is_some_and(|known| known.version == *release);
            let lines: Vec<_> = self.instances.iter().filter(runs_it).collect();
            if lines.is_empty() {
                continue;
            }
            let message = format!(
                "{} on {release}, which the cluster's tag ecs-updater:skip-versions says to skip: {}; rollback takes them back, \
                 and unskip lets runs install it again",
                plural(lines.len()),
                names(&lines)
            );
            let ours = |command: String| self.typed.ours(&command, &self.facts.fleet.cluster);
            let commands = vec![ours(format!("rollback --release {release}")), ours(format!("unskip {release}"))];
            self.add("release_skipped", message, commands, &lines);
        }
    }

    /// Instances in service whose last update failed.
    fn failed_updates(&mut self) {
        let mut failed: BTreeMap<String, Vec<&InstanceLine>> = BTreeMap::new();
        for line in self.instances.iter().filter(|line| line.claim.is_none() && line.excluded.is_none()) {
            let Some(last) = line.last.as_ref().filter(|last| last.is_failure()) else { continue };
            let runs_it = |known: &models::status::KnownVersion| known.version == last.to && known.at > last.at;
            if !line.version.as_ref().is_some_and(runs_it) {
                failed.entry(last.outcome().to_owned()).or_default().push(line);
            }
        }
        for (code, lines) in failed {
            let message = format!("the last update failed ({code}): {}", names(&lines));
            let commands = self.after_failure(&code, &lines);
            self.add("update_failed", message, commands, &lines);
        }
    }

    /// What to do first about a failure: where the host or the release may be to blame, its console tells.
    fn after_failure(&self, code: &str, lines: &[&InstanceLine]) -> Vec<String> {
        const OF_THE_HOST: [&str; 5] =
            ["never_came_back", "fell_back_at_boot", "unhealthy", "rollback_failed", "unhealthy_after_rollback"];
        if code == NOT_IN_SERVICE {
            let where_it_is = |line: &&InstanceLine| {
                let ids = [("--instance-ids", line.ec2_instance_id.as_str())];
                self.typed.aws("autoscaling describe-auto-scaling-instances", &ids)
            };
            return lines.iter().take(MOST).map(where_it_is).collect();
        }
        if !OF_THE_HOST.contains(&code) {
            return vec![self.run()];
        }
        let console = |line: &&InstanceLine| {
            self.typed.aws("ec2 get-console-output --latest", &[("--instance-id", line.ec2_instance_id.as_str())])
        };
        lines.iter().take(MOST).map(console).collect()
    }

    fn last_run(&mut self) {
        const NOBODYS: [&str; 2] = ["another_run", "lease_lost"];
        let Ok(summary) = &self.facts.summary else { return };
        let Some(error) = summary.error.as_ref().filter(|error| !NOBODYS.contains(&error.kind.as_str())) else {
            return;
        };
        if !summary.ended || self.facts.lease.holder().is_some() {
            return;
        }
        let at = whole_seconds(summary.written_at);
        let message = format!(
            "the last run, {}, could not work on the cluster to the end ({at}): {}",
            summary.run, error.message
        );
        let commands = vec![self.typed.ours("plan", &self.facts.fleet.cluster)];
        self.add("last_run_failed", message, commands, &[]);
    }

    fn unknown_tags(&mut self) {
        let mut tags: BTreeMap<&str, Vec<&InstanceLine>> = BTreeMap::new();
        for line in self.instances {
            for tag in &line.unknown_tags {
                tags.entry(tag).or_default().push(line);
            }
        }
        for (tag, lines) in tags {
            let message =
                format!("the EC2 tag {tag} means nothing to this program: correct or remove it on {}", names(&lines));
            let commands = lines.first().map(|line| self.typed.tags(&line.ec2_instance_id)).into_iter().collect();
            self.add("unknown_tag", message, commands, &lines);
        }
    }
}

fn plural(instances: usize) -> String {
    format!("{instances} instance{}", if instances == 1 { "" } else { "s" })
}

fn names(lines: &[&InstanceLine]) -> String {
    let named: Vec<&str> = lines.iter().take(MOST).map(|line| HostId::as_str(&line.ec2_instance_id)).collect();
    match lines.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
