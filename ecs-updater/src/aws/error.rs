//! What is left of an SDK error: which operation, what kind, which words.

use std::sync::LazyLock;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use models::build::DOCS;
use models::clean;
use models::ids::ClusterName;
use models::report::{ClusterError, ClusterErrorKind};

use super::answers::{NOT_WHOLE, TOO_LONG};
use super::no_way::{NO_NAME, NOBODY};
use super::{fence, shutdown};

/// A call to AWS that did not do what it was for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {}", clean::cut(message, MOST_SHOWN))]
pub struct AwsError {
    /// Such as `ecs:ListContainerInstances`.
    pub operation: &'static str,
    /// What to make of it.
    pub kind: ErrorKind,
    /// AWS's own words, or the transport's; clean, and no longer than a paragraph.
    pub message: String,
}

/// What to do where a right is missing.
static PERMISSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "give the task role (or your profile) the action named: {DOCS}/operations.md#permissions lists every permission"
    )
});

/// How much of a message is kept: AWS names a thousand instance ids in one.
const MOST_HEARD: usize = 32_768;
/// How much of it is shown.
const MOST_SHOWN: usize = 1_000;
/// The longest code of an error.
const LONGEST_CODE: usize = 100;

/// Kinds of failure that are handled differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing named is not there (any more).
    NotFound,
    /// IAM refuses, or the credentials are not (or no longer) good.
    Denied,
    /// Not now: too many requests, after all the SDK's retries, or what is asked for is being changed.
    Throttled,
    /// No usable answer: no credentials, no route, time-out, a fault on the other side. Whether a write happened is
    /// unknown.
    NoAnswer,
    /// Refused for what the request says; the service's error code.
    Refused(String),
    /// A write that was not sent, since the lease on the cluster is not surely ours any more.
    LeaseOver,
    /// A request that was not sent, since the run was told to stop.
    Stopped,
}

impl ErrorKind {
    /// AWS was there, and said no.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::NotFound | Self::Denied | Self::Refused(_))
    }

    /// AWS gave no answer to go by.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Throttled | Self::NoAnswer)
    }
}

impl AwsError {
    pub(super) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error.as_service_error() {
            Some(service) => {
                let code = clean::cut(service.code().unwrap_or("without a code"), LONGEST_CODE);
                let message = match service.message() {
                    Some(message) => format!("{} ({code})", clean::cut(message, MOST_HEARD)),
                    None => code.clone(),
                };
                let status = error.raw_response().map_or(0, |response| response.status().as_u16());
                Self { operation, kind: kind(&code, status), message }
            }
            None if fence::is_closed(&error) => {
                Self { operation, kind: ErrorKind::LeaseOver, message: fence::Closed.to_string() }
            }
            None if shutdown::is_stopped(&error) => {
                Self { operation, kind: ErrorKind::Stopped, message: shutdown::Stopped.to_string() }
            }
            None => {
                let message = match &error {
                    SdkError::ConstructionFailure(_) => format!("the request could not be made: {}", chain(&error)),
                    SdkError::TimeoutError(_) => "no answer in time".to_owned(),
                    SdkError::DispatchFailure(_) | SdkError::ResponseError(_) | SdkError::ServiceError(_) | _ => {
                        chain(&error)
                    }
                };
                let message = clean::cut(&message, MOST_HEARD);
                Self { operation, kind: ErrorKind::NoAnswer, message }
            }
        }
    }

    /// Returns the refusal of an instance that ECS lists and does not describe.
    pub(crate) fn not_described() -> Self {
        Self {
            operation: "ecs:DescribeContainerInstances",
            kind: ErrorKind::Refused("NotDescribed".to_owned()),
            message: "the instance is left out of the answer".to_owned(),
        }
    }

    /// Whether a call for many can have been refused because of one of them. Nobody is refused by itself what is asked for
    /// no instance in particular: a right to read, credentials, a document.
    pub(super) fn may_be_for_one(&self) -> bool {
        let reads = || ["Describe", "Get", "List"].iter().any(|verb| self.operation.contains(&format!(":{verb}")));
        match &self.kind {
            ErrorKind::Refused(code) => !code.starts_with("InvalidDocument"),
            ErrorKind::Denied => !reads() && !self.is_of_credentials(),
            ErrorKind::NotFound
            | ErrorKind::Throttled
            | ErrorKind::NoAnswer
            | ErrorKind::LeaseOver
            | ErrorKind::Stopped => false,
        }
    }

    /// Whether the refusal says that it is about one instance and not about what is asked: however many are refused so, it
    /// is the trouble of each.
    pub(super) fn is_about_an_instance(&self) -> bool {
        self.code().is_some_and(|code| code == INVALID_INSTANCE || code.starts_with("InvalidInstanceID"))
    }

    /// Whether a right is missing: AWS says so again each time.
    pub(crate) fn is_missing_right(&self) -> bool {
        self.kind == ErrorKind::Denied && !self.is_of_credentials()
    }

    /// Whether the credentials are not accepted.
    pub(crate) fn is_of_credentials(&self) -> bool {
        BAD_CREDENTIALS.iter().any(|code| self.message.contains(code))
    }

    /// What it means for a cluster that cannot be worked on because of it, with the next thing to do.
    pub(crate) fn on(&self, cluster: &ClusterName) -> ClusterError {
        use ClusterErrorKind as Kind;
        let (kind, message) = match &self.kind {
            ErrorKind::NotFound => (
                Kind::ClusterNotFound,
                format!("was not found ({self}); check its name, the Region and the account: aws ecs list-clusters"),
            ),
            ErrorKind::Denied => (Kind::NotPermitted, format!("not permitted: {self}; {}", self.advice())),
            ErrorKind::Refused(_) => (Kind::Unexpected, format!("{self}; this program does not expect such an answer")),
            ErrorKind::Throttled => {
                (Kind::NotReachable, format!("AWS throttles these calls ({self}); the next run tries again"))
            }
            ErrorKind::LeaseOver => {
                (Kind::LeaseLost, format!("{self}; this run may no longer hold the lease on it, so nothing was sent"))
            }
            ErrorKind::NoAnswer => {
                (Kind::NotReachable, format!("AWS gives no usable answer ({self}); {}", self.advice()))
            }
            ErrorKind::Stopped => (Kind::NotReachable, self.to_string()),
        };
        let colon = if kind == Kind::ClusterNotFound { "" } else { ":" };
        ClusterError { kind, message: format!("cluster {cluster}{colon} {message}") }
    }

    /// The next thing to do where AWS cannot be spoken to, or refuses: what is most likely missing, by the error's words.
    pub(crate) fn advice(&self) -> &'static str {
        let says = |words: &str| self.message.contains(words);
        match &self.kind {
            ErrorKind::Denied if self.is_of_credentials() => {
                "the credentials are not accepted: renew them, or choose others with --profile or AWS_PROFILE, and \
                 check: aws sts get-caller-identity; if they work there, check this machine's clock"
            }
            ErrorKind::Denied => PERMISSION.as_str(),
            _ if says(TOO_LONG) => {
                "the server that answers is not AWS: check the endpoint (--endpoint-url, AWS_ENDPOINT_URL) and any \
                 proxy in between"
            }
            _ if says(NO_NAME) || says(NOBODY) => {
                "check the Region (--region, AWS_REGION: aws ec2 describe-regions), the endpoint (--endpoint-url, \
                 AWS_ENDPOINT_URL) and the network"
            }
            _ if says(NOT_WHOLE) => {
                "something on the way cuts answers off: check the proxy (HTTPS_PROXY), the endpoint and the network \
                 in between"
            }
            _ if says("Missing Region") || says("missing signing region") => {
                "no Region is set: give --region NAME, or set AWS_REGION"
            }
            _ if says("no credentials found in chain") => {
                "no AWS credentials were found: give --profile NAME (aws configure list-profiles), or set AWS_PROFILE, or \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            _ if says("IMDS") => {
                "the metadata service of this machine gives no credentials: check that it is on and that the instance has a \
                 role, or give --profile NAME"
            }
            _ if says("ProfileFile provider could not be built") => {
                "correct the profile in the AWS configuration files (~/.aws/config), or give another one by --profile"
            }
            _ if says("SSO token") || says("loading an access token") => {
                "sign in again: aws sso login, with the same --profile"
            }
            _ if says("external process exited") => {
                "run the credential_process of the profile by hand: what it prints says what is wrong"
            }
            _ if says("endpoint must contain scheme") => {
                "an endpoint begins with http:// or https://: check --endpoint-url and AWS_ENDPOINT_URL"
            }
            ErrorKind::NotFound
            | ErrorKind::Throttled
            | ErrorKind::NoAnswer
            | ErrorKind::Refused(_)
            | ErrorKind::LeaseOver
            | ErrorKind::Stopped => {
                "check the network, the Region, the credentials and the endpoint: aws sts get-caller-identity"
            }
        }
    }

    /// Whether there are no credentials to sign with.
    pub(crate) fn is_without_credentials(&self) -> bool {
        self.kind == ErrorKind::NoAnswer && WITHOUT_CREDENTIALS.iter().any(|words| self.message.contains(words))
    }

    /// Whether a name did not resolve.
    pub(crate) fn is_of_a_name(&self) -> bool {
        self.kind == ErrorKind::NoAnswer && self.message.contains(NO_NAME)
    }

    /// Whether it was SSM that was asked.
    pub(crate) fn is_of_ssm(&self) -> bool {
        self.operation.starts_with("ssm:")
    }

    /// The service's own error code, where the request itself was refused.
    pub fn code(&self) -> Option<&str> {
        match &self.kind {
            ErrorKind::Refused(code) => Some(code),
            ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Throttled
            | ErrorKind::NoAnswer
            | ErrorKind::LeaseOver
            | ErrorKind::Stopped => None,
        }
    }
}

/// SSM's code for a host that it does not know, or that does not run.
pub(crate) const INVALID_INSTANCE: &str = "InvalidInstanceId";

/// Codes of a refusal that is not about a permission.
const BAD_CREDENTIALS: [&str; 11] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// What the SDK says where it finds none.
const WITHOUT_CREDENTIALS: [&str; 6] = [
    "no credentials found in chain",
    "IMDS",
    "ProfileFile provider could not be built",
    "SSO token",
    "loading an access token",
    "external process exited",
];

fn kind(code: &str, status: u16) -> ErrorKind {
    match code {
        code if BAD_CREDENTIALS.contains(&code) => ErrorKind::Denied,
        "ClusterNotFoundException" | "ResourceNotFoundException" => ErrorKind::NotFound,
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" | "OptInRequired" => ErrorKind::Denied,
        "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RateExceeded"
        | "RequestThrottled"
        // An Auto Scaling group is at work; that passes (docs/facts/auto-scaling.md).
        | "ScalingActivityInProgress"
        | "ResourceContention" => ErrorKind::Throttled,
        _ if status >= 500 => ErrorKind::NoAnswer,
        other => ErrorKind::Refused(other.to_owned()),
    }
}

/// What the SDK says where it says nothing.
const FILLERS: [&str; 3] = ["dispatch failure", "other", "service error"];

/// An error and its causes in their own words, each once, without what only a debugger reads.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut words = String::new();
    for cause in causes {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default().trim_end_matches(". Attempted:").trim_end_matches('.');
        if !line.is_empty() && !FILLERS.contains(&line) && !words.contains(line) {
            words = if words.is_empty() { line.to_owned() } else { format!("{words}: {line}") };
        }
    }
    words
}

/// A request or an answer that is not what the API promises.
pub(super) fn invalid(operation: &'static str, what: &dyn std::fmt::Display) -> AwsError {
    AwsError { operation, kind: ErrorKind::Refused("Invalid".to_owned()), message: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a call for many can have been refused because of one of them, and whether it is each one's own trouble.
    #[test]
    fn whose_trouble_a_refusal_is() {
        let refused = |code: &str| ErrorKind::Refused(code.to_owned());
        let table = [
            ("ssm:SendCommand", refused("InvalidInstanceId"), true, true),
            ("ec2:DescribeInstances", refused("InvalidInstanceID.NotFound"), true, true),
            ("ec2:CreateTags", refused("InvalidInstanceID.Malformed"), true, true),
            ("ec2:CreateTags", refused("TagLimitExceeded"), true, false),
            ("ssm:SendCommand", refused("InvalidDocument"), false, false),
            ("ssm:SendCommand", refused("InvalidDocumentVersion"), false, false),
            ("ssm:SendCommand", ErrorKind::Denied, true, false),
            ("ecs:DescribeTasks", ErrorKind::Denied, false, false),
            ("ecs:GetTaskProtection", ErrorKind::Denied, false, false),
            ("ecs:ListTasks", ErrorKind::Denied, false, false),
            ("ecs:DescribeTasks", refused("InvalidParameterException"), true, false),
            ("ec2:CreateTags", ErrorKind::NotFound, false, false),
            ("ec2:CreateTags", ErrorKind::Throttled, false, false),
            ("ec2:CreateTags", ErrorKind::NoAnswer, false, false),
            ("ec2:CreateTags", ErrorKind::LeaseOver, false, false),
            ("ec2:CreateTags", ErrorKind::Stopped, false, false),
        ];
        for (operation, kind, may_be_for_one, is_about_an_instance) in table {
            let error = AwsError { operation, kind, message: String::new() };
            let said = (error.may_be_for_one(), error.is_about_an_instance());
            assert_eq!(said, (may_be_for_one, is_about_an_instance), "{error:?}");
        }
        let message = "the token has expired (ExpiredToken)".to_owned();
        let expired = AwsError { operation: "ec2:CreateTags", kind: ErrorKind::Denied, message };
        assert!(!expired.may_be_for_one(), "nobody has other credentials");
    }
}
