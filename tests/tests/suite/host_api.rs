//! The simulated host beside the real one: each section of exchanges that were recorded with the real host API and
//! `apiclient` (core-kit v3.1.1) is played to a simulated host and must come back the same, headers and all.
//!
//! The recordings are in `host_api/`. `$` begins a request or a call, `~` lets time pass, `␛` stands for the escape
//! character; timestamps, clock times and random transaction names are placeholders on both sides. One header differs
//! from the recording: the refused reboot's `content-length` was recorded as 115 with a body of 112 bytes.

mod client;

use std::collections::BTreeSet;

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

/// The sections that begin on a host of their own.
const APART: [(&str, &str); 3] = [
    ("waves", include_str!("host_api/waves.txt")),
    ("apiclient", include_str!("host_api/apiclient.txt")),
    ("settings", include_str!("host_api/settings.txt")),
];

/// The host as it was when the recording of `section` began, and the recordings of what came before on it.
fn host_of(section: &str) -> (LoneMachine, Vec<&'static str>) {
    if let Some(before) = LIFE.iter().position(|(name, _)| *name == section) {
        let machine = machine(HostSpec { reboot_inhibited: 1, ..HostSpec::default() });
        return (machine, LIFE[..before].iter().map(|(_, recording)| *recording).collect());
    }
    // As quick as the recorded host's, or `apiclient` says every five seconds that it still waits.
    let quick = Durations { prepare: SignedDuration::from_secs(1), ..Durations::default() };
    let machine = match section {
        "waves" => machine(HostSpec { update_seed: 1_024, ..HostSpec::default() }),
        "apiclient" => machine(HostSpec { ignore_waves: true, durations: quick, ..HostSpec::default() }),
        "settings" => machine(HostSpec { ignore_waves: true, ..HostSpec::default() }),
        other => panic!("no section {other}"),
    };
    if section == "waves" {
        let waves = vec![
            Wave { bound: 0, opens_at: begin() - SignedDuration::from_hours(1) },
            Wave { bound: 1_000, opens_at: begin() + SignedDuration::from_hours(10) },
        ];
        machine.open().repository.publish(Release { waves, ..Release::new(Version::new(1, 27, 0)) });
    }
    (machine, Vec::new())
}

fn recording(section: &str) -> &'static str {
    let found = LIFE.iter().chain(&APART).find(|(name, _)| *name == section);
    found.expect("a recorded section").1
}

/// Lives until the end of `section`, each exchange on the way as recorded.
async fn live_until(section: &str) {
    let (machine, before) = host_of(section);
    for recording in before.into_iter().chain([recording(section)]) {
        replay(&machine, recording).await;
    }
}

/// One recorded request or call, its recorded answer, and the time that then passed.
struct Exchange {
    call: &'static str,
    answer: &'static str,
    wait: SignedDuration,
}

fn exchanges(recording: &'static str) -> Vec<Exchange> {
    let split = |exchange: &'static str| {
        let (exchange, wait) = match exchange.split_once("\n~ ") {
            Some((exchange, wait)) => (exchange, wait.trim().parse().expect("a duration")),
            None => (exchange, SignedDuration::ZERO),
        };
        let (call, answer) = exchange.split_once('\n').expect("a call and its answer");
        Exchange { call, answer: answer.trim_end(), wait }
    };
    recording.split("\n$ ").map(|exchange| split(exchange.trim_start_matches("$ "))).collect()
}

async fn replay(machine: &LoneMachine, recording: &'static str) {
    for Exchange { call, answer: expected, wait } in exchanges(recording) {
        let answer = match call.strip_prefix("apiclient") {
            Some(_) => shell(machine, call).await,
            None => http(machine, call),
        };
        assert_eq!(normalised(answer.trim_end()), expected, "answer to {call}");
        machine.sleep(wait).await;
    }
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
    let mut response = machine.api(&request).expect("the host is up");
    response.body = with_nine_digits(&response.body);
    let headers: String = response.headers().iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("HTTP/1.1 {} {}\n{headers}\n{}", response.status, response.reason(), response.body)
}

async fn shell(machine: &LoneMachine, call: &str) -> String {
    let output = run(machine, &Script::Shell(vec![call.to_owned()]), &Default::default()).await;
    let stream = |name: &str, text: &str| -> String { text.lines().map(|line| format!("{name}: {line}\n")).collect() };
    format!("{}{}[exit {}]", stream("stdout", &output.stdout), stream("stderr", &output.stderr), output.exit_code)
}

fn normalised(text: &str) -> String {
    let text = with_nine_digits(text).replace('\u{1b}', "␛");
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

/// The recording has nine digits behind each second; the host leaves out those that are zeros.
fn with_nine_digits(text: &str) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("timestamp\"") {
        let end = at + rest[at..].find('Z').expect("the end of a timestamp");
        let (time, after) = rest.split_at(end);
        let digits = rest[at..end].rsplit_once('.').map_or(0, |(_, digits)| digits.len());
        written.push_str(time);
        written.push_str(if digits == 0 { "." } else { "" });
        written.push_str(&"0".repeat(9 - digits));
        rest = after;
    }
    written + rest
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
    live_until("waves").await;
}

#[tokio::test(start_paused = true)]
async fn section_12_apiclient() {
    live_until("apiclient").await;
}

#[tokio::test(start_paused = true)]
async fn section_15_settings_and_transactions() {
    live_until("settings").await;
}

/// A recording that nobody plays, and a section that has no test on either side, fail here.
#[test]
fn every_section_is_tested_on_both_sides() {
    let folder =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/host_api")).expect("the recordings");
    let names = folder.map(|entry| entry.expect("a file").file_name().into_string().expect("a name"));
    let recorded: BTreeSet<String> = names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
    let embedded: BTreeSet<String> = LIFE.iter().chain(&APART).map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(embedded, recorded);
    for section in &recorded {
        let server = format!("live_until(\"{section}\").await;");
        assert!(include_str!("host_api.rs").contains(&server), "no test plays {section} to the simulated host");
        let client = format!("play(\"{section}\").await");
        assert!(include_str!("host_api/client.rs").contains(&client), "no test plays {section} to the client");
    }
}
