//! Facts and memory in, one act out: the table.

use host_bridge::agent::{
    Act, Facts, FallingBack, GoingDown, Limits, Memory, Outcome, Placed, Tags, TakenUp, Trial, Waits, decide,
};
use host_bridge::inspect::{Boot, Seen};
use jiff::{SignedDuration, Timestamp};
use models::attributes::Progress;
use models::claim::{Boots, Claim, ClaimStep, FailedVersions, Transport};
use models::fleet::BadClaim;
use models::host::{
    AgentState, ErrorCode, HostReport, ReportedAgent, ReportedError, ReportedOs, ReportedUpdate, UpdateState,
};

use super::world::{NEW, OLD};

const BOOT: &str = "00000001-0000-4000-8000-0123456789ab";
const BEFORE: &str = "00000000-0000-4000-8000-0123456789ab";

fn start() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().unwrap()
}

fn after(minutes: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minutes)
}

/// A host an hour after its boot, that runs `OLD` and has read its repository.
fn facts() -> Facts {
    let report = HostReport {
        v: 1,
        os: Some(ReportedOs { version: OLD.into(), ..ReportedOs::default() }),
        update: Some(ReportedUpdate { state: UpdateState::Available, ..ReportedUpdate::default() }),
        agent: Some(ReportedAgent { state: AgentState::Registered, ..ReportedAgent::default() }),
        ..HostReport::default()
    };
    Facts {
        target_state: None,
        boot: Boot { id: Some(BOOT.into()), at: Some(start().as_second()) },
        host: Some(Seen { report, other_set_next: None, ..Seen::default() }),
        host_answers: true,
        tags: Tags::Known { claim: None, failed: FailedVersions::default(), lock: None },
        may_roll_back: false,
        refreshed_at: Some(start()),
    }
}

fn claim(step: ClaimStep, boot: &str) -> Claim {
    let needs_boot = matches!(step, ClaimStep::Reboot | ClaimStep::Revert);
    Claim {
        step,
        transport: Transport::Bridge,
        run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
        epoch: None,
        attempt: 1,
        from: OLD.parse().unwrap(),
        to: NEW.parse().unwrap(),
        since: start(),
        boots: if needs_boot { Boots::from(&boot.into()) } else { Boots::default() },
    }
}

/// With that claim on the instance.
fn claimed(step: ClaimStep) -> Facts {
    with(facts(), |facts| {
        facts.tags = Tags::Known { claim: Some(Ok(claim(step, BOOT))), failed: FailedVersions::default(), lock: None };
    })
}

fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

fn staged(state: UpdateState) -> impl FnOnce(&mut Facts) {
    move |facts| {
        let update = facts.host.as_mut().unwrap().report.update.as_mut().unwrap();
        (update.state, update.staged) = (state, Some(NEW.into()));
    }
}

fn failed_before(facts: &mut Facts) {
    if let Tags::Known { failed, .. } = &mut facts.tags {
        *failed = FailedVersions::parse(NEW);
    }
}

fn agent(state: AgentState) -> impl FnOnce(&mut Facts) {
    move |facts| facts.host.as_mut().unwrap().report.agent.as_mut().unwrap().state = state
}

fn taken(memory: &mut Memory) -> &mut TakenUp {
    memory.claim.as_mut().unwrap()
}

/// What an agent decides that looks at these facts for the first time, after a change to its memory.
fn act_after(facts: &Facts, now: Timestamp, change: impl FnOnce(&mut Memory)) -> Act {
    let mut memory = Memory::default();
    memory.observe(facts);
    change(&mut memory);
    decide(facts, &memory, &Limits::default(), now)
}

fn act(facts: &Facts) -> Act {
    act_after(facts, after(10), |_| {})
}

fn refusal(act: &Act) -> Option<ErrorCode> {
    match act {
        Act::End { error } => error.as_ref().map(|error| error.code.clone()),
        _ => None,
    }
}

#[test]
fn without_a_claim() {
    let idle = facts();
    assert_eq!(act(&idle), Act::Wait(Waits::Idle));
    assert_eq!(act_after(&idle, after(60), |_| {}), Act::Refresh);
    assert_eq!(act(&with(idle.clone(), |facts| facts.refreshed_at = None)), Act::Refresh);
    assert_eq!(act(&with(idle.clone(), |facts| facts.host_answers = false)), Act::Wait(Waits::HostUnknown));
    assert_eq!(act(&with(idle.clone(), |facts| facts.tags = Tags::Unknown)), Act::Wait(Waits::TagsUnknown));
    assert_eq!(act(&with(idle.clone(), |facts| facts.boot.id = None)), Act::Wait(Waits::BootUnknown));
    let unreadable = with(idle.clone(), |facts| {
        let error = models::claim::ClaimError::UnknownVersion("v9".into());
        let claim = Some(Err(BadClaim { value: "v9/x".into(), error }));
        facts.tags = Tags::Known { claim, failed: FailedVersions::default(), lock: None };
    });
    assert_eq!(act_after(&unreadable, after(600), |_| {}), Act::Wait(Waits::ClaimUnreadable));
    // What it has begun and nobody wants any more.
    let lock = Some("latest".to_owned());
    let owed = act_after(&idle, after(10), |memory| memory.lock_owed.clone_from(&lock));
    assert_eq!(owed, Act::Cancel { lock, tidying: true });
    let ready = with(idle, staged(UpdateState::Ready));
    assert_eq!(act(&ready), Act::Wait(Waits::Idle), "somebody else's activation is left alone");
    let ours = act_after(&ready, after(10), |memory| memory.activated_in = Some(BOOT.into()));
    assert_eq!(ours, Act::Cancel { lock: None, tidying: true });
}

#[test]
fn staging() {
    let write = Act::Stage { to: NEW.parse().unwrap(), lock: None, written_before: false };
    for step in [ClaimStep::Stage, ClaimStep::Drain] {
        let facts = claimed(step);
        assert_eq!(act(&facts), write);
        assert_eq!(refusal(&act(&with(facts.clone(), failed_before))), Some(ErrorCode::Refused));
        let again = act_after(&facts, after(10), |memory| taken(memory).not_before = Some(after(11)));
        assert_eq!(again, Act::Wait(Waits::Again(after(11))));
        let ended = act_after(&facts, after(10), |memory| taken(memory).progress = Progress::Failed);
        assert_eq!(ended, Act::Wait(Waits::ClaimEnded));
    }
    // The host's word that it is there is enough while drained; before, only the agent's own.
    let stage = with(claimed(ClaimStep::Stage), staged(UpdateState::Staged));
    assert_eq!(act(&stage), write);
    let wrote = |boot: &str| Some(Placed { version: NEW.parse().unwrap(), boot: boot.into() });
    let looked_at = Act::Stage { to: NEW.parse().unwrap(), lock: None, written_before: true };
    assert_eq!(act_after(&stage, after(10), |memory| memory.written = wrote(BOOT)), looked_at);
    assert_eq!(act_after(&stage, after(10), |memory| memory.written = wrote(BEFORE)), write);
    let drain = with(claimed(ClaimStep::Drain), staged(UpdateState::Staged));
    assert_eq!(act(&drain), Act::End { error: None });
    let lost = act_after(&claimed(ClaimStep::Drain), after(10), |memory| taken(memory).progress = Progress::Done);
    assert_eq!(lost, write);
    let locked = with(claimed(ClaimStep::Stage), |facts| {
        if let Tags::Known { lock, .. } = &mut facts.tags {
            *lock = Some("1.26.1".into());
        }
    });
    assert_eq!(
        act(&locked),
        Act::Stage { to: NEW.parse().unwrap(), lock: Some("1.26.1".into()), written_before: false }
    );
}

#[test]
fn rebooting_and_going_back() {
    let reboot = Act::Reboot { to: NEW.parse().unwrap() };
    let facts = claimed(ClaimStep::Reboot);
    assert_eq!(act(&facts), reboot);
    assert_eq!(refusal(&act(&with(facts.clone(), failed_before))), Some(ErrorCode::Refused));
    let asked = |memory: &mut Memory| taken(memory).reboot_asked = Some(after(9));
    assert_eq!(act_after(&facts, after(10), asked), Act::Wait(Waits::GoingDown(after(16))));
    assert_eq!(act_after(&facts, after(16), asked), reboot);
    // A failed one is the updater's to cancel.
    let failed = act_after(&with(facts, staged(UpdateState::Ready)), after(10), |memory| {
        taken(memory).progress = Progress::Failed;
        memory.activated_in = Some(BOOT.into());
    });
    assert_eq!(failed, Act::Wait(Waits::ClaimEnded));

    let revert = |inactive, switched| Act::Revert { from: OLD.parse().unwrap(), lock: None, inactive, switched };
    // The version it leaves is marked as failed; that is no reason to stay.
    let facts = with(claimed(ClaimStep::Revert), failed_before);
    assert_eq!(act(&facts), revert(false, false));
    let came_from = |memory: &mut Memory| {
        memory.came_from = Some(Placed { version: OLD.parse().unwrap(), boot: BOOT.into() });
    };
    assert_eq!(act_after(&facts, after(10), came_from), revert(true, false));
    assert_eq!(act_after(&facts, after(10), |memory| taken(memory).switched = true), revert(false, true));
    assert_eq!(act(&claimed(ClaimStep::Cancel)), Act::Cancel { lock: None, tidying: false });
}

/// What the other set has still needs not be written, and is gone back to past the host API.
#[test]
fn a_claimed_way_back_to_the_other_set() {
    let facts = |step| {
        with(claimed(step), |facts| {
            let claim = Claim { from: NEW.parse().unwrap(), to: OLD.parse().unwrap(), ..claim(step, BOOT) };
            facts.tags = Tags::Known { claim: Some(Ok(claim)), failed: FailedVersions::default(), lock: None };
            facts.host.as_mut().unwrap().report.os.as_mut().unwrap().version = NEW.into();
            facts.may_roll_back = true;
        })
    };
    let came_from = |version: &'static str| {
        move |memory: &mut Memory| {
            memory.came_from = Some(Placed { version: version.parse().unwrap(), boot: BOOT.into() });
        }
    };
    let old = || OLD.parse().unwrap();
    let alone = |switched| Act::Revert { from: old(), lock: None, inactive: true, switched };
    let (drain, reboot) = (facts(ClaimStep::Drain), facts(ClaimStep::Reboot));
    let stage = Act::Stage { to: old(), lock: None, written_before: false };
    assert_eq!(act_after(&drain, after(10), came_from(OLD)), Act::End { error: None });
    assert_eq!(act_after(&reboot, after(10), came_from(OLD)), alone(false));
    assert_eq!(act_after(&reboot, after(10), |memory| taken(memory).switched = true), alone(true));
    // Not the host's root; another version there; a claim that asks for the version to be written.
    let no_root = |facts: Facts| with(facts, |facts| facts.may_roll_back = false);
    assert_eq!(act_after(&no_root(drain.clone()), after(10), came_from(OLD)), stage);
    assert_eq!(act_after(&no_root(reboot), after(10), came_from(OLD)), Act::Reboot { to: old() });
    assert_eq!(act_after(&drain, after(10), came_from("1.25.0")), stage);
    assert_eq!(act_after(&facts(ClaimStep::Stage), after(10), came_from(OLD)), stage);
    // Nobody asks for it any more.
    let unclaimed = with(drain, |facts| {
        facts.tags = Tags::Known { claim: None, failed: FailedVersions::default(), lock: None };
    });
    let switched = |memory: &mut Memory| {
        (memory.activated_in, memory.switched_in) = (Some(BOOT.into()), Some(BOOT.into()));
    };
    assert_eq!(act_after(&unclaimed, after(10), switched), Act::Cancel { lock: None, tidying: true });
    let in_another = |memory: &mut Memory| {
        (memory.activated_in, memory.switched_in) = (Some(BOOT.into()), Some(BEFORE.into()));
    };
    assert_eq!(act_after(&unclaimed, after(10), in_another), Act::Wait(Waits::Idle));
}

#[test]
fn a_claim_of_another_boot_is_never_acted_upon() {
    for (step, running, progress) in [
        (ClaimStep::Reboot, NEW, Progress::Done),
        (ClaimStep::Reboot, OLD, Progress::Failed),
        (ClaimStep::Revert, OLD, Progress::Done),
        (ClaimStep::Revert, NEW, Progress::Failed),
    ] {
        let facts = with(claimed(step), |facts| {
            facts.boot.id = Some("another".into());
            facts.host.as_mut().unwrap().report.os.as_mut().unwrap().version = running.into();
        });
        let mut memory = Memory::default();
        memory.observe(&facts);
        assert_eq!(taken(&mut memory).progress, progress, "{step} {running}");
        assert_eq!(act(&facts), Act::Wait(Waits::ClaimEnded));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn the_trial() {
    // In the new version since `start`, the claim still there, the ECS agent down.
    let on_trial = with(claimed(ClaimStep::Reboot), |facts| {
        facts.boot.id = Some("new".into());
        facts.host.as_mut().unwrap().report.os.as_mut().unwrap().version = NEW.into();
        agent(AgentState::Down)(facts);
    });
    let trial = |armed| {
        move |memory: &mut Memory| {
            let claim = claim(ClaimStep::Reboot, BOOT);
            memory.trial = Some(Trial { claim, left: BOOT.into(), armed, falling_back: None });
        }
    };
    let goes_back = |act: &Act| matches!(act, Act::FallBack { .. });
    type Case = (&'static str, bool, i64, bool, fn(&mut Facts));
    let cases: [Case; 10] = [
        ("in time", true, 29, false, |_| {}),
        ("too late", true, 30, true, |_| {}),
        ("nobody can be heard", true, 30, true, |facts| facts.tags = Tags::Unknown),
        ("unregistered", true, 30, true, |facts| agent(AgentState::Unregistered)(facts)),
        ("no evidence", true, 30, false, |facts| agent(AgentState::Missing)(facts)),
        ("evidence of another kind", true, 30, false, |facts| agent(AgentState::Unknown("new".into()))(facts)),
        ("registered, updater gone", true, 600, false, |facts| agent(AgentState::Registered)(facts)),
        ("not registered before either", false, 600, false, |_| {}),
        ("the boot loader went back", true, 600, false, |facts| {
            facts.host.as_mut().unwrap().report.os.as_mut().unwrap().version = OLD.into();
        }),
        ("the host does not answer now", true, 600, false, |facts| facts.host_answers = false),
    ];
    for (name, armed, minutes, expected, change) in cases {
        let facts = with(on_trial.clone(), change);
        let mut memory = Memory::default();
        memory.observe(&facts);
        trial(armed)(&mut memory);
        let act = decide(&facts, &memory, &Limits::default(), after(minutes));
        assert_eq!(goes_back(&act), expected, "{name}: {act:?}");
    }
    // The updater's word: removed, changed, or a claim of a newer one.
    let words: [fn(&mut Facts); 2] = [
        |facts| facts.tags = Tags::Known { claim: None, failed: FailedVersions::default(), lock: None },
        |facts| {
            let claim = Claim { boots: Boots::from(&"new".into()), ..claim(ClaimStep::Revert, BOOT) };
            facts.tags = Tags::Known { claim: Some(Ok(claim)), failed: FailedVersions::default(), lock: None };
        },
    ];
    for word in words {
        let facts = with(on_trial.clone(), word);
        let mut memory = Memory::default();
        trial(true)(&mut memory);
        memory.observe(&facts);
        assert_eq!(memory.trial, None);
        assert!(!goes_back(&decide(&facts, &memory, &Limits::default(), after(600))));
    }
    // What went to a lower version is not taken up again.
    let facts = with(on_trial.clone(), |facts| {
        facts.host.as_mut().unwrap().report.os.as_mut().unwrap().version = OLD.into();
    });
    let mut memory = Memory::default();
    memory.observe(&facts);
    let back = claim(ClaimStep::Reboot, BOOT);
    let back = Claim { from: back.to.clone(), to: back.from.clone(), ..back };
    memory.trial = Some(Trial { claim: back, left: BOOT.into(), armed: true, falling_back: None });
    assert!(!goes_back(&decide(&facts, &memory, &Limits::default(), after(600))));
    // Once gone back, wherever that led: never again.
    for running in [OLD, NEW] {
        let facts = with(on_trial.clone(), |facts| {
            facts.boot.id = Some("third".into());
            facts.host.as_mut().unwrap().report.os.as_mut().unwrap().version = running.into();
        });
        let mut memory = Memory::default();
        memory.observe(&with(facts.clone(), |facts| facts.boot.id = Some(BOOT.into())));
        trial(true)(&mut memory);
        memory.trial.as_mut().unwrap().falling_back = Some(FallingBack {
            boot: "new".into(),
            why: "its ECS agent does not answer".into(),
            error: None,
            failures: 0,
            not_before: None,
            switched: true,
            reboot_asked: Some(after(31)),
        });
        memory.observe(&facts);
        assert_eq!(memory.trial, None);
        assert_eq!(taken(&mut memory).progress, Progress::FellBack);
        assert_eq!(decide(&facts, &memory, &Limits::default(), after(600)), Act::Wait(Waits::ClaimEnded));
    }
}

#[test]
fn while_the_host_may_still_go_down_nothing_else_is_begun() {
    let asked = |memory: &mut Memory| memory.going_down = Some(GoingDown { boot: BOOT.into(), asked: after(10) });
    let ready = |step| with(claimed(step), staged(UpdateState::Ready));
    let waits = Act::Wait(Waits::GoingDown(after(17)));
    for step in [ClaimStep::Stage, ClaimStep::Drain, ClaimStep::Cancel] {
        assert_eq!(act_after(&ready(step), after(12), asked), waits, "{step:?}");
        assert_ne!(act_after(&ready(step), after(17), asked), waits, "{step:?}, and it did not");
    }
    assert_eq!(act_after(&facts(), after(12), asked), waits, "nobody wants it any more");
    let elsewhere = |memory: &mut Memory| memory.going_down = Some(GoingDown { boot: BEFORE.into(), asked: after(10) });
    assert_eq!(act_after(&ready(ClaimStep::Drain), after(12), elsewhere), Act::End { error: None }, "it went down");
}

/// A reboot that the host has accepted comes, whatever becomes of the next try.
#[test]
fn a_try_that_fails_does_not_call_off_the_reboot_before_it() {
    let facts = with(claimed(ClaimStep::Reboot), staged(UpdateState::Ready));
    let reboot = Act::Reboot { to: NEW.parse().unwrap() };
    let mut memory = Memory::default();
    memory.observe(&facts);
    memory.asking(&reboot, &facts, after(10));
    let accepted = memory.going_down.clone();
    assert!(accepted.is_some());
    for code in [ErrorCode::TasksRunning, ErrorCode::ApiDown, ErrorCode::Failed] {
        let error = ReportedError { at: "reboot".into(), code, detail: "not now".into() };
        memory.end(&reboot, &Outcome { wrote: None, reboot_asked: false, error: Some(error) }, &facts, after(11));
        assert_eq!(memory.going_down, accepted);
    }
}
