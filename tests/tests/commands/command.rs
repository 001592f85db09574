//! The real `ecs-updater` command over TCP, on the real clock, against the simulated Region at many times real time:
//! what no test in process sees — arguments, endpoint, signals, standard output, exit codes.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fleet_sim::{Region, Scenario, server};
use models::report::{Outcome, RunReport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpListener;

const ONE: &str = r#"
clusters = ["web"]

[repository]
releases = [{ version = "1.27.0" }, { version = "1.26.1" }]

[[instances]]
version = "1.26.1"
"#;

/// A Region on a free port, until it is dropped.
struct Served {
    endpoint: String,
    region: Arc<Region>,
    _runtime: tokio::runtime::Runtime,
}

fn serve(scenario: &str, scale: u32) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let scenario = Scenario::parse(scenario).unwrap();
    let (endpoint, region) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let region = Region::start_scaled(&scenario, scale).unwrap();
        tokio::spawn(server::serve(Arc::clone(&region), listener, std::future::pending()));
        (endpoint, region)
    });
    Served { endpoint, region, _runtime: runtime }
}

fn updater() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| crate::common::program("ecs-updater"))
}

fn command(endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(updater());
    command
        .args(arguments)
        .env_clear()
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "simulated")
        .env("AWS_SECRET_ACCESS_KEY", "simulated")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(endpoint: &str, arguments: &[&str]) -> Output {
    command(endpoint, arguments).output().unwrap()
}

fn report(output: &Output) -> RunReport {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn outcomes(report: &RunReport) -> Vec<Outcome> {
    report.clusters.iter().flat_map(|cluster| &cluster.instances).map(|instance| instance.outcome).collect()
}

#[test]
fn plans_and_then_updates_over_tcp() {
    let served = serve(ONE, 30);
    let planned = run(&served.endpoint, &["plan", "--cluster", "web", "--output", "json"]);
    assert_eq!(planned.status.code(), Some(0), "{}", String::from_utf8_lossy(&planned.stderr));
    assert_eq!(outcomes(&report(&planned)), [Outcome::WouldUpdate]);
    let place = &report(&planned).clusters[0].location;
    assert_eq!(place.to_string(), "eu-central-1, account 123456789012");
    let log = String::from_utf8_lossy(&planned.stderr);
    let first = log.lines().find(|line| line.contains("cluster=web")).unwrap();
    assert!(first.contains("begins cluster=web region=eu-central-1 account=123456789012 run="), "{log}");
    assert_eq!(served.region.snapshot_of(0).unwrap().version.to_string(), "1.26.1");

    let updated = run(&served.endpoint, &["run", "--cluster", "web", "--output", "json"]);
    assert_eq!(updated.status.code(), Some(0), "{}", String::from_utf8_lossy(&updated.stderr));
    assert_eq!(outcomes(&report(&updated)), [Outcome::Updated]);
    let host = served.region.snapshot_of(0).unwrap();
    assert_eq!(host.version.to_string(), "1.27.0");
    assert!(!host.tags.contains_key("ecs-updater:claim"), "{:?}", host.tags);
    assert_eq!(served.region.violations(), []);
    assert_eq!(served.region.unknown(), Vec::<String>::new());
}

/// Of two instances one is in a group.
#[test]
fn a_line_about_an_instance_of_a_group_names_it() {
    let served = serve(
        &ONE.replace("[[instances]]", "[[host]]\nindex = 0\nattributes = { pool = \"gpu\" }\n[[instances]]\ncount = 2"),
        30,
    );
    let mut config = tempfile::NamedTempFile::new().unwrap();
    let group = "[[cluster.group]]\nname = \"gpu\"\nmatch = \"attribute:pool == gpu\"\n";
    write!(config, "[[cluster]]\nname = \"web\"\n{group}").unwrap();
    let file = config.path().to_str().unwrap();
    let planned = run(&served.endpoint, &["plan", "--config", file, "-v", "--log-format", "json"]);
    let log = String::from_utf8_lossy(&planned.stderr);
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let moves: Vec<_> = lines.filter(|line| !line["instance"].is_null()).collect();
    let groups = |host: &str| {
        let of_host = moves.iter().filter(|line| line["instance"] == host);
        of_host.map(|line| line["group"].clone()).collect::<Vec<_>>()
    };
    let (first, second) = (groups("i-00000000000000000"), groups("i-00000000000000001"));
    assert!(!first.is_empty() && first.iter().all(|group| group == "gpu"), "{log}");
    assert!(!second.is_empty() && second.iter().all(serde_json::Value::is_null), "{log}");
}

#[test]
fn another_account_is_refused_before_anything_is_done() {
    let served = serve(ONE, 30);
    let ask = |command, account| run(&served.endpoint, &[command, "--cluster", "web", "--expect-account", account]);
    let refused = ask("run", "210987654321");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    let sentence = "cluster web is in eu-central-1, account 123456789012, but --expect-account says 210987654321";
    assert!(said.contains(sentence), "{said}");
    let calls: Vec<String> = served.region.call_counts().into_keys().collect();
    assert_eq!(calls, ["ecs:DescribeClusters"]);
    assert_eq!(ask("run", "web").status.code(), Some(2), "no account's id");
    assert_eq!(ask("plan", "123456789012").status.code(), Some(0));
}

#[test]
fn a_signal_ends_it_with_a_report() {
    let served = serve(ONE, 1);
    let child = command(&served.endpoint, &["run", "--cluster", "web", "--output", "json"]).spawn().unwrap();
    let began = Instant::now();
    while !served.region.snapshot_of(0).unwrap().tags.contains_key("ecs-updater:claim") {
        assert!(began.elapsed() < Duration::from_secs(120), "it never claimed the instance");
        std::thread::sleep(Duration::from_millis(50));
    }
    send(Signal::SIGTERM, &child);
    let asked = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(20), "took {:?} to end", asked.elapsed());
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&output);
    assert!(report.interrupted);
    assert_eq!(outcomes(&report), [Outcome::InProgress]);
}

fn send(signal: Signal, child: &Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Waits until the Region was called.
fn wait_for_calls(served: &Served) {
    let began = Instant::now();
    while served.region.call_count() == 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "it called nobody");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_signal_ends_it_before_its_settings_are_known() {
    // The clusters' tags, and the parameter with the configuration.
    for (operation, arguments) in [
        ("ecs:DescribeClusters", &["run", "--cluster", "web", "--output", "json"][..]),
        ("ssm:GetParameter", &["plan", "--config", "ssm:fleet", "--output", "json"][..]),
    ] {
        let served = serve(&format!("{ONE}[[fault]]\noperation = \"{operation}\"\ndelay = \"2m\"\n"), 1);
        let child = command(&served.endpoint, arguments).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        send(Signal::SIGHUP, &child);
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(asked.elapsed() < Duration::from_secs(5), "took {:?} to end: {said}", asked.elapsed());
        assert_eq!(output.status.code(), Some(4), "{said}");
        let report = report(&output);
        assert!(report.interrupted && report.clusters.is_empty(), "{report:?}");
        assert!(said.contains("interrupted before the settings were known"), "{said}");
    }
}

#[test]
fn a_hangup_ends_it_but_not_under_nohup() {
    let served = serve(ONE, 1);
    let arguments = ["run", "--cluster", "web", "--output", "json"];
    let child = command(&served.endpoint, &arguments).spawn().unwrap();
    wait_for_calls(&served);
    send(Signal::SIGHUP, &child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));

    let served = serve(ONE, 1);
    let shell = format!("trap '' HUP; exec {} {}", updater().display(), arguments.join(" "));
    let child = shell_with_environment_of(&command(&served.endpoint, &[]), &shell).spawn().unwrap();
    wait_for_calls(&served);
    send(Signal::SIGHUP, &child);
    let calls = served.region.call_count();
    let began = Instant::now();
    while served.region.call_count() <= calls + 3 {
        assert!(began.elapsed() < Duration::from_secs(60), "it does nothing any more");
        std::thread::sleep(Duration::from_millis(50));
    }
    send(Signal::SIGTERM, &child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));
}

/// The same environment, for a line of the shell.
fn shell_with_environment_of(command: &Command, line: &str) -> Command {
    let mut shell = Command::new("sh");
    let set = command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    shell.args(["-c", line]).env_clear().envs(set).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let served = serve(ONE, 1);
    let cases: [(&[&str], i32, &[&str]); 4] = [
        (&["run"], 2, &["cluster", "--cluster"]),
        (&["run", "--cluster", "web", "--max-unavailable", "0"], 2, &["max-unavailable", "\"0\""]),
        (
            &["run", "--cluster", "wbe"],
            3,
            &[
                "Cluster wbe (eu-central-1, account 123456789012): not worked on",
                "cluster wbe was not found",
                "aws ecs list-clusters",
            ],
        ),
        (&["dance"], 2, &["dance", "--help"]),
    ];
    for (arguments, code, words) in cases {
        let output = run(&served.endpoint, arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
    }
}

#[test]
fn nobody_at_the_endpoint_is_code_three() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&endpoint, &["plan", "--cluster", "web"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no usable answer") && said.contains("refuses connections"), "{said}");
    assert!(said.contains("--endpoint-url"), "{said}");
    assert!(said.contains("Cluster web (eu-central-1, account not known): not worked on"), "{said}");
}

/// The updater's own task and its twin, in a cluster of their own.
const TWINS: &str = r#"
clusters = ["web", "tools"]

[repository]
releases = [{ version = "1.27.0" }]

[[instances]]
cluster = "web"
version = "1.27.0"

[[instances]]
cluster = "tools"

[[task]]
family = "nightly-updates"
host = 1
count = 2
"#;

/// Answers one question for the metadata of a task.
fn metadata(cluster: &str, task: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v4/0123456789abcdef", listener.local_addr().unwrap());
    let body = format!(r#"{{"Cluster":"{cluster}","TaskARN":"{task}","Family":"nightly-updates"}}"#);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 4096]).unwrap();
        assert!(read > 0);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    base
}

#[test]
fn without_a_lease_table_it_says_who_else_runs() {
    let served = serve(TWINS, 1);
    let twins: Vec<String> = served.region.look(|world| world.tasks().iter().map(|task| task.arn.clone()).collect());
    let arguments = ["run", "--cluster", "web", "--output", "json"];
    let in_a_task = |base: &str| {
        let output = command(&served.endpoint, &arguments).env("ECS_CONTAINER_METADATA_URI_V4", base).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let calls = report(&output).clusters[0].aws_calls.clone();
        assert!(!calls.contains_key("ecs:ListTasks"), "{calls:?}");
        said
    };
    let said = in_a_task(&metadata("tools", &twins[0]));
    assert!(said.contains("another task of the family runs") && said.contains("set lease_table"), "{said}");
    assert!(said.contains(&twins[1]) && !said.contains(&twins[0]), "{said}");
    let said = in_a_task(&metadata("nowhere", &twins[0]));
    assert!(said.contains("not known whether another task of the family runs"), "{said}");
    let said = in_a_task("http://127.0.0.1:9");
    assert!(said.contains("does not answer") && said.contains("Connection refused"), "{said}");

    let outside = run(&served.endpoint, &arguments);
    let said = String::from_utf8_lossy(&outside.stderr);
    assert!(said.contains("nothing keeps two runs apart"), "{said}");
    let planned = run(&served.endpoint, &["plan", "--cluster", "web"]);
    let said = String::from_utf8_lossy(&planned.stderr);
    assert!(!said.contains("apart"), "{said}");
}
