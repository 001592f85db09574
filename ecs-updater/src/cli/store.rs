//! Keeps the report of a run in S3: as JSON for programs and as a page for people.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join;
use models::policy::Shelf;
use models::report::RunReport;

use crate::aws::{NotStored, Object, SdkConfig, put_object};
use crate::clock::Clock;
use crate::render::{html, json};

/// A bucket is waited for so long; and after a signal, when this process may be killed soon.
const WITHIN: Duration = Duration::from_secs(15);
const WITHIN_AFTER_A_SIGNAL: Duration = Duration::from_secs(2);

/// Puts the report where the clusters' settings say, each object once. What could not be kept is told in the log: the report
/// stands on standard output all the same.
pub(super) async fn store(config: &SdkConfig, shelves: &BTreeSet<Shelf>, report: &RunReport) {
    if shelves.is_empty() {
        return;
    }
    let page = html::render(report);
    let text = match json::render(report, json::Layout::Compact) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, "the report could not be made for its bucket");
            return;
        }
    };
    let within = if report.interrupted { WITHIN_AFTER_A_SIGNAL } else { WITHIN };
    for shelf in shelves {
        let now = Clock::system().now();
        let name = key(shelf, report);
        let (json_key, page_key) = (format!("{name}.json"), format!("{name}.html"));
        let object = |key, content_type, body| Object { bucket: &shelf.bucket, key, content_type, body };
        let both = join(
            put_object(config, object(&json_key, "application/json", &text), now),
            put_object(config, object(&page_key, "text/html; charset=utf-8", &page), now),
        );
        let Ok((as_json, as_page)) = tokio::time::timeout(within, both).await else {
            let within_s = within.as_secs();
            tracing::error!(
                bucket = shelf.bucket,
                within_s,
                "the report was not kept in time; it stands on standard output"
            );
            continue;
        };
        for (key, stored) in [(&json_key, as_json), (&page_key, as_page)] {
            tell(shelf, key, stored);
        }
    }
}

/// The beginning of the names of both objects. Sorted, they are in the order of the runs.
fn key(shelf: &Shelf, report: &RunReport) -> String {
    let begun = report.started_at.strftime("%Y/%m/%d/%H-%M-%SZ");
    let slash = if shelf.prefix.is_empty() { "" } else { "/" };
    format!("{}{slash}{begun}-{}", shelf.prefix, report.run)
}

fn tell(shelf: &Shelf, key: &str, stored: Result<(), NotStored>) {
    match stored {
        Ok(()) => tracing::info!(bucket = shelf.bucket, key, "report kept"),
        Err(error) => tracing::error!(
            bucket = shelf.bucket,
            key,
            %error,
            "the report was not kept; it stands on standard output, and nothing else is missing. The role needs s3:PutObject on \
             the bucket, which has to be in this Region"
        ),
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
        store(&config(&url), &shelves, &report()).await;
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
}
