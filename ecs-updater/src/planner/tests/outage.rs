//! Trouble that hosts without the new version have too.

use models::fleet::LastSeen;

use super::*;

/// What others have, besides the host that is verified.
type Others = Vec<(&'static str, Option<&'static str>)>;

/// A host in its new boot whose agent ECS does not hear, visited after its time was over at 14 min; and others, by zone
/// and what is wrong with them.
fn with_others(one: Instance, others: &Others, now: Timestamp) -> Vec<Instance> {
    let mut all = vec![one];
    for (number, (zone, trouble)) in (1..).zip(others) {
        let mut other = instance(number, Some(report(UpdateState::Idle, None, None)), at(1));
        other.zone = Some((*zone).into());
        other.run.last_seen.connected = Some(at(1));
        other.reach.as_mut().unwrap().at = now;
        match *trouble {
            Some("agent") => other.agent_connected = false,
            Some("agent, a moment ago") => {
                let ago = now - SignedDuration::from_secs(100);
                other.run.last_seen.disconnected = Some(ago);
            }
            Some("agent, by its own update") => {
                let ago = now - SignedDuration::from_secs(100);
                other.run.last_seen.disconnected = Some(ago);
                other.tags.last = Some(format!("updated/1.26.1/1.27.0/{now}").parse().unwrap());
            }
            Some("agent, for weeks") => {
                other.agent_connected = false;
                other.run.last_seen = LastSeen { disconnected: Some(now), ..LastSeen::default() };
            }
            Some("has the version") => {
                other.agent_connected = false;
                other.report.as_mut().unwrap().report.os.as_mut().unwrap().version = "1.27.0".into();
            }
            Some("reboots") => {
                other = claimed(other, ClaimStep::Reboot, at(2));
                other.agent_connected = false;
            }
            Some("silent") => {
                other.reach.as_mut().unwrap().unreachable_because = Some("its SSM agent is ConnectionLost".into())
            }
            Some("managed by AWS, silent") => {
                other.managed_by_aws = true;
                other.reach.as_mut().unwrap().unreachable_because = Some("SSM does not know the instance".into())
            }
            Some("not asked") => other.reach = None,
            Some("impaired") => other = checked(other, now, "impaired"),
            Some("checks are fine") => other = checked(other, now, "ok"),
            Some(other) => unreachable!("{other}"),
            None => {}
        }
        all.push(other);
    }
    all
}

fn said_beside(one: &Instance, others: &Others, now: Timestamp) -> String {
    let mut one = one.clone();
    one.zone = Some("a".into());
    said(&plan(&fleet(with_others(one, others, now), vec![]), &Policy::default(), &facts(), now))
}

#[test]
fn a_drain_waits_while_the_agents_around_are_lost_together() {
    let now = at(30);
    let mut draining = claimed(instance(0, Some(staged()), now), ClaimStep::Drain, at(1));
    draining.seen_at = now;
    draining.tasks = Some(SeenTasks { at: now, tasks: vec![task(0, Some("web"))] });
    let (agent, waits, ends) = (Some("agent"), "draining wait", "finish failed drain_timed_out");
    let away = || Instance { agent_connected: false, ..draining.clone() };
    let table: Vec<(&str, Instance, Others, &str)> = vec![
        ("nobody else", away(), vec![], ends),
        ("its own alone", away(), vec![("a", None); 4], ends),
        ("one other", away(), vec![("a", agent), ("b", None)], ends),
        ("all others", draining.clone(), vec![("b", agent), ("c", agent)], waits),
        ("half of the cluster", away(), vec![("b", agent), ("c", agent), ("b", None), ("c", None)], waits),
        ("less than half", away(), vec![("b", agent), ("c", agent), ("b", None), ("b", None), ("c", None)], ends),
        ("its zone", away(), vec![("a", agent), ("a", agent), ("b", None), ("b", None), ("c", None)], waits),
        ("whatever they run", away(), vec![("a", Some("has the version")); 2], waits),
        ("until a moment ago", away(), vec![("a", Some("agent, a moment ago")); 2], waits),
        ("by their own updates", away(), vec![("a", Some("agent, by its own update")); 2], ends),
        ("for weeks", away(), vec![("a", Some("agent, for weeks")); 2], ends),
        ("they reboot", away(), vec![("a", Some("reboots")); 2], ends),
    ];
    for (name, one, others, expected) in table {
        assert_eq!(said_beside(&one, &others, now), expected, "{name}");
    }
    let lost: Others = vec![("a", agent); 2];
    for (minute, expected) in [(20, waits), (80, waits), (81, ends)] {
        let mut one = away();
        one.seen_at = at(minute);
        one.tasks.as_mut().unwrap().at = at(minute);
        assert_eq!(said_beside(&one, &lost, at(minute)), expected, "after {minute} min");
    }
}

#[test]
fn a_version_is_not_blamed_for_what_hosts_without_it_have_too() {
    let lost = || VisitEnd::NotDelivered { detail: "x".into() };
    let new = || rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None);
    let unheard = visited(Instance { agent_connected: false, ..new() }, at(14), VisitEnd::Done);
    let impaired = visited(checked(new(), at(15), "impaired"), at(14), VisitEnd::Done);
    let mut ready = rebooting(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), at(1), None);
    ready.agent_connected = true;
    let silent = visited(ready, at(17), lost());
    let (waits, blamed, gone) = ("inspect refresh=false", "mark 1.27.0", "leave failed never_came_back");
    let agent = Some("agent");
    let table: Vec<(&str, &Instance, Others, &str)> = vec![
        ("nobody else", &unheard, vec![], blamed),
        ("one other", &unheard, vec![("a", agent)], blamed),
        ("all others", &unheard, vec![("a", agent), ("a", agent)], waits),
        ("half of them", &unheard, vec![("a", agent), ("a", None)], waits),
        ("less than half", &unheard, vec![("a", agent), ("a", None), ("a", None)], blamed),
        (
            "of the zone, and not of the cluster",
            &unheard,
            vec![("a", agent), ("a", agent), ("b", None), ("b", None), ("c", None)],
            waits,
        ),
        ("of another zone", &unheard, vec![("a", None), ("a", None), ("b", agent), ("b", agent), ("b", agent)], blamed),
        ("of the cluster, with one in the zone", &unheard, vec![("a", None), ("b", agent), ("c", agent)], waits),
        ("until a moment ago", &unheard, vec![("a", Some("agent, a moment ago")); 2], waits),
        (
            "those that have been away for weeks",
            &unheard,
            vec![("a", Some("agent, for weeks")), ("a", Some("agent, for weeks")), ("a", None), ("a", None)],
            blamed,
        ),
        ("none was ever seen", &unheard, vec![("a", Some("agent, for weeks")); 2], waits),
        (
            "those have the version too",
            &unheard,
            vec![("a", Some("has the version")), ("a", Some("has the version")), ("a", None), ("a", None)],
            blamed,
        ),
        (
            "those are being rebooted",
            &unheard,
            vec![("a", Some("reboots")), ("a", Some("reboots")), ("a", None), ("a", None)],
            blamed,
        ),
        ("another trouble", &unheard, vec![("a", Some("silent")); 2], blamed),
        ("silence of all", &silent, vec![("a", Some("silent")); 2], waits),
        ("silence, and the others answer", &silent, vec![("a", None); 2], gone),
        ("silence, as of what AWS manages", &silent, vec![("a", Some("managed by AWS, silent")); 2], gone),
        ("silence, and nobody has asked the others", &silent, vec![("a", Some("not asked")); 2], "rebooting rest"),
        ("checks of all", &impaired, vec![("a", Some("impaired")); 2], waits),
        ("checks, and those of others are fine", &impaired, vec![("a", Some("checks are fine")); 2], blamed),
        ("checks, and nobody has asked", &impaired, vec![("a", None); 2], "verifying rest"),
    ];
    for (name, one, others, expected) in table {
        // Visits are 15 s apart, and checks are looked at as often.
        let now = if one.visit.as_ref().unwrap().sent_at == at(17) { at(18) } else { at(15) };
        assert_eq!(said_beside(one, &others, now), expected, "{name}");
    }
}

#[test]
fn the_others_are_asked_before_it_is_judged() {
    let lost = VisitEnd::NotDelivered { detail: "x".into() };
    let ready = rebooting(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), at(1), None);
    let silent = Instance { zone: Some("a".into()), ..visited(ready, at(17), lost) };
    let others = vec![("a", Some("not asked")), ("a", None), ("a", Some("not asked"))];
    let plan = plan(&fleet(with_others(silent, &others, at(18)), vec![]), &Policy::default(), &facts(), at(18));
    let steps: Vec<_> = plan.steps.iter().map(|planned| (planned.host.as_str(), step_word(&planned.step))).collect();
    assert_eq!(steps, [("i-1", "reach".to_owned()), ("i-3", "reach".to_owned())]);
}

#[test]
fn an_outage_is_waited_out_for_an_hour_and_marks_nothing() {
    let new = rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None);
    let unheard = |minute| visited(Instance { agent_connected: false, ..new.clone() }, at(minute), VisitEnd::Done);
    let lost: Others = vec![("a", Some("agent")), ("b", Some("agent"))];
    let fine: Others = vec![("a", None), ("b", None)];
    let table = [
        (unheard(73), &lost, at(73) + SignedDuration::from_secs(20), "inspect refresh=false"),
        (unheard(73), &lost, at(74), "leave failed trouble_elsewhere"),
        (unheard(73), &fine, at(74), "mark 1.27.0"),
        (failed_before(unheard(73), "1.27.0"), &lost, at(74), "revert"),
    ];
    for (one, others, now, expected) in table {
        assert_eq!(said_beside(&one, others, now), expected, "at {now}");
    }
}

#[test]
fn a_claim_of_a_clock_that_was_ahead_began_no_later_than_this_run() {
    let other_run = RunFacts { run: "NEXT".into(), ..facts() };
    let mut one = rebooting(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), at(1), None);
    one.run.began = None;
    if let Some(Ok(claim)) = &mut one.tags.claim {
        claim.since = at(120);
    }
    let lost = VisitEnd::NotDelivered { detail: "x".into() };
    assert_eq!(say(one.clone(), &Policy::default(), &other_run, at(4)), "inspect refresh=false", "it was asked for");
    let late = visited(one, at(18), lost);
    assert_eq!(say(late, &Policy::default(), &other_run, at(18)), "leave failed never_came_back");
}
