//! The real binary with a host on a real socket and a metadata service on loopback.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::world::json as json_reply;
use crate::fake::Fake;
use crate::wire::{Request, serve, text};

struct Machine {
    dir: tempfile::TempDir,
    metadata: String,
    ecs_agent: String,
    ecs: String,
    reports: Arc<Mutex<Vec<String>>>,
    tokens: Arc<Mutex<u32>>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = std::os::unix::net::UnixListener::bind(dir.path().join("api.sock")).unwrap();
        api.set_nonblocking(true).unwrap();
        let tcp = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            (listener, address)
        };
        let ((imds, metadata), (agent, ecs_agent), (ecs, ecs_address)) = (tcp(), tcp(), tcp());
        let (reports, tokens): (Arc<Mutex<Vec<String>>>, Arc<Mutex<u32>>) = Default::default();
        let (seen, asked) = (Arc::clone(&reports), Arc::clone(&tokens));
        let fake = Fake { looks: 0, ..Fake::default() }.shared();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let api = tokio::net::UnixListener::from_std(api).unwrap();
                let [imds, agent, ecs] = [imds, agent, ecs].map(|tcp| tokio::net::TcpListener::from_std(tcp).unwrap());
                loop {
                    let (fake, seen, asked) = (Arc::clone(&fake), Arc::clone(&seen), Arc::clone(&asked));
                    tokio::select! {
                        stream = api.accept() => {
                            let stream = stream.unwrap().0;
                            tokio::spawn(serve(stream, move |request| fake.lock().unwrap().handle(&request)));
                        }
                        stream = imds.accept() => {
                            tokio::spawn(serve(stream.unwrap().0, move |request| metadata_service(&request, &asked)));
                        }
                        stream = agent.accept() => {
                            tokio::spawn(serve(stream.unwrap().0, |request| match request.target.as_str() {
                                "/v1/tasks" => text(200, r#"{"Tasks":[]}"#),
                                _ => text(200, r#"{"Cluster":"c","ContainerInstanceArn":"arn:aws:ecs:r:1:container-instance/c/1"}"#),
                            }));
                        }
                        stream = ecs.accept() => {
                            tokio::spawn(serve(stream.unwrap().0, move |request| {
                                seen.lock().unwrap().push(String::from_utf8(request.body).unwrap());
                                json_reply(200, &json!({"attributes": []}))
                            }));
                        }
                    }
                }
            });
        });
        Self { dir, metadata, ecs_agent, ecs: format!("http://{ecs_address}"), reports, tokens }
    }

    fn agent(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-bridge"));
        command
            .arg("agent")
            .arg("--socket")
            .arg(self.dir.path().join("api.sock"))
            .args(["--ecs-agent", &self.ecs_agent, "--metadata", &self.metadata, "--ecs-endpoint", &self.ecs])
            .arg("--journal")
            .arg(self.dir.path().join("journal"))
            .stderr(Stdio::piped());
        command
    }
}

fn metadata_service(request: &Request, asked: &Mutex<u32>) -> crate::wire::Reply {
    match request.target.as_str() {
        "/latest/api/token" => {
            *asked.lock().unwrap() += 1;
            text(200, "t")
        }
        "/latest/meta-data/tags/instance" => text(200, "Name"),
        "/latest/meta-data/placement/region" => text(200, "eu-central-1"),
        "/latest/meta-data/iam/security-credentials/" => text(200, "role"),
        "/latest/meta-data/iam/security-credentials/role" => json_reply(
            200,
            &json!({"AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}),
        ),
        _ => text(404, ""),
    }
}

/// Waits for a state, not for a duration.
fn until(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ends(mut child: Child) -> (i32, String) {
    let code = child.wait().unwrap().code().unwrap();
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    (code, words)
}

#[test]
fn it_reports_is_the_only_one_and_stops_at_once_on_sigterm() {
    let machine = Machine::new();
    let first = machine.agent().spawn().unwrap();
    until("a report", || !machine.reports.lock().unwrap().is_empty());
    let report = machine.reports.lock().unwrap()[0].clone();
    assert!(report.contains(r#"{"name":"ecs-updater.os-version","targetId":"arn:aws:ecs:r:1:container-instance/c/1","targetType":"container-instance","value":"1.26.1"}"#), "{report}");

    let (code, words) = ends(machine.agent().spawn().unwrap());
    assert!(code == 4 && words.contains("another agent runs on this host"), "{code}: {words}");

    let status = std::fs::read_to_string(format!("/proc/{}/status", first.id())).unwrap();
    let resident: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .map(|line| line.trim().trim_end_matches(" kB").parse().unwrap())
        .unwrap();
    assert!(resident < 20 * 1024, "{resident} KiB resident");

    let asked = Instant::now();
    kill(Pid::from_raw(first.id().cast_signed()), Signal::SIGTERM).unwrap();
    let (code, words) = ends(first);
    assert!(code == 0 && words.contains("stopped by a signal"), "{code}: {words}");
    assert!(asked.elapsed() < Duration::from_secs(2));
    let journal = std::fs::read_to_string(machine.dir.path().join("journal/journal.json")).unwrap();
    let journal: serde_json::Value = serde_json::from_str(&journal).unwrap();
    assert_eq!((&journal["v"], &journal["memory"]["target"]["cluster"]), (&json!(1), &json!("c")));
    assert_eq!(*machine.tokens.lock().unwrap(), 1);
    // And the next one takes over.
    let mut next = machine.agent().spawn().unwrap();
    let before = machine.reports.lock().unwrap().len();
    until("a report of the next", || machine.reports.lock().unwrap().len() > before);
    kill(Pid::from_raw(next.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(next.wait().unwrap().success());
}

#[test]
fn a_journal_that_cannot_be_is_said_at_the_start() {
    let machine = Machine::new();
    std::fs::write(machine.dir.path().join("journal"), "a file").unwrap();
    let (code, words) = ends(machine.agent().spawn().unwrap());
    assert!(code == 1 && words.contains("cannot use the lock file"), "{code}: {words}");
}
