//! What a run does when its work is over: it keeps its report in S3, and asks how old the oldest release is, for its metrics.
//! Neither fails it, nor holds it up for longer than the documents say.

use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::expect::RunSpec;
use fleet_sim::limit::Limit;
use fleet_sim::rollout::{Ran, Rollout};
use fleet_sim::trial::Trial;
use fleet_sim::verdict::{Strictness, Verdict};
use jiff::SignedDuration;
use models::report::RunReport;

const FLEET: &str = r#"
clusters = ["web"]
[repository]
versions = ["1.26.1", "1.27.0"]
[[instances]]
count = 2
[buckets]
runs = {}
"#;
const REPORTS: &str = "[updater.defaults]\nreports = \"s3://runs/reports\"\n";

/// What came of a run on this scenario, and what lies in the buckets.
struct Kept {
    ran: Ran,
    objects: usize,
    calls: Vec<String>,
}

impl Kept {
    fn report(&self) -> &RunReport {
        self.ran.report.as_ref().unwrap()
    }

    /// How long its process lived on when the report was made.
    fn behind(&self) -> SignedDuration {
        let report = self.report();
        self.ran.took - report.ended_at.duration_since(report.started_at)
    }

    fn called(&self, operation: &str) -> usize {
        self.calls.iter().filter(|call| *call == operation).count()
    }
}

fn run(more: &str, expect: &str) -> Kept {
    let scenario = Scenario::parse(&format!("{FLEET}{more}[expect]\n{expect}")).unwrap();
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let mut rollout = Rollout::start(&scenario).await.unwrap();
        let expect = rollout.expect.clone();
        let mut trial = Trial::of(&mut rollout, &expect, Limit::NONE).await;
        let verdict = Verdict::of(&rollout, &expect, &trial, Strictness::Named);
        assert_eq!(verdict.problems, Vec::<String>::new(), "{more}");
        let calls = rollout.region.calls().iter().map(|call| call.name()).collect();
        let objects = rollout.region.look(|world| world.objects().len());
        Kept { ran: trial.ran.pop().unwrap(), objects, calls }
    })
}

fn fault(operation: &str, what: &str) -> String {
    format!("[[fault]]\noperation = \"{operation}\"\n{what}\n")
}

#[test]
fn a_bucket_that_refuses_or_hangs_costs_the_report_there_and_no_more() {
    let at_once = SignedDuration::from_secs(1);
    let table = [
        ("it is well", String::new(), at_once, 2),
        ("it refuses", fault("s3:PutObject", "error = \"AccessDenied\"\nstatus = 403"), at_once, 0),
        ("it is busy", fault("s3:PutObject", "error = \"SlowDown\"\nstatus = 503"), at_once, 0),
        ("the connection breaks", fault("s3:PutObject", "reset = \"before\""), at_once, 0),
        ("the answer is lost", fault("s3:PutObject", "reset = \"after\""), at_once, 2),
        ("one of both hangs", fault("s3:PutObject", "delay = \"5h\"\nnth = 1"), SignedDuration::from_secs(11), 1),
        ("it hangs", fault("s3:PutObject", "delay = \"5h\""), SignedDuration::from_secs(11), 0),
    ];
    for (name, fault, most, objects) in table {
        let kept = run(&(fault + REPORTS), "exit = \"success\"\noutcomes = { updated = 2 }");
        assert!(kept.behind() <= most, "{name}: {}", kept.behind());
        assert_eq!(kept.objects, objects, "{name}");
        // What hangs is never answered, and counts as no call.
        let hangs = most > at_once;
        assert!(kept.called("s3:PutObject") == 2 || hangs && kept.called("s3:PutObject") <= 1, "{name}");
        assert!(!kept.report().clusters[0].aws_calls.contains_key("s3:PutObject"), "{name}");
    }
}

#[test]
fn after_a_signal_a_bucket_is_waited_for_two_seconds() {
    let hangs = fault("s3:PutObject", "delay = \"5h\"") + REPORTS;
    let kept = run(&hangs, "run = [{ interrupt = { at = \"1m\" } }]\nexit = \"interrupted\"");
    assert!(kept.behind() <= SignedDuration::from_millis(2_100), "{}", kept.behind());
    assert!(kept.report().interrupted);
    let well = run(REPORTS, "run = [{ interrupt = { at = \"1m\" } }]\nexit = \"interrupted\"");
    assert_eq!(well.objects, 2);
}

#[test]
fn a_plan_keeps_no_report_and_asks_for_no_age() {
    let plan = run(REPORTS, "run = [{ dry_run = true, metrics = true }]");
    assert_eq!((plan.objects, plan.called("s3:PutObject"), plan.called("ec2:DescribeImages")), (0, 0, 0));
}

#[test]
fn a_run_without_metrics_does_not_ask_how_old_a_release_is() {
    let without = run("", "exit = \"success\"");
    assert_eq!((without.called("ec2:DescribeImages"), without.called("ssm:GetParameters")), (0, 0));
    assert_eq!(without.report().clusters[0].oldest_release, None);
    let with = run("", "run = [{ metrics = true }]\nexit = \"success\"");
    assert_eq!((with.called("ec2:DescribeImages"), with.called("ssm:GetParameters")), (1, 0));
    assert!(with.report().clusters[0].oldest_release.is_some());
    assert_eq!(with.report().clusters[0].aws_calls, without.report().clusters[0].aws_calls);
}

#[test]
fn an_age_that_is_not_told_in_time_is_left_out() {
    let hangs = fault("ec2:DescribeImages", "delay = \"5h\"");
    let refused = fault("ec2:DescribeImages", "error = \"UnauthorizedOperation\"\nstatus = 403");
    let both = fault("ssm:GetParameters", "delay = \"5h\"");
    let table = [
        ("both hang", hangs.clone() + &both, SignedDuration::from_secs(31), false),
        ("images hang", hangs, SignedDuration::from_secs(21), true),
        ("images are refused", refused.clone(), SignedDuration::from_secs(1), true),
        ("images are refused, and parameters hang", refused + &both, SignedDuration::from_secs(21), false),
    ];
    let without = run("", "exit = \"success\"");
    for (name, faults, most, is_told) in table {
        let kept = run(&faults, "run = [{ metrics = true }]\nexit = \"success\"\noutcomes = { updated = 2 }");
        assert!(kept.ran.took <= without.ran.took + most, "{name}: {} and {}", kept.ran.took, without.ran.took);
        assert_eq!(kept.report().clusters[0].oldest_release.is_some(), is_told, "{name}");
    }
}

/// Two runs that begin in the same second, as by two schedules, have ids of their own.
#[test]
fn runs_side_by_side_do_not_overwrite_each_other() {
    let text = format!("{FLEET}{REPORTS}[expect]\nprocess = [{{}}, {{}}]\n");
    let scenario = Scenario::parse(&text).unwrap();
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let rollout = Rollout::start(&scenario).await.unwrap();
        rollout.side_by_side(&rollout.expect.process.clone()).await;
        let puts: Vec<u32> = rollout.region.look(|world| world.objects().values().map(|object| object.puts).collect());
        assert_eq!(puts, [1; 4]);
    });
}

/// The judge of scenarios sees what is wrong in a bucket.
#[test]
fn what_is_missing_in_a_bucket_is_found() {
    let scenario = Scenario::parse(&format!("{FLEET}{REPORTS}")).unwrap();
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let mut rollout = Rollout::start(&scenario).await.unwrap();
        let ran = rollout.run(&RunSpec::default(), &()).await;
        let mut report = ran.report.clone().unwrap();
        report.run = "01ANOTHER".into();
        let trial = Trial { kind: fleet_sim::trial::Kind::Runs, ran: vec![Ran { report: Some(report), ..ran }] };
        let verdict = Verdict::of(&rollout, &rollout.expect.clone(), &trial, Strictness::Named);
        let missing: Vec<&String> =
            verdict.problems.iter().filter(|one| one.starts_with("not kept: s3://runs/")).collect();
        assert_eq!(missing.len(), 2, "{:?}", verdict.problems);
    });
}
