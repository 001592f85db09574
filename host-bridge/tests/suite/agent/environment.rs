//! What is around the agent: the metadata service, ECS, the journal and the lock file.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_bridge::agent::{
    Ecs, Endpoint, FileJournal, Imds, ImdsError, Journal, JournalError, Lock, LockError, Memory, PutError, Sink, Tags,
    Target,
};
use jiff::Timestamp;
use models::claim::{CLAIM_TAG, Claim};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{json as json_reply, served};
use crate::wire::{Reply, Request, text};

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end_and_when_it_is_refused() {
    let (tokens, refuse) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let imds = {
        let (tokens, refuse) = (Arc::clone(&tokens), Arc::clone(&refuse));
        Imds::over(served(move |request| {
            if request.method == "PUT" {
                assert_eq!(request.target, "/latest/api/token");
                assert!(request.head.contains("x-aws-ec2-metadata-token-ttl-seconds: 21600"));
                return text(200, &format!("t{}", tokens.fetch_add(1, Ordering::SeqCst) + 1));
            }
            let newest = format!("x-aws-ec2-metadata-token: t{}\r\n", tokens.load(Ordering::SeqCst));
            if refuse.swap(0, Ordering::SeqCst) == 1 || !request.head.contains(&newest) {
                return text(401, "");
            }
            text(200, "eu-central-1")
        }))
    };
    let asked = async || {
        imds.region().await.unwrap();
        tokens.load(Ordering::SeqCst)
    };
    assert_eq!(asked().await, 1);
    tokio::time::sleep(Duration::from_hours(5)).await;
    assert_eq!(asked().await, 1);
    tokio::time::sleep(Duration::from_mins(55)).await;
    assert_eq!(asked().await, 2);
    // The service may forget its tokens.
    refuse.store(1, Ordering::SeqCst);
    assert_eq!(asked().await, 3);
}

fn tagged(list: Reply, claim: Reply) -> Imds {
    Imds::over(served(move |request| match request.target.as_str() {
        "/latest/api/token" => text(200, "t"),
        "/latest/meta-data/tags/instance" => list.clone(),
        "/latest/meta-data/tags/instance/ecs-updater:claim" => claim.clone(),
        other => panic!("{other}"),
    }))
}

#[tokio::test(start_paused = true)]
async fn tags_that_are_switched_off_are_not_tags_that_are_gone() {
    let claim = "v1/drain@bridge/01JDBX3Z7G8Y0M2QK4T5V6W7X8/1.26.1/1.27.0/2026-11-23T03:00:00Z";
    let list = || text(200, &format!("Name\n{CLAIM_TAG}"));
    let tags = tagged(list(), text(200, claim)).tags().await.unwrap();
    assert_eq!(tags.claim(), Some(&claim.parse::<Claim>().unwrap()));
    let tags = tagged(text(200, "Name"), text(404, "")).tags().await.unwrap();
    assert!(matches!(tags, Tags::Known { claim: None, .. }));
    assert!(matches!(tagged(text(404, ""), text(404, "")).tags().await, Err(ImdsError::NoTags)));
    assert!(matches!(tagged(list(), text(503, "")).tags().await, Err(ImdsError::Status { status: 503, .. })));
    assert!(matches!(tagged(list(), Reply::Hang).tags().await, Err(ImdsError::Silent { .. })));
    let unreadable = tagged(list(), text(200, "v2/x")).tags().await.unwrap();
    assert!(matches!(unreadable, Tags::Known { claim: Some(Err(_)), .. }));
}

/// The metadata of an instance with a role whose credentials last an hour from each asking.
fn with_role(asked: &Arc<AtomicU32>) -> Arc<Imds> {
    let asked = Arc::clone(asked);
    Arc::new(Imds::over(served(move |request| match request.target.as_str() {
        "/latest/api/token" => text(200, "t"),
        "/latest/meta-data/placement/region" => text(200, "eu-central-1"),
        "/latest/meta-data/services/domain" => text(200, "amazonaws.com"),
        "/latest/meta-data/iam/security-credentials/" => text(200, "the-role"),
        "/latest/meta-data/iam/security-credentials/the-role" => {
            let time = asked.fetch_add(1, Ordering::SeqCst) + 1;
            json_reply(
                200,
                &json!({"Code": "Success", "AccessKeyId": format!("AKIA{time}"), "Token": "session",
                "SecretAccessKey": "secret", "Expiration": format!("2026-11-23T{:02}:00:00Z", 3 + time)}),
            )
        }
        other => panic!("{other}"),
    })))
}

fn at(hour: i64) -> Timestamp {
    let start: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
    start + jiff::SignedDuration::from_hours(hour)
}

#[tokio::test(start_paused = true)]
async fn the_one_aws_request() {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (fails, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU32::new(0)));
    let ecs = {
        let (seen, fails) = (Arc::clone(&seen), Arc::clone(&fails));
        Ecs::over(
            with_role(&asked),
            served(move |request: &Request| {
                let head = request.head.to_ascii_lowercase();
                for expected in [
                    "post / http/1.1\r\n",
                    "host: ecs.eu-central-1.amazonaws.com\r\n",
                    "content-type: application/x-amz-json-1.1\r\n",
                    "x-amz-target: amazonec2containerservicev20141113.putattributes\r\n",
                    "x-amz-security-token: session\r\n",
                    "x-amz-date: 20261123t0",
                    "authorization: aws4-hmac-sha256 credential=akia",
                    "/20261123/eu-central-1/ecs/aws4_request, signedheaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, signature=",
                ] {
                    assert!(head.contains(expected), "{expected:?} is not in {head}");
                }
                seen.lock().unwrap().push(serde_json::from_slice(&request.body).unwrap());
                match fails.lock().unwrap().take() {
                    Some(code) => json_reply(400, &json!({"__type": code, "message": "no"})),
                    None => json_reply(200, &json!({"attributes": []})),
                }
            }),
        )
    };
    let target = Target { cluster: "prod".into(), container_instance: "arn:aws:ecs:x".into() };
    let attributes = BTreeMap::from([("ecs-updater.os-version", "1.27.0".to_owned())]);
    let put = async |hour| ecs.put(&target, &attributes, at(hour)).await;
    put(0).await.unwrap();
    let expected = json!({"cluster": "prod", "attributes": [{"name": "ecs-updater.os-version", "value": "1.27.0",
        "targetId": "arn:aws:ecs:x", "targetType": "container-instance"}]});
    assert_eq!(*seen.lock().unwrap(), [expected]);
    // Kept while they last, and fetched again when they end or are refused.
    put(0).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    put(1).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    *fails.lock().unwrap() = Some("com.amazon.coral.service#ExpiredTokenException");
    let error = put(1).await.unwrap_err();
    assert!(matches!(&error, PutError::Refused { code, .. } if code == "ExpiredTokenException"), "{error}");
    put(1).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    *fails.lock().unwrap() = Some("TargetNotFoundException");
    assert!(put(1).await.unwrap_err().is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_lost_role_is_an_error_and_no_more() {
    let imds = Imds::over(served(|request| match request.target.as_str() {
        "/latest/api/token" => text(200, "t"),
        "/latest/meta-data/placement/region" => text(200, "eu-central-1"),
        _ => text(404, ""),
    }));
    let target = Target { cluster: "prod".into(), container_instance: "arn".into() };
    let ecs = Ecs::new(Arc::new(imds), Some("https://ecs.example".parse().unwrap()));
    let error = ecs.put(&target, &BTreeMap::new(), at(0)).await.unwrap_err();
    assert!(matches!(error, PutError::Metadata(ImdsError::Missing { .. })), "{error}");
    for wrong in ["", "ecs.example", "ftp://x", "https://x/path", "https://"] {
        assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
    }
}

#[test]
fn one_agent_per_host() {
    let directory = tempfile::tempdir().unwrap();
    let within = directory.path().join("made/when/missing");
    let held = Lock::take(&within).unwrap();
    assert!(matches!(Lock::take(&within), Err(LockError::Held { .. })));
    drop(held);
    Lock::take(&within).unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Lock::take(&file), Err(LockError::Unusable { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_journal_comes_back_whole_or_is_kept_for_a_person() {
    let directory = tempfile::tempdir().unwrap();
    let journal = FileJournal::within(directory.path());
    assert_eq!(journal.load().await.unwrap(), None);
    let memory = Memory { lost: Some("x".into()), ..Memory::default() };
    journal.save(&memory).await.unwrap();
    assert_eq!(journal.load().await.unwrap(), Some(memory.clone()));
    let path = directory.path().join("journal.json");
    // A torn write of a newer one beside it changes nothing.
    std::fs::write(path.with_extension("new"), "{").unwrap();
    assert_eq!(journal.load().await.unwrap(), Some(memory));
    for torn in ["", "{", "[]", "{}", r#"{"v":1,"memory":{"claim":7}}"#, r#"{"v":2,"memory":{}}"#] {
        std::fs::write(&path, torn).unwrap();
        let error = journal.load().await.unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{torn}");
        assert_eq!(std::fs::read_to_string(path.with_extension("corrupt")).unwrap(), torn);
        assert_eq!(journal.load().await.unwrap(), None);
    }
    let nowhere = FileJournal::within(&directory.path().join("nowhere"));
    assert!(matches!(nowhere.save(&Memory::default()).await, Err(JournalError::Write { .. })));
}

proptest! {
    #[test]
    fn no_journal_and_no_metadata_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("journal.json"), &bytes).unwrap();
            let _ = FileJournal::within(directory.path()).load().await;
            let body = bytes.clone();
            let imds = Imds::over(served(move |_| Reply::Bytes(crate::wire::answer(200, &body))));
            let _ = imds.tags().await;
            let _ = imds.credentials().await;
        });
    }
}
