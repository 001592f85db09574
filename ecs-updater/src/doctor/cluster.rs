//! What is wrong with a cluster, its settings and what these name: pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::claim::whole_seconds;
use models::count::plural;
use models::fleet::{AlarmState, FleetSnapshot};
use models::policy::{AlarmMissing, Policy};
use models::status::Need;
use models::time::after;

use super::check::Check;
use super::findings::{Findings, Said};
use super::gather::Facts;
use crate::aws::ErrorKind;
use crate::planner;
use crate::steer::status::Typed;

/// What keeps updates off for longer than this was meant for less.
const FAR: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Says what is wrong with the cluster by itself.
pub(super) fn cluster(facts: &Facts<'_>, needs: &[Need], typed: &Typed, found: &mut Findings) {
    let (fleet, policy, now) = (&facts.status.fleet, facts.status.policy, facts.status.now);
    tags(policy, fleet, found);
    pause(fleet, typed, found);
    openings("", policy, now, found);
    for group in policy.groups.iter().filter(|group| group.policy.opening() != policy.opening()) {
        openings(&format!(" in group {}", group.name), &group.policy, now, found);
    }
    alarms(facts, typed, found);
    not_to_be_seen(policy, found);
    if facts.is_read {
        instances(fleet, found);
        described(fleet, typed, found);
        groups(fleet, policy, found);
    }
    of_needs(needs, found);
    let by_ssm = !facts.ssm.is_empty() || facts.lacks("ssm:DescribeInstanceInformation");
    if by_ssm {
        host_itself(fleet, typed, found);
    }
    for check in [Check::Budget, Check::Release, Check::LastRun].into_iter().filter(|_| facts.is_read) {
        found.made(check, None);
    }
}

fn tags(policy: &Policy, fleet: &FleetSnapshot, found: &mut Findings) {
    let (counted, _) = fleet.counted_and_out();
    for one in policy.from_tags.ignored_at(counted) {
        let what = format!(
            "the cluster's tag {} = {:?} is ignored, since it would loosen {}, which stays {}",
            one.tag, one.value, one.setting, one.stands
        );
        let to_do = format!("remove the tag, or let it loosen this by tags = [{:?}] in the configuration", one.setting);
        found.warning(Check::ClusterTags, None, Said::what(what).advising(to_do));
    }
    found.made(Check::ClusterTags, None);
}

fn pause(fleet: &FleetSnapshot, typed: &Typed, found: &mut Findings) {
    if let Some(note) = &fleet.pause {
        let said = Said::what(format!("the cluster is paused ({note:?}): runs begin nothing"));
        let said = said.advising("lift the pause when its reason is over").typing(typed.ours("resume", &fleet.cluster));
        found.warning(Check::Pause, None, said);
    }
    found.made(Check::Pause, None);
}

/// Whether windows and freezes let anything begin, now or soon. `part`: " in group NAME" for one of the groups.
fn openings(part: &str, policy: &Policy, now: Timestamp, found: &mut Findings) {
    let by_windows = Policy { freeze: Vec::new(), ..policy.clone() };
    let is_far = |at: Option<Timestamp>| at.is_none_or(|at| at > after(now, FAR));
    if is_far(planner::next_opening(&by_windows, now)) {
        let what = format!("no window is ever open for as long as an update takes: runs begin nothing{part}");
        let to_do = "open a window for longer, or let an update begin later by window_cutoff";
        found.problem(Check::Windows, None, Said::what(what).advising(to_do));
    } else {
        let opening = planner::next_opening(policy, now);
        if is_far(opening) {
            let until = opening.map_or("at any time".to_owned(), |at| format!("before {}", whole_seconds(at)));
            let what = format!("a freeze keeps everything from being begun{part} {until}");
            found.problem(Check::Freeze, None, Said::what(what).advising("end the freeze sooner (key freeze)"));
        }
        found.made(Check::Freeze, None);
    }
    found.made(Check::Windows, None);
}

/// Says what is wrong with the table of the leases, as far as it is the table's.
pub(super) fn lease_table(facts: &Facts<'_>, typed: &Typed, found: &mut Findings) {
    let Some((table, error)) = &facts.table else {
        let what = "no lease table is set: two runs at once are not kept apart, and status does not know whether one is at work";
        let said = Said::what(what).advising("name the stack's table (LeaseTableName) by lease_table or --lease-table");
        return found.warning(Check::LeaseTable, None, said);
    };
    let of_table = |command: &str| typed.aws(command, &[("--table-name", *table)]);
    match error.as_ref().map(|error| &error.kind) {
        Some(ErrorKind::NotFound) => {
            let said =
                Said::what(format!("there is no DynamoDB table {table}, which lease_table names: no run begins"));
            let said = said.advising("correct the name, the Region or the account, or create it with the key lease");
            let create = "dynamodb create-table --billing-mode PAY_PER_REQUEST --attribute-definitions \
                          AttributeName=lease,AttributeType=S --key-schema AttributeName=lease,KeyType=HASH";
            found.problem(Check::LeaseTable, None, said.typing(of_table(create)));
        }
        Some(ErrorKind::Refused(_)) => {
            let words = error.as_ref().map(ToString::to_string).unwrap_or_default();
            let said =
                Said::what(format!("the table {table} does not hold leases as this program keeps them: {words}"));
            let said = said.advising("name a table whose only key is the text lease");
            found.problem(Check::LeaseTable, None, said.typing(of_table("dynamodb describe-table")));
        }
        Some(_) => {}
        None => found.made(Check::LeaseTable, None),
    }
}

fn alarms(facts: &Facts<'_>, typed: &Typed, found: &mut Findings) {
    let Some(known) = &facts.alarms else { return };
    let policy = facts.status.policy;
    for name in &policy.alarms {
        let describe = || typed.aws("cloudwatch describe-alarms", &[("--alarm-names", name.as_str())]);
        match known.get(name).map(|alarm| &alarm.state) {
            None => {
                let what = format!("there is no CloudWatch alarm {name:?}, which alarms names");
                let to_do = "correct its name, create it, or take it out of alarms";
                let said = Said::what(what).advising(to_do).typing(typed.aws("cloudwatch describe-alarms", &[]));
                match policy.alarm_missing {
                    AlarmMissing::Hold => found.problem(Check::Alarms, None, said),
                    AlarmMissing::Ignore => found.warning(Check::Alarms, None, said),
                }
            }
            Some(AlarmState::Ok) => {}
            Some(AlarmState::InsufficientData) if policy.alarm_missing == AlarmMissing::Ignore => {}
            Some(state) => {
                let state = match state {
                    AlarmState::Alarm => "fires".to_owned(),
                    AlarmState::InsufficientData => "has no data".to_owned(),
                    AlarmState::Ok => "is OK".to_owned(),
                    AlarmState::Other(word) => format!("is {word}"),
                };
                let said = Said::what(format!("the CloudWatch alarm {name:?} {state}: runs begin nothing"));
                let said = said.advising("see what it is about; once it is OK, runs go on").typing(describe());
                found.warning(Check::AlarmState, None, said);
            }
        }
    }
    found.made(Check::Alarms, None);
    found.made(Check::AlarmState, None);
}

/// What only a write would tell.
fn not_to_be_seen(policy: &Policy, found: &mut Findings) {
    if let Some(bus) = &policy.events {
        let what = format!("whether the event bus {bus} takes messages: that would be a write");
        let said = Said::what(what).advising("check the bus, and that the role of a run has events:PutEvents on it");
        found.not_checked(Check::Events, None, said);
    }
    if let Some(shelf) = &policy.reports {
        let what = format!("whether the bucket of reports = {shelf} takes reports: that would be a write");
        let said = Said::what(what).advising("check the bucket, and that the role of a run has s3:PutObject on it");
        found.not_checked(Check::Reports, None, said);
    }
}

fn host_itself(fleet: &FleetSnapshot, typed: &Typed, found: &mut Findings) {
    let what = "what the hosts alone know: whether the control container has jq, the image takes updates in place, the update \
                repository is reached, and its owner has set a version-lock";
    let said = Said::what(what).advising("ask the hosts by a plan, which sends the document Inspect");
    found.not_checked(Check::HostItself, None, said.typing(typed.ours("plan", &fleet.cluster)));
    let what = "whether the SSM documents are there: a plan uses the first, and a run the others";
    let list = typed.aws("ssm list-documents --filters Key=Owner,Values=Self", &[]);
    let said = Said::what(what).advising("check that they are listed under the names in documents").typing(list);
    found.not_checked(Check::Documents, None, said);
}

fn instances(fleet: &FleetSnapshot, found: &mut Findings) {
    let registered = fleet.registered().count();
    let said = if registered == 0 && fleet.unknown_registrations.is_empty() {
        Some(Said::what("no container instance is registered: there is nothing to update").advising(
            "check the cluster's name and Region; a host joins by settings.ecs.cluster in its user data, a role for ECS and a \
             way to it",
        ))
    } else if registered > 0 && fleet.registered().all(|one| one.variant.is_none()) {
        let what = format!("none of its {} runs Bottlerocket", plural(registered, "instance"));
        Some(
            Said::what(what)
                .advising("launch hosts from an image of a variant aws-ecs-*, or update these by other means"),
        )
    } else {
        None
    };
    if let Some(said) = said {
        found.problem(Check::Instances, None, said);
    }
    found.made(Check::Instances, None);
}

/// Registrations beside the present ones, and those that ECS says nothing of.
fn described(fleet: &FleetSnapshot, typed: &Typed, found: &mut Findings) {
    let unknown = fleet.unknown_registrations.len();
    if unknown > 0 {
        let what = format!("ECS lists {} but does not describe them", plural(unknown, "container instance"));
        let said = Said::what(what).advising("ask again in some minutes; if that lasts, ask AWS support");
        found.problem(Check::Described, None, said);
    }
    for arn in &fleet.outdated_registrations {
        let what = format!("{arn} is an old registration of a host that has a newer one");
        let given = [("--cluster", fleet.cluster.as_str()), ("--container-instance", arn.as_str())];
        let command = typed.aws("ecs deregister-container-instance --force", &given);
        let said = Said::what(what).advising("remove it once no task runs on it").typing(command);
        found.warning(Check::Registration, None, said);
    }
    found.made(Check::Described, None);
}

/// Whether each group has an instance, and none is in two.
fn groups(fleet: &FleetSnapshot, policy: &Policy, found: &mut Findings) {
    if let Some(why) = planner::in_two_groups(fleet, policy) {
        let what = format!("runs begin nothing: {}", why.to_string().trim_start_matches("not begun: "));
        let to_do = "let only one of the two expressions take it, or change its attribute or tag";
        found.problem(Check::Groups, None, Said::what(what).advising(to_do));
    }
    for what in planner::empty_groups(fleet, policy) {
        let said = Said::what(what).advising("correct its match, or the attribute or tag of the hosts that it means");
        found.warning(Check::Groups, None, said);
    }
    found.made(Check::Groups, None);
}

/// What `status` says of the cluster as a whole.
fn of_needs(needs: &[Need], found: &mut Findings) {
    let mut told = BTreeSet::new();
    for need in needs {
        let said = need.commands.iter().fold(Said::what(&need.message), |said, command| said.typing(command.clone()));
        match need.code.as_str() {
            "budget_used_up" => {
                let said = said.advising("get one of them back, or raise max_unavailable");
                found.problem(Check::Budget, None, said);
            }
            "release_failed" if told.insert("release_failed") => {
                let said = said.advising("see why it failed there, before it is tried again");
                found.problem(Check::Release, None, said);
            }
            "release_skipped" => found.warning(Check::Release, None, said.advising("take it back, or let it be")),
            "last_run_failed" => found.warning(Check::LastRun, None, said.advising("see what it says")),
            _ => {}
        }
    }
}
