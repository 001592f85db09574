//! The kit beside hosts that are simulated as well, on real sockets: one as it should be, and others.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use semver::Version;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::*;
use crate::host::{Host, HostSpec, Repository, Request, Response};
use crate::host_server::HostServer;
use crate::pipe::serve;

fn releases() -> Vec<Version> {
    vec![Version::new(1, 27, 0), Version::new(1, 26, 1), Version::new(1, 26, 0)]
}

fn args(socket: &Path, length: Option<u32>) -> ConformArgs {
    ConformArgs {
        socket: socket.to_owned(),
        disruptive: length.is_some(),
        length: length.unwrap_or(1),
        patience: Duration::from_secs(60),
        stay: false,
    }
}

/// Compares, and gives what was found with every line that was said.
async fn found(args: &ConformArgs) -> (Findings, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let findings = conform(args, &|line| lines.lock().unwrap().push(line.to_owned())).await.unwrap();
    (findings, lines.into_inner().unwrap())
}

/// What is found on a host of the simulator's own server.
async fn on_a_host(spec: HostSpec, length: Option<u32>) -> (Findings, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let server = HostServer { socket: socket.clone(), introspection: None, tasks: 0, time_scale: 600 };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = server.serve(spec, releases(), async { stopped.await.unwrap() }, |_| {});
    let compared = async {
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        let found = found(&args(&socket, length)).await;
        stop.send(()).unwrap();
        found
    };
    let (served, found) = tokio::join!(served, compared);
    served.unwrap();
    found
}

#[tokio::test]
async fn the_simulators_own_host_has_no_difference() {
    for spec in [
        HostSpec::default(),
        HostSpec { version_lock: "1.26.0".to_owned(), ignore_waves: true, ..HostSpec::default() },
        HostSpec { lockdown: true, ..HostSpec::default() },
    ] {
        let (findings, lines) = on_a_host(spec, None).await;
        assert_eq!((findings.differences, findings.news, lines.len()), (0, 0, 1), "{lines:?}");
        assert!(findings.compared > 1);
    }
}

#[tokio::test]
async fn every_order_of_two_commands_has_no_difference() {
    let (findings, lines) = on_a_host(HostSpec::default(), Some(2)).await;
    assert_eq!((findings.differences, findings.news), (0, 0), "{lines:?}");
    assert!(findings.compared > 2 * 17, "{findings:?}");
}

#[tokio::test]
async fn what_fails_on_the_host_is_a_note_and_no_difference() {
    let spec = HostSpec { refresh_fails: 1, ..HostSpec::default() };
    let (findings, lines) = on_a_host(spec, Some(1)).await;
    assert_eq!(findings.differences, 0, "{lines:?}");
    let notes: Vec<&String> = lines.iter().filter(|line| line.contains("note")).collect();
    assert_eq!(notes.len(), 1, "not once more for each that was refused: {notes:?}");
    assert!(notes[0].starts_with("  note: refresh failed on the host: "), "{notes:?}");
}

/// What is found on a host whose answers are changed before they go out.
async fn on_another_host(change: impl Fn(&Request, &mut Response) + Send + Sync + 'static) -> (Findings, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let now = Timestamp::now();
    let mut host = Host::new(HostSpec { jitter_percent: 0, ..HostSpec::default() }, 3, now);
    let repository = Repository::of(&releases());
    host.handle(now, &repository, &Request::post("/actions/refresh-updates")).unwrap();
    let later = now + jiff::SignedDuration::from_mins(1);
    host.advance(later, &repository);
    let inside = Arc::new((Mutex::new(host), repository, change));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let inside = Arc::clone(&inside);
            tokio::spawn(serve(stream, None, move |asked| {
                let request = asked.to_host();
                let (host, repository, change) = &*inside;
                let mut response = host.lock().unwrap().handle(later, repository, &request).unwrap();
                change(&request, &mut response);
                std::future::ready(Some(response))
            }));
        }
    });
    let found = found(&args(&socket, None)).await;
    server.abort();
    found
}

fn with_json(response: &mut Response, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_str(&response.body).unwrap();
    change(&mut value);
    response.body = value.to_string();
}

#[tokio::test]
async fn a_new_field_is_news_and_no_difference() {
    let (findings, lines) = on_another_host(|request, response| {
        if (request.method.as_str(), request.path_and_query.as_str()) == ("GET", "/os") {
            with_json(response, |os| os["edition"] = json!("fips"));
        }
    })
    .await;
    assert_eq!((findings.differences, findings.news), (0, 1), "{lines:?}");
    assert_eq!(lines[1..], ["GET /os", "  new: edition: \"fips\""]);
}

#[tokio::test]
async fn a_host_that_answers_otherwise_is_found_out() {
    let (findings, lines) = on_another_host(|request, response| match request.path_and_query.as_str() {
        "/os?prefix=version" => with_json(response, |os| os["version_id"] = json!("1.26.2")),
        "/nonexistent" => response.body = "not found".to_owned(),
        "/actions/reboot" => response.status = 405,
        "/updates/status" => with_json(response, |status| {
            status["most_recent_command"]["timestamp"] = json!("2026-11-23T03:00:00+01:00");
            status.as_object_mut().unwrap().remove("staging_partition");
        }),
        _ => {}
    })
    .await;
    let expected = [
        "GET /os?prefix=version",
        "  differs: version_id: the host has \"\\\"1.26.2\\\"\", expected \"\\\"1.26.1\\\"\"",
        "GET /updates/status",
        "  differs: most_recent_command.timestamp: the host has \"2026-11-23T03:00:00+01:00\", expected an RFC 3339 time in UTC",
        "  differs: staging_partition: the host has none, expected null",
        "GET /nonexistent",
        "  differs: body: the host has \"not found\", expected \"\"",
        "GET /actions/reboot",
        "  differs: status: the host has 405, expected 404",
    ];
    assert_eq!(lines[1..], expected);
    assert_eq!(findings.differences, 5);
    assert!(findings.summary().contains("5 differences, 0 fields"), "{}", findings.summary());
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_no_comparison() {
    let error = conform(&args(Path::new("/nowhere/api.sock"), None), &|_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/api.sock cannot be reached");
}
