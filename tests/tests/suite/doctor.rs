//! `doctor` on simulated Regions that are broken in one way each, by SSM and by bridge: it names that and nothing else, goes on
//! after a bad answer, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecs_updater::doctor::{CHECK_IDS, STATEMENTS};
use ecs_updater::exit::ExitStatus;
use ecs_updater::render::doctor::render;
use fleet_sim::clock::paused;
use fleet_sim::expect::RunSpec;
use fleet_sim::iam::{Role, shipped};
use fleet_sim::moment::Moment;
use fleet_sim::rollout::Rollout;
use fleet_sim::scenario::{HostWhen, Point};
use fleet_sim::wire::Caller;
use fleet_sim::{Region, Scenario};
use jiff::SignedDuration;
use models::doctor::{DoctorReport, Finding, Severity};
use models::ids::AccountId;

/// A cluster on which nothing is wrong, in tables that others can be added to.
const WHOLE: &str = r#"
seed = 21
clusters = ["web"]
tables = { leases = "lease" }
repository = { versions = ["1.26.1", "1.27.0"] }
[[instances]]
count = 4
zones = ["a", "b"]
version = "1.26.1"
[[service]]
name = "shop"
desired = 4
cpu = 256
memory = "512 MiB"
[updater]
lease_table = "leases"
"#;

/// By which ways the hosts are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ssm,
    Bridge,
}

use Way::{Bridge, Ssm};

const BOTH: &[Way] = &[Ssm, Bridge];

/// What is broken in [`WHOLE`], and what is to be found.
struct Broken {
    name: &'static str,
    /// What is put in the place of something.
    instead: &'static [(&'static str, &'static str)],
    /// What is added.
    more: &'static str,
    ways: &'static [Way],
    /// The ids of the problems and warnings.
    ids: &'static [&'static str],
    /// On so many hosts, where it is no matter of the cluster.
    hosts: usize,
    /// So long after the start.
    minutes: u64,
}

/// All hosts are in an Auto Scaling group.
const IN_A_GROUP: &[(&str, &str)] = &[("count = 4", "count = 4\nasg = \"own\"")];

const fn broken(name: &'static str, more: &'static str, ids: &'static [&'static str], hosts: usize) -> Broken {
    Broken { name, instead: &[], more, ways: BOTH, ids, hosts, minutes: 0 }
}

const TABLE: &[Broken] = &[
    broken("nothing", "", &[], 0),
    Broken {
        instead: &[("lease_table = \"leases\"", "lease_table = \"leases\"\ncluster = [{ name = \"nowhere\" }]")],
        ..broken("no such cluster", "", &["cluster"], 0)
    },
    broken("no answer", "[[fault]]\noperation = \"*\"\nfrom = \"1s\"\nreset = \"before\"\n", &["aws_answers"], 0),
    broken(
        "credentials that are over",
        "[[fault]]\noperation = \"*\"\nfrom = \"1s\"\nerror = \"ExpiredTokenException\"\n",
        &["credentials"],
        0,
    ),
    broken(
        "one service that does not answer",
        "[[fault]]\noperation = \"dynamodb:*\"\nstatus = 503\n",
        &["aws_answers"],
        0,
    ),
    Broken { instead: &[("count = 4", "count = 0")], ..broken("no hosts", "", &["instances"], 0) },
    Broken {
        instead: &[("count = 4", "count = 4\nbottlerocket = false")],
        ..broken("no host with Bottlerocket", "", &["instances"], 0)
    },
    broken("one host of another system", "[[host]]\nindex = 1\nbottlerocket = false\n", &["variant"], 1),
    broken("a variant without updates", "[[host]]\nindex = 1\nvariant = \"aws-ecs-1\"\n", &["variant"], 1),
    Broken {
        ways: &[Ssm],
        ..broken("an agent that is gone", "[[host]]\nindex = 1\nconnected = false\n", &["agent", "budget"], 1)
    },
    // It was never there, so that its bridge has never reported.
    Broken {
        ways: &[Bridge],
        ..broken(
            "an agent that never came",
            "[[host]]\nindex = 1\nconnected = false\n",
            &["agent", "budget", "bridge"],
            1,
        )
    },
    Broken {
        ways: &[Ssm],
        ..broken(
            "a host that SSM does not know",
            "[[host]]\nindex = 2\nssm_registered = false\n",
            &["ssm_registered"],
            1,
        )
    },
    Broken {
        ways: &[Ssm],
        ..broken("a host that SSM has lost", "[[host]]\nindex = 2\nssm_away = true\n", &["ssm_online"], 1)
    },
    Broken {
        ways: &[Ssm],
        ..broken(
            "a control container without jq",
            "[[host]]\nindex = 2\nssm_agent = \"3.0.732.0\"\n",
            &["ssm_agent"],
            1,
        )
    },
    Broken {
        minutes: 120,
        ..broken(
            "a registration without a machine",
            "[[event]]\nat = \"1m\"\ndo = \"stop\"\nhost = 3\n[[event]]\nat = \"20m\"\ndo = \"terminate\"\nhost = 3\n",
            &["registration"],
            1,
        )
    },
    Broken {
        minutes: 30,
        ..broken("a stopped machine", "[[event]]\nat = \"1m\"\ndo = \"stop\"\nhost = 3\n", &["machine"], 1)
    },
    broken("a machine that EC2 hides", "[[host]]\nindex = 0\nhidden = true\n", &["known_to_ec2"], 1),
    broken(
        "an instance that ECS does not describe",
        "[[fault]]\noperation = \"ecs:DescribeContainerInstances\"\nfails = 1\n",
        &["described"],
        0,
    ),
    Broken {
        instead: &[("count = 4", "count = 4\ncpu = 1024\nmemory = \"1 GiB\""), ("cpu = 256", "cpu = 768")],
        ..broken("no room for a drain", "", &["room"], 4)
    },
    Broken {
        instead: IN_A_GROUP,
        ..broken(
            "a group that replaces what is drained",
            "[groups.own]\nhealth_check_type = \"EC2,ELB\"\ntarget_group = true\n",
            &["group_health_check"],
            4,
        )
    },
    Broken {
        instead: IN_A_GROUP,
        ..broken("an instance refresh", "[groups.own]\nrefresh = \"InProgress\"\n", &["instance_refresh"], 4)
    },
    Broken {
        instead: IN_A_GROUP,
        ..broken("an instance in standby", "[[host]]\nindex = 1\ngroup_state = \"Standby\"\n", &["group_state"], 1)
    },
    Broken {
        instead: &[
            ("count = 4", "count = 4\nasg = \"own\"\nprovider = \"own\""),
            ("cpu = 256", "cpu = 256\nstrategy = [{ provider = \"own\" }]"),
        ],
        ..broken(
            "a scale-in that would take tasks",
            "[providers.own]\nmanaged_scaling = {}\n[groups.own]\nmanaged_draining = false\n",
            &["scale_in"],
            4,
        )
    },
    broken("a task of no service", "[[task]]\nfamily = \"batch\"\nhost = 1\n", &["tasks"], 1),
    broken("nearly fifty tags", "[[host]]\nindex = 0\nother_tags = 47\n", &["tags_room"], 1),
    broken(
        "an exclusion that is mistyped",
        "[[host]]\nindex = 0\ntags = { \"ecs-updater:exlcude\" = \"INC-4711\" }\n",
        &["exclude_tag"],
        1,
    ),
    broken(
        "a tag that means nothing",
        "[[host]]\nindex = 0\ntags = { \"ecs-updater:skip\" = \"yes\" }\n",
        &["unknown_tag"],
        1,
    ),
    broken(
        "a claim that cannot be read",
        "[[host]]\nindex = 0\ntags = { \"ecs-updater:claim\" = \"v9/drain/whatever\" }\n",
        &["claim"],
        1,
    ),
    broken("somebody else's drain", "[[host]]\nindex = 2\ndraining = true\n", &["foreign_drain", "budget"], 1),
    Broken {
        ways: &[Bridge],
        ..broken("a lock of the owner", "[[host]]\nindex = 0\nversion_lock = \"1.26.1\"\n", &["version_lock"], 1)
    },
    // The other cluster has no hosts.
    Broken {
        instead: &[
            ("clusters = [\"web\"]", "clusters = [\"web\", \"batch\"]"),
            ("name = \"shop\"", "name = \"shop\"\ncluster = \"web\""),
            ("count = 4", "count = 4\ncluster = \"web\""),
        ],
        ..broken(
            "a closed tag",
            "[cluster_tags.web]\n\"ecs-updater:reboot-document\" = \"AWS-RunShellScript\"\n",
            &["settings", "instances"],
            0,
        )
    },
    broken("a tag that loosens", "[cluster_tags.web]\n\"ecs-updater:max-unavailable\" = \"4\"\n", &["cluster_tags"], 0),
    broken("a pause", "[cluster_tags.web]\n\"ecs-updater:pause\" = \"checkout is down\"\n", &["pause"], 0),
    Broken {
        ways: &[Ssm],
        ..broken("hosts without the bridge that is set", "[updater.defaults]\nhost = \"bridge\"\n", &["bridge"], 4)
    },
    Broken {
        ways: &[Ssm],
        ..broken(
            "a bridge that has fallen silent",
            "[[host]]\nindex = 1\nattributes = { \"ecs-updater.bridge\" = \"v1/0.1.0/1795000000/60\" }\n",
            &["bridge"],
            1,
        )
    },
    Broken {
        instead: &[("{ leases = \"lease\" }", "{ others = \"lease\" }")],
        ..broken("no lease table", "", &["lease_table"], 0)
    },
    Broken {
        instead: &[("{ leases = \"lease\" }", "{ leases = \"id\" }")],
        ..broken("a lease table with another key", "", &["lease_table"], 0)
    },
    Broken { instead: &[("lease_table = \"leases\"", "")], ..broken("no lease table set", "", &["lease_table"], 0) },
    broken("an alarm that is not there", "[updater.defaults]\nalarms = [\"web-5xx\"]\n", &["alarms"], 0),
    broken(
        "an alarm that fires",
        "[alarms]\nweb-5xx = { state = \"ALARM\" }\n[updater.defaults]\nalarms = [\"web-5xx\"]\n",
        &["alarm_state"],
        0,
    ),
    broken(
        "windows that never open for long enough",
        "[updater.defaults]\nwindows = [\"Mon-Sun 02:00-02:04 UTC\"]\n",
        &["windows"],
        0,
    ),
    broken(
        "windows of a group that never open for long enough",
        "[[updater.cluster]]\nname = \"web\"\n[[updater.cluster.group]]\nname = \"all\"\n\
         match = \"attribute:ecs.availability-zone exists\"\nwindows = [\"Mon-Sun 02:00-02:04 UTC\"]\n",
        &["windows"],
        0,
    ),
    broken(
        "a host in two groups",
        "[[updater.cluster]]\nname = \"web\"\n[[updater.cluster.group]]\nname = \"one\"\n\
         match = \"attribute:ecs.availability-zone exists\"\n[[updater.cluster.group]]\nname = \"two\"\n\
         match = \"attribute:ecs.availability-zone =~ .*a\"\n",
        &["groups"],
        0,
    ),
    broken(
        "a group without a host",
        "[[updater.cluster]]\nname = \"web\"\n[[updater.cluster.group]]\nname = \"gpu\"\n\
         match = \"attribute:pool == gpu\"\n",
        &["groups"],
        0,
    ),
    broken(
        "a freeze without an end",
        "[updater.defaults]\nfreeze = [{ from = \"2026-01-01\", to = \"2099-12-31\" }]\n",
        &["freeze"],
        0,
    ),
];

/// [`WHOLE`], with something in the place of something.
fn replaced(name: &str, instead: &[(&str, &str)]) -> String {
    instead.iter().fold(WHOLE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{name}: {from}");
        text.replace(from, to)
    })
}

/// Plays on the simulated Region, by one way.
fn play(text: &str, way: Way, play: impl AsyncFn(Rollout)) {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let scenario = if way == Bridge { scenario.by_bridge() } else { scenario };
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let rollout = Rollout::start(&scenario).await.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let region = Arc::clone(&rollout.region);
        play(rollout).await;
        assert_eq!(region.unknown(), Vec::<String>::new(), "{way:?}");
        assert_eq!(region.violations(), [], "{way:?}");
    });
}

/// Examines, and sees that nothing was written, and nothing asked that a plan may not ask.
async fn examine(rollout: &Rollout) -> DoctorReport {
    examine_by(rollout, SignedDuration::ZERO, None).await
}

async fn examine_by(rollout: &Rollout, ahead: SignedDuration, account: Option<&AccountId>) -> DoctorReport {
    let before = rollout.region.calls().len();
    let began = rollout.region.clock().now();
    let report = rollout.doctor(ahead, account).await.unwrap();
    let took = rollout.region.clock().now().duration_since(began);
    assert!(took < SignedDuration::from_mins(4), "{took}");
    writes_nothing(&rollout.region, before);
    assert_eq!(misfits(&report), Vec::<String>::new());
    for finding in report.clusters.iter().flat_map(|cluster| &cluster.findings) {
        assert!(CHECK_IDS.contains(&finding.id.as_str()), "{finding:?}");
        assert!(finding.link.ends_with(&format!("/prerequisites.md#{}", finding.id)), "{finding:?}");
        let is_said = !finding.what.is_empty() && (finding.to_do.is_some() || finding.severity > Severity::Warning);
        assert!(is_said, "{finding:?}");
    }
    let text = render(&report, Some(100));
    assert!(text.lines().all(|line| line.starts_with("                 ") || line.chars().count() <= 115), "{text}");
    report
}

fn writes_nothing(region: &Arc<Region>, before: usize) {
    for call in region.calls_since(before) {
        let reads = ["Describe", "Get", "List"].iter().any(|verb| call.operation.starts_with(verb));
        assert!(reads, "{call}");
    }
    let plan = shipped(Role::Plan).unwrap();
    for need in region.needs(Caller::Updater) {
        assert!(plan.allow(&need), "a plan may not {need}");
    }
}

fn misfits(report: &DoctorReport) -> Vec<String> {
    let schema = include_str!("../../../docs/doctor.schema.json");
    crate::report_schema::schema::misfits_by(
        &serde_json::from_str(schema).unwrap(),
        &serde_json::to_value(report).unwrap(),
    )
}

fn of(report: &DoctorReport, severities: &[Severity]) -> Vec<Finding> {
    let all = report.clusters.iter().flat_map(|cluster| &cluster.findings);
    all.filter(|finding| severities.contains(&finding.severity)).cloned().collect()
}

/// The problems and warnings.
fn wrong(report: &DoctorReport) -> Vec<Finding> {
    of(report, &[Severity::Problem, Severity::Warning])
}

fn ids(findings: &[Finding]) -> BTreeSet<&str> {
    findings.iter().map(|finding| finding.id.as_str()).collect()
}

#[test]
fn each_broken_cluster_is_named_rightly() {
    let mut played = 0;
    for Broken { name, instead, more, ways, ids: expected, hosts, minutes } in TABLE {
        let text = format!("{}\n{more}\n", replaced(name, instead));
        for way in *ways {
            play(&text, *way, async |rollout| {
                tokio::time::sleep(Duration::from_secs(60 * minutes + 2)).await;
                let report = examine(&rollout).await;
                let found = wrong(&report);
                let expected: BTreeSet<&str> = expected.iter().copied().collect();
                assert_eq!(ids(&found), expected, "{name} by {way:?}: {found:#?}");
                let at: BTreeSet<_> = found.iter().filter_map(|finding| finding.host.clone()).collect();
                assert_eq!(at.len(), *hosts, "{name} by {way:?}: {found:#?}");
                let is_problem = found.iter().any(|finding| finding.severity == Severity::Problem);
                let is_read = report.clusters.iter().all(|cluster| cluster.read);
                let status = match (is_read, is_problem) {
                    (false, _) => ExitStatus::NotReached,
                    (true, true) => ExitStatus::Failures,
                    (true, false) => ExitStatus::Success,
                };
                assert_eq!(ExitStatus::of_doctor(&report), status, "{name} by {way:?}");
            });
            played += 1;
        }
    }
    assert!(TABLE.len() >= 40 && played >= 70, "{} {played}", TABLE.len());
}

/// Each read that is not permitted is named with the statement that gives it, and what rests on it is not known; all else goes on.
#[test]
fn each_right_that_is_missing_is_named_with_its_statement() {
    let text =
        WHOLE.replace("count = 4", "count = 4\nasg = \"own\"\nprovider = \"own\"\ninstance_type = \"m6i.large\"");
    let text = format!(
        "{text}\n[providers.own]\nmanaged_scaling = {{}}\n[alarms]\nweb = {{ state = \"OK\" }}\n[updater.defaults]\n\
         alarms = [\"web\"]\n"
    );
    // Parameters are read with the settings; the others are not asked for in this cluster.
    let not_asked = [
        "ssm:GetParameter",
        "ssm:GetParameters",
        "autoscaling:DescribeLaunchConfigurations",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeInstanceTypes",
    ];
    let asked: Vec<_> = STATEMENTS.iter().filter(|(action, _)| !not_asked.contains(action)).collect();
    for (action, statement) in asked {
        for way in BOTH {
            if *way == Bridge && *action == "ssm:DescribeInstanceInformation" {
                continue;
            }
            let text = format!("{text}\n[region]\ndeny = [\"{action}\"]\n");
            play(&text, *way, async |rollout| {
                let report = examine(&rollout).await;
                let found = wrong(&report);
                assert_eq!(ids(&found), BTreeSet::from(["permission"]), "{action} by {way:?}: {found:#?}");
                let to_do = found[0].to_do.as_deref().unwrap();
                assert!(to_do.contains(action) && to_do.contains(statement), "{to_do}");
                let others = of(&report, &[Severity::Ok]);
                assert!(others.len() >= 4, "{action} by {way:?}: all else is checked: {others:#?}");
                let unknown = of(&report, &[Severity::NotChecked]);
                let well = ids(&others);
                assert!(unknown.iter().all(|finding| !well.contains(finding.id.as_str())), "not known is not ok");
            });
        }
    }
}

/// The statements are those of the template.
#[test]
fn a_statement_has_its_action() {
    let plan = shipped(Role::Plan).unwrap();
    let mut by_action: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for statement in plan.statements() {
        for action in &statement.actions {
            by_action.entry(action).or_default().insert(&statement.sid);
        }
    }
    for (action, sid) in STATEMENTS {
        assert!(by_action.get(action).is_some_and(|sids| sids.contains(sid)), "{action} {sid}");
    }
    // A command to a host, and its end, are no part of it.
    let left: Vec<&str> =
        by_action.keys().copied().filter(|action| !STATEMENTS.iter().any(|(named, _)| named == action)).collect();
    assert_eq!(left, ["ssm:ListCommandInvocations", "ssm:SendCommand"]);
}

#[test]
fn on_a_whole_cluster_all_is_checked_and_well() {
    for way in BOTH {
        let text = replaced("all well", IN_A_GROUP);
        play(&text, *way, async |rollout| {
            let report = examine(&rollout).await;
            assert_eq!(wrong(&report), [], "{way:?}");
            let (unknown, well) = (of(&report, &[Severity::NotChecked]), of(&report, &[Severity::Ok]));
            let not_checked = if *way == Ssm { BTreeSet::from(["documents", "host_itself"]) } else { BTreeSet::new() };
            assert_eq!(ids(&unknown), not_checked, "{way:?}");
            for id in
                ["agent", "machine", "tags_room", "room", "group_health_check", "lease_table", "clock", "permission"]
            {
                assert!(ids(&well).contains(id), "{id} by {way:?}: {well:#?}");
            }
            let of_way = if *way == Ssm { "ssm_online" } else { "bridge" };
            let line = well.iter().find(|finding| finding.id == of_way).unwrap();
            assert_eq!(line.what, "4 of 4 hosts");
            let text = render(&report, None);
            assert!(text.contains("web: nothing is wrong; "), "{text}");
            println!("{text}");
        });
    }
}

#[test]
fn another_account_and_a_clock_that_is_off_are_told() {
    let minutes = SignedDuration::from_mins;
    for (account, ahead, expected, status) in [
        ("123456789012", minutes(0), None, ExitStatus::Success),
        ("210987654321", minutes(0), Some("account"), ExitStatus::Failures),
        ("123456789012", minutes(2), Some("clock"), ExitStatus::Success),
        ("123456789012", minutes(-2), Some("clock"), ExitStatus::Success),
        ("123456789012", minutes(9), Some("clock"), ExitStatus::Failures),
    ] {
        play(WHOLE, Ssm, async |rollout| {
            let report = examine_by(&rollout, ahead, Some(&account.into())).await;
            assert_eq!(ids(&wrong(&report)), expected.into_iter().collect(), "{account} {ahead}");
            assert_eq!(ExitStatus::of_doctor(&report), status, "{account} {ahead}");
        });
    }
}

#[test]
fn what_a_dead_run_has_left_is_told_with_what_ends_it() {
    for way in BOTH {
        play(WHOLE, *way, async |mut rollout| {
            let at = Moment::Host(HostWhen { host: None, is: Point::Draining });
            let dies = RunSpec { kill: Some(at), ..RunSpec::default() };
            assert!(rollout.run(&dies, &()).await.report.is_none());
            tokio::time::sleep(Duration::from_secs(12 * 60)).await;
            let before = rollout.region.calls().len();
            let report = rollout.doctor(SignedDuration::ZERO, None).await.unwrap();
            for call in rollout.region.calls_since(before) {
                assert!(["Describe", "Get", "List"].iter().any(|verb| call.operation.starts_with(verb)), "{call}");
            }
            let found = wrong(&report);
            assert_eq!(ids(&found), BTreeSet::from(["claim"]), "{found:#?}");
            assert!(
                found.iter().all(|finding| finding.commands[0] == "ecs-updater finish --cluster web"),
                "{found:#?}"
            );
            rollout.run(&RunSpec::default(), &()).await.report.unwrap();
            assert_eq!(wrong(&rollout.doctor(SignedDuration::ZERO, None).await.unwrap()), []);
        });
    }
}

/// What only a write would tell is said not to be checked.
#[test]
fn what_would_be_a_write_is_not_checked_and_said_so() {
    let text = format!("{WHOLE}\n[updater.defaults]\nevents = \"ecs-updater\"\nreports = \"s3://our-reports/ecs\"\n");
    play(&text, Bridge, async |rollout| {
        let report = examine(&rollout).await;
        assert_eq!(wrong(&report), []);
        let unknown = of(&report, &[Severity::NotChecked]);
        assert_eq!(ids(&unknown), BTreeSet::from(["events", "reports"]));
        assert!(unknown.iter().all(|finding| finding.what.contains("would be a write")), "{unknown:#?}");
    });
}

/// A thousand hosts, for what it costs.
#[test]
fn a_thousand_hosts_cost_few_calls() {
    let text = WHOLE.replace("count = 4", "count = 1000").replace("desired = 4", "desired = 1000");
    for (way, most) in [(Ssm, 130), (Bridge, 110)] {
        play(&text, way, async |rollout| {
            let report = examine(&rollout).await;
            let web = &report.clusters[0];
            let calls: u64 = web.aws_calls.values().sum();
            println!("{way:?}: {calls} calls: {:?}", web.aws_calls);
            assert_eq!((web.hosts, wrong(&report)), (1000, vec![]));
            assert!(calls <= most, "{:?}", web.aws_calls);
        });
    }
}
