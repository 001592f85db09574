//! What is wrong with one host: pure.

use models::claim::{EXCLUDE_TAG, whole_seconds};
use models::fleet::{Instance, InstanceStatus, Place, Tags};
use models::host::parse_version;
use models::ids::HostId;
use models::policy::TransportPolicy;
use models::reason::HoldReason;
use models::status::Need;

use super::check::Check;
use super::findings::{Findings, Said};
use super::gather::{Facts, MACHINES, is_reached_by_ssm};
use crate::host::bridge;
use crate::steer::status::Typed;

/// What is asked about one host.
pub(super) struct Host<'a> {
    pub(super) instance: &'a Instance,
    pub(super) facts: &'a Facts<'a>,
    /// What `status` says that somebody has to do.
    pub(super) needs: &'a [Need],
    /// What is in the way of its drain.
    pub(super) obstacles: &'a [(HostId, HoldReason)],
    pub(super) typed: &'a Typed,
}

impl Host<'_> {
    /// Says what is wrong with it.
    pub(super) fn examine(&self, found: &mut Findings) {
        let one = self.instance;
        if let Some(what) = self.not_ours() {
            return found.not_checked(Check::NotOurs, self.host(), Said::what(what));
        }
        found.made(Check::NotOurs, self.host());
        if !self.facts.lacks(MACHINES) {
            self.of_machine(found);
            if one.is_dead() || one.is_off() || one.is_warm() {
                return;
            }
            self.of_tags(found);
        }
        self.of_ecs(found);
        self.of_variant(found);
        if one.variant.is_some() {
            self.of_ssm(found);
            self.of_bridge(found);
        }
        self.of_group(found);
        self.of_drain(found);
    }

    fn host(&self) -> Option<&HostId> {
        Some(&self.instance.host)
    }

    fn not_ours(&self) -> Option<&'static str> {
        if self.instance.host.is_external() {
            Some("an EXTERNAL instance (ECS Anywhere): this program does not update it; host-bridge does, by hand")
        } else if self.instance.managed_by_aws {
            Some("an Amazon ECS Managed Instance: AWS replaces it by itself")
        } else {
            None
        }
    }

    fn of_machine(&self, found: &mut Findings) {
        let one = self.instance;
        let cluster = self.facts.status.fleet.cluster.as_str();
        if one.is_dead() {
            let state = one.machine_state().map_or("gone", |state| state.as_str());
            let given = [("--cluster", cluster), ("--container-instance", one.container_instance.as_str())];
            let said = Said::what(format!("its machine is gone ({state}), but ECS keeps the registration"));
            if one.agent_connected {
                found.warning(Check::Registration, self.host(), said.advising("ECS removes it within minutes"));
            } else {
                let command = self.typed.aws("ecs deregister-container-instance --force", &given);
                found.problem(Check::Registration, self.host(), said.advising("deregister it").typing(command));
            }
        } else if one.is_off() && !one.is_warm() {
            let state = one.machine_state().map_or("stopped", |state| state.as_str());
            let said = Said::what(format!("its machine is {state}")).advising("start it, or terminate it");
            let start = self.typed.aws("ec2 start-instances", &[("--instance-ids", one.host.as_str())]);
            found.problem(Check::Machine, self.host(), said.typing(start));
        } else if one.left_out_since.is_some() {
            let what = "EC2 does not list its machine and gives no error, so its tags are not known and no run \
                touches it";
            let to_do =
                "ask with the credentials of the account that owns the machine; if AWS manages it, leave it to AWS";
            let describe = self.typed.aws("ec2 describe-instances", &[("--instance-ids", one.host.as_str())]);
            found.problem(Check::KnownToEc2, self.host(), Said::what(what).advising(to_do).typing(describe));
        }
        for check in [Check::Registration, Check::Machine, Check::KnownToEc2] {
            found.made(check, self.host());
        }
    }

    fn of_ecs(&self, found: &mut Findings) {
        let one = self.instance;
        let cluster = &self.facts.status.fleet.cluster;
        match one.status {
            InstanceStatus::Active => {}
            InstanceStatus::Draining => {
                let is_foreign = one.tags.claim.is_none() && one.left_out_since.is_none();
                if is_foreign && !self.facts.lacks(MACHINES) {
                    let said = Said::what("somebody else set it DRAINING: it has no claim of a run")
                        .advising("find out who; when they are done, set it ACTIVE")
                        .typing(self.typed.activate(cluster, &one.container_instance));
                    found.warning(Check::ForeignDrain, self.host(), said);
                }
            }
            status => {
                let said = Said::what(format!("its ECS status is {}", status.as_str()));
                let to_do = "find out on the host what keeps the agent from going on: journalctl -u ecs";
                found.problem(Check::EcsStatus, self.host(), said.advising(to_do));
            }
        }
        if !one.agent_connected {
            let session = self.typed.aws("ssm start-session", &[("--target", one.host.as_str())]);
            let said = Said::what("its ECS agent is not connected")
                .advising(
                    "check the agent on the host (systemctl status ecs), its role and its route to ECS; it may be a short outage",
                )
                .typing(session);
            found.problem(Check::Agent, self.host(), said);
        }
        for check in [Check::EcsStatus, Check::ForeignDrain, Check::Agent] {
            found.made(check, self.host());
        }
    }

    fn of_variant(&self, found: &mut Findings) {
        let said = match self.instance.variant.as_deref() {
            // Where it is so of all of them, it is said once.
            None if found.has(Check::Instances, None) => return,
            None => Said::what("it is not a Bottlerocket host (no attribute bottlerocket.variant)")
                .advising("update it by other means"),
            Some("aws-ecs-1" | "aws-ecs-1-nvidia") => {
                Said::what("its variant aws-ecs-1 has had no updates since July 2025").advising("replace the instance")
            }
            Some(variant) if !variant.starts_with("aws-ecs-") => {
                Said::what(format!("its variant {variant} is none of ECS")).advising("replace the instance")
            }
            Some(_) => return found.made(Check::Variant, self.host()),
        };
        found.warning(Check::Variant, self.host(), said);
    }

    fn of_ssm(&self, found: &mut Findings) {
        let one = self.instance;
        if !is_reached_by_ssm(one, self.facts.status.policy, self.facts.status.now) {
            return;
        }
        let Some(agent) = self.facts.ssm.get(&one.host) else { return };
        let information = format!("Key=InstanceIds,Values={}", one.host);
        let describe = || self.typed.aws("ssm describe-instance-information", &[("--filters", &information)]);
        let Some(agent) = agent else {
            let said = Said::what("Systems Manager does not know it, so no command reaches it")
                .advising(
                    "give its role AmazonSSMManagedInstanceCore, switch the control container on, and open HTTPS to ssm, \
                     ssmmessages and ec2messages",
                )
                .typing(describe());
            return found.problem(Check::SsmRegistered, self.host(), said);
        };
        found.made(Check::SsmRegistered, self.host());
        if !agent.is_online() {
            let said = Said::what(format!("its SSM agent is {}: no command reaches it", agent.ping))
                .advising(
                    "check that the control container runs and that HTTPS is open to ssm, ssmmessages and \
                     ec2messages, also in \
                     the endpoints' security group",
                )
                .typing(describe());
            found.problem(Check::SsmOnline, self.host(), said);
        }
        found.made(Check::SsmOnline, self.host());
        match agent.version.as_deref().and_then(parts) {
            None => {
                let what = "Systems Manager does not say which version its agent has";
                found.not_checked(Check::SsmAgent, self.host(), Said::what(what));
            }
            Some(version) if version < FIRST_WITH_JQ => {
                let said = Said::what(format!(
                    "its SSM agent is {}: the control container is older than 0.5.0, which has no jq",
                    agent.version.as_deref().unwrap_or_default()
                ));
                let to_do = "set settings.host-containers.control.source to a newer image, or replace the instance";
                found.problem(Check::SsmAgent, self.host(), said.advising(to_do));
            }
            Some(_) => found.made(Check::SsmAgent, self.host()),
        }
    }

    fn of_bridge(&self, found: &mut Findings) {
        let (one, now) = (self.instance, self.facts.status.now);
        let unreachable = bridge::unreachable_reason(one, now);
        let to_do = "on the host, check that the container host-bridge runs, that its role may ecs:PutAttributes, and \
            that the \
                     metadata service serves tags";
        match (self.facts.status.policy.host, unreachable) {
            (TransportPolicy::Ssm, _) => return,
            (TransportPolicy::Auto, Some(_)) if one.bridge.is_none() => return,
            (TransportPolicy::Bridge, Some(why)) => {
                let said = Said::what(format!("hosts are reached by their bridges, and {why}"));
                found.problem(Check::Bridge, self.host(), said.advising(to_do));
            }
            (TransportPolicy::Auto, Some(why)) => {
                let said = Said::what(format!("{why}; SSM is used in its place")).advising(to_do);
                found.warning(Check::Bridge, self.host(), said);
            }
            (TransportPolicy::Bridge | TransportPolicy::Auto, None) => {}
        }
        found.made(Check::Bridge, self.host());
        let Some(seen) = one.live_bridge(now) else { return };
        let (theirs, ours) = (seen.report.heartbeat.agent_version.as_str(), env!("CARGO_PKG_VERSION"));
        if parse_version(theirs).zip(parse_version(ours)).is_none_or(|(theirs, ours)| theirs < ours) {
            let said = Said::what(format!("its host-bridge is {theirs}, and this program {ours}"));
            let to_do = "bring the host container host-bridge to the same version at a convenient time";
            found.warning(Check::BridgeAgent, self.host(), said.advising(to_do));
        }
        found.made(Check::BridgeAgent, self.host());
        let lock = seen.report.report.settings.as_ref().and_then(|settings| settings.version_lock.as_deref());
        let is_owners = one.claim().is_none() && one.tags.saved_lock.is_none();
        if let Some(lock) = lock.filter(|lock| *lock != "latest" && is_owners) {
            let said = Said::what(format!("the host's own setting updates.version-lock = {lock} keeps it where it is"));
            let to_do = "if that is not intended, on the host: apiclient set updates.version-lock=latest";
            found.warning(Check::VersionLock, self.host(), said.advising(to_do));
        }
        found.made(Check::VersionLock, self.host());
    }

    fn of_tags(&self, found: &mut Findings) {
        let one = self.instance;
        if one.left_out_since.is_some() {
            return;
        }
        let id = one.host.as_str();
        let show = || self.typed.tags(&one.host);
        self.of_claims(found);
        if let Some(exclusion) = &one.tags.exclude {
            let mistyped =
                if exclusion.tag == EXCLUDE_TAG { String::new() } else { format!(" (taken for {EXCLUDE_TAG})") };
            let what = format!("its tag {}{mistyped} keeps runs off it: {:?}", exclusion.tag, exclusion.note);
            let command = self.typed.ours(&format!("include {id}"), &self.facts.status.fleet.cluster);
            let said = Said::what(what).advising("lift it when its reason is over").typing(command);
            found.warning(Check::ExcludeTag, self.host(), said);
        }
        for tag in &one.tags.unknown {
            let said = Said::what(format!("its tag {tag} looks like one of this program's, but means nothing"));
            found.warning(Check::UnknownTag, self.host(), said.advising("correct or remove it").typing(show()));
        }
        if !one.tags.have_room() {
            let what = format!(
                "it has {} EC2 tags, and this program needs room for {} of the {} that it can have",
                one.tags.others,
                Tags::OURS,
                Tags::MOST
            );
            found.problem(
                Check::TagsRoom,
                self.host(),
                Said::what(what).advising("remove some of them").typing(show()),
            );
        }
        for check in [Check::Claim, Check::LastUpdate, Check::ExcludeTag, Check::UnknownTag, Check::TagsRoom] {
            found.made(check, self.host());
        }
    }

    /// What earlier runs have left on it.
    fn of_claims(&self, found: &mut Findings) {
        let one = self.instance;
        for need in self.needs.iter().filter(|need| need.instances.contains(&one.host)) {
            let commands = |said: Said| need.commands.iter().take(2).cloned().fold(said, Said::typing);
            match need.code.as_str() {
                "dead_run" | "left_draining" => {
                    let claim = one.claim().map(|claim| {
                        format!("{} by run {} since {}", claim.step.as_str(), claim.run, whole_seconds(claim.since))
                    });
                    let what = format!("a run has left its claim on it ({})", claim.unwrap_or_default());
                    let to_do = "the next run, or finish, completes it; release puts the host back now";
                    found.problem(Check::Claim, self.host(), commands(Said::what(what)).advising(to_do));
                }
                "malformed_claim" => {
                    let what = "its tag ecs-updater:claim cannot be read, so no run touches it";
                    let said = Said::what(what).advising("check the tag, and remove it if nobody is at work");
                    found.problem(Check::Claim, self.host(), said.typing(self.typed.tags(&one.host)));
                }
                "update_failed" => {
                    let code = one.tags.last.as_ref().map_or("failed", |last| last.outcome());
                    let said = Said::what(format!("its last update failed ({code})"));
                    found.warning(Check::LastUpdate, self.host(), commands(said).advising("see why it did"));
                }
                _ => {}
            }
        }
    }

    fn of_group(&self, found: &mut Findings) {
        let Some(seen) = &self.instance.auto_scaling else { return };
        if let Some(member) = &seen.member {
            let (group, state) = (&member.group, &member.state);
            match member.place() {
                Place::InService | Place::Warm => {}
                Place::Terminating => {
                    let said = Said::what(format!("its Auto Scaling group {group} terminates it ({state})"));
                    found.warning(Check::GroupState, self.host(), said.advising("nothing: no run touches it any more"));
                }
                Place::Away(advice) => {
                    let said = Said::what(format!("it is {state} in its Auto Scaling group {group}, not InService"));
                    found.problem(Check::GroupState, self.host(), said.advising(advice));
                }
            }
        }
        found.made(Check::GroupState, self.host());
    }

    /// What is in the way of its drain, by the planner's own word.
    fn of_drain(&self, found: &mut Findings) {
        for (_, hold) in self.obstacles.iter().filter(|(host, _)| *host == self.instance.host) {
            let text = hold.to_string();
            let text = text.trim_start_matches("not begun: ");
            let (what, to_do) = text.split_once("; ").unwrap_or((text, "see the page that is linked"));
            let said = Said::what(what).advising(to_do);
            match hold {
                HoldReason::LoadBalancerCheck { .. } => found.problem(Check::HealthOfGroup, self.host(), said),
                HoldReason::InstanceRefresh { .. } => found.warning(Check::InstanceRefresh, self.host(), said),
                HoldReason::ScaleInEndsTasks { .. } => found.problem(Check::ScaleIn, self.host(), said),
                HoldReason::ProtectedTasks { .. } => {
                    let said = said.advising("wait for the end of the protection, or end it");
                    found.warning(Check::Tasks, self.host(), said);
                }
                HoldReason::NoRoom { .. } => found.problem(Check::Room, self.host(), said),
                _ => found.problem(Check::Tasks, self.host(), said),
            }
        }
        if self.instance.auto_scaling.is_some() {
            for check in [Check::HealthOfGroup, Check::InstanceRefresh, Check::ScaleIn] {
                found.made(check, self.host());
            }
        }
        if self.instance.tasks.is_some() {
            found.made(Check::Tasks, self.host());
            found.made(Check::Room, self.host());
        }
    }
}

/// The SSM agent of the control container 0.5.0, the first that has `jq`
/// (<https://github.com/bottlerocket-os/bottlerocket-control-container/blob/develop/CHANGELOG.md>).
const FIRST_WITH_JQ: [u64; 3] = [3, 0, 882];

/// The first three numbers of a version of the SSM agent, such as `3.3.987.0`.
fn parts(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.split('.').map(str::parse::<u64>);
    let mut next = || parts.next()?.ok();
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_agent_are_compared_by_number() {
        let table = [
            ("3.3.987.0", Some(false)),
            ("3.0.882.0", Some(false)),
            ("3.0.732.0", Some(true)),
            ("2.3.1569.0", Some(true)),
            ("3.0.1209.0", Some(false)),
            ("3.1", None),
            ("", None),
            ("x.y.z", None),
        ];
        for (version, is_old) in table {
            assert_eq!(parts(version).map(|version| version < FIRST_WITH_JQ), is_old, "{version}");
        }
    }
}
