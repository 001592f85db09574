//! One typed method per endpoint of the host API.
//!
//! What the server means by a status code is an outcome, a variant of the method's answer; an error is what no
//! caller can plan for: no answer, a code outside the table, a body that is not the promised JSON. The published
//! openapi.yaml is wrong on field names (the wire is snake_case), so the shapes are those of the real server.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, StatusCode};
use models::host::{CommandType, OsInfo, UpdateStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::transport::{Answer, Call, Sent, Transport, TransportError};

/// Speaks the host API over a [`Transport`]. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    /// Names our transactions apart from those of other clients and of other runs.
    transactions: u64,
    made: AtomicU64,
}

/// The answer to `GET /updates/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusAnswer {
    /// 200.
    Known(Box<UpdateStatus>),
    /// 404: no refresh since the boot; the status lives on a tmpfs.
    Uninitialized,
    /// 423: an update command runs.
    Locked,
    /// 500, with the server's words.
    ServerError(String),
}

/// The four update commands, as requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read the update repository.
    Refresh,
    /// Write the chosen update to the inactive set.
    Prepare,
    /// Make the written set the next to boot.
    Activate,
    /// Undo activate.
    Deactivate,
}

impl Action {
    /// The last part of the path.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Refresh => "refresh-updates",
            Self::Prepare => "prepare-update",
            Self::Activate => "activate-update",
            Self::Deactivate => "deactivate-update",
        }
    }

    /// How the status names it.
    pub fn command(self) -> CommandType {
        match self {
            Self::Refresh => CommandType::Refresh,
            Self::Prepare => CommandType::Prepare,
            Self::Activate => CommandType::Activate,
            Self::Deactivate => CommandType::Deactivate,
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.command().as_str())
    }
}

/// The answer to `POST /actions/…-update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionAnswer {
    /// 204: the work has begun, not ended.
    Started,
    /// 423: another command runs.
    Locked,
    /// 409: the update state does not allow it.
    NotAllowed,
    /// 404 with the server's words: `Previously chosen Update no longer exists`, or
    /// `No update image applied to staging partition`.
    NothingThere(String),
    /// 500 with the server's words. Images without in-place updates answer every action so (trap 10).
    ServerError(String),
}

/// The answer to `POST /actions/reboot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebootAnswer {
    /// 204. The shutdown may take up to 300 s to begin.
    Accepted,
    /// 500 with the server's words, such as that of an inhibitor.
    Refused(String),
}

/// The update settings of a host. What is missing or of an unexpected type is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateSettings {
    /// `latest` or a version.
    pub version_lock: Option<String>,
    /// Whether update waves are passed over.
    pub ignore_waves: Option<bool>,
}

/// The answer to `GET /settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsAnswer {
    /// 200.
    Known(UpdateSettings),
    /// 500 with the server's words, as under kernel lockdown (trap 10).
    ServerError(String),
}

/// The answer to `PATCH /settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchAnswer {
    /// 204: in the transaction, not in force.
    Pending,
    /// 400 with the server's reason: an unknown field or a bad value.
    Rejected(String),
}

/// The answer to `POST /tx/commit_and_apply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    /// 200 with the changed keys. They are applied *after* the answer (trap 7).
    Committed(Vec<String>),
    /// 422: the transaction has no changes.
    NothingPending,
}

/// Why a request has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error("{request} has no answer")]
    Transport {
        /// Method and target.
        request: String,
        /// Why.
        source: TransportError,
    },
    /// 404 without a body: a wrong method or an unknown path, so the host is older or newer than this program.
    #[error("this host's API has no {request}")]
    NoSuchEndpoint {
        /// Method and target.
        request: String,
    },
    /// A status code that the endpoint is not known to answer.
    #[error("{request} was answered {status}{}", with_colon(.body))]
    Unexpected {
        /// Method and target.
        request: String,
        /// The status code.
        status: u16,
        /// The first part of the body.
        body: String,
    },
    /// The body is not what the endpoint promises.
    #[error("the answer to {request} cannot be read, it begins with {body:?}")]
    Malformed {
        /// Method and target.
        request: String,
        /// The first part of the body.
        body: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Whether the server may have acted on the request.
    pub fn sent(&self) -> Sent {
        match self {
            Self::Transport { source, .. } => source.sent(),
            Self::NoSuchEndpoint { .. } => Sent::No,
            Self::Unexpected { .. } | Self::Malformed { .. } => Sent::Maybe,
        }
    }
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The server does not take the change.
    #[error("the host does not take the setting: {reason}")]
    Rejected {
        /// The server's reason.
        reason: String,
    },
    /// The transaction was empty at the commit, so somebody else committed or deleted it.
    #[error("the transaction {transaction} was gone at its commit")]
    Lost {
        /// Its name.
        transaction: String,
    },
    /// It took too long.
    #[error("the transaction was not completed within {limit:?}")]
    TooLong {
        /// The time it was given.
        limit: std::time::Duration,
    },
    /// A request of the transaction has no outcome.
    #[error("the transaction was not completed")]
    Client(#[from] ClientError),
}

impl Client {
    /// Transactions are named at random.
    pub fn new(transport: Transport) -> Self {
        Self::with_transactions(transport, RandomState::new().hash_one(std::process::id()))
    }

    /// Transactions are named after `seed`, so that a simulation is the same every time.
    pub fn with_transactions(transport: Transport, seed: u64) -> Self {
        Self { inner: Arc::new(Inner { transport, transactions: seed, made: AtomicU64::new(0) }) }
    }

    /// Where requests go, for messages.
    pub fn peer(&self) -> String {
        self.inner.transport.peer()
    }

    /// `GET /os`. It works where nothing else does, also under kernel lockdown.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn os(&self) -> Result<OsInfo, ClientError> {
        let asked = self.ask(Method::GET, "/os", None).await?;
        match asked.answer.status {
            StatusCode::OK => asked.json(),
            _ => Err(asked.unexpected()),
        }
    }

    /// `GET /updates/status`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_status(&self) -> Result<StatusAnswer, ClientError> {
        let asked = self.ask(Method::GET, "/updates/status", None).await?;
        match asked.answer.status {
            StatusCode::OK => Ok(StatusAnswer::Known(Box::new(asked.json()?))),
            StatusCode::NOT_FOUND if !asked.answer.body.is_empty() => Ok(StatusAnswer::Uninitialized),
            StatusCode::LOCKED => Ok(StatusAnswer::Locked),
            StatusCode::INTERNAL_SERVER_ERROR => Ok(StatusAnswer::ServerError(asked.text())),
            _ => Err(asked.unexpected()),
        }
    }

    /// `POST /actions/…-update`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_action(&self, action: Action) -> Result<ActionAnswer, ClientError> {
        let asked = self.ask(Method::POST, &format!("/actions/{}", action.endpoint()), None).await?;
        match asked.answer.status {
            StatusCode::NO_CONTENT => Ok(ActionAnswer::Started),
            StatusCode::LOCKED => Ok(ActionAnswer::Locked),
            StatusCode::CONFLICT => Ok(ActionAnswer::NotAllowed),
            StatusCode::NOT_FOUND if !asked.answer.body.is_empty() => Ok(ActionAnswer::NothingThere(asked.text())),
            StatusCode::INTERNAL_SERVER_ERROR => Ok(ActionAnswer::ServerError(asked.text())),
            _ => Err(asked.unexpected()),
        }
    }

    /// `POST /actions/reboot`.
    ///
    /// # Errors
    /// [`ClientError`]; where its [`sent`](ClientError::sent) is `Maybe`, the host may be going down.
    pub async fn reboot(&self) -> Result<RebootAnswer, ClientError> {
        let asked = self.ask(Method::POST, "/actions/reboot", None).await?;
        match asked.answer.status {
            StatusCode::NO_CONTENT => Ok(RebootAnswer::Accepted),
            StatusCode::INTERNAL_SERVER_ERROR => Ok(RebootAnswer::Refused(asked.text())),
            _ => Err(asked.unexpected()),
        }
    }

    /// `GET /settings?prefix=updates`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_settings(&self) -> Result<SettingsAnswer, ClientError> {
        let asked = self.ask(Method::GET, "/settings?prefix=updates", None).await?;
        match asked.answer.status {
            StatusCode::OK => {
                let settings: Value = asked.json()?;
                let updates = &settings["updates"];
                Ok(SettingsAnswer::Known(UpdateSettings {
                    version_lock: updates["version-lock"].as_str().map(str::to_owned),
                    ignore_waves: updates["ignore-waves"].as_bool(),
                }))
            }
            StatusCode::INTERNAL_SERVER_ERROR => Ok(SettingsAnswer::ServerError(asked.text())),
            _ => Err(asked.unexpected()),
        }
    }

    /// `PATCH /settings?tx=T`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch_settings(&self, transaction: &str, settings: &Value) -> Result<PatchAnswer, ClientError> {
        let body = Bytes::from(settings.to_string());
        let asked = self.ask(Method::PATCH, &format!("/settings?tx={transaction}"), Some(body)).await?;
        match asked.answer.status {
            StatusCode::NO_CONTENT => Ok(PatchAnswer::Pending),
            StatusCode::BAD_REQUEST => Ok(PatchAnswer::Rejected(asked.text())),
            _ => Err(asked.unexpected()),
        }
    }

    /// `POST /tx/commit_and_apply?tx=T`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn commit_and_apply(&self, transaction: &str) -> Result<CommitAnswer, ClientError> {
        let asked = self.ask(Method::POST, &format!("/tx/commit_and_apply?tx={transaction}"), None).await?;
        match asked.answer.status {
            // Committed is committed, whatever the list looks like.
            StatusCode::OK => Ok(CommitAnswer::Committed(asked.json().unwrap_or_default())),
            StatusCode::UNPROCESSABLE_ENTITY => Ok(CommitAnswer::NothingPending),
            _ => Err(asked.unexpected()),
        }
    }

    /// `DELETE /tx?tx=T`; returns the keys that were pending.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_transaction(&self, transaction: &str) -> Result<Vec<String>, ClientError> {
        let asked = self.ask(Method::DELETE, &format!("/tx?tx={transaction}"), None).await?;
        match asked.answer.status {
            StatusCode::OK => Ok(asked.json().unwrap_or_default()),
            _ => Err(asked.unexpected()),
        }
    }

    /// Patches settings in a transaction of its own, commits and has it applied; after a failure the transaction is
    /// deleted. Returns the changed keys. The change is applied after this returns (trap 7).
    ///
    /// A future dropped before the commit leaves a transaction that nobody commits; it ends with the boot.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change_settings(&self, settings: &Value) -> Result<Vec<String>, ChangeError> {
        let made = self.inner.made.fetch_add(1, Ordering::Relaxed);
        let transaction = format!("host-bridge-{:016x}-{made}", self.inner.transactions);
        let result = self.patch_and_commit(&transaction, settings).await;
        if result.is_err()
            && let Err(error) = self.delete_transaction(&transaction).await
        {
            tracing::debug!("cannot delete the transaction {transaction}: {error}");
        }
        result
    }

    async fn patch_and_commit(&self, transaction: &str, settings: &Value) -> Result<Vec<String>, ChangeError> {
        match self.patch_settings(transaction, settings).await? {
            PatchAnswer::Pending => {}
            PatchAnswer::Rejected(reason) => return Err(ChangeError::Rejected { reason: excerpt(&reason) }),
        }
        match self.commit_and_apply(transaction).await? {
            CommitAnswer::Committed(keys) => Ok(keys),
            CommitAnswer::NothingPending => Err(ChangeError::Lost { transaction: transaction.to_owned() }),
        }
    }

    async fn ask(&self, method: Method, target: &str, json: Option<Bytes>) -> Result<Asked, ClientError> {
        let request = format!("{method} {target}");
        let call = Call { method, target: target.to_owned(), json };
        match self.inner.transport.send(&call).await {
            Ok(answer) => Ok(Asked { request, answer }),
            Err(source) => Err(ClientError::Transport { request, source }),
        }
    }
}

struct Asked {
    request: String,
    answer: Answer,
}

impl Asked {
    /// Error texts have no content type, and nothing says that they are UTF-8.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer.body).trim().to_owned()
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.answer.body).map_err(|source| ClientError::Malformed {
            request: self.request.clone(),
            body: excerpt(&self.text()),
            source,
        })
    }

    fn unexpected(self) -> ClientError {
        match self.answer.status {
            StatusCode::NOT_FOUND if self.answer.body.is_empty() => {
                ClientError::NoSuchEndpoint { request: self.request }
            }
            status => {
                ClientError::Unexpected { status: status.as_u16(), body: excerpt(&self.text()), request: self.request }
            }
        }
    }
}

/// The first part of what a server or worker said, on one line, for a message.
pub(crate) fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(models::host::HostReport::MAX_DETAIL - 1) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

fn with_colon(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
