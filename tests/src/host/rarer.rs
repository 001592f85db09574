//! What the recorded exchanges do not have: the traps from 13 on, and the rarer forms of the settings API, as the sources of
//! core kit v3.1.1 have them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use semver::Version;

use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn begin() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().unwrap()
}

fn host(spec: HostSpec) -> (Host, Repository) {
    let versions = ["1.26.0", "1.26.1", "1.27.0", "1.28.0"].map(version);
    (Host::new(spec, 11, begin()), Repository::of(&versions))
}

/// Status and body of each of these on a host of their own, one after the other.
fn answers(spec: HostSpec, requests: &[Request]) -> Vec<(u16, String)> {
    let (mut host, repository) = host(spec);
    let ask = |request| host.handle(begin(), &repository, request).unwrap();
    requests.iter().map(ask).map(|answer| (answer.status, answer.body)).collect()
}

fn answer(request: Request) -> (u16, String) {
    answers(HostSpec::default(), &[request]).remove(0)
}

#[test]
fn trap_13_a_gap_between_two_releases_blocks_what_lies_around_it() {
    let mut repository = host(HostSpec::default()).1;
    repository.missing_migrations = BTreeSet::from([(version("1.26.1"), version("1.27.0"))]);
    for (from, to, end) in [
        ("1.26.1", "1.27.0", Some("1.26.1")),
        ("1.26.0", "1.27.0", Some("1.26.1")),
        ("1.26.1", "1.28.0", Some("1.26.1")),
        ("1.28.0", "1.26.0", Some("1.26.1")),
        ("1.26.0", "1.26.1", None),
        ("1.27.0", "1.28.0", None),
    ] {
        let high = version(from).max(version(to));
        let blocked = end.map(|end| format!("Reached end of migration chain at {end} but target is {high}"));
        assert_eq!(repository.migrations(&version(from), &version(to)).err(), blocked, "{from} -> {to}");
    }
}

#[test]
fn trap_14_a_lock_that_is_set_while_a_refresh_runs_counts_for_it() {
    let durations = Durations { refresh: SignedDuration::from_secs(30), ..Durations::default() };
    let (mut host, repository) = host(HostSpec { durations, ..HostSpec::default() });
    let mut ask = |request: &Request| host.handle(begin(), &repository, request).unwrap();
    assert_eq!(ask(&Request::post("/actions/refresh-updates")).status, 204);
    ask(&Request::patch("/settings?tx=t", r#"{"updates":{"version-lock":"1.27.0"}}"#));
    assert_eq!(ask(&Request::post("/tx/commit_and_apply?tx=t")).status, 200);
    host.advance(begin() + SignedDuration::from_mins(1), &repository);
    let chosen = host.update_status().unwrap().chosen_update.as_ref().unwrap();
    assert_eq!(chosen.version, version("1.27.0"), "and not 1.28.0, which was newest when it began");
}

#[test]
fn trap_15_a_release_that_was_withdrawn_is_activated_and_booted() {
    let (mut host, mut repository) = host(HostSpec::default());
    let mut now = begin();
    let mut act = |name: &str, repository: &Repository| {
        let answer = host.handle(now, repository, &Request::post(&format!("/actions/{name}"))).unwrap();
        now += SignedDuration::from_mins(5);
        host.advance(now, repository);
        answer.status
    };
    assert_eq!([act("refresh-updates", &repository), act("prepare-update", &repository)], [204, 204]);
    repository.withdraw(&version("1.28.0"));
    assert_eq!([act("activate-update", &repository), act("reboot", &repository)], [204, 204]);
    assert_eq!(host.running_version(), &version("1.28.0"));
}

#[test]
fn trap_16_timestamps_leave_out_zeros() {
    let (mut host, repository) = host(HostSpec { jitter_percent: 0, ..HostSpec::default() });
    let (mut now, mut digits) = (begin(), BTreeSet::new());
    for _ in 0..60 {
        host.handle(now, &repository, &Request::post("/actions/refresh-updates")).unwrap();
        now += SignedDuration::from_mins(1);
        host.advance(now, &repository);
        let last = host.update_status().unwrap().most_recent_command.as_ref().unwrap().timestamp.clone();
        let written = last.strip_suffix('Z').unwrap();
        digits.insert(written.split_once('.').map_or(0, |(_, digits)| digits.len()));
        assert!(last.parse::<Timestamp>().is_ok(), "{last}");
    }
    assert_eq!(digits, BTreeSet::from([3, 6, 9]));
}

#[test]
fn trap_16_deleting_a_transaction_deletes_all_or_one() {
    let patch = |tx: &str| Request::patch(&format!("/settings?tx={tx}"), r#"{"motd":"hi"}"#);
    let delete = Request { method: "DELETE".to_owned(), ..Request::get("/tx?tx=a") };
    for (delete_takes_all, left) in [(true, "{}"), (false, r#"{"motd":"hi"}"#)] {
        let spec = HostSpec { delete_takes_all, ..HostSpec::default() };
        let done = answers(spec, &[patch("a"), patch("b"), delete.clone(), Request::get("/tx?tx=b")]);
        assert_eq!(done[2], (200, r#"["settings.motd"]"#.to_owned()));
        assert_eq!(done[3], (200, left.to_owned()));
    }
}

#[test]
fn services_and_configuration_files() {
    let found = |target: &str| answer(Request::get(target));
    let service = r#""updog":{"configuration-files":["updog-toml"],"restart-commands":[]}"#;
    let file = r#""updog-toml":{"path":"/etc/updog.toml","template-path":"/usr/share/templates/updog-toml"}"#;
    for (target, status, body) in [
        ("/services?names=updog", 200, format!("{{{service}}}")),
        ("/services?prefix=up", 200, format!("{{{service}}}")),
        ("/services?prefix=services.up", 200, format!("{{{service}}}")),
        ("/services?prefix=nope", 200, "{}".to_owned()),
        ("/services?names=", 400, "Input 'names' cannot be empty".to_owned()),
        ("/services?prefix=", 400, "Input 'prefix' cannot be empty".to_owned()),
        ("/services?names=updog,nope", 404, "Found no 'services.nope' in datastore".to_owned()),
        ("/configuration-files?names=updog-toml", 200, format!("{{{file}}}")),
        ("/configuration-files?prefix=updog", 200, format!("{{{file}}}")),
        ("/configuration-files?names=nope", 404, "Found no 'configuration-files.nope' in datastore".to_owned()),
        ("/metadata/affected-services", 400, "Missing required input 'keys'".to_owned()),
        ("/metadata/affected-services?keys=settings.motd", 200, "{}".to_owned()),
        ("/?prefix=services.updog", 200, format!("{{\"services\":{{{service}}}}}")),
    ] {
        assert_eq!(found(target), (status, body), "{target}");
    }
    for target in ["/services", "/configuration-files"] {
        assert!(found(target).1.contains("thar-be-updates"), "{target}");
    }
    let (_, whole) = found("/");
    let places = ["configuration-files", "os", "services", "settings"].map(|name| whole.find(&format!("\"{name}\":")));
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{whole}");
}

#[test]
fn patches_without_a_value_make_no_transaction() {
    for body in ["{}", r#"{"motd":null}"#, r#"{"updates":null}"#, r#"{"updates":{"version-lock":null}}"#] {
        let patched = answers(
            HostSpec::default(),
            &[Request::patch("/settings?tx=t", body), Request::get("/tx/list"), Request::post("/tx/commit?tx=t")],
        );
        assert_eq!(patched[0], (204, String::new()), "{body}");
        assert_eq!(patched[1], (200, r#"["bottlerocket-launch"]"#.to_owned()), "{body}");
        assert_eq!(patched[2].0, 422, "{body}");
    }
}

#[test]
fn key_pairs_are_typed_as_the_server_guesses() {
    let patch = |pair: &str| {
        let body = serde_json::json!({ "request_payload": [pair] }).to_string();
        answer(Request::patch("/settings/keypair?tx=t", &body))
    };
    for good in ["motd=hi", "settings.motd=hi", "updates.ignore-waves=true", "updates.seed=7", "motd=a=b", "motd="] {
        assert_eq!(patch(good), (204, String::new()), "{good}");
    }
    for (bad, words) in [
        ("motd", "Failed to split the string: motd"),
        ("motd=42", "Cause: Error deserializing scalar value: invalid type: integer `42`, expected a string"),
        ("updates.seed=-1", "Error deserializing scalar value: invalid value: integer `-1`"),
        ("=1", "Prefix '' is not a valid key: Key name '' has invalid format: cannot be empty"),
        ("mo td=1", "invalid character in key: ' '"),
        ("updates..seed=1", "empty key segment"),
        ("updates.=1", "ends with separator"),
        ("\"motd=1", "unbalanced quotes"),
    ] {
        let (status, body) = patch(bad);
        assert!(status == 400 && body.contains(words), "{bad}: {status} {body}");
    }
    let none = answer(Request::patch("/settings/keypair?tx=t", r#"{"request_payload":[]}"#));
    assert_eq!(none, (204, String::new()));
}

#[test]
fn a_body_must_be_json_and_not_too_long() {
    let sent = |kind: Option<&str>, body: &str| {
        let content_type = kind.map(str::to_owned);
        let answered = answer(Request { content_type, ..Request::patch("/settings?tx=t", body) });
        (answered.0, answered.1)
    };
    for kind in
        ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/x+json", "text/json"]
    {
        assert_eq!(sent(Some(kind), "{}").0, 204, "{kind}");
    }
    for kind in [None, Some("text/plain"), Some("json"), Some("application/jsonx")] {
        assert_eq!(sent(kind, "{}"), (400, "Content type error".to_owned()), "{kind:?}");
    }
    let most = 2 * 1024 * 1024;
    let padded = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
    assert_eq!(sent(Some("application/json"), &padded(most)).0, 204);
    let (status, body) = sent(Some("application/json"), &padded(most + 1));
    let words = "JSON payload (2097153 bytes) is larger than allowed (limit: 2097152 bytes).";
    assert_eq!((status, body.as_str()), (413, words));
}

#[test]
fn a_transaction_is_a_directory_and_its_name_no_longer() {
    let of = |name: &str, method: &str, target: &str| {
        let request = Request::get(&format!("{target}?tx={name}"));
        answer(Request { method: method.to_owned(), ..request })
    };
    let patch = |name: &str| answer(Request::patch(&format!("/settings?tx={name}"), r#"{"motd":"hi"}"#));
    assert_eq!(patch(&"a".repeat(255)).0, 204);
    let (status, body) = patch(&"a".repeat(256));
    assert!(status == 500 && body.starts_with("Data store error during set_keys: IO error on "), "{body}");
    assert!(body.ends_with(": File name too long (os error 36)"), "{body}");
    assert_eq!(patch(&"%2E".repeat(86)).0, 500, "each of these takes three");
    let long = "a".repeat(256);
    assert_eq!(of(&long, "GET", "/tx"), (200, "{}".to_owned()));
    assert_eq!(of(&long, "POST", "/tx/commit").0, 422);
    assert_eq!(of(&long, "DELETE", "/tx").0, 500);
}

#[test]
fn head_is_no_method_of_the_api() {
    let head = |target: &str| answer(Request { method: "HEAD".to_owned(), ..Request::get(target) });
    for target in ["/os", "/updates/status", "/settings", "/services"] {
        assert_eq!(head(target), (404, String::new()), "{target}");
    }
}
