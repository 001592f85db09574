//! Whose word a bridge's report is: what it needs before something is made of it, and who may report at all.

use models::fleet::{Naming, SeenClaim, ToldBoot};

use super::*;
use crate::planner::unnamed;

fn policy(bridge_policy: BridgePolicy, host: TransportPolicy) -> Policy {
    Policy { bridge_policy, host, ..Policy::default() }
}

/// After a reboot that was claimed two minutes after the start, by the bridge; its report came in the fourth minute.
fn in_new_boot(running: &str) -> Instance {
    let mut one = rebooting(Some(rebooted(running, AgentState::Registered)), at(4), Some(VisitEnd::Done));
    one.tags.claim.as_mut().unwrap().as_mut().unwrap().transport = Transport::Bridge;
    one.run.transport = Some(Transport::Bridge);
    checked(visited(one, at(4), VisitEnd::Done), at(4), "ok")
}

fn disconnected_at(mut one: Instance, at: Timestamp) -> Instance {
    one.run.last_seen.disconnected = Some(at);
    one
}

fn told_by_ssm(mut one: Instance, boot: &str, running: &str) -> Instance {
    one.run.told_by_ssm = Some(Box::new(ToldBoot { id: boot.into(), version: Some(version(running)) }));
    one
}

/// The same, as its bridge has said it first in this minute.
fn reported_at(mut one: Instance, minute: i64) -> Instance {
    let heartbeat =
        Heartbeat { agent_version: "0.1.0".into(), at: at(minute), interval: SignedDuration::from_hours(3) };
    let report = one.report.as_ref().unwrap().report.clone();
    let report = BridgeReport { heartbeat, report, handled: None, available_cut: false };
    one.bridge = Some(Ok(Box::new(SeenBridge { since: at(minute), report })));
    one
}

const ANOTHER: &str = "arn:aws:ec2:eu-west-1:1:instance/i-7";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_reboot_that_only_a_bridge_tells_of_is_confirmed_where_others_may_report_for_it() {
    use BridgePolicy::{Cluster, OwnHost};
    let (auto, bridge) = (TransportPolicy::Auto, TransportPolicy::Bridge);
    let new = || in_new_boot("1.27.0");
    let old = || in_new_boot("1.26.1");
    let unhealthy = || {
        let mut one = new();
        one.report.as_mut().unwrap().report.agent.as_mut().unwrap().state = AgentState::Down;
        one
    };
    let did_nothing = || {
        let mut one = old();
        one.run.reboot.as_mut().unwrap().end = Some((at(3), error("refresh", ErrorCode::Failed)));
        one
    };
    let went_back = || {
        let mut one = failed_before(new(), "1.27.0");
        one.tags.claim.as_mut().unwrap().as_mut().unwrap().step = ClaimStep::Revert;
        one
    };
    let ever_new = || {
        let mut one = unhealthy();
        one.run.boot.as_mut().unwrap().at = at(26);
        one
    };
    let named = |tag: Option<&str>| Instance { instance_tag: tag.map(Into::into), ..new() };
    let misnamed = |minute| {
        let mut one = reported_at(new(), 4);
        one.run.misnamed_at = Some(at(minute));
        one
    };
    let updated = "finish updated 1.27.0";
    let table = [
        ("its tag names another host", named(Some(ANOTHER)), OwnHost, bridge, at(4), "confirming wait"),
        ("its tag is missing", named(None), OwnHost, bridge, at(4), "confirming wait"),
        ("its tag named another host until then", misnamed(4), OwnHost, bridge, at(4), "confirming wait"),
        ("its tag named another host before", misnamed(3), OwnHost, bridge, at(4), updated),
        ("its own word", new(), OwnHost, bridge, at(4), updated),
        ("perhaps another's", new(), Cluster, bridge, at(4), "confirming wait"),
        ("perhaps another's, asked of SSM", new(), Cluster, auto, at(5), "confirm"),
        ("asked a moment ago", new(), Cluster, auto, at(4), "confirming wait"),
        ("disconnected since the claim", disconnected_at(new(), at(3)), Cluster, bridge, at(4), updated),
        ("disconnected before the claim", disconnected_at(new(), at(1)), Cluster, bridge, at(4), "confirming wait"),
        ("by an answer from before it", disconnected_at(new(), at(2)), Cluster, bridge, at(4), "confirming wait"),
        ("SSM says the same", told_by_ssm(new(), NEW_BOOT, "1.27.0"), Cluster, auto, at(4), updated),
        ("SSM tells of another boot", told_by_ssm(new(), OLD_BOOT, "1.27.0"), Cluster, auto, at(5), "confirm"),
        ("SSM tells of another version", told_by_ssm(new(), NEW_BOOT, "1.26.1"), Cluster, auto, at(5), "confirm"),
        ("never confirmed", new(), Cluster, bridge, at(14), "leave failed unconfirmed"),
        ("never confirmed by SSM", new(), Cluster, auto, at(14), "leave failed unconfirmed"),
        ("fell back", old(), OwnHost, bridge, at(4), "mark 1.27.0"),
        ("fell back, perhaps", old(), Cluster, bridge, at(4), "confirming wait"),
        ("fell back, confirmed", disconnected_at(old(), at(3)), Cluster, bridge, at(4), "mark 1.27.0"),
        ("did nothing", did_nothing(), OwnHost, bridge, at(4), "stage 1.27.0 lock=latest"),
        ("did nothing, perhaps", did_nothing(), Cluster, bridge, at(4), "confirming wait"),
        (
            "did nothing, confirmed",
            disconnected_at(did_nothing(), at(3)),
            Cluster,
            bridge,
            at(4),
            "stage 1.27.0 lock=latest",
        ),
        ("did nothing, never confirmed", did_nothing(), Cluster, bridge, at(14), "leave failed unconfirmed"),
        ("went back", went_back(), OwnHost, bridge, at(4), "leave failed rollback_failed"),
        ("went back, perhaps", went_back(), Cluster, bridge, at(4), "confirming wait"),
        ("one made-up boot after the other", ever_new(), Cluster, bridge, at(27), "leave failed unconfirmed"),
        ("fell back, never confirmed", old(), Cluster, bridge, at(14), "leave failed unconfirmed"),
        (
            "unhealthy for too long, perhaps",
            visited(unhealthy(), at(14), VisitEnd::Done),
            Cluster,
            bridge,
            at(14),
            "leave failed unconfirmed",
        ),
        (
            "unhealthy for too long",
            visited(unhealthy(), at(14), VisitEnd::Done),
            OwnHost,
            bridge,
            at(14),
            "mark 1.27.0",
        ),
    ];
    for (name, one, of_hosts, transport, now, expected) in table {
        let seen = Instance { seen_at: now, ..one };
        let checked = if expected.starts_with("finish") { checked(seen, now, "ok") } else { seen };
        assert_eq!(say(checked, &policy(of_hosts, transport), &facts(), now), expected, "{name}");
    }
    let mut by_ssm = rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), Some(VisitEnd::Done));
    by_ssm.seen_at = at(5);
    let by_ssm = checked(by_ssm, at(5), "ok");
    assert_eq!(say(by_ssm, &policy(Cluster, auto), &facts(), at(5)), updated, "by SSM nobody else speaks for it");
}

#[test]
fn that_a_called_off_reboot_is_off_is_waited_out_where_others_may_say_so() {
    let now = at(6);
    let off = {
        let mut one = in_new_boot("1.26.1");
        let was = one.claim().unwrap().clone();
        let report = report(UpdateState::Staged, Some("1.27.0"), Some("1.27.0"));
        one.report.as_mut().unwrap().report = report.clone();
        one.run.called_off = Some(Box::new(CalledOff { claim: was, at: at(5) }));
        one.run.ending = Some(Box::new(End::Held { why: exclusion("").hold() }));
        let mut one = claimed(one, ClaimStep::Drain, at(5));
        one.tags.claim.as_mut().unwrap().as_mut().unwrap().transport = Transport::Bridge;
        let heartbeat = Heartbeat { agent_version: "0.1.0".into(), at: at(5), interval: SignedDuration::from_hours(3) };
        let handled =
            Handled { step: ClaimStep::Drain, run: "RUN".into(), since: at(5), attempt: 1, progress: Progress::Done };
        let report = BridgeReport { heartbeat, report, handled: Some(handled), available_cut: false };
        one.bridge = Some(Ok(Box::new(SeenBridge { since: at(6), report })));
        one
    };
    let in_another_boot = {
        let mut one = off.clone();
        let claim_seen = SeenClaim { step: ClaimStep::Drain, since: at(5), at: at(5) };
        one.run.claim_seen = Some(claim_seen);
        one.report.as_mut().unwrap().report = rebooted("1.26.1", AgentState::Registered);
        one
    };
    let disconnected = || disconnected_at(in_another_boot.clone(), at(4));
    let told = || told_by_ssm(in_another_boot.clone(), NEW_BOOT, "1.26.1");
    let bridge = TransportPolicy::Bridge;
    use BridgePolicy::{Cluster, OwnHost};
    for (name, one, of_hosts, now, expected) in [
        ("off", off.clone(), OwnHost, now, "finish held excluded"),
        ("perhaps off", off.clone(), Cluster, now, "draining wait"),
        ("over", off, Cluster, at(13), "finish held excluded"),
        ("rebooted after all", in_another_boot.clone(), OwnHost, now, "mark 1.27.0"),
        ("rebooted, perhaps", in_another_boot.clone(), Cluster, now, "confirming wait"),
        ("rebooted, by SSM's word", told(), Cluster, now, "mark 1.27.0"),
        ("or was disconnected for another reason", disconnected(), Cluster, now, "rebooting wait"),
        ("which is waited out", disconnected(), Cluster, at(13), "mark 1.27.0"),
    ] {
        assert_eq!(say(one, &policy(of_hosts, bridge), &facts(), now), expected, "{name}");
    }
}

fn tried(mut one: Instance, tries: u32, minute: i64, refused: Option<&str>) -> Instance {
    one.instance_tag = None;
    let (on, refused) = (one.container_instance.clone(), refused.map(str::to_owned));
    one.run.naming = Some(Box::new(Naming { on, tries, at: at(minute), refused }));
    one
}

#[test]
fn who_is_tagged_and_when() {
    let (own, bridge) = (BridgePolicy::OwnHost, TransportPolicy::Bridge);
    let untagged = || Instance { instance_tag: None, ..instance(0, None, start()) };
    let with = |change: Change| {
        let mut one = untagged();
        change(&mut one);
        one
    };
    let table: [(&str, Instance, Policy, i64, bool); 17] = [
        ("no tag", untagged(), policy(own, bridge), 0, true),
        ("reached by either", untagged(), policy(own, TransportPolicy::Auto), 0, true),
        ("reached by SSM", untagged(), policy(own, TransportPolicy::Ssm), 0, false),
        ("not told to", untagged(), policy(BridgePolicy::Cluster, bridge), 0, false),
        ("tagged", instance(0, None, start()), policy(own, bridge), 0, false),
        ("as another", with(|one| one.instance_tag = Some(ANOTHER.into())), policy(own, bridge), 0, true),
        ("changed by somebody since ECS showed it", tried(untagged(), 0, 1, None), policy(own, bridge), 1, true),
        ("drained", with(|one| one.status = InstanceStatus::Draining), policy(own, bridge), 0, true),
        ("no Bottlerocket", with(|one| one.variant = None), policy(own, bridge), 0, false),
        ("EXTERNAL", with(|one| one.host = "mi-0".into()), policy(own, bridge), 0, false),
        ("deregistered", with(|one| one.status = InstanceStatus::Inactive), policy(own, bridge), 0, false),
        ("left out by EC2", with(|one| one.left_out_since = Some(start())), policy(own, bridge), 0, false),
        (
            "terminated",
            with(|one| one.ec2.as_mut().unwrap().state = MachineState::Terminated),
            policy(own, bridge),
            0,
            false,
        ),
        ("AWS manages it", Instance { managed_by_aws: true, ..untagged() }, policy(own, bridge), 0, false),
        ("refused just now", tried(untagged(), 4, 1, Some("no")), policy(own, bridge), 4, false),
        ("refused a while ago", tried(untagged(), 4, 1, Some("no")), policy(own, bridge), 5, true),
        (
            "registered again since",
            {
                let mut one = tried(untagged(), 4, 1, None);
                one.container_instance = "arn:aws:ecs:eu-west-1:1:container-instance/web/new".into();
                one
            },
            policy(own, bridge),
            1,
            true,
        ),
    ];
    for (name, one, policy, minute, expected) in table {
        let due = unnamed(&fleet(vec![one], vec![]), &policy, at(minute));
        assert_eq!(!due.is_empty(), expected, "{name}");
    }
}

#[test]
fn a_host_that_may_not_report_is_waited_for_and_held_by_name() {
    let policy = policy(BridgePolicy::OwnHost, TransportPolicy::Bridge);
    let plan = RunFacts { dry_run: true, ..facts() };
    let silent = |minute| {
        let mut one = instance(0, None, start());
        let unreachable_because = Some("no host bridge has ever reported from it".to_owned());
        one.reach = Some(models::fleet::Reachability { at: at(minute), unreachable_because });
        one
    };
    let untagged = |minute| Instance { instance_tag: None, ..silent(minute) };
    let tagged_at = |minute, tagged| {
        let mut one = silent(minute);
        let on = one.container_instance.clone();
        one.run.naming = Some(Box::new(Naming { on, tries: 1, at: at(tagged), refused: None }));
        one
    };
    let table = [
        ("it is its turn soon", untagged(1), facts(), at(1), "unseen wait"),
        ("refused", tried(untagged(1), 1, 1, Some("AccessDenied")), facts(), at(1), "hold not_named"),
        ("in a plan", untagged(1), plan.clone(), at(1), "hold not_named"),
        ("tagged, its report is to come", tagged_at(4, 1), facts(), at(4), "unseen wait"),
        ("tagged, and nothing came", tagged_at(13, 1), facts(), at(13), "hold host_unreachable"),
        ("tagged before this run", silent(4), facts(), at(4), "hold host_unreachable"),
    ];
    for (name, one, facts, now, expected) in table {
        assert_eq!(say(one, &policy, &facts, now), expected, "{name}");
    }
    // With `auto` SSM is asked first, and one that it does not reach may have a bridge that may not report.
    let policy = self::policy(BridgePolicy::OwnHost, TransportPolicy::Auto);
    let unasked = || Instance { reach: None, ..untagged(1) };
    let pinned = |mut one: Instance| {
        one.run.transport = Some(Transport::Ssm);
        one
    };
    let table = [
        ("nobody was asked", unasked(), facts(), at(1), "reach"),
        ("its turn to be tagged is to come", untagged(9), facts(), at(9), "unseen wait"),
        ("refused, and SSM is asked again", tried(untagged(1), 1, 1, Some("AccessDenied")), facts(), at(2), "reach"),
        ("refused, for long", tried(untagged(4), 1, 1, Some("AccessDenied")), facts(), at(4), "hold not_named"),
        ("in a plan", untagged(1), plan.clone(), at(1), "hold not_named"),
        ("tagged, its report is to come", tagged_at(4, 1), facts(), at(4), "unseen wait"),
        ("tagged, and nothing came", tagged_at(13, 1), facts(), at(13), "hold host_unreachable"),
        ("tagged before this run", silent(4), facts(), at(4), "hold host_unreachable"),
        ("reached by SSM once", pinned(untagged(4)), facts(), at(4), "hold host_unreachable"),
    ];
    for (name, one, facts, now, expected) in table {
        assert_eq!(say(one, &policy, &facts, now), expected, "auto: {name}");
    }
}
