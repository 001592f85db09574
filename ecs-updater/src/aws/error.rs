//! What is left of an SDK error: which operation, what kind, which words.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use models::ids::ClusterName;
use models::report::{ClusterError, ClusterErrorKind};

use super::fence;

/// A call to AWS that did not do what it was for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct AwsError {
    /// Such as `ecs:ListContainerInstances`.
    pub operation: &'static str,
    /// What to make of it.
    pub kind: ErrorKind,
    /// AWS's own words, or the transport's.
    pub message: String,
}

/// Kinds of failure that are handled differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing named is not there (any more).
    NotFound,
    /// IAM refuses, or the credentials are not (or no longer) good.
    Denied,
    /// Too many requests, after all the SDK's retries.
    Throttled,
    /// No usable answer: no credentials, no route, time-out, a fault on the other side. Whether a write happened is
    /// unknown.
    NoAnswer,
    /// Refused for what the request says; the service's error code.
    Refused(String),
    /// A write that was not sent, since the lease on the cluster is not surely ours any more.
    LeaseOver,
}

impl AwsError {
    pub(super) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error.as_service_error() {
            Some(service) => {
                let code = service.code().unwrap_or("without a code");
                let message = match service.message() {
                    Some(message) => format!("{message} ({code})"),
                    None => code.to_owned(),
                };
                let status = error.raw_response().map_or(0, |response| response.status().as_u16());
                Self { operation, kind: kind(code, status), message }
            }
            None if fence::is_closed(&error) => {
                Self { operation, kind: ErrorKind::LeaseOver, message: fence::Closed.to_string() }
            }
            None => {
                let message = match &error {
                    SdkError::ConstructionFailure(_) => format!("the request could not be made: {}", chain(&error)),
                    SdkError::TimeoutError(_) => "no answer in time".to_owned(),
                    SdkError::DispatchFailure(_) | SdkError::ResponseError(_) | SdkError::ServiceError(_) | _ => {
                        chain(&error)
                    }
                };
                Self { operation, kind: ErrorKind::NoAnswer, message }
            }
        }
    }

    /// What it means for a cluster that cannot be worked on because of it, with the next thing to do.
    pub(crate) fn on(&self, cluster: &ClusterName) -> ClusterError {
        use ClusterErrorKind as Kind;
        let (kind, message) = match &self.kind {
            ErrorKind::NotFound => (
                Kind::ClusterNotFound,
                format!("was not found ({self}); check its name, the Region and the account: aws ecs list-clusters"),
            ),
            ErrorKind::Denied => (
                Kind::NotPermitted,
                format!(
                    "not permitted: {self}; give the task role (or your profile) the action named: docs/operations.md \
                     lists every permission"
                ),
            ),
            ErrorKind::Refused(_) => {
                (Kind::Unexpected, format!("{self}; this program does not know what to make of it"))
            }
            ErrorKind::Throttled => {
                (Kind::NotReachable, format!("AWS refuses so many calls ({self}); the next run tries again"))
            }
            ErrorKind::LeaseOver => {
                (Kind::LeaseLost, format!("{self}; the lease on it is not surely ours any more, so nothing was sent"))
            }
            ErrorKind::NoAnswer => (
                Kind::NotReachable,
                format!(
                    "AWS gives no usable answer ({self}); check the network, the Region and the credentials: \
                     aws sts get-caller-identity"
                ),
            ),
        };
        let colon = if kind == Kind::ClusterNotFound { "" } else { ":" };
        ClusterError { kind, message: format!("cluster {cluster}{colon} {message}") }
    }

    /// The service's own error code, where the request itself was refused.
    pub fn code(&self) -> Option<&str> {
        match &self.kind {
            ErrorKind::Refused(code) => Some(code),
            ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Throttled
            | ErrorKind::NoAnswer
            | ErrorKind::LeaseOver => None,
        }
    }
}

fn kind(code: &str, status: u16) -> ErrorKind {
    match code {
        "ClusterNotFoundException" | "ResourceNotFoundException" => ErrorKind::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "RequestExpired"
        | "OptInRequired" => ErrorKind::Denied,
        "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestThrottled" => ErrorKind::Throttled,
        _ if status >= 500 => ErrorKind::NoAnswer,
        other => ErrorKind::Refused(other.to_owned()),
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    DisplayErrorContext(error).to_string().lines().next().unwrap_or_default().to_owned()
}

/// A request or an answer that is not what the API promises.
pub(super) fn invalid(operation: &'static str, what: &dyn std::fmt::Display) -> AwsError {
    AwsError { operation, kind: ErrorKind::Refused("Invalid".to_owned()), message: what.to_string() }
}
