//! The simulated host beside the real one: each section of exchanges that were recorded with the real host API and
//! `apiclient` (core-kit v3.1.1) is played to a simulated host and must come back the same, headers and all.
//!
//! The recordings are in `host_api/`. `$` begins a request or a call, `~` lets time pass, `␛` stands for the escape
//! character; timestamps, clock times and random transaction names are placeholders on both sides. One header differs
//! from the recording: the refused reboot's `content-length` was recorded as 115 with a body of 112 bytes.

#![expect(clippy::expect_used, reason = "a broken recording ends the test")]

use fleet_sim::documents::{LoneMachine, Machine, Script, run};
use fleet_sim::host::{Durations, Host, HostSpec, Release, Repository, Request, Wave};
use jiff::{SignedDuration, Timestamp};
use semver::Version;

const BEGIN: &str = "2026-11-23T03:06:50Z";

fn begin() -> Timestamp {
    BEGIN.parse().expect("a timestamp")
}

fn repository() -> Repository {
    Repository::of(&[Version::new(1, 26, 0), Version::new(1, 26, 1), Version::new(1, 27, 0)])
}

fn machine(spec: HostSpec) -> LoneMachine {
    LoneMachine::new(Host::new(spec, 7, begin()), repository(), begin())
}

/// The sections that follow one another in one host's life.
const LIFE: [(&str, &str); 8] = [
    ("os", include_str!("host_api/os.txt")),
    ("before-refresh", include_str!("host_api/before-refresh.txt")),
    ("refresh", include_str!("host_api/refresh.txt")),
    ("prepare", include_str!("host_api/prepare.txt")),
    ("activate", include_str!("host_api/activate.txt")),
    ("deactivate", include_str!("host_api/deactivate.txt")),
    ("reboot", include_str!("host_api/reboot.txt")),
    ("version-lock", include_str!("host_api/version-lock.txt")),
];

/// Lives until the end of `section`, each exchange on the way as recorded.
async fn live_until(section: &str) {
    let machine = machine(HostSpec { reboot_inhibited: 1, ..HostSpec::default() });
    for (name, recording) in LIFE {
        replay(&machine, recording).await;
        if name == section {
            return;
        }
    }
    panic!("no section {section}");
}

async fn replay(machine: &LoneMachine, recording: &str) {
    let mut played = 0;
    for exchange in recording.split("\n$ ").map(|exchange| exchange.trim_start_matches("$ ")) {
        let (exchange, wait) = match exchange.split_once("\n~ ") {
            Some((exchange, wait)) => (exchange, wait.trim().parse::<SignedDuration>().expect("a duration")),
            None => (exchange, SignedDuration::ZERO),
        };
        let (call, expected) = exchange.split_once('\n').expect("a call and its answer");
        let answer = match call.strip_prefix("apiclient") {
            Some(_) => shell(machine, call).await,
            None => http(machine, call),
        };
        assert_eq!(normalised(answer.trim_end()), expected.trim_end(), "answer to {call}");
        machine.sleep(wait).await;
        played += 1;
    }
    assert!(played > 0, "the recording holds exchanges");
}

fn http(machine: &LoneMachine, call: &str) -> String {
    let (call, body) = call.split_once("  <- ").unwrap_or((call, ""));
    let (method, target) = call.split_once(' ').expect("method and target");
    let request = Request {
        method: method.to_owned(),
        path_and_query: target.to_owned(),
        content_type: (!body.is_empty()).then(|| "application/json".to_owned()),
        body: body.as_bytes().to_vec(),
    };
    let response = machine.api(&request).expect("the host is up");
    let headers: String = response.headers().iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("HTTP/1.1 {} {}\n{headers}\n{}", response.status, response.reason(), response.body)
}

async fn shell(machine: &LoneMachine, call: &str) -> String {
    let output = run(machine, &Script::Shell(vec![call.to_owned()]), &Default::default()).await;
    let stream = |name: &str, text: &str| -> String { text.lines().map(|line| format!("{name}: {line}\n")).collect() };
    format!("{}{}[exit {}]", stream("stdout", &output.stdout), stream("stderr", &output.stderr), output.exit_code)
}

fn normalised(text: &str) -> String {
    let text = text.replace('\u{1b}', "␛");
    let lines = text.lines().map(|line| {
        let line = masked(line, "timestamp\":\"", 30, "TIMESTAMP");
        let line = masked(&line, "timestamp\": \"", 30, "TIMESTAMP");
        let line = masked(&line, "?tx=apiclient-set-", 16, "RANDOM");
        match line.find(" ␛[0m␛[3") {
            Some(end) if line.starts_with("stderr: ") => format!("stderr: TIME{}", &line[end..]),
            _ => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Puts `placeholder` over the `length` bytes after each `marker`.
fn masked(line: &str, marker: &str, length: usize, placeholder: &str) -> String {
    let mut parts = line.split(marker);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(marker);
        masked.push_str(placeholder);
        masked.push_str(part.get(length..).expect("a value of the usual length"));
    }
    masked
}

#[tokio::test(start_paused = true)]
async fn section_1_os() {
    live_until("os").await;
}

#[tokio::test(start_paused = true)]
async fn section_2_before_any_refresh() {
    live_until("before-refresh").await;
}

#[tokio::test(start_paused = true)]
async fn section_3_refresh_and_its_lock() {
    live_until("refresh").await;
}

#[tokio::test(start_paused = true)]
async fn section_4_prepare() {
    live_until("prepare").await;
}

#[tokio::test(start_paused = true)]
async fn section_5_activate_and_what_ready_refuses() {
    live_until("activate").await;
}

#[tokio::test(start_paused = true)]
async fn section_6_deactivate_and_activate_again() {
    live_until("deactivate").await;
}

#[tokio::test(start_paused = true)]
async fn section_7_reboot_refused_then_accepted() {
    live_until("reboot").await;
}

#[tokio::test(start_paused = true)]
async fn section_8_version_lock() {
    live_until("version-lock").await;
}

#[tokio::test(start_paused = true)]
async fn section_10_waves() {
    let machine = machine(HostSpec { update_seed: 1_024, ..HostSpec::default() });
    let waves = vec![
        Wave { bound: 0, opens_at: begin() - SignedDuration::from_hours(1) },
        Wave { bound: 1_000, opens_at: begin() + SignedDuration::from_hours(10) },
    ];
    machine.open().repository.publish(Release { waves, ..Release::new(Version::new(1, 27, 0)) });
    replay(&machine, include_str!("host_api/waves.txt")).await;
}

#[tokio::test(start_paused = true)]
async fn section_12_apiclient() {
    // As quick as the recorded host's, or `apiclient` says every five seconds that it still waits.
    let durations = Durations { prepare: SignedDuration::from_secs(1), ..Durations::default() };
    let machine = machine(HostSpec { ignore_waves: true, durations, ..HostSpec::default() });
    replay(&machine, include_str!("host_api/apiclient.txt")).await;
}

#[tokio::test(start_paused = true)]
async fn section_15_settings_and_transactions() {
    let machine = machine(HostSpec { ignore_waves: true, ..HostSpec::default() });
    replay(&machine, include_str!("host_api/settings.txt")).await;
}
