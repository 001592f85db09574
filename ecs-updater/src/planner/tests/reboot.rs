//! A reboot, and how it is undone.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_reboot() {
    let other_boot = || error("boot", ErrorCode::OtherBoot);
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let lost = || VisitEnd::NotDelivered { detail: "x".into() };
    let table = [
        ("not heard of yet", rebooting(Some(ready()), at(1), None), at(4), "inspect refresh=false"),
        (
            "never, and not visited since its time was over",
            rebooting(Some(ready()), at(1), None),
            at(18),
            "inspect refresh=false",
        ),
        (
            "never",
            visited(rebooting(Some(ready()), at(1), None), at(17), lost()),
            at(18),
            "leave failed never_came_back",
        ),
        (
            "awake in the old boot for too long",
            rebooting(Some(ready()), at(17), Some(VisitEnd::Done)),
            at(18),
            "cancel",
        ),
        (
            "refused, activated",
            rebooting(Some(ready()), at(3), Some(error("reboot", ErrorCode::Failed))),
            at(4),
            "cancel",
        ),
        (
            "refused, not activated",
            rebooting(Some(staged()), at(3), Some(error("activate", ErrorCode::Failed))),
            at(4),
            "finish failed reboot_refused",
        ),
        (
            "withdrawn, not activated",
            rebooting(Some(staged()), at(3), Some(error("refresh", ErrorCode::NotOffered))),
            at(4),
            "finish held withdrawn",
        ),
        (
            "withdrawn, activated by an earlier command",
            rebooting(Some(ready()), at(3), Some(error("refresh", ErrorCode::NotOffered))),
            at(4),
            "cancel",
        ),
        (
            "its repository is out of reach",
            rebooting(Some(staged()), at(3), Some(error("refresh", ErrorCode::Failed))),
            at(4),
            "reboot 1.27.0",
        ),
        (
            "its repository was out of reach all the time",
            rebooting(Some(staged()), at(17), Some(error("refresh", ErrorCode::Failed))),
            at(17),
            "finish failed reboot_refused",
        ),
        (
            "whether it read its repository is not known: it is not activated yet",
            rebooting(Some(staged()), at(3), Some(error("refresh", ErrorCode::Unsure))),
            at(4),
            "reboot 1.27.0",
        ),
        (
            "not delivered",
            rebooting(Some(staged()), at(1), Some(VisitEnd::NotDelivered { detail: "x".into() })),
            at(4),
            "reboot 1.27.0",
        ),
        (
            "new version, checks unknown",
            rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None),
            at(4),
            "checks",
        ),
        (
            "new version, healthy",
            checked(rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None), at(4), "ok"),
            at(5),
            "finish updated 1.27.0",
        ),
        (
            "checks not in yet",
            checked(rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None), at(4), "initializing"),
            at(5),
            "finish updated 1.27.0",
        ),
        (
            "another version than asked for",
            checked(rebooting(Some(rebooted("1.28.0", AgentState::Registered)), at(4), None), at(4), "ok"),
            at(5),
            "finish updated 1.28.0",
        ),
        (
            "agent not up yet",
            rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None),
            at(5),
            "inspect refresh=false",
        ),
        (
            "agent not up, and not visited since its time was over",
            rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None),
            at(15),
            "inspect refresh=false",
        ),
        (
            "agent never up",
            visited(rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None), at(14), VisitEnd::Done),
            at(15),
            "mark 1.27.0",
        ),
        (
            "agent never up, marked",
            failed_before(
                visited(rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None), at(14), VisitEnd::Done),
                "1.27.0",
            ),
            at(15),
            "revert",
        ),
        (
            "impaired",
            failed_before(
                visited(
                    checked(
                        rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None),
                        at(15),
                        "impaired",
                    ),
                    at(14),
                    VisitEnd::Done,
                ),
                "1.27.0",
            ),
            at(15),
            "revert",
        ),
        (
            "back on the old version, reboot still open",
            rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), None),
            at(4),
            "rebooting wait",
        ),
        (
            "fell back",
            rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), Some(VisitEnd::Done)),
            at(4),
            "mark 1.27.0",
        ),
        (
            "fell back, marked, healthy",
            failed_before(
                checked(
                    rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), Some(VisitEnd::Done)),
                    at(4),
                    "ok",
                ),
                "1.27.0",
            ),
            at(5),
            "finish rolled_back fell_back_at_boot",
        ),
        (
            "rebooted by itself before the command",
            rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(2), Some(other_boot())),
            at(4),
            "inspect refresh=true",
        ),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

#[test]
fn a_reboot_that_may_still_come_is_waited_out() {
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let lost = || VisitEnd::NotDelivered { detail: "x".into() };
    // Sent at 2 min, and again at 14 min.
    let again = |seen, end: Option<VisitEnd>, earlier: Option<Timestamp>| {
        let mut one = rebooting(Some(ready()), seen, None);
        one.run.reboot = Some(Box::new(SentReboot { sent_at: at(14), earlier, end: end.map(|end| (at(15), end)) }));
        one
    };
    let unsure = || Some(error("reboot", ErrorCode::Unsure));
    let refused = || Some(error("reboot", ErrorCode::Failed));
    let silent = |mut one: Instance| {
        one.visit = Some(visit(HostCommand::Inspect { refresh: false }, lost(), at(20)));
        one
    };
    let mut staged_only = again(at(1), Some(lost()), None);
    staged_only.report.as_mut().unwrap().report = staged();
    let table = [
        ("unsure is not refused", rebooting(Some(ready()), at(4), unsure()), at(4), "rebooting wait"),
        (
            "unsure, and awake when it cannot come any more",
            rebooting(Some(ready()), at(10), unsure()),
            at(10),
            "reboot 1.27.0",
        ),
        ("unsure, until the deadline", rebooting(Some(ready()), at(17), unsure()), at(17), "cancel"),
        (
            "refused the second time, the first may come",
            again(at(15), refused(), Some(at(8))),
            at(15),
            "rebooting wait",
        ),
        ("refused the second time, the first did nothing", again(at(15), refused(), None), at(15), "cancel"),
        ("none was delivered", staged_only, at(17), "finish failed reboot_refused"),
        (
            "the last was not delivered, one before may come",
            again(at(17), Some(lost()), Some(at(10))),
            at(17),
            "rebooting wait",
        ),
        ("awake at the deadline, sent late", again(at(17), Some(VisitEnd::Done), None), at(17), "rebooting wait"),
        ("still awake when it cannot come any more", again(at(22), Some(VisitEnd::Done), None), at(22), "cancel"),
        (
            "silent at the deadline, sent late",
            silent(again(at(15), Some(VisitEnd::Done), None)),
            at(22),
            "inspect refresh=false",
        ),
        (
            "silent to the end of its time",
            visited(again(at(15), Some(VisitEnd::Done), None), at(29), lost()),
            at(29),
            "leave failed never_came_back",
        ),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

#[test]
fn what_undoing_an_activation_comes_to() {
    let ready =
        || rebooting(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), at(17), Some(VisitEnd::Done));
    let undone = |times: u32, end: VisitEnd| {
        let mut one = undone_at(ready(), at(18), end);
        one.run.cancels = times;
        one
    };
    let lost = || VisitEnd::NotDelivered { detail: "x".into() };
    let failed = || error("deactivate", ErrorCode::Failed);
    let back = |running: &str| {
        let mut one = checked(
            rebooting(Some(rebooted(running, AgentState::Registered)), at(19), Some(VisitEnd::Done)),
            at(20),
            "ok",
        );
        one.run.undone = Some(at(2));
        one
    };
    let mut excluded = back("1.26.1");
    excluded.tags.exclude = Some(exclusion("mine"));
    let table = [
        ("done", undone(1, VisitEnd::Done), at(18), "finish failed reboot_timed_out"),
        ("lost on its way", undone(1, lost()), at(19), "cancel"),
        ("failed", undone(1, failed()), at(19), "cancel"),
        ("lost again and again", undone(5, lost()), at(19), "leave failed never_came_back"),
        ("failed again and again", undone(5, failed()), at(19), "finish failed reboot_timed_out"),
        ("it rebooted all the same, into the new version", back("1.27.0"), at(20), "finish updated 1.27.0"),
        (
            "it rebooted, into the old one, which is no fall-back",
            back("1.26.1"),
            at(20),
            "finish failed reboot_refused",
        ),
        ("the same of one that is excluded", excluded, at(20), "finish held excluded"),
    ];
    for (name, mut one, now, expected) in table {
        if let Some(seen) = one.report.as_mut() {
            seen.asked_at = now;
        }
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

#[test]
fn a_boot_counts_as_its_own_only_where_no_command_can_have_made_it() {
    let other_boot = || Some(error("boot", ErrorCode::OtherBoot));
    let back = || rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), other_boot());
    let mut earlier = back();
    earlier.run.reboot.as_mut().unwrap().earlier = Some(at(1));
    let mut taken_over = back();
    taken_over.run.began = None;
    let mut overtaken = back();
    overtaken.tags.claim.as_mut().unwrap().as_mut().unwrap().run = "OTHER".into();
    let mut again_and_again = back();
    again_and_again.report.as_mut().unwrap().asked_at = at(5);
    again_and_again.run.reboot_claims = 3;
    let table = [
        ("this run's only command", back(), "stage 1.27.0 lock=latest"),
        ("one before it may have arrived", earlier, "mark 1.27.0"),
        ("an earlier run's claim", taken_over, "mark 1.27.0"),
        ("another run has taken over", overtaken, "mark 1.27.0"),
        ("it reboots by itself again and again", again_and_again, "finish failed reboot_refused"),
    ];
    for (name, one, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), at(6)), expected, "{name}");
    }
}

#[test]
fn where_the_host_cannot_be_asked_for_its_agent_ecs_counts_after_five_minutes() {
    // Minutes after the boot was heard of; whether ECS hears the agent; whether the host was just visited.
    for (minutes, connected, just_visited, expected) in [
        (4, true, false, "inspect refresh=false"),
        (5, true, false, "finish updated 1.27.0"),
        (5, false, false, "inspect refresh=false"),
        (10, false, false, "inspect refresh=false"),
        (10, false, true, "mark 1.27.0"),
    ] {
        let unknown = rebooted("1.27.0", AgentState::Unknown("starting".into()));
        let mut one = checked(rebooting(Some(unknown), at(4), None), at(4), "ok");
        one.agent_connected = connected;
        if just_visited {
            one = visited(one, at(4 + minutes), VisitEnd::Done);
        }
        let said = say(one, &Policy::default(), &facts(), at(4 + minutes));
        assert_eq!(said, expected, "{minutes} minutes, connected: {connected}");
    }
}
