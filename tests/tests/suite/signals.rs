//! A signal is heard in every state: within 5 s nothing is sent any more but the return of the lease and what is left beside
//! it, the report comes within half a minute, and whatever goes wrong the loop does not spin.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecs_updater::exit::ExitStatus;
use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::invariants::Rule;
use fleet_sim::proof::jobs;
use fleet_sim::rollout::Rollout;
use fleet_sim::signals::{Sent, SignalAt, Signalled};
use jiff::{SignedDuration, Timestamp};

/// Three instances with an image to write, and a service that moves.
const CLUSTER: &str = r#"
repository = { versions = ["1.26.1", "1.27.0"] }
[[instances]]
count = 3
zones = ["a", "b", "c"]
asg = "web"
image = "1.26.1"
[[service]]
name = "web"
desired = 3
"#;

/// A run is watched for so long: in the healthy state it ends by itself before.
const WATCHED: Duration = Duration::from_secs(25 * 60);
/// Nothing new leaves later than this after the signal.
const SENDS_NO_LONGER_THAN: SignedDuration = SignedDuration::from_secs(5);
/// ECS kills a task 30 s after SIGTERM; the report is out before.
const REPORTS_WITHIN: SignedDuration = SignedDuration::from_secs(28);
/// Calls after the signal, at most.
const CALLS_AFTER: usize = 40;
/// Calls in any minute: a healthy run of this size makes half of that.
const CALLS_A_MINUTE: usize = 60;

/// A state that a run can be in when the signal comes.
struct State {
    name: &'static str,
    /// Lines before the cluster's.
    top: &'static str,
    faults: &'static str,
}

const LEASE: &str = "tables = { leases = \"lease\" }\nupdater = { lease_table = \"leases\" }\n";

const STATES: &[State] = &[
    State { name: "healthy", top: "", faults: "" },
    State { name: "healthy, with a lease", top: LEASE, faults: "" },
    State {
        name: "looks are denied",
        top: "",
        faults: "operation = \"ecs:DescribeContainerInstances\"\nfrom = \"90s\"\nerror = \"AccessDeniedException\"",
    },
    State {
        name: "looks are denied, with a lease",
        top: LEASE,
        faults: "operation = \"ecs:DescribeContainerInstances\"\nfrom = \"90s\"\nerror = \"AccessDeniedException\"",
    },
    State {
        name: "changes of status are denied",
        top: "",
        faults: "operation = \"ecs:UpdateContainerInstancesState\"\nfrom = \"1s\"\nerror = \"AccessDeniedException\"",
    },
    State {
        name: "tags are denied in the middle",
        top: "",
        faults: "operation = \"ec2:CreateTags\"\nfrom = \"55s\"\nerror = \"UnauthorizedOperation\"",
    },
    State {
        name: "SSM is denied in the middle",
        top: "",
        faults: "operation = \"ssm:*\"\nfrom = \"55s\"\nerror = \"AccessDeniedException\"",
    },
    State { name: "AWS is out", top: "", faults: "operation = \"*\"\nfrom = \"90s\"\nstatus = 503" },
    State { name: "AWS is out, with a lease", top: LEASE, faults: "operation = \"*\"\nfrom = \"90s\"\nstatus = 503" },
    State {
        name: "AWS breaks every connection",
        top: "",
        faults: "operation = \"*\"\nfrom = \"90s\"\nreset = \"before\"",
    },
    State { name: "AWS hangs", top: "", faults: "operation = \"*\"\nfrom = \"70s\"\ndelay = \"30s\"" },
    State { name: "AWS hangs, with a lease", top: LEASE, faults: "operation = \"*\"\nfrom = \"70s\"\ndelay = \"30s\"" },
    State { name: "SSM hangs", top: "", faults: "operation = \"ssm:*\"\nfrom = \"70s\"\ndelay = \"30s\"" },
    State {
        name: "writes of tags hang, with a lease",
        top: LEASE,
        faults: "operation = \"ec2:CreateTags\"\ndelay = \"30s\"",
    },
    State {
        name: "changes of status hang, with a lease",
        top: LEASE,
        faults: "operation = \"ecs:UpdateContainerInstancesState\"\ndelay = \"30s\"",
    },
    State {
        name: "the first look hangs",
        top: LEASE,
        faults: "operation = \"ecs:ListContainerInstances\"\ndelay = \"30s\"",
    },
    State { name: "the lease hangs", top: LEASE, faults: "operation = \"dynamodb:UpdateItem\"\ndelay = \"30s\"" },
    State {
        name: "the lease hangs in the middle",
        top: LEASE,
        faults: "operation = \"dynamodb:UpdateItem\"\nfrom = \"50s\"\ndelay = \"30s\"",
    },
    State {
        name: "the lease is not answered",
        top: LEASE,
        faults: "operation = \"dynamodb:UpdateItem\"\nstatus = 500",
    },
    State {
        name: "the lease is denied in the middle",
        top: LEASE,
        faults: "operation = \"dynamodb:UpdateItem\"\nfrom = \"50s\"\nerror = \"AccessDeniedException\"",
    },
    State {
        name: "the images' names hang at the end",
        top: "",
        faults: "operation = \"ec2:DescribeImages\"\ndelay = \"30s\"",
    },
];

impl State {
    fn scenario(&self) -> Scenario {
        let faults = if self.faults.is_empty() { String::new() } else { format!("[[fault]]\n{}\n", self.faults) };
        Scenario::parse(&format!("{}{CLUSTER}{faults}", self.top)).unwrap()
    }
}

/// One run, and what came of it.
struct Case {
    ran: Signalled,
    log: String,
    broken: Vec<String>,
    /// What another run that begins right after it came to.
    next: Option<Signalled>,
}

fn run(state: &State, signal: Option<SignalAt>) -> Case {
    let runtime = paused().unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let rollout = Rollout::start(&state.scenario()).await.unwrap();
            let at_most = if signal.is_some() { WATCHED + Duration::from_secs(60) } else { WATCHED };
            let ran = rollout.run_with_signal(1, signal, at_most).await;
            let next = if signal.is_some() && !state.top.is_empty() {
                Some(rollout.run_with_signal(2, None, Duration::from_secs(120)).await)
            } else {
                None
            };
            let mut broken = rollout.region.violations();
            // What was interrupted is left as it is.
            broken.retain(|violation| violation.rule != Rule::LeftBehind && violation.rule != Rule::ClaimLeft);
            let mut broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
            broken.extend(rollout.region.unknown());
            Case { ran, log: log.text(), broken, next }
        })
    })
}

#[test]
fn a_signal_at_every_tenth_call_is_heard_in_every_state() {
    let only = std::env::var("STATE").ok();
    let states: Vec<&State> =
        STATES.iter().filter(|state| only.as_deref().is_none_or(|name| state.name.contains(name))).collect();
    let cases: Vec<(&State, SignalAt, bool)> = states
        .iter()
        .flat_map(|state| {
            let plain = run(state, None).ran;
            let calls = plain.sent.len() as u64;
            let after = |millis| Duration::from_millis(millis);
            let first = [(0, 0), (1, 0), (1, 700)].into_iter();
            // As a call leaves; while its answer, or the next look, is waited for.
            let tenth = (10..=calls).step_by(10).flat_map(|call| [(call, 0), (call, 1_300)]);
            let last = [(calls, 0), (calls, 1)].into_iter();
            first.chain(tenth).chain(last).map(move |(call, ms)| {
                // With its last call a run ends by itself, whatever comes then; under a lease with the one before, by which
                // it leaves its summary.
                let last_calls = if state.top.is_empty() { 0 } else { 1 };
                let ends_by_itself = plain.report.is_some() && call + last_calls >= calls;
                (*state, SignalAt { call, after: after(ms) }, ends_by_itself)
            })
        })
        .collect();
    assert!(only.is_some() || cases.len() > 300, "{} cases", cases.len());
    let problems = jobs::all(jobs::threads(), &cases, |(state, signal, ends_by_itself)| {
        let case = run(state, Some(*signal));
        problems(&case, *ends_by_itself)
            .into_iter()
            .map(|problem| format!("{}: {signal:?}: {problem}", state.name))
            .collect::<Vec<_>>()
    });
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn problems(case: &Case, ends_by_itself: bool) -> Vec<String> {
    let mut problems = case.broken.clone();
    let Case { ran, log, .. } = case;
    let Some(report) = &ran.report else {
        problems.push("no report".to_owned());
        return problems;
    };
    let Some(signal_at) = ran.signal_at else { return problems };
    let since = |at: Timestamp| at.duration_since(signal_at);
    if since(ran.ended_at) > REPORTS_WITHIN {
        problems.push(format!("the report came after {:?}", since(ran.ended_at)));
    }
    let is_interrupted = report.interrupted && ExitStatus::of(report) == ExitStatus::Interrupted;
    if !is_interrupted && !ends_by_itself {
        problems.push(format!("exit {:?}: {:?}", ExitStatus::of(report), report.clusters[0].error));
    }
    let later: Vec<&Sent> = ran.sent.iter().filter(|sent| sent.at > signal_at).collect();
    if later.len() > CALLS_AFTER {
        problems.push(format!("{} calls after the signal", later.len()));
    }
    let too_late = later.iter().filter(|sent| since(sent.at) > SENDS_NO_LONGER_THAN);
    for sent in too_late.filter(|sent| !["dynamodb:UpdateItem", "dynamodb:PutItem"].contains(&sent.name.as_str())) {
        problems.push(format!("{} was sent {:?} after the signal", sent.name, since(sent.at)));
    }
    if !log.contains("interrupted: ") && !ends_by_itself {
        problems.push("the log does not say that the signal was heard".to_owned());
    }
    problems.extend(problems_of_the_next(case));
    problems
}

/// The lease is given back, or a line says that it is not; then the next run finds it held.
fn problems_of_the_next(case: &Case) -> Option<String> {
    let next = case.next.as_ref()?;
    let acquired = case.log.contains("lease acquired");
    let left = case.log.contains("expires by itself");
    let found_held = next.sent.len() == 1;
    (acquired && found_held && !left).then(|| "the lease was not given back, and the log does not say so".to_owned())
}

#[test]
fn whatever_goes_wrong_the_loop_does_not_spin() {
    let busiest = jobs::all(jobs::threads(), STATES, |state| {
        let ran = run(state, None).ran;
        let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
        for sent in &ran.sent {
            *minutes.entry(sent.at.as_second() / 60).or_default() += 1;
        }
        (state.name, minutes.into_values().max().unwrap_or(0))
    });
    for (name, calls) in &busiest {
        println!("{name}: {calls} calls in the busiest minute");
    }
    let spins: Vec<_> = busiest.iter().filter(|(_, calls)| *calls > CALLS_A_MINUTE).collect();
    assert!(spins.is_empty(), "{spins:?}");
}

/// Collects the log of the thread's run.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
