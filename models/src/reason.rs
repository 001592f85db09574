//! Why an instance is not updated, or no longer: a code for programs, a sentence for people.
//!
//! The operations page of the documents has a row for each code, with what to do; a test holds the two together.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::claim::ClaimError;
use crate::ids::{GroupName, HostId, ZoneName};
use crate::release::MaxVersion;

#[macro_use]
mod codes;

mod bearing;
mod fail;
mod until;

pub use bearing::Bearing;
pub use fail::FailReason;

reasons!(
    /// Why nothing is done with an instance now. None of these is a failure.
    HoldReason, HoldCode {
        /// A person's tag.
        Excluded {
            /// The tag's key.
            tag: String,
            /// The tag's value.
            note: String,
        } = "excluded", "excluded by its EC2 tag {tag} = \"{note}\"; remove the tag to have it updated";
        /// No `bottlerocket.variant` attribute.
        NotBottlerocket = "not_bottlerocket", "not a Bottlerocket host (it has no attribute bottlerocket.variant); update it by other means";
        /// ECS Anywhere.
        External = "external", "an EXTERNAL instance (ECS Anywhere): it has no EC2 tags for a claim; update it by hand with host-bridge";
        /// Not an ECS variant.
        UnsupportedVariant {
            variant: String,
        } = "unsupported_variant", "variant {variant} is not an ECS variant this updater knows (aws-ecs-1 to aws-ecs-4)";
        /// Its image was built without in-place updates (docs/facts/host-api.md#trap-10).
        NoInPlaceUpdates = "no_in_place_updates", "its image was built without in-place updates; replace the instance with one from a newer AMI";
        /// Its settings cannot be changed, and the version needs it (docs/facts/host-api.md#trap-11).
        HostLockedDown {
            /// The version that it would have to be pinned to.
            version: Version,
        } = "host_locked_down", "it is under API lockdown, so it cannot be pinned to {version}, and it has not chosen that version by itself; set target to the version that it chooses, or replace the instance";
        /// Its machine is stopped, and not by a run.
        NotRunning {
            /// EC2's word for it.
            state: String,
        } = "not_running", "its machine is {state}, as EC2 says: it does not count against max_unavailable, and the next run looks at it again";
        /// An Amazon ECS Managed Instance.
        ManagedByAws = "managed_by_aws", "AWS manages it (Amazon ECS Managed Instances) and replaces it: it is left alone, and does not count in max_unavailable";
        /// Its Auto Scaling group ends it.
        ScaledIn {
            group: String,
            /// `LifecycleState`.
            state: String,
        } = "scaled_in", "its Auto Scaling group {group} terminates it ({state}): runs leave it alone";
        /// Its Auto Scaling group has it neither in service nor ends it.
        NotInService {
            group: String,
            /// `LifecycleState`.
            state: String,
            /// What is to be done.
            advice: String,
        } = "not_in_service", "it is {state} in its Auto Scaling group {group}, so it is left alone; {advice}, and a later run takes it once it is InService";
        /// Its Auto Scaling group would replace it for being drained.
        LoadBalancerCheck {
            group: String,
            /// `ELB`, `VPC_LATTICE` or both.
            checks: String,
        } = "load_balancer_check", "its Auto Scaling group {group} replaces instances that fail a load balancer's health check ({checks}), as one does that drains or reboots; set the group's health check type to EC2, or suspend its process HealthCheck while the run lasts";
        /// Its Auto Scaling group is exchanging its instances.
        InstanceRefresh {
            group: String,
            /// The status of the refresh.
            status: String,
        } = "instance_refresh", "an instance refresh of its Auto Scaling group {group} is in progress ({status}) and replaces instances; a run goes on after it has ended";
        /// A scale-in of its capacity provider would take tasks with it.
        ScaleInEndsTasks {
            provider: String,
            group: String,
            /// Which tasks, and why.
            why: String,
            /// `DesiredCapacity` of the group.
            size: u32,
        } = "scale_in_ends_tasks", "not begun: a host that is emptied for its update may make the managed scaling of its capacity provider {provider} end an instance, {why}; turn on managed draining for {provider}, or keep Auto Scaling group {group} at its size ({size}) by MinSize and MaxSize until its hosts have tasks again after the run";
        /// Left out of EC2's answer.
        UnknownToEc2 = "unknown_to_ec2", "EC2 does not list its machine and gives no error (it belongs to another account, or AWS manages and hides it), so its tags cannot be read: it is left alone";
        /// Left out of ECS's descriptions.
        NotDescribed = "not_described", "ECS lists it but does not describe it, so its present state is not known: it is left alone";
        /// REGISTERING and the like.
        NotActive {
            /// ECS status.
            status: String,
        } = "not_active", "its ECS status is {status}; it is looked at again in the next run";
        /// DRAINING without our claim.
        DrainedBySomebodyElse = "drained_by_somebody_else", "somebody else set it DRAINING; set it ACTIVE when that work is done, and the next run takes it";
        /// ECS has lost the agent.
        AgentDisconnected = "agent_disconnected", "its ECS agent is not connected; check the agent first (it may also be a short outage)";
        /// SSM does not reach it.
        HostUnreachable {
            /// What was seen.
            detail: String,
        } = "host_unreachable", "no command reaches the host ({detail}); check its control container, instance role and route to SSM, or its host-bridge container";
        /// The tag that lets its host report is missing.
        NotNamed {
            /// Why.
            detail: String,
        } = "not_named", "its container instance has no tag ecs-updater:instance-arn with the ARN of its EC2 instance, so its host bridge is not allowed to report (bridge_policy = \"own-host\"): {detail}";
        /// The visit failed.
        InspectFailed {
            /// What was seen.
            detail: String,
        } = "inspect_failed", "the host could not be inspected: {detail}";
        /// The tag is there and cannot be read, or cannot be true.
        MalformedClaim {
            /// The tag's value.
            value: String,
            /// What is wrong.
            error: ClaimError,
        } = "malformed_claim", "its EC2 tag ecs-updater:claim = {value:?} is not a valid claim ({error}); check the instance and remove the tag";
        /// A remembered failure.
        VersionFailedBefore {
            version: Version,
        } = "version_failed_before", "{version} failed on this instance before; remove its EC2 tag ecs-updater:failed to have it tried again";
        /// It failed on many instances and runs well on fewer.
        VersionFailedElsewhere {
            version: Version,
            /// On so many instances of the cluster.
            failed: usize,
            /// On so many it runs well.
            well: usize,
        } = "version_failed_elsewhere", "{version} failed on {failed} of this cluster's instances and runs well on {well}; a newer release is taken, or this one once the EC2 tags ecs-updater:failed (and ecs-updater:last where that says never_came_back) are removed from those it failed on";
        /// No room for the tags of this program.
        TagsFull {
            /// What it has besides them.
            others: usize,
        } = "tags_full", "it has {others} EC2 tags of its own. An instance can have 50, and this program needs room for 4: remove some";
        /// The host's own setting.
        VersionLocked {
            lock: String,
        } = "version_locked", "the host's own setting updates.version-lock = {lock} keeps it where it is";
        /// Its update wave is not open yet (docs/facts/host-api.md#trap-8).
        WaveNotOpen {
            /// The version that others see.
            version: Version,
        } = "wave_not_open", "{version} is not offered to this host yet: its update wave has not opened; a later run takes it";
        /// What it was to run is offered no more (docs/facts/host-api.md#trap-15).
        Withdrawn {
            version: Version,
        } = "withdrawn", "{version} is no longer offered to this host: the release was withdrawn, so it is not activated here";
        /// A failed refresh hides what is offered.
        RefreshFailed {
            /// The host's words.
            detail: String,
        } = "refresh_failed", "the host could not read its update repository ({detail}); check its route to the repository";
        /// The target is not in the host's list.
        TargetNotOffered {
            target: Version,
        } = "target_not_offered", "the target {target} is not among the versions offered to this host (not in its repository, or its wave is not open)";
        /// It runs more than the target.
        AheadOfTarget {
            target: Version,
            /// What it runs.
            running: Version,
        } = "ahead_of_target", "it runs {running}, above the target {target}; allow_downgrade = true would take it back";
        /// Newer than `min_age` allows.
        TooYoung {
            version: Version,
            /// When it is old enough.
            until: Timestamp,
        } = "too_young", "{version} is not old enough yet for min_age: it can be installed from {until} on, and a later run installs it";
        /// Nobody says when the release was published.
        ReleaseAgeUnknown {
            version: Version,
            /// What was found.
            why: String,
        } = "release_age_unknown", "the age of {version}, which min_age needs, is not known: {why}";
        /// One of `skip_versions`.
        VersionSkipped {
            version: Version,
        } = "version_skipped", "{version} is one of skip_versions, or of the cluster's tag ecs-updater:skip-versions: it is installed only where it is named on the command line (--target {version})";
        /// Above `max_version`.
        AboveMaxVersion {
            version: Version,
            max: MaxVersion,
        } = "above_max_version", "{version} is above max_version = \"{max}\": it is installed only where it is named on the command line (--target {version})";
        /// The skip was lifted that a rollback rests on.
        SkipLifted {
            /// What it runs.
            version: Version,
        } = "skip_lifted", "not begun: the cluster's tag ecs-updater:skip-versions does not name {version}, so nothing goes back from it; ecs-updater rollback adds it there";
        /// Nobody knows where it is to go back to.
        NoVersionBefore {
            /// What it runs.
            version: Version,
            why: String,
        } = "no_version_before", "it runs {version}, and it is not known which version it ran before: {why}; ecs-updater rollback --to VERSION names one";
        /// Its repository offers an older version (docs/facts/host-api.md#trap-4).
        DowngradeOffered {
            version: Version,
            /// What it runs.
            running: Version,
        } = "downgrade_offered", "the repository offers {version}, below the running {running} (a withdrawn release); allow_downgrade = true would take it";
        /// Tasks that no service replaces.
        StandaloneTasks {
            /// Their short ids and groups.
            tasks: String,
        } = "standalone_tasks", "it runs tasks that no service would replace ({tasks}); standalone_tasks = \"wait\" or \"stop\" would drain it";
        /// Scale-in protection.
        ProtectedTasks {
            /// Their short ids.
            tasks: String,
            /// When the last protection ends.
            until: Timestamp,
        } = "protected_tasks", "it runs tasks under scale-in protection until {until} ({tasks})";
        /// The deployment settings forbid it.
        DrainCannotEnd {
            service: String,
            /// The numbers.
            why: String,
        } = "drain_cannot_end", "its drain could never end: service {service} {why}; lower its minimumHealthyPercent or raise its maximumPercent";
        /// No other instance has the room.
        NoRoom {
            service: String,
            /// What a task needs.
            needs: String,
            /// Which kind of room, on the instance that comes closest.
            missing: String,
        } = "no_room", "no other instance has room for a task of service {service}: it needs {needs}, and {missing}; add capacity";
        /// The budget is used up.
        BudgetUsedUp {
            /// Out of service now.
            out: usize,
            budget: usize,
            whose: String,
            /// The instances that are out of service.
            who: String,
        } = "budget_used_up", "out of service: {out} of the {budget} that max_unavailable{whose} allows; waits for {who}";
        /// As many are drained at once as AWS's limits let be rebooted.
        DrainsPaced = "drains_paced", "waiting: AWS request limits allow no more reboots at the moment";
        /// Hosts of its capacity provider have been empty for almost as long as managed scaling waits.
        ScaleInPaced {
            provider: String,
            /// Since when the metric is taken to be below its target.
            since: Timestamp,
            /// The instances that are empty and out of service.
            who: String,
        } = "scale_in_paced", "waiting for {who} to be back: more hosts of capacity provider {provider} than its target allows have been empty since {since}, and after 15 minutes its managed scaling ends an instance; the tasks of the next host fill those that are back";
        /// More drains would keep an old one waiting.
        SlowDrainFirst {
            /// The instance that drains.
            host: HostId,
            /// The service whose task has not left it.
            service: String,
        } = "slow_drain_first", "waiting for {host}: a task of service {service} (also running here) has not started to stop after half of timeouts.drain";
        /// ECS does not know yet that a machine does not run.
        StoppedMachineFirst {
            /// That machine.
            host: HostId,
            /// The service whose task would be placed there.
            service: String,
        } = "stopped_machine_first", "waiting until ECS shows {host} as disconnected: its machine does not run, and a task of service {service} (also running here) could be placed on it";
        /// `zone = "one-at-a-time"`.
        OtherZoneFirst {
            /// The zone that has instances out of service.
            zone: ZoneName,
        } = "other_zone_first", "waits until the instances of {zone} that are out of service are back (zone = \"one-at-a-time\")";
        /// A group with a lower order is not done.
        EarlierGroup { group: String } = "earlier_group", "waits until {group}, which comes earlier by order, has nothing under way and nothing more to begin";
        /// More than one group takes it.
        InTwoGroups { host: HostId, first: GroupName, second: GroupName } = "in_two_groups", "not begun: {host} is in two groups, {first} and {second}; let only one of their match expressions take it";
        /// The canaries are not all updated.
        CanaryFirst {
            version: Version,
            /// So many run the release and are proved.
            done: usize,
            /// Of so many.
            of: usize,
        } = "canary_first", "not begun: {version} goes to its canaries first: {done} of {of} run it so far";
        /// No instance can be a canary.
        NoCanary {
            version: Version,
        } = "no_canary", "not begun: no instance that could be updated to {version} meets canary_match; change canary_match, or see why the instances that meet it are held";
        /// A canary failed.
        CanaryFailed {
            version: Version,
            host: HostId,
        } = "canary_failed", "not begun: {version} failed on {host}, one of its canaries; a newer release begins with a canary of its own; for this one, look into that instance, then ecs-updater forget-failed {version}";
        /// The share before the next checkpoint is not all updated.
        CheckpointFirst {
            version: Version,
            percent: u32,
            /// So many run the release.
            done: usize,
            /// Of so many.
            of: usize,
        } = "checkpoint_first", "not begun: {version} is watched once it runs on {percent}% ({of}) of these instances, and {done} run it";
        /// The canaries, or those up to a checkpoint, are watched.
        Baking {
            version: Version,
            /// What is watched.
            what: String,
            /// When more is begun.
            until: Timestamp,
        } = "baking", "not begun: {what} for {version} are watched until {until} (bake); a run then goes on";
        /// Since when they are to be watched is not known, and the run cannot watch them for so long.
        BakeUnknown {
            version: Version,
            why: String,
        } = "bake_unknown", "not begun: {version} is to be watched (bake), and it is not known since when it runs on those instances: {why}; see why their EC2 tag ecs-updater:last is missing or wrong, or let a run last that long (bake, max_duration, windows)";
        /// Nothing is drained right after another drain.
        Soaking {
            /// When the next may be drained.
            until: Timestamp,
        } = "soaking", "not begun: nothing is drained before {until} (soak); a run then goes on";
        /// A canary is out of service before it was watched to the end.
        CanaryLost {
            version: Version,
            host: HostId,
            /// In which way.
            why: String,
        } = "canary_lost", "not begun: {version} is watched on {host}, one of its canaries, and {why}, so the bake does not end; check that instance, and a run then goes on";
        /// An alarm of `alarms` fires.
        AlarmFiring {
            alarm: String,
            /// Since when it does, in words.
            since: String,
        } = "alarm_firing", "not begun: the CloudWatch alarm {alarm:?} fires{since}; once it is OK, a run goes on (ecs-updater rollback takes the release back)";
        /// Whether an alarm of `alarms` fires is not known.
        AlarmUnknown {
            alarm: String,
            /// What was found.
            why: String,
        } = "alarm_unknown", "not begun: it is not known whether the CloudWatch alarm {alarm:?} fires: {why}";
        /// A service whose tasks were moved is not well.
        ServiceUnsteady {
            service: String,
            why: String,
        } = "service_unsteady", "not begun: tasks of service {service} were moved, and {why} (services = \"steady\"); once it is steady, a run goes on";
        /// Too many failures.
        StoppedAfterFailures {
            /// So many.
            failures: usize,
        } = "stopped_after_failures", "not begun: {failures} of the instances failed in this run (stop_after_failures)";
        /// The run's time is over.
        OutOfTime = "out_of_time", "not begun: the run reached its max_duration; the next run goes on";
        /// No window is open, or none for long enough.
        OutsideWindow {
            /// Which of the two.
            why: String,
            /// When the next one opens.
            until: Timestamp,
        } = "outside_window", "not begun: {why}; the next opens at {until}, and a run then goes on (--outside-window does not wait for that)";
        /// A day on which nothing is to be begun, or one is near.
        Frozen {
            /// Which freeze.
            why: String,
            /// When the first update may be begun after it.
            until: Timestamp,
        } = "frozen", "not begun: {why}; nothing is begun before {until}, and a run then goes on";
        /// A person's tag on the cluster.
        Paused {
            /// The tag's value.
            note: String,
        } = "paused", "not begun: the cluster is paused by its tag ecs-updater:pause = \"{note}\"; remove the tag, and the next run goes on";
        /// A person has not selected it.
        NotSelected {
            /// By what, and what would change it.
            why: String,
        } = "not_selected", "not begun: {why}";
        /// The parameter that approves a version has changed.
        ApprovalChanged {
            /// From what to what.
            why: String,
        } = "approval_changed", "not begun: {why}; the next run goes by what it says then";
        /// The cluster's loop ended early.
        ClusterGivenUp = "cluster_given_up", "not begun: the work on the cluster ended early, for the reason above; the next run goes on";
        /// A signal.
        Interrupted = "interrupted", "not begun: the run was interrupted; the next run goes on";
        /// The run begins nothing.
        Finishing = "finishing", "not begun: this run only finishes what was begun; the next run goes on";
        /// `ecs-updater release`.
        Released = "released", "a person released it (ecs-updater release): what was begun on it was undone as far as possible; the next run treats it like any other";
        /// A person set ours ACTIVE.
        ReactivatedBySomebody = "reactivated_by_somebody", "somebody set it ACTIVE while this run drained it; left alone until the next run";
        /// A function of the user's has not said yet that it may be begun.
        HookWaiting { hook: String, why: String } = "hook_waiting", "not begun yet: waiting for {hook} ({why})";
        /// A function of the user's has said that it may not be begun, or has not said that it may.
        HookFailed { hook: String, why: String } = "hook_failed", "not begun: the function of {hook} {why}; the next run asks it again";
        /// Something about it cannot be read.
        NotPermitted {
            /// What AWS said.
            detail: String,
        } = "not_permitted", "not permitted: {detail}";
    }
);
