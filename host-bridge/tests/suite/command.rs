//! The real binary against a scripted host on a real Unix socket: exit codes, the last line, the JSON.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake::{Fake, Shared};
use crate::wire::{Reply, answer, serve, text};

/// A host with its API socket and an ECS agent, served by a thread of its own.
struct Host {
    dir: tempfile::TempDir,
    fake: Shared,
    agent: SocketAddr,
    /// What the agent answers to `/v1/tasks`; `None` for no agent.
    tasks: Arc<Mutex<Reply>>,
}

impl Host {
    fn new(fake: Fake) -> Self {
        let host = Self {
            dir: tempfile::tempdir().unwrap(),
            // Every look would cost real time.
            // Every look costs real time: work takes none, or never ends.
            fake: Fake { looks: if fake.looks == u32::MAX { u32::MAX } else { 0 }, ..fake }.shared(),
            agent: "127.0.0.1:0".parse().unwrap(),
            tasks: Arc::new(Mutex::new(tasks(&[]))),
        };
        let api = std::os::unix::net::UnixListener::bind(host.socket()).unwrap();
        let agent = TcpListener::bind(host.agent).unwrap();
        let address = agent.local_addr().unwrap();
        let (fake, tasks) = (Arc::clone(&host.fake), Arc::clone(&host.tasks));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                api.set_nonblocking(true).unwrap();
                agent.set_nonblocking(true).unwrap();
                let api = tokio::net::UnixListener::from_std(api).unwrap();
                let agent = tokio::net::TcpListener::from_std(agent).unwrap();
                loop {
                    tokio::select! {
                        stream = api.accept() => {
                            let fake = Arc::clone(&fake);
                            tokio::spawn(serve(stream.unwrap().0, move |request| fake.lock().unwrap().handle(&request)));
                        }
                        stream = agent.accept() => {
                            let tasks = Arc::clone(&tasks);
                            tokio::spawn(serve(stream.unwrap().0, move |request| match request.target.as_str() {
                                "/v1/tasks" => tasks.lock().unwrap().clone(),
                                _ => text(200, r#"{"Cluster":"c","ContainerInstanceArn":"arn:aws:ecs:r:1:container-instance/c/1"}"#),
                            }));
                        }
                    }
                }
            });
        });
        Self { agent: address, ..host }
    }

    fn without_agent(self) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { agent: free, ..self }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bridge();
        command.args(arguments).arg("--socket").arg(self.socket()).arg("--ecs-agent").arg(self.agent.to_string());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--output", "json"]].concat());
        let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert_eq!((ran.out.lines().count(), value["exit"].as_i64()), (1, Some(ran.code.into())), "{ran:?}");
        value
    }
}

fn bridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-bridge"));
    command.env_remove("HOST_BRIDGE_SOCKET").env_remove("HOST_BRIDGE_ECS_AGENT").env_remove("HOST_BRIDGE_HOST_ROOT");
    command
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks the exit code, and that the text has these words and ends with what to do next.
    #[track_caller]
    fn ends(&self, code: i32, words: &str, next: &str) {
        let text = if code == 0 { &self.out } else { &self.err };
        assert_eq!(self.code, code, "{self:?}");
        assert!(text.contains(words), "{words:?} is not in {self:?}");
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("next: ") && last.contains(next), "{next:?} is not in the last line of {self:?}");
    }
}

fn tasks(known: &[(&str, &str)]) -> Reply {
    let tasks: Vec<Value> =
        known.iter().map(|(family, status)| json!({"Arn": "arn", "Family": family, "KnownStatus": status})).collect();
    Reply::Bytes(answer(200, json!({"Tasks": tasks}).to_string()))
}

#[test]
fn a_person_updates_a_host() {
    let host = Host::new(Fake::default());
    host.run(&["status"]).ends(0, "not known since this boot", "`host-bridge check`");
    host.run(&["check"]).ends(0, "1.27.0 is offered; 1.26.1 runs", "`host-bridge stage`");
    host.run(&["stage"]).ends(0, "staged: 1.27.0 is on the inactive", "`host-bridge activate` makes 1.27.0");
    host.run(&["activate"]).ends(0, "activated: the next boot takes 1.27.0", "`host-bridge reboot` boots 1.27.0");
    host.run(&["activate"]).ends(0, "nothing to do", "`host-bridge reboot`");
    host.run(&["cancel"]).ends(0, "cancelled: the next boot takes 1.26.1 again", "`host-bridge activate`");
    host.run(&["activate"]).ends(0, "activated", "`host-bridge reboot`");
    host.run(&["reboot"]).ends(0, "rebooting: the host boots 1.27.0", "`host-bridge status` must show");
    {
        let mut fake = host.fake.lock().unwrap();
        *fake = Fake { running: "1.27.0".into(), looks: 0, ..Fake::default() };
    }
    host.run(&["status"]).ends(0, "1.27.0 (aws-ecs-2, x86_64)", "`host-bridge check`");
    host.run(&["check"]).ends(0, "no update is offered to this host, which runs 1.27.0", "nothing to do");
}

#[test]
fn status_is_a_table_that_ends_with_the_next_step() {
    let host = Host::new(Fake::default());
    *host.tasks.lock().unwrap() = tasks(&[("web", "RUNNING"), ("old", "STOPPED")]);
    let ran = host.run(&["check"]);
    assert_eq!(
        ran.out,
        "\
running       1.26.1 (aws-ecs-2, x86_64)
update state  Available
chosen        1.27.0
staged        none
available     1.27.0, 1.26.1, 1.26.0
last command  refresh Success
version-lock  latest
ecs agent     registered, 1 task
1.27.0 is offered; 1.26.1 runs
next: `host-bridge stage` writes it to the inactive partition set; the host stays in service
"
    );
    assert_eq!((ran.err.as_str(), ran.code), ("", 0));
}

#[test]
fn the_json_has_its_documented_shape() {
    let host = Host::new(Fake::default());
    let staged = host.json(&["stage"]);
    let keys: Vec<&str> = staged.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "blocked",
            "busy",
            "command",
            "error",
            "exit",
            "host",
            "message",
            "next",
            "other_set_next",
            "result",
            "v",
            "wrote"
        ]
    );
    assert_eq!(staged["v"], 1);
    assert_eq!((&staged["command"], &staged["result"]), (&json!("stage"), &json!("done")));
    assert_eq!((&staged["wrote"], &staged["error"]), (&json!("1.27.0"), &Value::Null));
    assert_eq!(staged["host"]["os"], json!({"version": "1.26.1", "variant": "aws-ecs-2", "arch": "x86_64"}));
    assert_eq!(staged["host"]["update"]["state"], "Staged");
    assert_eq!(staged["host"]["update"]["last"], json!({"type": "prepare", "status": "Success"}));
    assert_eq!(staged["host"]["settings"]["version_lock"], "latest");
    assert_eq!(staged["host"]["agent"]["state"], "registered");
    assert!(staged["host"]["boot_id"].is_string() && staged["host"]["booted_at"].is_i64());

    let refused = host.json(&["stage", "--version", "9.9.9"]);
    assert_eq!((&refused["result"], &refused["exit"]), (&json!("refused"), &json!(4)));
    assert_eq!((&refused["error"]["at"], &refused["error"]["code"]), (&json!("choose"), &json!("not_offered")));
    assert_eq!(refused["host"]["update"]["state"], "Staged");
}

#[test]
fn stage_refuses_what_is_no_update() {
    let host = Host::new(Fake { running: "1.27.0".into(), available: vec!["1.26.1".into()], ..Fake::default() });
    host.run(&["check"]).ends(0, "1.26.1 is offered; 1.27.0 runs", "1.27.0 was withdrawn");
    let locked = Host::new(Fake { running: "1.27.0".into(), lock: "1.26.1".into(), ..Fake::default() });
    locked.run(&["check"]).ends(0, "1.26.1 is offered; 1.27.0 runs", "`version-lock` is 1.26.1");
    host.run(&["stage"]).ends(4, "1.26.1 is older than the running 1.27.0", "--allow-downgrade");
    host.run(&["stage", "--version", "1.27.0"]).ends(4, "the host runs 1.27.0 already", "nothing to do");
    host.run(&["stage", "--version", "1.28.0"]).ends(4, "not offered to this host", "wave");
    host.run(&["stage", "--allow-downgrade"]).ends(0, "staged: 1.26.1", "activate");

    let none = Host::new(Fake { available: vec!["1.26.1".into()], ..Fake::default() });
    none.run(&["stage"]).ends(4, "stage refused: no update is offered to this host", "wave");
    none.run(&["activate"]).ends(4, "nothing is staged (state Idle)", "`host-bridge check`");
}

#[test]
fn the_worker_s_failures_are_failures() {
    let host = Host::new(Fake { fail: Some(("refresh", "Failed to fetch\n  metadata".into())), ..Fake::default() });
    host.run(&["check"]).ends(1, "check failed: refresh failed on the host: Failed to fetch metadata", "try again");
    host.run(&["status"]).ends(0, "refresh Failed", "the last refresh did not work");

    host.fake.lock().unwrap().writes_nothing = true;
    host.run(&["stage"]).ends(1, "wrote nothing", "`host-bridge stage` refreshes");
    host.fake.lock().unwrap().writes = Some("1.28.0".into());
    host.run(&["stage"]).ends(1, "the host wrote 1.28.0 instead of 1.27.0", "stage --version V");
    host.run(&["activate"]).ends(4, "its last prepare wrote 1.28.0", "`host-bridge check`");
    host.run(&["stage"]).ends(0, "staged: 1.27.0", "activate");
    host.fake.lock().unwrap().fail = Some(("activate", "partition has not been marked valid for upgrade".into()));
    host.run(&["activate"]).ends(1, "has not been marked valid for upgrade", "`host-bridge stage` writes it again");
}

#[test]
fn what_the_host_says_controls_no_terminal() {
    let hostile = "gone\x1b[2J\u{9b}1A\u{202e}\r\nnext: reboot";
    let host = Host::new(Fake::default());
    *host.tasks.lock().unwrap() = tasks(&[(hostile, "RUNNING")]);
    let run = |arguments: &[&str]| {
        host.fake.lock().unwrap().fail = Some(("refresh", hostile.into()));
        host.run(arguments)
    };
    for arguments in [&["check"][..], &["reboot"], &["check", "-vv"], &["reboot", "-vv"]] {
        let ran = run(arguments);
        let all = format!("{}{}", ran.out, ran.err);
        assert!(all.contains("gone␛[2J�1A�"), "{arguments:?} {ran:?}");
        assert!(
            !all.chars().any(|char| char.is_control() && char != '\n' || char == '\u{202e}'),
            "{arguments:?} {ran:?}"
        );
        assert_eq!(all.lines().filter(|line| line.starts_with("next: ")).count(), 1, "{arguments:?} {ran:?}");

        let ran = run(&[arguments, &["--output", "json"]].concat());
        assert!(!ran.out.chars().any(|char| char.is_control() && char != '\n' || char == '\u{202e}'), "{ran:?}");
        let value: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(value["message"].as_str().unwrap().contains("gone\x1b[2J\u{9b}1A\u{202e}"), "{value}");
    }
}

#[test]
fn a_deadline_is_unsure() {
    let host = Host::new(Fake { looks: u32::MAX, ..Fake::default() });
    host.run(&["check", "--timeout", "1s"]).ends(3, "still running at the deadline", "`host-bridge status` shows");
    host.run(&["status"]).ends(0, "an update command is running", "look again");
    host.run(&["check", "--timeout", "1s"]).ends(4, "was not begun", "--timeout");
    host.run(&["reboot"]).ends(4, "an update command runs on the host", "--force");
    assert_eq!(host.json(&["status"])["busy"], true);
}

#[test]
fn a_blocked_api_is_no_running_command() {
    let blocked = || {
        let host = Host::new(Fake::default());
        host.fake.lock().unwrap().instead.extend([("GET /updates/status", text(408, ""))]);
        host
    };
    blocked().run(&["status"]).ends(0, "not known: the host API is blocked (408)", "the host API is blocked");
    blocked().run(&["reboot"]).ends(4, "whether an update command runs on the host is not known", "--force");
    let whole = blocked().json(&["status"]);
    assert_eq!((&whole["busy"], &whole["blocked"]), (&json!(false), &json!(true)));
}

#[test]
fn a_blocked_api_does_not_overrun_the_time_out() {
    for arguments in [&["status"][..], &["check"], &["stage"], &["stage", "--version", "1.26.0"], &["reboot"]] {
        let host = Host::new(Fake::default());
        let answers = std::iter::repeat_n(("GET", text(408, "")), 5_000);
        host.fake.lock().unwrap().instead.extend(answers);
        let begun = Instant::now();
        let ran = host.run(&[arguments, &["--timeout", "1s"]].concat());
        // A last look shows where the host was left; starting a process takes its time too.
        assert!(
            ran.code != 0 && begun.elapsed() < Duration::from_secs(10),
            "{arguments:?} {:?} {ran:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn reboot_refuses_while_tasks_run() {
    let host = Host::new(Fake::default());
    *host.tasks.lock().unwrap() = tasks(&[("web", "RUNNING"), ("old", "STOPPED"), ("batch", "PENDING")]);
    host.run(&["reboot"]).ends(4, "2 ECS tasks run on this host: web, batch", "DRAINING");
    assert_eq!(host.json(&["reboot"])["error"]["code"], "tasks_running");
    assert_eq!(host.fake.lock().unwrap().acts(), [] as [&str; 0]);
    host.run(&["reboot", "--force"]).ends(0, "rebooting", "status");

    *host.tasks.lock().unwrap() = tasks(&[("old", "STOPPED")]);
    host.run(&["reboot"]).ends(0, "rebooting", "status");

    *host.tasks.lock().unwrap() = text(500, "");
    host.run(&["reboot"]).ends(4, "whether tasks run on this host is not known", "--force");
    *host.tasks.lock().unwrap() = text(200, "what?");
    host.run(&["reboot"]).ends(4, "cannot be read", "--force");
}

#[test]
fn reboot_without_an_agent_asks_for_force() {
    let host = Host::new(Fake::default()).without_agent();
    host.run(&["status"]).ends(0, "none listens", "check");
    host.run(&["reboot"]).ends(4, "no ECS agent listens on", "`host-bridge reboot --force`");
    host.run(&["reboot", "--force"]).ends(0, "rebooting", "status");
}

#[test]
fn reboot_says_what_the_host_said() {
    let host = Host::new(Fake { reboot: text(500, "Failed to reboot, exit code: 1"), ..Fake::default() });
    host.run(&["reboot"]).ends(1, "the host refused to reboot: Failed to reboot", "inhibit");
    host.fake.lock().unwrap().reboot = Reply::Last(Vec::new());
    host.run(&["reboot"]).ends(3, "whether the host reboots is not known", "boot id");
}

#[test]
fn rollback_to_a_version_stays_pinned() {
    let host = Host::new(Fake { running: "1.27.0".into(), ..Fake::default() });
    host.run(&["rollback", "--to", "v1.26.1"]).ends(0, "the next boot takes 1.26.1", "version-lock=latest");
    assert_eq!(host.fake.lock().unwrap().lock, "1.26.1");
    host.run(&["check"]).ends(0, "1.26.1 is offered; 1.27.0 runs", "`host-bridge reboot` boots 1.26.1");
}

#[test]
fn rollback_to_the_inactive_set_says_when_it_lacks_the_rights() {
    let host = Host::new(Fake::default());
    let nowhere = host.dir.path().join("nowhere");
    let ran = host.run(&["rollback", "--inactive", "--host-root", nowhere.to_str().unwrap()]);
    let lacking = if nix::unistd::geteuid().is_root() { "no root filesystem of the host" } else { "runs as user" };
    ran.ends(1, lacking, "superpowered host container");
}

/// A root filesystem with a shell and a `signpost` that is a script. Only root can change into it.
fn host_root(at: &Path, signpost: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let libraries = match Command::new("ldd").arg("/bin/sh").output() {
        Ok(output) if nix::unistd::geteuid().is_root() => String::from_utf8(output.stdout).unwrap(),
        _ => return false,
    };
    let files = libraries.split_whitespace().filter(|word| word.starts_with('/')).chain(["/bin/sh"]);
    for file in files {
        let copy = at.join(&file[1..]);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(file, copy).unwrap();
    }
    let program = at.join("usr/bin/signpost");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\n{signpost}\n")).unwrap();
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    true
}

/// What `signpost status` prints, as [its source][state] writes it: with two sets, one active and one next.
///
/// [state]: https://github.com/bottlerocket-os/bottlerocket-core-kit/blob/v3.1.1/sources/updater/signpost/src/state.rs
fn signpost_status(active: &str, next: &str) -> String {
    format!(
        "OS disk: /dev/nvme0n1\n\
         Set A:   boot=/dev/nvme0n1p3 root=/dev/nvme0n1p4 hash=/dev/nvme0n1p5 priority=1 tries_left=0 successful=true\n\
         Set B:   boot=/dev/nvme0n1p9 root=/dev/nvme0n1p10 hash=/dev/nvme0n1p11 priority=2 tries_left=0 successful=true\n\
         Active:  {active}\n\
         Next:    {next}\n"
    )
}

#[test]
fn rollback_to_the_inactive_set_runs_signpost_on_the_host() {
    let host = Host::new(Fake::default());
    let root = host.dir.path().join("root");
    let run = || host.run(&["rollback", "--inactive", "--host-root", root.to_str().unwrap()]);
    let prints = |next: &str| format!("printf '%s' '{}'", signpost_status("Set A", next));
    if !host_root(&root, &format!("echo $1 >> /said; {}", prints("Set B"))) {
        eprintln!("skipped: this needs root");
        return;
    }
    run().ends(0, "the other partition set is the next to boot", "`host-bridge reboot`");
    assert_eq!(std::fs::read_to_string(root.join("said")).unwrap(), "rollback-to-inactive\nstatus\n");
    let status = || host.run(&["status", "--host-root", root.to_str().unwrap()]);
    status().ends(0, "1.26.1 runs, and the next boot takes the other partition set", "boots the other partition set");
    let whole = host.json(&["status", "--host-root", root.to_str().unwrap()]);
    assert_eq!(whole["other_set_next"], true);
    host.run(&["reboot", "--force", "--host-root", root.to_str().unwrap()]).ends(
        0,
        "the host boots the other partition set",
        "status",
    );
    let cancel = || host.run(&["cancel", "--host-root", root.to_str().unwrap()]);
    cancel().ends(4, "the next boot takes the other partition set anyway", "`signpost cancel-upgrade`");
    host_root(&root, &prints("None"));
    assert!(!status().out.contains("next boot"), "neither boots: {:?}", status());
    host_root(&root, &prints("Set A"));
    cancel().ends(0, "nothing to do: the next boot takes 1.26.1 anyway", "check");
    assert!(status().out.contains("next boot     this partition set"), "{:?}", status());

    host_root(
        &root,
        "echo 'Inactive partition is not valid to roll back to (priority=1 tries_left=0 successful=false)' >&2; exit 1",
    );
    run().ends(4, "signpost refused: Inactive partition is not valid", "`host-bridge rollback --to V`");
    host_root(&root, "echo 'Failed to open disk' >&2; exit 1");
    run().ends(1, "signpost failed: Failed to open disk", "--to V");
    host_root(&root, "kill -9 $$");
    run().ends(3, "not known", "signpost status");
    let pipe = root.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    host_root(&root, "read line < /pipe");
    let begun = Instant::now();
    host.run(&["status", "--timeout", "1s", "--host-root", root.to_str().unwrap()]).ends(0, "1.26.1 runs", "check");
    assert!(begun.elapsed() < Duration::from_secs(20), "a signpost that hangs is not waited for");
    std::fs::write(&pipe, "end\n").unwrap();
    std::fs::remove_file(root.join("usr/bin/signpost")).unwrap();
    run().ends(1, "could not be started on the host: signpost: No such file", "--to V");
}

#[test]
fn a_socket_that_is_not_there_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Ran::of(bridge().args(["status", "--socket"]).arg(dir.path().join("no.sock")).output().unwrap());
    ran.ends(1, "the host cannot be examined: GET /os has no answer: there is no /", "fix the access");
}

#[test]
fn wrong_usage_is_2_and_help_teaches() {
    for wrong in [
        &["frobnicate"][..],
        &[],
        &["stage", "--version", "latest"],
        &["rollback"],
        &["rollback", "--to", "1.26.1", "--inactive"],
        &["check", "--timeout", "0s"],
    ] {
        let ran = Ran::of(bridge().args(wrong).output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{wrong:?} {ran:?}");
    }
    let help = Ran::of(bridge().arg("--help").output().unwrap());
    assert_eq!(help.code, 0);
    for words in ["Exit codes:", "3  unsure", "Examples:", "host-bridge check "] {
        assert!(help.out.contains(words), "{words:?} is not in {}", help.out);
    }
    assert!(!help.out.contains("--ecs-agent"), "{}", help.out);
    let help = Ran::of(bridge().args(["reboot", "--help"]).output().unwrap());
    assert!(help.out.contains("DRAINING"), "{}", help.out);
}

#[test]
fn an_interrupted_stage_puts_the_lock_back() {
    let available = ["1.28.0", "1.27.0"].map(String::from).to_vec();
    let host = Host::new(Fake { available, lag: u32::MAX, ..Fake::default() });
    let child = host
        .command(&["stage", "--version", "1.27.0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while host.fake.lock().unwrap().lock != "1.27.0" {
        assert!(begin.elapsed() < Duration::from_secs(30), "the version was never pinned");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.ends(3, "`version-lock` was put back to latest", "`host-bridge status`");
    assert_eq!(host.fake.lock().unwrap().lock, "latest");
}

/// The files of an archive, by name.
fn archive(path: &Path) -> std::collections::BTreeMap<String, String> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        (name, std::io::read_to_string(&mut entry).unwrap())
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn collect_writes_what_there_is_and_names_the_rest() {
    let host = Host::new(Fake::default());
    let secret = r#"{"updates":{"version-lock":"latest"},"host-containers":{"admin":{"user-data":"s3cret"}}}"#;
    host.fake.lock().unwrap().instead.push_back(("GET /settings", text(200, secret)));
    let journal = host.dir.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    std::fs::write(journal.join("journal.json"), r#"{"v":1}"#).unwrap();
    let (to, directory) = (host.dir.path().join("all.tar"), journal.display().to_string());
    let file = to.display().to_string();
    let collect = ["collect", "--to", &file, "--journal", &directory, "--host-root", "/nowhere"];
    let ran = host.run(&collect);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let without =
        "without api/updates-status.json, bridge/journal.corrupt, host/signpost.txt, host/boots.txt, host/log.txt";
    assert!(ran.out.contains(&format!("holds 5 of 10 parts; {without}")), "{}", ran.out);
    let files = archive(&to);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "about.json",
        "api/os.json",
        "api/settings.json",
        "bridge/journal.json",
        "ecs-agent/metadata.json",
        "ecs-agent/tasks.json",
    ];
    assert_eq!(names, expected);
    assert!(!files.values().any(|content| content.contains("s3cret")), "{files:?}");
    let about: Value = serde_json::from_str(&files["about.json"]).unwrap();
    let missing = &about["missing"];
    assert!(missing["api/updates-status.json"].as_str().unwrap().starts_with("404: "), "{missing}");
    assert_eq!(missing["bridge/journal.corrupt"], "there is none");
    assert!(missing["host/log.txt"].as_str().unwrap().starts_with("this needs the host's root"), "{missing}");
    // A second one does not replace it.
    let again = host.run(&collect);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("next: name another file with --to"), "{}", again.err);
}

#[test]
fn collect_works_where_nothing_answers() {
    let directory = tempfile::tempdir().unwrap();
    let (to, socket) = (directory.path().join("all.tar"), directory.path().join("none.sock"));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = bridge();
    command.arg("collect").arg("--to").arg(&to).arg("--socket").arg(&socket).arg("--ecs-agent").arg(free.to_string());
    let ran = Ran::of(command.arg("--host-root").arg("/nowhere").arg("--journal").arg("/nowhere").output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("holds 0 of 10 parts"), "{}", ran.out);
    assert_eq!(archive(&to).len(), 1);
}
