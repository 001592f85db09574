//! What the reads come to that went wrong: a right, the credentials, or no usable answer; and what is not known for it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use models::count::plural;

use super::check::Check;
use super::findings::{Findings, Said};
use crate::aws::{AwsError, ErrorKind};
use crate::steer::status::Typed;

/// The statement of `PlanPolicy` in `cloudformation/ecs-updater.yaml` that gives an action.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ecs:DescribeClusters", "ReadTagsAndListInstances"),
    ("ecs:ListContainerInstances", "ReadTagsAndListInstances"),
    ("ecs:DescribeContainerInstances", "ReadTheClusters"),
    ("ecs:DescribeServices", "ReadTheClusters"),
    ("ecs:DescribeTasks", "ReadTheClusters"),
    ("ecs:GetTaskProtection", "ReadTheClusters"),
    ("ecs:ListTasks", "ListTheClustersTasks"),
    ("autoscaling:DescribeAutoScalingGroups", "ReadWhatHasNoResources"),
    ("autoscaling:DescribeAutoScalingInstances", "ReadWhatHasNoResources"),
    ("autoscaling:DescribeInstanceRefreshes", "ReadWhatHasNoResources"),
    ("autoscaling:DescribeLaunchConfigurations", "ReadWhatHasNoResources"),
    ("cloudwatch:DescribeAlarms", "ReadWhatHasNoResources"),
    ("ec2:DescribeImages", "ReadWhatHasNoResources"),
    ("ec2:DescribeInstanceTypes", "ReadWhatHasNoResources"),
    ("ec2:DescribeInstances", "ReadWhatHasNoResources"),
    ("ec2:DescribeLaunchTemplateVersions", "ReadWhatHasNoResources"),
    ("ecs:DescribeCapacityProviders", "ReadWhatHasNoResources"),
    ("ecs:DescribeTaskDefinition", "ReadWhatHasNoResources"),
    ("ssm:DescribeInstanceInformation", "ReadWhatHasNoResources"),
    ("dynamodb:GetItem", "ReadTheLease"),
    ("ssm:GetParameters", "ReadReleaseDates"),
    ("ssm:GetParameter", "ReadConfigurationAndApprovedVersions"),
];

/// What is not known where a read goes wrong.
fn rests_on(operation: &str) -> &'static [Check] {
    match operation {
        "ecs:DescribeClusters" => &[Check::Pause, Check::ClusterTags],
        "ecs:ListContainerInstances" | "ecs:DescribeContainerInstances" => &[Check::Instances],
        "ec2:DescribeInstances" => &[
            Check::Registration,
            Check::Machine,
            Check::KnownToEc2,
            Check::Claim,
            Check::TagsRoom,
            Check::ExcludeTag,
            Check::UnknownTag,
            Check::ForeignDrain,
            Check::LastUpdate,
        ],
        "ssm:DescribeInstanceInformation" => &[Check::SsmRegistered, Check::SsmOnline, Check::SsmAgent],
        "ecs:ListTasks" | "ecs:DescribeTasks" | "ecs:DescribeServices" | "ecs:GetTaskProtection" => {
            &[Check::Tasks, Check::Room]
        }
        "ecs:DescribeTaskDefinition" | "ec2:DescribeInstanceTypes" => &[Check::Room],
        "autoscaling:DescribeAutoScalingInstances" => {
            &[Check::GroupState, Check::HealthOfGroup, Check::InstanceRefresh, Check::ScaleIn]
        }
        "autoscaling:DescribeAutoScalingGroups" => &[Check::HealthOfGroup, Check::ScaleIn],
        "autoscaling:DescribeInstanceRefreshes" => &[Check::InstanceRefresh],
        "ecs:DescribeCapacityProviders" => &[Check::ScaleIn],
        "cloudwatch:DescribeAlarms" => &[Check::Alarms, Check::AlarmState],
        "dynamodb:GetItem" => &[Check::LeaseTable],
        _ => &[],
    }
}

/// Says what went wrong with the reads. Where AWS does not answer at all, once for all of them.
pub(super) fn calls(troubles: &[AwsError], typed: &Typed, found: &mut Findings) {
    let mut alike: BTreeMap<(Check, String), Vec<&AwsError>> = BTreeMap::new();
    for error in troubles {
        if let Some(check) = check_of(error) {
            let key = if check == Check::Permission { error.operation } else { error.advice() };
            alike.entry((check, key.to_owned())).or_default().push(error);
        }
    }
    for ((check, _), errors) in alike {
        let Some(first) = errors.first() else { continue };
        let said = match check {
            Check::Permission => permission(first),
            _ => unanswered(first, errors.len() - 1).typing(typed.aws("sts get-caller-identity", &[])),
        };
        found.problem(check, None, said);
    }
    for error in troubles {
        for check in rests_on(error.operation) {
            if !found.has(*check, None) {
                let what = format!("not known, since {} went wrong", error.operation);
                found.not_checked(*check, None, Said::what(what));
            }
        }
    }
    for check in [Check::Credentials, Check::AwsAnswers, Check::Permission] {
        found.made(check, None);
    }
}

/// Which check a failed read is of; `None` where it says nothing by itself.
fn check_of(error: &AwsError) -> Option<Check> {
    match &error.kind {
        _ if error.is_of_credentials() || error.is_without_credentials() => Some(Check::Credentials),
        ErrorKind::Denied => Some(Check::Permission),
        ErrorKind::Throttled | ErrorKind::NoAnswer | ErrorKind::Refused(_) | ErrorKind::NotFound => {
            Some(Check::AwsAnswers)
        }
        ErrorKind::LeaseOver | ErrorKind::Stopped => None,
    }
}

fn permission(error: &AwsError) -> Said {
    let statement = STATEMENTS.iter().find(|(action, _)| *action == error.operation);
    let to_do = match statement {
        Some((action, sid)) => format!(
            "give the role or profile in use the action {action}: statement {sid} of the stack's PlanPolicy has it"
        ),
        None => format!("give the role or profile in use the action {}", error.operation),
    };
    Said::what(format!("AWS does not permit {error}")).advising(to_do)
}

fn unanswered(error: &AwsError, others: usize) -> Said {
    let others = if others > 0 { format!(" (and so for {})", plural(others, "other call")) } else { String::new() };
    let to_do = match &error.kind {
        ErrorKind::Throttled => "try again when AWS gets fewer other calls",
        _ => error.advice(),
    };
    Said::what(format!("no usable answer: {error}{others}")).advising(to_do)
}

/// A clock that is further off than this is worth a word.
const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(60);
/// AWS refuses what is signed this far off.
const CLOCK_WRONG: SignedDuration = SignedDuration::from_mins(5);

/// Says how far this machine's clock is off.
pub(super) fn clock(ahead: Option<SignedDuration>, found: &mut Findings) {
    let Some(ahead) = ahead else {
        let what = "no answer of AWS had the time in it (the header Date)";
        return found.not_checked(Check::Clock, None, Said::what(what));
    };
    if ahead.abs() > CLOCK_OFF {
        let way = if ahead.is_negative() { "behind" } else { "ahead of" };
        let what = format!("this machine's clock is {} s {way} AWS's", ahead.abs().as_secs());
        let to_do = "set it by NTP (chronyc tracking): leases, windows and claims go by it, and AWS refuses what is signed five \
                     minutes off";
        let said = Said::what(what).advising(to_do);
        if ahead.abs() >= CLOCK_WRONG {
            found.problem(Check::Clock, None, said);
        } else {
            found.warning(Check::Clock, None, said);
        }
    }
    found.made(Check::Clock, None);
}
