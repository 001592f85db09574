//! S3: what `PutObject` takes, and what it refuses.

use super::region;
use crate::wire::{Aim, Request, Rest};

const BUCKETS: &str = "clusters = ['web']\n[buckets]\nruns = {}\n\"my.runs\" = {}\nfar = { region = \"us-east-1\" }\n\
                       [region]\nlatency_min = \"0s\"\nlatency_max = \"1ms\"";
/// SHA-256 of `x`.
const HASH: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

fn put(host: &str, path: &str) -> Rest {
    let text = str::to_owned;
    let (hash, signed_at) = (text(HASH), text("20261123T030000Z"));
    Rest { method: text("PUT"), host: text(host), path: text(path), hash, signed_at, ..Rest::default() }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_put_or_refused_as_s3_says_it() {
    let region = region(BUCKETS);
    let own = "runs.s3.eu-central-1.amazonaws.com";
    let long = format!("/{}", "k".repeat(1_025));
    let table = [
        ("its own host", put(own, "/a/b.json"), 200, ""),
        ("a path", put("s3.eu-central-1.amazonaws.com", "/my.runs/a"), 200, ""),
        ("a path of another host", put("127.0.0.1", "/runs/b"), 200, ""),
        ("no such bucket", put("127.0.0.1", "/run/b"), 404, "<Error><Code>NoSuchBucket</Code>"),
        ("another Region's", put("127.0.0.1", "/far/b"), 301, "<Code>PermanentRedirect</Code>"),
        ("a long key", put(own, &long), 400, "<Code>KeyTooLongError</Code>"),
        ("another body", Rest { hash: "00".to_owned(), ..put(own, "/c") }, 400, "XAmzContentSHA256Mismatch"),
        (
            "signed long ago",
            Rest { signed_at: "20261123T024459Z".to_owned(), ..put(own, "/c") },
            403,
            "RequestTimeTooSkewed",
        ),
        ("not signed", Rest { signed_at: String::new(), ..put(own, "/c") }, 403, "RequestTimeTooSkewed"),
    ];
    for (name, rest, status, words) in table {
        let request = Request { rest: Some(rest), body: "x".into(), ..Request::default() };
        assert_eq!(request.name(), "s3:PutObject");
        let answer = region.call(request).await.unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        assert!(answer.status == status && body.contains(words), "{name}: {} {body}", answer.status);
        assert_eq!(answer.content_type, "application/xml");
        assert_eq!(body.is_empty(), status == 200, "{name}");
    }
    let kept: Vec<String> =
        region.look(|world| world.objects().keys().map(|(bucket, key)| format!("{bucket} {key}")).collect());
    assert_eq!(kept, ["my.runs a", "runs a/b.json", "runs b"]);
    assert_eq!(region.unknown(), Vec::<String>::new());
    let other = Rest { method: "GET".to_owned(), ..put(own, "/a/b.json") };
    region.call(Request { rest: Some(other), ..Request::default() }).await.unwrap();
    assert_eq!(region.unknown(), ["s3:GetObject: s3:GetObject is not modelled"]);
}

#[test]
fn a_request_for_s3_is_known_by_its_signature() {
    let uri: http::Uri = "https://runs.s3.eu-central-1.amazonaws.com/a".parse().unwrap();
    let of = |service: &str| {
        let signed =
            format!("AWS4-HMAC-SHA256 Credential=AKIA/20261123/eu-central-1/{service}/aws4_request, SignedHeaders=x");
        let header = |name: &'static str| match name {
            "authorization" => Some(signed.as_str()),
            "x-amz-date" => Some("20261123T030000Z"),
            _ => None,
        };
        Aim::read(header, "PUT", &uri).rest
    };
    let rest = of("s3").unwrap();
    let expected = ("PUT", "runs.s3.eu-central-1.amazonaws.com", "/a", "20261123T030000Z");
    assert_eq!((rest.method.as_str(), rest.host.as_str(), rest.path.as_str(), rest.signed_at.as_str()), expected);
    assert_eq!(of("ecs"), None);
}
