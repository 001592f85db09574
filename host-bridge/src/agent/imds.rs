//! The EC2 instance metadata service, version 2: a session token first, then plain GETs.
//!
//! It is link-local and answers from memory, but it can be away for a moment, and it throttles a host that asks in a
//! loop; the callers pace themselves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use models::claim::{BadClaim, CLAIM_TAG, Claim, FAILED_TAG, FailedVersions, SAVED_LOCK_TAG};
use models::host::TargetState;
use serde::Deserialize;
use tokio::time::Instant;

use super::facts::Tags;
use crate::client::excerpt;
use crate::transport::{Answer, Call, Connect, Limits, Tcp, Transport, TransportError};

/// Where it listens.
pub const IMDS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// A token is asked for with the longest life there is, and renewed well before its end.
const TOKEN_LIFE: Duration = Duration::from_hours(6);
const TOKEN_MARGIN: Duration = Duration::from_mins(10);

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    tries: 1,
    read: Duration::from_secs(5),
    total: Duration::from_secs(10),
    idle: Duration::from_secs(3),
};

/// Asks the metadata service.
#[derive(Debug)]
pub struct Imds {
    transport: Transport,
    token: Mutex<Option<Token>>,
}

#[derive(Debug, Clone)]
struct Token {
    value: HeaderValue,
    until: Instant,
}

/// Why the metadata service did not tell.
#[derive(Debug, thiserror::Error)]
pub enum ImdsError {
    /// No answer.
    #[error("the metadata service does not answer {target}")]
    Silent {
        /// The path.
        target: String,
        /// What became of the request.
        source: TransportError,
    },
    /// An answer that is none.
    #[error("the metadata service answered {target} with status {status}{}", hint(*.status))]
    Status {
        /// The path.
        target: String,
        /// The status code.
        status: u16,
    },
    /// It has no such thing.
    #[error("the metadata service has no {target}")]
    Missing {
        /// The path.
        target: String,
    },
    /// The tags of the instance are not there.
    #[error(
        "the metadata service shows no instance tags: switch on InstanceMetadataTags (`aws ec2 \
         modify-instance-metadata-options --instance-metadata-tags enabled`)"
    )]
    NoTags,
    /// It answered something else than expected.
    #[error("the metadata service's answer to {target} cannot be read")]
    Malformed {
        /// The path.
        target: String,
    },
}

fn hint(status: u16) -> &'static str {
    match status {
        403 => " (it is switched off for this instance)",
        _ => "",
    }
}

/// The credentials of the instance's role.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    /// Access key.
    pub access_key_id: String,
    /// Secret key.
    pub secret_access_key: String,
    /// Session token.
    pub token: String,
    /// Until when they are good.
    pub expiration: Timestamp,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

impl Imds {
    /// The service at an address, in life [`IMDS`].
    pub fn at(address: SocketAddr) -> Self {
        Self::over(Tcp(address))
    }

    /// The service behind any stream.
    pub fn over(connect: impl Connect + 'static) -> Self {
        Self { transport: Transport::new(connect, LIMITS), token: Mutex::new(None) }
    }

    /// The tags of this instance that matter here. Read one after the other, the claim first: the others are at least
    /// as new as it.
    ///
    /// # Errors
    /// [`ImdsError`]; [`ImdsError::NoTags`] where the option is off, and then nothing is known about a claim.
    pub async fn tags(&self) -> Result<Tags, ImdsError> {
        const LIST: &str = "/latest/meta-data/tags/instance";
        let keys = self.get(LIST).await?.ok_or(ImdsError::NoTags)?;
        let there = |key: &str| keys.lines().any(|line| line.trim() == key);
        let mut values = [None, None, None];
        for (value, key) in values.iter_mut().zip([CLAIM_TAG, FAILED_TAG, SAVED_LOCK_TAG]) {
            if there(key) {
                *value = self.get(&format!("{LIST}/{key}")).await?;
            }
        }
        let [claim, failed, lock] = values;
        let read = |value: String| value.parse::<Claim>().map_err(|error| BadClaim { value, error });
        Ok(Tags::Known {
            claim: claim.map(|value| value.trim().to_owned()).map(read),
            failed: FailedVersions::parse(&failed.unwrap_or_default()),
            lock: lock.map(|lock| lock.trim().to_owned()).filter(|lock| !lock.is_empty()),
        })
    }

    /// Where its Auto Scaling group takes this instance. `None` where the service does not tell: it has no group, or its
    /// group has not moved it since the service tells of that.
    ///
    /// # Errors
    /// [`ImdsError`]; nothing is known then.
    pub async fn target_state(&self) -> Result<Option<TargetState>, ImdsError> {
        let text = self.get("/latest/meta-data/autoscaling/target-lifecycle-state").await?;
        Ok(text.map(|text| TargetState::read(&text)).filter(|state| *state != TargetState::Missing))
    }

    /// Whether EC2 has given notice that it takes this Spot instance back.
    ///
    /// # Errors
    /// [`ImdsError`]; nothing is known then.
    pub async fn is_taken_back(&self) -> Result<bool, ImdsError> {
        Ok(self.get("/latest/meta-data/spot/instance-action").await?.is_some())
    }

    /// The Region of this instance.
    ///
    /// # Errors
    /// [`ImdsError`].
    pub async fn region(&self) -> Result<String, ImdsError> {
        self.text("/latest/meta-data/placement/region").await
    }

    /// The domain of AWS's endpoints in this partition, such as `amazonaws.com`.
    ///
    /// # Errors
    /// [`ImdsError`].
    pub async fn domain(&self) -> Result<String, ImdsError> {
        self.text("/latest/meta-data/services/domain").await
    }

    /// The id of this instance.
    ///
    /// # Errors
    /// [`ImdsError`].
    pub async fn instance_id(&self) -> Result<String, ImdsError> {
        self.text("/latest/meta-data/instance-id").await
    }

    /// The credentials of the instance's role.
    ///
    /// # Errors
    /// [`ImdsError`]; [`ImdsError::Missing`] where the instance has no role (any more).
    pub async fn credentials(&self) -> Result<Credentials, ImdsError> {
        const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
        let role = self.text(ROLES).await?;
        let target = format!("{ROLES}{}", role.lines().next().unwrap_or_default().trim());
        let answer = self.text(&target).await?;
        serde_json::from_str(&answer).map_err(|_| ImdsError::Malformed { target })
    }

    async fn text(&self, target: &str) -> Result<String, ImdsError> {
        let text = self.get(target).await?.map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty()).ok_or_else(|| ImdsError::Missing { target: target.to_owned() })
    }

    /// `None` where there is no such thing.
    async fn get(&self, target: &str) -> Result<Option<String>, ImdsError> {
        let kept = self.kept_token();
        let renewed = kept.is_none();
        let token = match kept {
            Some(token) => token,
            None => self.renew().await?,
        };
        let mut answer = self.ask(target, token).await?;
        if answer.status == StatusCode::UNAUTHORIZED && !renewed {
            let token = self.renew().await?;
            answer = self.ask(target, token).await?;
        }
        match answer.status {
            StatusCode::OK => Ok(Some(String::from_utf8_lossy(&answer.body).into_owned())),
            StatusCode::NOT_FOUND => Ok(None),
            status => {
                self.forget();
                Err(ImdsError::Status { target: target.to_owned(), status: status.as_u16() })
            }
        }
    }

    async fn ask(&self, target: &str, token: HeaderValue) -> Result<Answer, ImdsError> {
        let mut call = Call::get(target);
        call.headers.insert("x-aws-ec2-metadata-token", token);
        self.send(&call).await
    }

    fn kept_token(&self) -> Option<HeaderValue> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().filter(|token| Instant::now() < token.until).map(|token| token.value.clone())
    }

    fn forget(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn renew(&self) -> Result<HeaderValue, ImdsError> {
        const TARGET: &str = "/latest/api/token";
        self.forget();
        let asked = Instant::now();
        let mut call = Call { method: Method::PUT, target: TARGET.to_owned(), ..Call::default() };
        let heartbeat = HeaderValue::from(TOKEN_LIFE.as_secs());
        call.headers.insert("x-aws-ec2-metadata-token-ttl-seconds", heartbeat);
        let answer = self.send(&call).await?;
        if answer.status != StatusCode::OK {
            return Err(ImdsError::Status { target: TARGET.to_owned(), status: answer.status.as_u16() });
        }
        let malformed = || ImdsError::Malformed { target: TARGET.to_owned() };
        let text = std::str::from_utf8(&answer.body).map_err(|_| malformed())?;
        let mut value = HeaderValue::from_str(text.trim()).map_err(|_| malformed())?;
        value.set_sensitive(true);
        let token = Token { value: value.clone(), until: asked + (TOKEN_LIFE - TOKEN_MARGIN) };
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(value)
    }

    async fn send(&self, call: &Call) -> Result<Answer, ImdsError> {
        let target = excerpt(&call.target);
        self.transport.send(call).await.map_err(|source| ImdsError::Silent { target, source })
    }
}
