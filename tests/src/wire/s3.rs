//! S3, REST: `PutObject` (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>). What S3 makes of it is in
//! `docs/facts/s3.md`. Answers have no `ETag`.

use jiff::Timestamp;
use jiff::fmt::strtime;
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::request::Rest;
use super::xml;
use crate::world::{StoredObject, World};

/// The longest name of an object, in bytes.
const LONGEST_KEY: usize = 1024;
/// By so many minutes the time of a signature may be off.
const SKEW_MINUTES: i64 = 15;

/// Names the operation by its method, and takes bucket and key from the host name or the path.
pub(super) fn operation(rest: &Rest) -> String {
    let (bucket, key) = place(rest);
    let what = if key.is_empty() && !bucket.is_empty() { "Bucket" } else { "Object" };
    let method = rest.method.to_ascii_lowercase();
    format!("{}{}{what}", method.get(..1).unwrap_or_default().to_ascii_uppercase(), method.get(1..).unwrap_or_default())
}

/// Bucket and key: `BUCKET.s3.REGION.amazonaws.com/KEY`, or a path `/BUCKET/KEY` of any other host.
pub(crate) fn place(rest: &Rest) -> (&str, &str) {
    let path = rest.path.strip_prefix('/').unwrap_or(&rest.path);
    match rest.host.split_once(".s3.") {
        Some((bucket, domain)) if domain.contains(".amazonaws.com") => (bucket, path),
        Some(_) | None => path.split_once('/').unwrap_or((path, "")),
    }
}

pub(super) fn perform(world: &mut World, operation: &str, rest: &Rest) -> Result<String, Failure> {
    match operation {
        "PutObject" => put_object(world, rest).map(|()| String::new()),
        operation => Err(Failure::unknown("Operation", format!("s3:{operation} is not modelled"))),
    }
}

/// One of the same name is replaced.
fn put_object(world: &mut World, rest: &Rest) -> Result<(), Failure> {
    let (bucket, key) = place(rest);
    let Some(spec) = world.buckets.get(bucket) else {
        return Err(refused(404, "NoSuchBucket", "The specified bucket does not exist"));
    };
    if spec.region.as_ref().is_some_and(|region| *region != world.spec.name) {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send \
                       all future requests to this endpoint.";
        return Err(refused(301, "PermanentRedirect", message));
    }
    if key.len() > LONGEST_KEY {
        return Err(refused(400, "KeyTooLongError", "Your key is too long"));
    }
    let signed_at = strtime::parse("%Y%m%dT%H%M%SZ", &rest.signed_at).and_then(|time| time.to_datetime());
    let signed_at = signed_at.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC)).map(|time| time.timestamp());
    let off = |at: Timestamp| world.now.duration_since(at).as_secs().abs();
    if !signed_at.is_ok_and(|at| off(at) <= SKEW_MINUTES * 60) {
        let message = "The difference between the request time and the current time is too large.";
        return Err(refused(403, "RequestTimeTooSkewed", message));
    }
    let hash: String = Sha256::digest(&rest.body).iter().map(|byte| format!("{byte:02x}")).collect();
    if rest.hash != hash {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(refused(400, "XAmzContentSHA256Mismatch", message));
    }
    let object = StoredObject { content_type: rest.content_type.clone(), body: rest.body.clone(), puts: 1 };
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    world.put_object(bucket, key, object);
    Ok(())
}

/// The caller's policy does not allow it.
pub(super) fn denied(who: &str, rest: &Rest) -> Failure {
    let (bucket, key) = place(rest);
    let message = format!(
        "User: {who} is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::{bucket}/{key}\" because no \
         identity-based policy allows the s3:PutObject action"
    );
    refused(403, "AccessDenied", message)
}

fn refused(status: u16, code: &str, message: impl Into<String>) -> Failure {
    Failure { status, ..Failure::new(code, message) }
}

/// An error of S3, whose element has no other around it.
pub(super) fn error(failure: &Failure, request_id: &str) -> String {
    let inner = [("Code", failure.code.as_str()), ("Message", &failure.message), ("RequestId", request_id)];
    let inner: String = inner.iter().map(|(name, value)| xml::text(name, value)).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", xml::wrap("Error", inner))
}
