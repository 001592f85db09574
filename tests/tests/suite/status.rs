//! `status` on simulated Regions, by SSM and by bridge: what it says of who is out of service, and that it costs few calls and
//! sends no host anything.

use std::time::Duration;

use ecs_updater::exit::ExitStatus;
use ecs_updater::render::status::render;
use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::expect::RunSpec;
use fleet_sim::moment::Moment;
use fleet_sim::rollout::{Looker, Rollout};
use fleet_sim::scenario::{HostWhen, Point};
use jiff::SignedDuration;
use models::report::ClusterErrorKind;
use models::status::{ClusterStatus, GroupBegins, LeaseStatus, OutBy, StatusReport, VersionSource};

const CLUSTER: &str = r#"
seed = 17
clusters = ["web"]
tables = { leases = "lease" }
updater = { lease_table = "leases" }
repository = { versions = ["1.26.1", "1.27.0"] }
[[instances]]
count = 4
zones = ["a", "b"]
[[service]]
name = "shop"
desired = 4
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ssm,
    Bridge,
}

/// Plays on the simulated Region, by both ways.
fn by_both(text: &str, play: impl AsyncFn(Rollout, Way)) {
    for way in [Way::Ssm, Way::Bridge] {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let scenario = if way == Way::Bridge { scenario.by_bridge() } else { scenario };
        let runtime = paused().unwrap();
        runtime.block_on(async {
            let rollout = Rollout::start(&scenario).await.unwrap();
            let region = std::sync::Arc::clone(&rollout.region);
            play(rollout, way).await;
            assert_eq!(region.unknown(), Vec::<String>::new(), "{way:?}");
            assert_eq!(region.violations(), [], "{way:?}");
        });
    }
}

/// Looks, and sees that no more than that was done.
async fn look(rollout: &Rollout) -> StatusReport {
    look_by(&rollout.looker(), rollout).await
}

async fn look_by(looker: &Looker, rollout: &Rollout) -> StatusReport {
    let before = rollout.region.calls().len();
    let began = rollout.region.clock().now();
    let status = looker.status().await;
    let took = rollout.region.clock().now().duration_since(began);
    assert!(took < SignedDuration::from_secs(10), "{took}");
    for call in rollout.region.calls_since(before) {
        assert!(!call.operation.starts_with("Send") && call.service != fleet_sim::wire::Service::Ssm, "{call}");
    }
    let text = render(&status, Some(80));
    assert!(text.lines().all(|line| line.starts_with("    ") || line.chars().count() <= 100), "{text}");
    status
}

fn codes(cluster: &ClusterStatus) -> Vec<&str> {
    cluster.needs.iter().map(|need| need.code.as_str()).collect()
}

fn commands(cluster: &ClusterStatus) -> Vec<&str> {
    cluster.needs.iter().flat_map(|need| &need.commands).map(String::as_str).collect()
}

fn kill(moment: Moment) -> RunSpec {
    RunSpec { kill: Some(moment), ..RunSpec::default() }
}

async fn pass(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
}

#[test]
fn before_any_run_nothing_is_known_and_all_is_well() {
    by_both(CLUSTER, async |rollout, way| {
        let status = look(&rollout).await;
        let [web] = &status.clusters[..] else { panic!("{status:?}") };
        assert_eq!((web.instances.len(), codes(web)), (4, vec![]));
        assert_eq!(web.lease, LeaseStatus::Never);
        assert!(web.begins.as_ref().is_some_and(|begins| begins.may));
        // A bridge tells its version by itself; without one nobody has.
        let known =
            web.versions.iter().filter(|count| count.version.is_some()).map(|count| count.instances).sum::<usize>();
        assert_eq!(known, if way == Way::Bridge { 4 } else { 0 });
        assert_eq!(ExitStatus::of_status(&status), ExitStatus::Success);
    });
}

#[test]
fn during_a_run_the_holder_is_named_and_what_it_has_out_of_service() {
    by_both(CLUSTER, async |mut rollout, _| {
        let looker = rollout.looker();
        let run = async {
            rollout.run(&RunSpec::default(), &()).await.report.unwrap();
            rollout
        };
        let watch = async {
            // Until something is out of service.
            loop {
                tokio::time::sleep(Duration::from_secs(20)).await;
                let status = looker.status().await;
                if status.clusters[0].instances.iter().any(|line| line.out.is_some()) {
                    return status;
                }
            }
        };
        let (rollout, status) = tokio::join!(run, watch);
        let web = &status.clusters[0];
        let holder = web.lease.holder().expect("a run is at work").clone();
        let out: Vec<_> =
            web.instances.iter().filter_map(|line| Some((line.out.as_ref()?, line.claim.as_ref()?))).collect();
        assert_eq!(out.len(), 1, "max_unavailable is 1");
        assert_eq!(out[0].0.by, OutBy::Run { run: holder });
        assert!(!out[0].0.seen && out[0].0.since == Some(out[0].1.since));
        assert_eq!(codes(web), Vec::<&str>::new(), "it is in hand");

        let after = look(&rollout).await;
        let web = &after.clusters[0];
        assert!(matches!(web.lease, LeaseStatus::Free { .. }));
        let last = web.last_run.as_ref().unwrap();
        assert!(last.ended && !last.interrupted, "{last:?}");
        assert_eq!(last.outcomes.get("updated"), Some(&4));
        let [count] = &web.versions[..] else { panic!("{:?}", web.versions) };
        assert_eq!((count.version.as_ref().unwrap().to_string(), count.instances), ("1.27.0".to_owned(), 4));
        assert_eq!(ExitStatus::of_status(&after), ExitStatus::Success);
        assert!(render(&after, None).ends_with("web: all well\n\n"));
    });
}

#[test]
fn the_claim_of_a_run_that_died_needs_somebody_once_its_lease_is_over() {
    by_both(CLUSTER, async |mut rollout, _| {
        let at = Moment::Host(HostWhen { host: None, is: Point::Draining });
        assert!(rollout.run(&kill(at), &()).await.report.is_none());
        let status = look(&rollout).await;
        let web = &status.clusters[0];
        assert!(
            web.lease.holder().is_some() && web.needs.is_empty(),
            "for ten minutes nobody can tell: {:?}",
            web.lease
        );
        pass(12).await;
        let status = look(&rollout).await;
        let web = &status.clusters[0];
        assert!(matches!(web.lease, LeaseStatus::Expired { .. }));
        assert_eq!(codes(web), ["dead_run"]);
        assert_eq!(commands(web)[0], "ecs-updater finish --cluster web");
        assert!(commands(web)[1].starts_with("ecs-updater release i-"));
        assert_eq!(ExitStatus::of_status(&status), ExitStatus::Failures);
        rollout.run(&RunSpec::default(), &()).await.report.unwrap();
        let status = look(&rollout).await;
        assert_eq!(codes(&status.clusters[0]), Vec::<&str>::new());
    });
}

#[test]
fn a_foreign_drain_is_seen_since_the_first_run_that_saw_it() {
    let text = format!("{CLUSTER}\n[[host]]\nindex = 2\ndraining = true\n[updater.defaults]\nmax_unavailable = 2\n");
    let text = text
        .replace("updater = { lease_table = \"leases\" }", "")
        .replace("[updater.defaults]", "[updater]\nlease_table = \"leases\"\n[updater.defaults]");
    by_both(&text, async |mut rollout, _| {
        let out = |status: &StatusReport| {
            let lines = status.clusters[0].instances.iter();
            lines.filter_map(|line| line.out.clone()).collect::<Vec<_>>()
        };
        let before = out(&look(&rollout).await);
        assert_eq!((before.len(), &before[0].by, before[0].since), (1, &OutBy::SomebodyElse, None));
        let began = rollout.region.clock().now();
        let report = rollout.run(&RunSpec::default(), &()).await.report.unwrap();
        let seen = out(&look(&rollout).await);
        let since = seen[0].since.unwrap();
        assert!(seen[0].seen && since >= began && since < report.ended_at, "{seen:?}");
        // Another run takes that over.
        pass(26 * 60).await;
        rollout.run(&RunSpec::default(), &()).await.report.unwrap();
        let status = look(&rollout).await;
        assert_eq!(out(&status)[0].since, Some(since));
        let web = &status.clusters[0];
        assert_eq!(codes(web), ["foreign_drain"]);
        assert!(commands(web)[0].starts_with("aws ecs update-container-instances-state --status ACTIVE --cluster web"));
    });
}

#[test]
fn a_pause_a_freeze_and_a_window_are_told_with_their_end() {
    let settings = [
        ("[cluster_tags.web]\n\"ecs-updater:pause\" = \"checkout is down\"\n", "", "paused", None, "checkout is down"),
        (
            "",
            "freeze = [{ from = \"2026-11-20\", to = \"2026-11-30\", why = \"sale\" }]",
            "frozen",
            Some("2026-12-01T00:00:00Z"),
            "sale",
        ),
        (
            "",
            "windows = [\"Mon-Fri 05:00-07:00 UTC\"]",
            "outside_window",
            Some("2026-11-23T05:00:00Z"),
            "no window is open",
        ),
        ("", "windows = [\"Mon-Fri 01:00-07:00 UTC\"]", "", Some("2026-11-23T07:00:00Z"), ""),
    ];
    for (tags, keys, reason, until, words) in settings {
        let text = CLUSTER.replace("updater = { lease_table = \"leases\" }", "");
        let text = format!("{text}\n{tags}\n[updater]\nlease_table = \"leases\"\n[updater.defaults]\n{keys}\n");
        by_both(&text, async |rollout, _| {
            let status = look(&rollout).await;
            let web = &status.clusters[0];
            let begins = web.begins.as_ref().unwrap();
            assert_eq!(begins.reason.as_deref().unwrap_or_default(), reason);
            assert_eq!(begins.may, reason.is_empty());
            assert_eq!(begins.until, until.map(|until| until.parse().unwrap()));
            assert!(begins.detail.as_deref().unwrap_or_default().contains(words), "{begins:?}");
            assert_eq!(codes(web), Vec::<&str>::new(), "a person's wish needs nobody");
        });
    }
}

/// Of five groups, those have a line in which it is otherwise than in the cluster, whose window is open until five.
#[test]
fn groups_with_windows_and_freezes_of_their_own_are_told() {
    let group = |name: &str, keys: &str| {
        format!("[[updater.cluster.group]]\nname = \"{name}\"\nmatch = \"attribute:pool == {name}\"\n{keys}\n")
    };
    let groups = [
        group("same", "max_unavailable = 1"),
        group("later", "windows = [\"Mon-Fri 05:00-07:00 UTC\"]"),
        group("longer", "windows = [\"Mon-Fri 01:00-07:00 UTC\"]"),
        group("always", "windows = \"none\""),
        group("sale", "freeze = [{ from = \"2026-11-20\", to = \"2026-11-30\", why = \"sale\" }]"),
    ];
    let text = CLUSTER.replace("updater = { lease_table = \"leases\" }", "");
    let text = format!(
        "{text}\n[updater]\nlease_table = \"leases\"\n[[updater.cluster]]\nname = \"web\"\n\
         windows = [\"Mon-Fri 01:00-05:00 UTC\"]\n{}",
        groups.concat()
    );
    by_both(&text, async |rollout, _| {
        let status = look(&rollout).await;
        let web = &status.clusters[0];
        let shown = render(&status, None);
        let said: Vec<&str> = shown.lines().filter(|line| line.trim().starts_with("updates")).collect();
        let expected = [
            "  updates: may begin; the window closes at 2026-11-23T05:00:00Z",
            "  updates in group later: may not begin: ",
            "  updates in group longer: may begin; the window closes at 2026-11-23T07:00:00Z",
            "  updates in group always: may begin",
            "  updates in group sale: may not begin: ",
        ];
        assert_eq!(said.len(), expected.len(), "{shown}");
        assert!(said.iter().zip(expected).all(|(line, begins)| line.starts_with(begins)), "{shown}");
        let said = web.groups.iter().map(|GroupBegins { group, begins }| {
            (group.as_str(), begins.may, begins.reason.as_deref(), begins.until.map(|until| until.to_string()))
        });
        let closed = |reason, until: &str| (false, Some(reason), Some(until.to_owned()));
        let (later, sale) =
            (closed("outside_window", "2026-11-23T05:00:00Z"), closed("frozen", "2026-12-01T01:00:00Z"));
        let open = |until: Option<&str>| (true, None, until.map(str::to_owned));
        let (longer, always) = (open(Some("2026-11-23T07:00:00Z")), open(None));
        let expected = [("later", later), ("longer", longer), ("always", always), ("sale", sale)];
        let expected = expected.map(|(group, (may, reason, until))| (group, may, reason, until));
        assert_eq!(Vec::from_iter(said), expected);
        assert_eq!(codes(web), Vec::<&str>::new(), "a person's wish needs nobody");
    });
}

#[test]
fn what_failed_where_and_who_is_excluded_is_told() {
    let text = format!(
        "{CLUSTER}\n[[host]]\nindex = 0\nfails_to_boot = [\"1.27.0\"]\n\
         [[host]]\nindex = 1\ntags = {{ \"ecs-updater:exclude\" = \"INC-4711 $(reboot)\" }}\n\
         [[host]]\nindex = 2\ntags = {{ \"ecs-updater:skip\" = \"yes\" }}\n"
    );
    by_both(&text, async |mut rollout, _| {
        rollout.run(&RunSpec::default(), &()).await.report.unwrap();
        let status = look(&rollout).await;
        let web = &status.clusters[0];
        let failed: Vec<_> = web.instances.iter().filter(|line| !line.failed.is_empty()).collect();
        assert_eq!((failed.len(), failed[0].failed.as_slice()), (1, ["1.27.0".to_owned()].as_slice()));
        assert_eq!(failed[0].last.as_ref().map(|last| last.outcome()), Some("fell_back_at_boot"));
        assert_eq!(failed[0].troubled.as_ref().map(|one| one.outcome.as_str()), Some("rolled_back"));
        let excluded: Vec<_> = web.instances.iter().filter_map(|line| line.excluded.as_ref()).collect();
        assert_eq!(excluded[0].note, "INC-4711 $(reboot)");
        assert_eq!(codes(web), ["update_failed", "unknown_tag"]);
        assert!(commands(web).iter().all(|command| !command.contains("reboot")), "{:?}", commands(web));
    });
}

#[test]
fn what_is_denied_is_not_known_and_only_ecs_ends_it() {
    let denied = |what: &str| format!("{CLUSTER}\n[region]\ndeny = [\"{what}\"]\n");
    by_both(&denied("dynamodb:GetItem"), async |rollout, _| {
        let status = look(&rollout).await;
        let web = &status.clusters[0];
        assert!(matches!(&web.lease, LeaseStatus::NotKnown { why } if why.contains("dynamodb:GetItem")));
        assert!(web.not_known.len() == 2 && web.needs.is_empty(), "{:?}", web.not_known);
        assert_eq!(ExitStatus::of_status(&status), ExitStatus::Success);
    });
    by_both(&denied("ec2:DescribeInstances"), async |rollout, _| {
        let status = look(&rollout).await;
        assert_eq!(codes(&status.clusters[0]), ["tags_not_read"]);
        assert_eq!(status.clusters[0].instances.len(), 4);
        assert_eq!(ExitStatus::of_status(&status), ExitStatus::Failures);
    });
    by_both(&denied("ecs:ListContainerInstances"), async |rollout, _| {
        let status = look(&rollout).await;
        let error = status.clusters[0].error.as_ref().unwrap();
        assert_eq!(error.kind, ClusterErrorKind::NotPermitted);
        assert_eq!(ExitStatus::of_status(&status), ExitStatus::NotReached);
    });
}

#[test]
fn no_summary_is_no_hindrance_to_a_run() {
    for deny in ["dynamodb:GetItem", "dynamodb:PutItem"] {
        by_both(&format!("{CLUSTER}\n[region]\ndeny = [\"{deny}\"]\n"), async |mut rollout, _| {
            let report = rollout.run(&RunSpec::default(), &()).await.report.unwrap();
            assert_eq!(ExitStatus::of(&report), ExitStatus::Success, "{deny}");
        });
    }
    // DynamoDB takes no summary, without a word.
    let silent = format!("{CLUSTER}\n[[fault]]\noperation = \"dynamodb:PutItem\"\ndelay = \"1h\"\n");
    by_both(&silent, async |mut rollout, _| {
        let report = rollout.run(&RunSpec::default(), &()).await.report.unwrap();
        assert_eq!(ExitStatus::of(&report), ExitStatus::Success);
        let status = look(&rollout).await;
        assert!(matches!(status.clusters[0].lease, LeaseStatus::Free { .. }), "it is given back all the same");
    });
}

#[test]
fn the_last_run_tells_the_versions_that_nobody_else_does() {
    let text = CLUSTER.replace("count = 4\n", "count = 4\nversion = \"1.27.0\"\n");
    by_both(&text, async |mut rollout, way| {
        rollout.run(&RunSpec::default(), &()).await.report.unwrap();
        let status = look(&rollout).await;
        let lines = &status.clusters[0].instances;
        let sources: Vec<_> = lines.iter().map(|line| line.version.as_ref().unwrap().source).collect();
        let expected = if way == Way::Bridge { VersionSource::Bridge } else { VersionSource::Summary };
        assert_eq!(sources, [expected; 4]);
    });
}

/// Issue: 1,000 instances in no more than 40 calls, with the one that reads the cluster's settings.
#[test]
fn a_thousand_instances_cost_no_more_than_forty_calls() {
    let text = CLUSTER.replace("count = 4\n", "count = 1000\n");
    by_both(&text, async |rollout, way| {
        let status = look(&rollout).await;
        let web = &status.clusters[0];
        let calls: u64 = web.aws_calls.values().sum();
        println!("{way:?}: {calls} calls: {:?}", web.aws_calls);
        assert_eq!(web.instances.len(), 1000);
        assert!(calls < 40, "{:?}", web.aws_calls);
    });
}

/// Two captures for people, at 80 and at 120 columns.
#[test]
fn captures() {
    let text = format!(
        "{}\n[updater]\nlease_table = \"leases\"\n[updater.defaults]\nmax_unavailable = 2\nstop_after_failures = \"never\"\n\
         windows = [\"Mon-Fri 02:00-05:00 UTC\"]\n\
         [[host]]\nindex = 3\ndraining = true\n\
         [[host]]\nindex = 4\nfails_to_boot = [\"1.27.0\"]\n\
         [[host]]\nindex = 5\ntags = {{ \"ecs-updater:exclude\" = \"INC-4711 disk being looked at\" }}\n\
         [[host]]\nindex = 6\ntags = {{ \"ecs-updater:skip\" = \"yes\" }}\n",
        CLUSTER.replace("count = 4", "count = 8").replace("updater = { lease_table = \"leases\" }", "")
    );
    by_both(&text, async |mut rollout, way| {
        if way == Way::Bridge {
            return;
        }
        let at = Moment::Host(HostWhen { host: Some(7), is: Point::Rebooting });
        assert!(rollout.run(&kill(at), &()).await.report.is_none());
        let at_work = look(&rollout).await;
        pass(180).await;
        let dead = look(&rollout).await;
        rollout.run(&RunSpec { outside_window: true, ..RunSpec::default() }, &()).await.report.unwrap();
        pass(60).await;
        let after = look(&rollout).await;
        let mut shown = String::new();
        for (what, status) in [("at work", at_work), ("dead", dead), ("after", after)] {
            for width in [80, 120] {
                shown.push_str(&format!("=== {what}, {width} columns\n{}", render(&status, Some(width))));
            }
        }
        insta::assert_snapshot!("status_captures", shown);
    });
}
