//! HTTP requests and answers, as much of them as the protocols read and write.

use bytes::Bytes;

/// An HTTP request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The `X-Amz-Target` header; of RPC v2 the same from its path (`/service/NAME/operation/NAME`).
    pub target: Option<String>,
    /// Whether its header `Smithy-Protocol` says `rpc-v2-cbor`.
    pub is_cbor: bool,
    /// What it says by its method, its path and its headers alone, where its service is asked in that way.
    pub rest: Option<Rest>,
    /// The Lambda function that its path names (`/2015-03-31/functions/NAME/invocations`).
    pub function: Option<String>,
    pub body: Bytes,
    /// Who asks.
    pub by: Caller,
    /// What the signature says of its maker: the key of a host's role, or of the program under test. Nothing else is checked.
    pub signature: Option<Signature>,
}

/// What a request is for, by its headers and its path.
#[derive(Debug, Clone, Default)]
pub struct Aim {
    pub target: Option<String>,
    pub is_cbor: bool,
    pub rest: Option<Rest>,
    pub function: Option<String>,
}

impl Aim {
    /// Reads the headers, the method and the path. What is signed for S3 has no target.
    pub fn read<'h>(header: impl Fn(&'static str) -> Option<&'h str>, method: &str, uri: &http::Uri) -> Self {
        let function =
            uri.path().strip_prefix("/2015-03-31/functions/").and_then(|rest| rest.strip_suffix("/invocations"));
        if let Some(function) = function {
            let function = function.replace("%3A", ":").replace("%24", "$");
            return Self { function: Some(function), ..Self::default() };
        }
        let service = header("authorization").and_then(Signature::service);
        if service == Some("s3") {
            return Self { rest: Some(Rest::read(header, method, uri)), ..Self::default() };
        }
        if header("smithy-protocol") != Some("rpc-v2-cbor") {
            return Self { target: header("x-amz-target").map(str::to_owned), ..Self::default() };
        }
        let named = uri.path().strip_prefix("/service/").and_then(|rest| rest.split_once("/operation/"));
        let target = named.map(|(service, operation)| format!("{service}.{operation}"));
        Self { target, is_cbor: true, ..Self::default() }
    }
}

/// A request of S3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rest {
    pub method: String,
    pub host: String,
    pub path: String,
    pub content_type: Option<String>,
    /// SHA-256 of the body as its signer says, in hexadecimal digits.
    pub hash: String,
    /// When it was signed, as its signer says: `20261123T030000Z`.
    pub signed_at: String,
    pub body: Bytes,
}

impl Rest {
    fn read<'h>(header: impl Fn(&'static str) -> Option<&'h str>, method: &str, uri: &http::Uri) -> Self {
        let text = |name| header(name).unwrap_or_default().to_owned();
        Self {
            method: method.to_owned(),
            host: uri.host().map_or_else(|| text("host"), str::to_owned),
            path: uri.path().to_owned(),
            content_type: header("content-type").map(str::to_owned),
            hash: text("x-amz-content-sha256"),
            signed_at: text("x-amz-date"),
            body: Bytes::new(),
        }
    }
}

/// Who makes an AWS call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// The program under test.
    #[default]
    Updater,
    /// A person who carries out a wish by a command that is no run.
    Person,
    /// The agent on one of the hosts.
    Agent,
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// The header `x-amzn-requestid`.
    pub request_id: String,
    /// The header `x-amzn-errortype`.
    pub error_type: Option<String>,
    /// The header `X-Amz-Function-Error`.
    pub function_error: Option<&'static str>,
}

impl Response {
    /// The headers that not every answer has.
    pub fn more_headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let error_type = self.error_type.as_deref().map(|value| ("x-amzn-errortype", value));
        error_type.into_iter().chain(self.function_error.map(|value| ("x-amz-function-error", value)))
    }
}

/// What the signature of a call says of its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The access key's id.
    pub access_key: String,
    /// The Region that the signature is for.
    pub region: String,
}

impl Signature {
    /// Reads an `Authorization` header of Signature Version 4:
    /// `AWS4-HMAC-SHA256 Credential=AKIA…/20261123/eu-central-1/ecs/aws4_request, SignedHeaders=…`.
    pub fn read(authorization: &str) -> Option<Self> {
        let mut scope = Self::scope(authorization)?;
        let access_key = scope.next()?.to_owned();
        Some(Self { access_key, region: scope.nth(1)?.to_owned() })
    }

    /// Reads which service it is for.
    fn service(authorization: &str) -> Option<&str> {
        Self::scope(authorization)?.nth(3)
    }

    fn scope(authorization: &str) -> Option<std::str::Split<'_, char>> {
        let (_, rest) = authorization.split_once("Credential=")?;
        Some(rest.split([',', ' ']).next()?.split('/'))
    }
}
