//! HTTP requests and answers, as much of them as the protocols read and write.

use bytes::Bytes;

/// An HTTP request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The `X-Amz-Target` header.
    pub target: Option<String>,
    pub body: Bytes,
    /// Who asks.
    pub by: Caller,
    /// What the signature says of its maker: the key of a host's role, or of the program under test. Nothing else is checked.
    pub signature: Option<Signature>,
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
    pub body: String,
    /// The header `x-amzn-requestid`.
    pub request_id: String,
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
        let (_, rest) = authorization.split_once("Credential=")?;
        let mut scope = rest.split([',', ' ']).next()?.split('/');
        let access_key = scope.next()?.to_owned();
        Some(Self { access_key, region: scope.nth(1)?.to_owned() })
    }
}
