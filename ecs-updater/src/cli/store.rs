//! Keeps the report of a run in S3: as JSON for programs and as a page for people.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use models::policy::Shelf;
use models::report::RunReport;

use crate::aws::{NotStored, Object, SdkConfig, put_object};
use crate::clock::Clock;
use crate::render::{html, json};
use crate::run::Signals;

/// The buckets are waited for so long, all of them together; and after a signal, when this process may be killed soon.
const WITHIN: Duration = Duration::from_secs(15);
const WITHIN_AFTER_A_SIGNAL: Duration = Duration::from_secs(2);

/// Puts the report where the clusters' settings say, each object once and all of them side by side. What could not be kept is
/// told in the log: the report stands on standard output already.
///
/// `clock` tells the time of the signatures.
pub async fn store(
    config: &SdkConfig,
    shelves: &BTreeSet<Shelf>,
    report: &RunReport,
    (clock, signals): (&Clock, Signals),
) {
    if shelves.is_empty() {
        return;
    }
    let page = html::render(report);
    let text = match json::render(report, json::Layout::Compact) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(%error, "the report could not be made for its bucket");
            return;
        }
    };
    let forms = [("json", "application/json", text.as_str()), ("html", "text/html; charset=utf-8", page.as_str())];
    let puts = shelves.iter().flat_map(|shelf| forms.map(|form| (shelf, form))).map(|(shelf, form)| {
        let (ending, content_type, body) = form;
        let key = format!("{}.{ending}", key(shelf, report));
        let over = patience(report.interrupted, signals.clone());
        async move {
            let object = Object { bucket: &shelf.bucket, key: &key, content_type, body };
            let stored = tokio::select! {
                stored = put_object(config, object, clock.now()) => Some(stored),
                () = over => None,
            };
            tell(shelf, &key, stored);
        }
    });
    join_all(puts).await;
}

/// Ends when the buckets are waited for no longer, counted from when it is asked first. A signal that has come, or comes
/// meanwhile, makes that sooner; a wish that the run only finishes does so where it comes meanwhile.
async fn patience(is_interrupted: bool, signals: Signals) {
    let Signals { mut stop, mut finish } = signals;
    let is_finishing = *finish.borrow();
    let signalled = async {
        if !is_interrupted {
            tokio::select! {
                Ok(_) = stop.wait_for(|asked| *asked) => {}
                Ok(_) = finish.wait_for(|asked| *asked && !is_finishing) => {}
                else => std::future::pending().await,
            }
        }
        tokio::time::sleep(WITHIN_AFTER_A_SIGNAL).await;
    };
    tokio::select! {
        () = signalled => {}
        () = tokio::time::sleep(WITHIN) => {}
    }
}

/// The beginning of the names of both objects. Sorted, they are in the order of the runs.
fn key(shelf: &Shelf, report: &RunReport) -> String {
    let begun = report.started_at.strftime("%Y/%m/%d/%H-%M-%SZ");
    let slash = if shelf.prefix.is_empty() { "" } else { "/" };
    format!("{}{slash}{begun}-{}", shelf.prefix, report.run)
}

/// Tells what became of an object; `None`: its bucket was waited for no longer.
fn tell(shelf: &Shelf, key: &str, stored: Option<Result<(), NotStored>>) {
    match stored {
        Some(Ok(())) => tracing::info!(bucket = shelf.bucket, key, "report kept"),
        Some(Err(error)) => tracing::warn!(
            bucket = shelf.bucket,
            key,
            %error,
            "the report was not kept; it is on standard output, and nothing else is missing. The role needs s3:PutObject on \
             the bucket, which has to be in this Region"
        ),
        None => {
            tracing::warn!(bucket = shelf.bucket, key, "the report was not kept in time; it stands on standard output");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::time::Instant;

    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use models::ids::RunId;

    use super::*;

    /// A server that answers each request alike and tells what it was asked.
    fn server(status: &'static str) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, tell) = (stream.unwrap(), tell.clone());
                std::thread::spawn(move || {
                    let (mut text, mut buffer) = (Vec::new(), [0; 65_536]);
                    loop {
                        let read = stream.read(&mut buffer).unwrap();
                        text.extend_from_slice(&buffer[..read]);
                        let said = String::from_utf8_lossy(&text).into_owned();
                        let length = said.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                        let body = said.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
                        if length.is_some_and(|length: usize| body >= length) {
                            let _ = tell.send(said);
                            break;
                        }
                    }
                    let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                });
            }
        });
        (url, heard)
    }

    fn config(endpoint: &str) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }

    /// Nobody asks for anything.
    fn unasked() -> Signals {
        tokio::sync::watch::channel(false).1.into()
    }

    fn report() -> RunReport {
        RunReport {
            version: 1,
            run: RunId::new("01RUN"),
            dry_run: false,
            started_at: "2026-11-23T03:00:07Z".parse().unwrap(),
            ended_at: "2026-11-23T03:10:00Z".parse().unwrap(),
            interrupted: false,
            clusters: Vec::new(),
            nothing_updated: None,
        }
    }

    #[tokio::test]
    async fn both_forms_are_put_and_signed() {
        let (url, heard) = server("200 OK");
        let shelves = ["s3://runs/web".parse().unwrap()].into();
        store(&config(&url), &shelves, &report(), (&Clock::system(), unasked())).await;
        let mut said: Vec<String> = heard.try_iter().collect();
        said.sort();
        let lines: Vec<&str> = said.iter().filter_map(|one| one.lines().next()).collect();
        assert_eq!(
            lines,
            [
                "PUT /runs/web/2026/11/23/03-00-07Z-01RUN.html HTTP/1.1",
                "PUT /runs/web/2026/11/23/03-00-07Z-01RUN.json HTTP/1.1"
            ]
        );
        assert!(said[0].contains("<!doctype html") && said[1].contains("\"run\":\"01RUN\""), "{said:?}");
        for one in &said {
            let is_signed = one.contains("/eu-west-1/s3/aws4_request") && one.contains("x-amz-content-sha256: ");
            assert!(is_signed && one.contains("x-amz-security-token: token"), "{one}");
        }
    }

    /// What refuses or is not there fails the run no more than it holds it up.
    #[tokio::test]
    async fn what_is_not_kept_is_no_end_of_the_run() {
        let (url, _heard) = server("403 Forbidden");
        let object = Object { bucket: "runs", key: "a", content_type: "text/plain", body: "b" };
        let refused = put_object(&config(&url), object, report().started_at).await.unwrap_err();
        assert!(refused.to_string().starts_with("s3:PutObject: status 403"), "{refused}");
        let began = Instant::now();
        let nobody = put_object(&config("http://127.0.0.1:1"), object, report().started_at).await.unwrap_err();
        assert!(nobody.to_string().contains("refused"), "{nobody}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    /// Each case: whether the run was interrupted, whether it had been asked to finish, what is asked for after 5 s, and for how
    /// long buckets are waited for.
    #[tokio::test(start_paused = true)]
    async fn a_signal_makes_it_sooner() {
        let table = [
            ("nobody asks", false, false, None, 15),
            ("interrupted before", true, false, None, 2),
            ("asked to finish before", false, true, None, 15),
            ("stopped meanwhile", false, false, Some(true), 7),
            ("stopped after it was asked to finish", false, true, Some(true), 7),
            ("asked to finish meanwhile", false, false, Some(false), 7),
        ];
        for (name, is_interrupted, is_finishing, asked, expected_s) in table {
            let ((stop, stopped), (finish, finishing)) =
                (tokio::sync::watch::channel(false), tokio::sync::watch::channel(is_finishing));
            let began = tokio::time::Instant::now();
            let ask = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                match asked {
                    Some(true) => drop(stop.send_replace(true)),
                    Some(false) => drop(finish.send_replace(true)),
                    None => {}
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = patience(is_interrupted, Signals { stop: stopped, finish: finishing }) => {}
                () = ask => {}
            }
            assert_eq!(began.elapsed().as_secs(), expected_s, "{name}");
        }
    }
}
