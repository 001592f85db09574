//! One typed method per endpoint of the host API.
//!
//! What the server means by a status code is an outcome, a variant of the method's answer; an error is what no
//! caller can plan for: no answer, a code outside the table, a body that is not the promised JSON. The published
//! openapi.yaml is wrong on field names (the wire is snake_case), so the shapes are those of the real server.

mod outcome;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use models::host::OsInfo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::sleep;

use crate::transport::{Answer, Call, Transport};

pub use outcome::{
    Action, ActionAnswer, ChangeError, ClientError, CommitAnswer, PatchAnswer, RebootAnswer, SettingsAnswer,
    StatusAnswer, UpdateSettings,
};

/// How often a request is sent that is answered 408: the server's one worker was blocked, and it has done nothing
/// (docs/facts/host-api.md#trap-12). As often as a refused connection is tried.
const BLOCKED_TRIES: u32 = 4;
const BLOCKED_PAUSE: Duration = Duration::from_millis(500);

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

    /// `GET` of any target, as it is answered.
    ///
    /// # Errors
    /// [`ClientError`], where there is no answer.
    pub async fn get(&self, target: &str) -> Result<Answer, ClientError> {
        self.ask(Method::GET, target, None).await.map(|asked| asked.answer)
    }

    /// `GET /os`. It works where nothing else does, also under API lockdown (docs/facts/host-api.md#trap-11).
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
        let asked = self.ask_once(&Method::GET, "/updates/status", None).await?;
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
        let asked = self.ask_once(&Method::POST, &format!("/actions/{}", action.endpoint()), None).await?;
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
        // A host is rebooted right after a look at its tasks: an answer of 408 is the caller's, who looks again.
        let asked = self.ask_once(&Method::POST, "/actions/reboot", None).await?;
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
            StatusCode::INTERNAL_SERVER_ERROR if asked.is_locked_down() => Ok(SettingsAnswer::LockedDown(asked.text())),
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
            StatusCode::INTERNAL_SERVER_ERROR if asked.is_locked_down() => Ok(PatchAnswer::LockedDown(asked.text())),
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

    /// Patches settings in a transaction of its own, commits and has it applied. Returns the changed keys. The change is
    /// applied after this returns (docs/facts/host-api.md#trap-7).
    ///
    /// A failure, or a future dropped before the commit, leaves a transaction that nobody commits; it ends with the boot.
    /// It is not deleted, since that would delete those of others too (docs/facts/host-api.md#trap-16).
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change_settings(&self, settings: &Value) -> Result<Vec<String>, ChangeError> {
        let made = self.inner.made.fetch_add(1, Ordering::Relaxed);
        let transaction = format!("host-bridge-{:016x}-{made}", self.inner.transactions);
        self.patch_and_commit(&transaction, settings).await
    }

    async fn patch_and_commit(&self, transaction: &str, settings: &Value) -> Result<Vec<String>, ChangeError> {
        match self.patch_settings(transaction, settings).await? {
            PatchAnswer::Pending => {}
            PatchAnswer::Rejected(reason) => return Err(ChangeError::Rejected { reason: excerpt(&reason) }),
            PatchAnswer::LockedDown(reason) => return Err(ChangeError::LockedDown { reason: excerpt(&reason) }),
        }
        match self.commit_and_apply(transaction).await? {
            CommitAnswer::Committed(keys) => Ok(keys),
            CommitAnswer::NothingPending => Err(ChangeError::Lost { transaction: transaction.to_owned() }),
        }
    }

    async fn ask(&self, method: Method, target: &str, json: Option<Bytes>) -> Result<Asked, ClientError> {
        let mut tries = 1;
        loop {
            match self.ask_once(&method, target, json.clone()).await {
                Err(ClientError::Blocked { .. }) if tries < BLOCKED_TRIES => tries += 1,
                done => return done,
            }
            sleep(BLOCKED_PAUSE).await;
        }
    }

    /// For callers that ask again themselves, until a deadline of theirs.
    async fn ask_once(&self, method: &Method, target: &str, json: Option<Bytes>) -> Result<Asked, ClientError> {
        let request = format!("{method} {target}");
        let call = Call { method: method.clone(), target: target.to_owned(), json, ..Call::default() };
        match self.inner.transport.send(&call).await {
            Ok(answer) if answer.status == StatusCode::REQUEST_TIMEOUT => Err(ClientError::Blocked { request }),
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

    /// What a host under API lockdown says to who reads settings, and to who writes them
    /// (docs/facts/host-api.md#trap-11).
    fn is_locked_down(&self) -> bool {
        let text = self.text();
        text.contains("Live datastore missing") || text.contains("Required key not available")
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
