//! One visit to a host: requests to its API as the documents make them, and the report that they fill.

use jiff::{SignedDuration, Timestamp};
use models::host::{
    AgentState, CommandStatus, CommandType, ErrorCode, HostReport, ReportedAgent, ReportedCommand, ReportedError,
    ReportedOs, ReportedSettings, ReportedUpdate, UpdateState,
};
use models::ids::{BootId, ContainerInstanceArn};
use serde_json::Value;

use super::report::{Lock, Step, line, stop};
use super::{Machine, Output};
use crate::host::{NoAnswer, Request, Response};

/// How long the documents wait between two looks at the status: short beside a prepare, which takes most of a minute.
const POLL: SignedDuration = SignedDuration::from_secs(2);
/// How long nobody has held the update lock when a command's worker is taken for killed (`GONE` of `lib.sh`).
const GONE: SignedDuration = SignedDuration::from_secs(15);
/// After this time a pinned version that is not chosen will not be (`SETTLE` of `lib.sh`).
const SETTLE: SignedDuration = SignedDuration::from_secs(90);
/// How long the documents wait for the answer to one request (`CALL` of `lib.sh`), and how long after their deadline such a
/// wait may last (`WAY_OUT`).
const CALL: SignedDuration = SignedDuration::from_secs(10);
const WAY_OUT: SignedDuration = SignedDuration::from_secs(4);
/// The update commands as the API names them.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpdateCommand {
    /// `cmd_type`.
    pub(super) name: &'static str,
    path: &'static str,
}

pub(super) const REFRESH: UpdateCommand = UpdateCommand { name: "refresh", path: "/actions/refresh-updates" };
pub(super) const PREPARE: UpdateCommand = UpdateCommand { name: "prepare", path: "/actions/prepare-update" };
pub(super) const ACTIVATE: UpdateCommand = UpdateCommand { name: "activate", path: "/actions/activate-update" };
pub(super) const DEACTIVATE: UpdateCommand = UpdateCommand { name: "deactivate", path: "/actions/deactivate-update" };

/// The parts of a status that decide.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) state: String,
    pub(super) staged: Option<String>,
    pub(super) chosen: Option<String>,
    pub(super) available: Vec<String>,
    /// What the last command printed, where that is a prepare that succeeded.
    pub(super) prepared: Option<String>,
}

/// A document at work.
pub(super) struct Visit<'m> {
    pub(super) machine: &'m dyn Machine,
    pub(super) deadline: Timestamp,
    pub(super) report: HostReport,
    /// `version-lock` as it was before this visit pinned it.
    found_lock: Option<String>,
    /// Bytes that may still be printed.
    pub(super) room: usize,
}

impl<'m> Visit<'m> {
    pub(super) fn new(machine: &'m dyn Machine, step: &str) -> Self {
        let report = HostReport {
            v: 1,
            step: step.to_owned(),
            boot_id: machine.boot_id().map(BootId::new),
            booted_at: machine.btime(),
            ..HostReport::default()
        };
        Self { machine, deadline: machine.now(), report, found_lock: None, room: HostReport::MAX_BYTES }
    }

    /// Ends the visit: one line, and exit code 0 where nothing stopped it.
    pub(super) fn end(mut self, result: Step<()>) -> Output {
        self.note(result);
        let exit_code = i32::from(self.report.error.is_some());
        Output { exit_code, stdout: line(&self.report, self.room), stderr: String::new() }
    }

    /// Keeps the first error.
    pub(super) fn note(&mut self, result: Step<()>) {
        if let (Err(error), None) = (result, &self.report.error) {
            self.report.error = Some(error);
        }
    }

    /// A request, again where it is answered 408: the one worker of the API was blocked
    /// (docs/facts/host-api.md#trap-12).
    async fn api(&self, request: &Request) -> Result<Response, NoAnswer> {
        loop {
            match self.machine.api(request) {
                Ok(blocked) if blocked.status == 408 && self.in_time() => self.wait().await,
                answer => return answer,
            }
        }
    }

    /// One request. Without an answer in time the host may have done what a request other than GET asks for.
    pub(super) async fn request(&self, at: &str, request: &Request) -> Step<Response> {
        match self.api(request).await {
            Ok(response) => Ok(response),
            Err(error @ NoAnswer::Refused) => Err(stop(at, ErrorCode::ApiDown, error.to_string())),
            Err(NoAnswer::Silence { .. }) => {
                let left = (self.deadline + WAY_OUT).duration_since(self.machine.now());
                let limit = left.clamp(SignedDuration::from_secs(1), CALL);
                self.machine.sleep(limit).await;
                let code = if request.method == "GET" { ErrorCode::ApiDown } else { ErrorCode::Unsure };
                let (method, path) = (&request.method, &request.path_and_query);
                Err(stop(at, code, format!("{method} {path}: no answer within {} s", limit.as_secs())))
            }
        }
    }

    fn in_time(&self) -> bool {
        self.machine.now() < self.deadline
    }

    async fn wait(&self) {
        self.machine.sleep(POLL).await;
    }

    /// `GET /os`, into the report; gives the running version.
    pub(super) async fn os(&mut self) -> Step<String> {
        let response = self.request("os", &Request::get("/os")).await?;
        let os = body(&response).ok_or_else(|| failed("os", &response))?;
        let text = |name: &str| os[name].as_str().unwrap_or_default().to_owned();
        let running = text("version_id");
        self.report.os = Some(ReportedOs {
            version: running.as_str().into(),
            variant: text("variant_id").into(),
            arch: text("arch").into(),
        });
        Ok(running)
    }

    /// The update status, `None` before the first command of a boot. Waits while an action runs.
    async fn raw_status(&self) -> Step<Option<Value>> {
        loop {
            let response = self.request("status", &Request::get("/updates/status")).await?;
            match response.status {
                404 => return Ok(None),
                423 if self.in_time() => self.wait().await,
                423 => return Err(stop("status", ErrorCode::Busy, &response.body)),
                _ => return body(&response).map(Some).ok_or_else(|| failed("status", &response)),
            }
        }
    }

    pub(super) async fn status(&self) -> Step<Option<Seen>> {
        Ok(self.raw_status().await?.map(|status| Seen {
            state: status["update_state"].as_str().unwrap_or_default().to_owned(),
            staged: version_of(&status["staging_partition"]["image"]),
            chosen: version_of(&status["chosen_update"]),
            available: versions(&status["available_updates"]),
            prepared: prepared(&status["most_recent_command"]),
        }))
    }

    /// Issues a command and waits for its new timestamp (docs/documents.md#steps-in-order). Gives the worker's
    /// stderr.
    pub(super) async fn command(&self, command: UpdateCommand) -> Step<String> {
        let at = command.name;
        let before = self.issue(command).await?;
        let mut free_since = None;
        loop {
            self.wait().await;
            let answer = self.api(&Request::get("/updates/status")).await.ok();
            let last = answer.as_ref().and_then(body).map(|status| status["most_recent_command"].clone());
            if let Some(last) = last.filter(|last| timestamp(last) != before && last["cmd_type"] == at) {
                let stderr = last["stderr"].as_str().unwrap_or_default();
                return if last["cmd_status"] == "Success" {
                    Ok(stderr.to_owned())
                } else {
                    Err(stop(at, ErrorCode::Failed, stderr))
                };
            }
            let now = self.machine.now();
            match answer.map(|answer| answer.status) {
                Some(200 | 404) => {
                    if now.duration_since(*free_since.get_or_insert(now)) >= GONE {
                        return Err(stop(at, ErrorCode::Unsure, "its worker is gone without a result"));
                    }
                }
                Some(_) | None => free_since = None,
            }
            if !self.in_time() {
                return Err(stop(at, ErrorCode::Unsure, "the deadline passed before the command ended"));
            }
        }
    }

    /// POSTs a command as soon as nobody holds the lock; gives the timestamp that was there before.
    async fn issue(&self, command: UpdateCommand) -> Step<Option<String>> {
        let at = command.name;
        loop {
            let before = self.request(at, &Request::get("/updates/status")).await?;
            let locked = if before.status == 423 {
                before
            } else {
                let answer = self.request(at, &Request::post(command.path)).await?;
                match answer.status {
                    204 => return Ok(body(&before).and_then(|status| timestamp(&status["most_recent_command"]))),
                    423 => answer,
                    404 | 409 => return Err(stop(at, ErrorCode::Refused, &answer.body)),
                    500 => return Err(server_error(at, &answer)),
                    _ => return Err(failed(at, &answer)),
                }
            };
            if !self.in_time() {
                return Err(stop(at, ErrorCode::Busy, &locked.body));
            }
            self.wait().await;
        }
    }

    /// `settings.updates.version-lock` as it is.
    pub(super) async fn lock(&self, at: &str) -> Step<String> {
        let response = self.request(at, &Request::get("/settings?prefix=updates")).await?;
        let settings = body(&response).ok_or_else(|| failed(at, &response))?;
        Ok(settings["updates"]["version-lock"].as_str().unwrap_or("latest").to_owned())
    }

    async fn set_lock(&self, at: &str, lock: &str) -> Step<()> {
        // Of this visit alone, so that nobody else's pending settings are committed.
        let tx = format!("ecs-updater-{}", self.machine.now().as_nanosecond());
        let change = serde_json::json!({"updates": {"version-lock": lock}}).to_string();
        let patched = self.request(at, &Request::patch(&format!("/settings?tx={tx}"), &change)).await?;
        if !patched.is_success() {
            return Err(failed(at, &patched));
        }
        let committed = self.request(at, &Request::post(&format!("/tx/commit_and_apply?tx={tx}"))).await?;
        if committed.is_success() { Ok(()) } else { Err(failed(at, &committed)) }
    }

    /// Locks the host to `version` and refreshes until it is chosen: settings reach the update tools after the answer. A
    /// refresh can fail just while its settings are rewritten: its error does not stand beside a later success.
    pub(super) async fn pin(&mut self, version: &str) -> Step<()> {
        let found = self.lock("pin").await?;
        self.found_lock = Some(found.clone());
        if found != version {
            self.set_lock("pin", version).await?;
        }
        let settled = self.machine.now() + SETTLE;
        loop {
            let error = match self.command(REFRESH).await {
                Err(error) => error,
                Ok(_) => {
                    let chosen = self.status().await?.and_then(|seen| seen.chosen);
                    if chosen.as_deref() == Some(version) {
                        return Ok(());
                    }
                    let chosen = chosen.unwrap_or_else(|| "nothing".to_owned());
                    stop("pin", ErrorCode::Failed, format!("locked to {version}, but {chosen} stays chosen"))
                }
            };
            if error.code != ErrorCode::Failed || !self.in_time() || self.machine.now() >= settled {
                return Err(error);
            }
            self.wait().await;
        }
    }

    /// On the way out: the lock as it is wanted, or as it was found.
    pub(super) async fn leave_lock(&self, wanted: &Lock) -> Step<()> {
        let wanted = match (wanted, &self.found_lock) {
            (Lock::To(lock), _) => lock,
            (Lock::Keep, Some(found)) => found,
            (Lock::Keep, None) => return Ok(()),
        };
        if self.lock("lock").await? == *wanted { Ok(()) } else { self.set_lock("lock", wanted).await }
    }

    /// Reads status and settings into the report.
    pub(super) async fn look(&mut self) -> Step<()> {
        let settings = self.api(&Request::get("/settings?prefix=updates")).await.ok();
        self.report.locked_down = settings.as_ref().is_some_and(is_locked_down);
        self.report.settings = settings.as_ref().and_then(body).map(|settings| ReportedSettings {
            version_lock: settings["updates"]["version-lock"].as_str().map(str::to_owned),
            ignore_waves: settings["updates"]["ignore-waves"].as_bool(),
        });
        self.report.update = self.raw_status().await?.map(|status| reported(&status));
        Ok(())
    }

    /// Asks the ECS agent until it is registered, or the time is over.
    pub(super) async fn wait_for_agent(&mut self, wait: SignedDuration) {
        let until = (self.machine.now() + wait).min(self.deadline);
        self.agent();
        let registered =
            |visit: &Self| visit.report.agent.as_ref().is_some_and(|agent| agent.state == AgentState::Registered);
        while !registered(self) && self.machine.now() < until {
            self.machine.sleep(POLL).await;
            self.agent();
        }
    }

    /// Asks the ECS agent on the host, and puts its answers into the report.
    pub(super) fn agent(&mut self) {
        let get = |path| match self.machine.introspection(path) {
            Some((200, body)) => Some(serde_json::from_str::<Value>(&body).unwrap_or_default()),
            Some(_) => Some(Value::Null),
            None => None,
        };
        self.report.agent = Some(match get("/v1/metadata") {
            None => ReportedAgent { state: AgentState::Down, ..ReportedAgent::default() },
            Some(metadata) => {
                let arn = metadata["ContainerInstanceArn"].as_str().filter(|arn| !arn.is_empty());
                let known = get("/v1/tasks").unwrap_or_default();
                let running = known["Tasks"]
                    .as_array()
                    .map(|tasks| tasks.iter().filter(|task| task["KnownStatus"] != "STOPPED").count());
                ReportedAgent {
                    state: if arn.is_some() { AgentState::Registered } else { AgentState::Unregistered },
                    container_instance: arn.map(ContainerInstanceArn::from),
                    tasks: running.and_then(|count| u32::try_from(count).ok()),
                }
            }
        });
    }
}

/// The body of a 200, as JSON.
pub(super) fn body(response: &Response) -> Option<Value> {
    if response.status == 200 { serde_json::from_str(&response.body).ok() } else { None }
}

pub(super) fn failed(at: &str, response: &Response) -> ReportedError {
    if response.status == 408 {
        return stop(at, ErrorCode::Busy, "the host API was blocked the whole time (408)");
    }
    if is_locked_down(response) {
        let detail = format!("the host is under API lockdown: {}", response.body);
        return stop(at, ErrorCode::HostLockedDown, detail);
    }
    stop(at, ErrorCode::Failed, format!("{}: {}", response.status, response.body))
}

/// Tells the answers 500 to an update command apart (docs/facts/host-api.md#trap-10).
fn server_error(at: &str, answer: &Response) -> ReportedError {
    let no_dispatcher = answer.body.contains("Unable to start the update dispatcher");
    if no_dispatcher && answer.body.contains("No such file or directory") {
        stop(at, ErrorCode::NoInPlaceUpdates, &answer.body)
    } else if no_dispatcher || answer.body.contains("Update dispatcher failed") {
        let detail = format!("{} (its run directory, partition table or status file)", answer.body);
        stop(at, ErrorCode::DispatcherFailed, detail)
    } else {
        failed(at, answer)
    }
}

fn is_locked_down(response: &Response) -> bool {
    let words = ["Live datastore missing", "Required key not available"];
    response.status == 500 && words.iter().any(|words| response.body.contains(words))
}

fn timestamp(command: &Value) -> Option<String> {
    command["timestamp"].as_str().map(str::to_owned)
}

fn prepared(last: &Value) -> Option<String> {
    let succeeded = last["cmd_type"] == "prepare" && last["cmd_status"] == "Success";
    succeeded.then(|| last["stderr"].as_str().unwrap_or_default().to_owned())
}

fn version_of(image: &Value) -> Option<String> {
    image["version"].as_str().map(str::to_owned)
}

fn versions(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn reported(status: &Value) -> ReportedUpdate {
    let last = &status["most_recent_command"];
    let mut available = versions(&status["available_updates"]);
    available.truncate(HostReport::MAX_AVAILABLE);
    ReportedUpdate {
        state: UpdateState::from(status["update_state"].as_str().unwrap_or_default()),
        chosen: version_of(&status["chosen_update"]).map(Into::into),
        staged: version_of(&status["staging_partition"]["image"]).map(Into::into),
        available: available.into_iter().map(Into::into).collect(),
        last: last.is_object().then(|| ReportedCommand {
            r#type: CommandType::from(last["cmd_type"].as_str().unwrap_or_default()),
            status: CommandStatus::from(last["cmd_status"].as_str().unwrap_or_default()),
        }),
    }
}
