//! Where the reports go: `ecs:PutAttributes` on the agent's own container instance, the only AWS call it makes.
//!
//! One JSON 1.1 request, signed with the instance role's credentials. No retries here: the driver sends the newest report
//! when its turn comes again.

use models::time::after;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::imds::{Credentials, Imds, ImdsError};
use super::memory::Target;
use super::tls::Named;
use crate::client::excerpt;
use crate::transport::{BoxFuture, Call, Connect, Limits, Transport, TransportError};

/// Takes reports.
pub trait Sink: Send + Sync {
    /// Puts attributes on a container instance; all of them in one call. `now` is the machine's clock.
    fn put<'a>(
        &'a self,
        target: &'a Target,
        attributes: &'a BTreeMap<&'static str, String>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), PutError>>;
}

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The metadata service does not tell what is needed for the request: Region, credentials.
    #[error("there are no credentials to report with")]
    Metadata(#[from] ImdsError),
    /// ECS did not answer.
    #[error("ECS does not answer")]
    Silent(#[from] TransportError),
    /// ECS refused.
    #[error("ECS refused PutAttributes: {code}{}", with_colon(.message))]
    Refused {
        /// Such as `ThrottlingException`.
        code: String,
        /// Its own words.
        message: String,
    },
    /// The request could not be signed.
    #[error("the request cannot be signed: {detail}")]
    Signing {
        /// What keeps it from being signed.
        detail: String,
    },
}

impl PutError {
    /// Whether the container instance is not there (any more): the ECS agent has registered a new one, or will.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "TargetNotFoundException" || code == "ClusterNotFoundException")
    }
}

fn with_colon(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Where ECS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
}

/// A URL that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint looks like https://ecs.eu-central-1.amazonaws.com or http://127.0.0.1:8080, without a path")]
pub struct EndpointError;

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let uri: http::Uri = url.parse().map_err(|_| EndpointError)?;
        let (tls, port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(EndpointError),
        };
        match (uri.host(), uri.path()) {
            (Some(host), "" | "/") => Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(port), tls }),
            _ => Err(EndpointError),
        }
    }
}

impl Endpoint {
    /// As it stands in the `host` header.
    fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.authority())
    }
}

/// ECS itself.
pub struct Ecs {
    imds: Arc<Imds>,
    endpoint: Option<Endpoint>,
    /// Connections in place of those to the endpoint.
    over: Option<Arc<dyn Connect>>,
    region: Mutex<Option<(String, Endpoint)>>,
    credentials: Mutex<Option<Credentials>>,
}

/// For one request. The endpoint is far, unlike everything else here.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    tries: 1,
    read: Duration::from_secs(10),
    total: Duration::from_secs(20),
    idle: Duration::from_secs(1),
};

/// Credentials are fetched again this long before they expire; the metadata service has new ones by then.
const CREDENTIALS_MARGIN: SignedDuration = SignedDuration::from_mins(5);

impl Ecs {
    /// The Region's own endpoint, or another one.
    pub fn new(imds: Arc<Imds>, endpoint: Option<Endpoint>) -> Self {
        Self { imds, endpoint, over: None, region: Mutex::new(None), credentials: Mutex::new(None) }
    }

    /// ECS behind any stream.
    pub fn over(imds: Arc<Imds>, connect: impl Connect + 'static) -> Self {
        Self { over: Some(Arc::new(connect)), ..Self::new(imds, None) }
    }

    async fn place(&self) -> Result<(String, Endpoint), ImdsError> {
        if let Some(known) = self.region.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(known);
        }
        let region = self.imds.region().await?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                let domain = self.imds.domain().await?;
                Endpoint { host: format!("ecs.{region}.{domain}"), port: 443, tls: true }
            }
        };
        *self.region.lock().unwrap_or_else(PoisonError::into_inner) = Some((region.clone(), endpoint.clone()));
        Ok((region, endpoint))
    }

    async fn credentials(&self, now: Timestamp) -> Result<Credentials, ImdsError> {
        let kept = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| after(now, CREDENTIALS_MARGIN) < kept.expiration) {
            return Ok(kept);
        }
        let fresh = self.imds.credentials().await?;
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }

    async fn send(
        &self,
        target: &Target,
        attributes: &BTreeMap<&'static str, String>,
        now: Timestamp,
    ) -> Result<(), PutError> {
        let (region, endpoint) = self.place().await?;
        let credentials = self.credentials(now).await?;
        let arn = &target.container_instance;
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value, "targetId": arn, "targetType": "container-instance"}))
            .collect();
        let body = Bytes::from(json!({"cluster": target.cluster, "attributes": attributes}).to_string());
        let headers = signed(&endpoint, &region, &credentials, &body, now)
            .map_err(|detail| PutError::Signing { detail: excerpt(&detail) })?;
        let call = Call { method: Method::POST, target: "/".to_owned(), json: Some(body), headers };
        let transport = match &self.over {
            Some(connect) => Transport::new(Shared(Arc::clone(connect)), LIMITS),
            None => {
                let Endpoint { host, port, tls } = endpoint;
                Transport::new(Named { host, port, tls }, LIMITS)
            }
        };
        let answer = transport.send(&call).await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        Err(refusal(answer.status, &answer.body))
    }
}

impl Sink for Ecs {
    fn put<'a>(
        &'a self,
        target: &'a Target,
        attributes: &'a BTreeMap<&'static str, String>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), PutError>> {
        Box::pin(async move {
            let result = self.send(target, attributes, now).await;
            if let Err(PutError::Refused { code, .. }) = &result
                && is_about_credentials(code)
            {
                *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            result
        })
    }
}

/// The role may have been replaced; what was kept of it is worth nothing.
fn is_about_credentials(code: &str) -> bool {
    ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "InvalidSignature", "AccessDenied"]
        .iter()
        .any(|start| code.starts_with(start))
}

fn refusal(status: StatusCode, body: &[u8]) -> PutError {
    #[derive(Deserialize, Default)]
    struct Problem {
        #[serde(rename = "__type", default)]
        code: String,
        #[serde(default, alias = "Message")]
        message: String,
    }
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let code = match problem.code.rsplit('#').next() {
        None | Some("") => format!("status {}", status.as_u16()),
        Some(code) => excerpt(code),
    };
    PutError::Refused { code, message: excerpt(&problem.message) }
}

/// The headers of the request, its signature among them.
fn signed(
    endpoint: &Endpoint,
    region: &str,
    credentials: &Credentials,
    body: &[u8],
    now: Timestamp,
) -> Result<HeaderMap, String> {
    const FIXED: [(&str, &str); 2] = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "AmazonEC2ContainerServiceV20141113.PutAttributes"),
    ];
    let Credentials { access_key_id, secret_access_key, token, expiration } = credentials.clone();
    let expires = Some(SystemTime::from(expiration));
    let identity =
        aws_credential_types::Credentials::new(access_key_id, secret_access_key, Some(token), expires, "instance role")
            .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ecs")
        .time(SystemTime::from(now))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let request = SignableRequest::new("POST", endpoint.url(), FIXED.into_iter(), SignableBody::Bytes(body))
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let mut headers = HeaderMap::new();
    let authority = endpoint.authority();
    let all = FIXED.into_iter().chain([("host", authority.as_str())]).chain(instructions.headers());
    for (name, value) in all {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
    }
    Ok(headers)
}

/// A connector behind a counter.
struct Shared(Arc<dyn Connect>);

impl Connect for Shared {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<Box<dyn crate::transport::ByteStream>>> {
        self.0.connect()
    }

    fn peer(&self) -> String {
        self.0.peer()
    }
}
