//! The metrics of a run, as they stand in the log. That CloudWatch would take them, `fleet-sim` says of every scenario
//! (`tests/src/emf.rs`).

use clap::Parser as _;
use ecs_updater::args::Cli;
use ecs_updater::config::{Environment, METRICS_VARIABLE};
use ecs_updater::render::metrics;
use ecs_updater::telemetry;
use jiff::{SignedDuration, Timestamp};
use models::report::{
    ClusterEnd, ClusterError, ClusterErrorKind, ClusterReport, InstanceReport, NothingUpdated, OldestRelease, Outcome,
    RunReport,
};
use serde_json::{Value, json};

const ENDED: i64 = 1_795_402_800;

fn instance(outcome: Outcome, reason: Option<&str>) -> InstanceReport {
    InstanceReport {
        container_instance: "arn:aws:ecs:eu-west-1:123456789012:container-instance/web/1".into(),
        ec2_instance_id: "i-1".into(),
        zone: None,
        group: None,
        outcome,
        reason: reason.map(str::to_owned),
        detail: None,
        from: None,
        to: None,
        turn: None,
        phases: Vec::new(),
        out_of_service_s: None,
        unknown_tags: Vec::new(),
    }
}

fn cluster(name: &str, instances: Vec<InstanceReport>, end: ClusterEnd) -> ClusterReport {
    ClusterReport {
        cluster: name.into(),
        location: Default::default(),
        error: None,
        taken_back: None,
        notes: Vec::new(),
        instances,
        aws_calls: Default::default(),
        longest_out_of_service_s: None,
        estimate: None,
        ignored_tags: Vec::new(),
        auto_scaling_groups: Vec::new(),
        oldest_release: None,
        timeline: Default::default(),
        end,
    }
}

fn run(clusters: Vec<ClusterReport>) -> RunReport {
    let ended_at = Timestamp::new(ENDED, 0).unwrap();
    let report = RunReport {
        version: 1,
        run: "01KAQ3X9ZC8W5N3M2T7R6V4B1D".into(),
        dry_run: false,
        started_at: ended_at - SignedDuration::from_mins(30),
        ended_at,
        interrupted: false,
        clusters,
        nothing_updated: None,
    };
    RunReport { nothing_updated: NothingUpdated::of(&report), ..report }
}

fn ago(time: SignedDuration) -> Option<Timestamp> {
    Some(Timestamp::new(ENDED, 0).unwrap() - time)
}

/// The lines, each as the values that are metrics there.
fn written(report: &RunReport) -> Vec<Value> {
    let lines = metrics::lines(report, "stack");
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The metrics of a line, without what makes it one.
fn values(line: &Value) -> Value {
    let mut line = line.as_object().unwrap().clone();
    let metadata = line.remove("_aws").unwrap();
    let named = metadata["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().clone();
    for name in ["Updater", "Cluster", "run"] {
        line.remove(name);
    }
    assert_eq!(line.len(), named.len(), "{line:?}");
    Value::Object(line)
}

#[test]
fn a_line_for_each_cluster_and_one_for_the_run() {
    let web = cluster(
        "web",
        vec![
            instance(Outcome::Updated, None),
            instance(Outcome::Held, Some("no_room")),
            instance(Outcome::Held, Some("excluded")),
            instance(Outcome::RolledBack, Some("unhealthy")),
        ],
        ClusterEnd { out_of_service: 2, drained_since: ago(SignedDuration::from_hours(7)), ..ClusterEnd::default() },
    );
    let batch = cluster(
        "batch",
        vec![instance(Outcome::Held, Some("paused")), instance(Outcome::Held, Some("paused"))],
        ClusterEnd { last_progress: ago(SignedDuration::from_hours(24 * 9 + 23)), ..ClusterEnd::default() },
    );
    let report = run(vec![web, batch]);
    let lines = metrics::lines(&report, "stack");
    insta::assert_snapshot!(lines[1], @r#"{"AnotherRun":0,"Cluster":"batch","DaysWithoutProgress":9,"Failed":0,"Held":2,"Held_paused":2,"OldestDrain":0,"OutOfService":0,"Outdated":2,"Updated":0,"Updater":"stack","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Updater","Cluster"]],"Metrics":[{"Name":"AnotherRun","Unit":"Count"},{"Name":"Updated","Unit":"Count"},{"Name":"Outdated","Unit":"Count"},{"Name":"Held","Unit":"Count"},{"Name":"Failed","Unit":"Count"},{"Name":"OutOfService","Unit":"Count"},{"Name":"OldestDrain","Unit":"Seconds"},{"Name":"DaysWithoutProgress","Unit":"None"},{"Name":"Held_paused","Unit":"Count"}],"Namespace":"EcsUpdater"}],"Timestamp":1795402800000},"run":"01KAQ3X9ZC8W5N3M2T7R6V4B1D"}"#);
    let written = written(&report);
    assert_eq!(
        values(&written[0]),
        json!({
            "AnotherRun": 0, "Updated": 1, "Outdated": 2, "Held": 2, "Failed": 1, "OutOfService": 2,
            "OldestDrain": 7 * 3600, "DaysWithoutProgress": 0, "Held_excluded": 1, "Held_no_room": 1
        })
    );
    assert_eq!(
        values(&written[1]),
        json!({
            "AnotherRun": 0, "Updated": 0, "Outdated": 2, "Held": 2, "Failed": 0, "OutOfService": 0, "OldestDrain": 0,
            "DaysWithoutProgress": 9, "Held_paused": 2
        })
    );
    assert_eq!(written[2]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Updater"]]));
    assert_eq!(
        values(&written[2]),
        json!({
            "AnotherRun": 0, "NothingUpdated": 0, "Updated": 1, "Outdated": 4, "Held": 4, "Failed": 1,
            "OutOfService": 2, "OldestDrain": 7 * 3600, "DaysWithoutProgress": 9
        })
    );
}

#[test]
fn what_is_not_known_is_left_out_and_a_plan_has_none() {
    let error = Some(ClusterError { kind: ClusterErrorKind::AnotherRun, message: "m".into() });
    let other = ClusterReport { error, ..cluster("web", Vec::new(), ClusterEnd::default()) };
    let written_of = |clusters| written(&run(clusters)).iter().map(values).collect::<Vec<_>>();
    assert_eq!(written_of(vec![other]), [json!({ "AnotherRun": 1 }), json!({ "AnotherRun": 1, "NothingUpdated": 0 })]);
    let never = cluster("web", vec![instance(Outcome::Held, Some("no_room"))], ClusterEnd::default());
    let lines = written_of(vec![never.clone()]);
    assert_eq!((&lines[0]["Outdated"], &lines[0]["DaysWithoutProgress"]), (&json!(1), &Value::Null));
    assert_eq!(lines[1]["NothingUpdated"], json!(1));
    let current = cluster("web", vec![instance(Outcome::Current, None)], ClusterEnd::default());
    assert_eq!(written_of(vec![current])[0]["DaysWithoutProgress"], json!(0));
    assert_eq!(metrics::lines(&RunReport { dry_run: true, ..run(vec![never]) }, "stack"), Vec::<String>::new());
}

#[test]
fn the_age_of_the_oldest_version_is_in_whole_days_and_the_runs_is_the_highest() {
    let dated = |name: &str, hours: i64| {
        let version = "1.26.1".parse().unwrap();
        let oldest = OldestRelease { version, published_at: ago(SignedDuration::from_hours(hours)).unwrap() };
        let known = cluster(name, vec![instance(Outcome::Current, None)], ClusterEnd::default());
        ClusterReport { oldest_release: Some(oldest), ..known }
    };
    let unknown = cluster("batch", vec![instance(Outcome::Current, None)], ClusterEnd::default());
    let ages = |clusters| {
        let of = |line: &Value| values(line).get("OldestVersionDays").cloned();
        written(&run(clusters)).iter().map(of).collect::<Vec<_>>()
    };
    let (days, ahead) = (dated("web", 24 * 143 + 23), dated("far", -1));
    assert_eq!(ages(vec![days, unknown.clone(), ahead]), [Some(json!(143)), None, Some(json!(0)), Some(json!(143))]);
    assert_eq!(ages(vec![unknown]), [None, None]);
}

#[test]
fn the_versions_that_instances_run_at_the_end_are_counted() {
    let on = |outcome, from: &str, to: Option<&str>| InstanceReport {
        from: Some(from.parse().unwrap()),
        to: to.map(|to| to.parse().unwrap()),
        ..instance(outcome, None)
    };
    let counted = |instances: Vec<InstanceReport>| {
        let lines = written(&run(vec![cluster("web", instances, ClusterEnd::default())]));
        let of = |line: &Value| {
            let all = values(line).as_object().unwrap().clone();
            Value::Object(all.into_iter().filter(|(name, _)| name.starts_with("Version_")).collect())
        };
        assert_eq!(of(&lines[1]), json!({}), "the run's line has none");
        of(&lines[0])
    };
    let to = Some("1.27.0");
    let instances = vec![
        on(Outcome::Updated, "1.26.1", to),
        on(Outcome::Current, "1.27.0", None),
        on(Outcome::Held, "1.26.1", to),
        on(Outcome::RolledBack, "1.25.0", to),
        on(Outcome::Failed, "1.26.1", to),
        on(Outcome::InProgress, "1.26.1", to),
        on(Outcome::ScaledIn, "1.26.1", to),
        on(Outcome::Gone, "1.26.1", None),
        instance(Outcome::Held, Some("host_unreachable")),
        on(Outcome::Current, &format!("1.26.1-{}", "a".repeat(300)), None),
    ];
    assert_eq!(counted(instances), json!({ "Version_1.25.0": 1, "Version_1.26.1": 1, "Version_1.27.0": 2 }));

    let many = |versions: usize| {
        let all = (0..versions).map(|minor| on(Outcome::Current, &format!("1.{minor}.0"), None));
        counted(all.collect()).as_object().unwrap().clone()
    };
    assert_eq!(many(metrics::MAX_VERSIONS).len(), metrics::MAX_VERSIONS);
    let more = many(metrics::MAX_VERSIONS + 3);
    assert_eq!(more.len(), metrics::MAX_VERSIONS + 1);
    assert_eq!((&more["Version_1.0.0"], &more["Version_newer"]), (&json!(1), &json!(3)));
}

#[test]
fn they_are_written_under_a_name_and_only_where_there_is_one() {
    let of = |flag: &[&str], variable: &str| {
        let cli = Cli::try_parse_from(["ecs-updater", "run"].iter().chain(flag)).unwrap();
        let environment: Environment = [(METRICS_VARIABLE.to_owned(), variable.to_owned())].into();
        telemetry::metrics(&cli.global, &environment)
    };
    assert_eq!(of(&[], "").unwrap(), None);
    assert_eq!(of(&[], "ecs-updater").unwrap().as_deref(), Some("ecs-updater"));
    assert_eq!(of(&["--metrics", "mine"], "ecs-updater").unwrap().as_deref(), Some("mine"));
    insta::assert_snapshot!(of(&["--metrics", ""], "").unwrap_err(), @r##"name "" of the metrics in flag --metrics must be 1 to 255 letters, digits and the characters _ - . / #"##);
    insta::assert_snapshot!(of(&[], "a b").unwrap_err(), @r##"name "a b" of the metrics in environment variable ECS_UPDATER_METRICS must be 1 to 255 letters, digits and the characters _ - . / #"##);
}
