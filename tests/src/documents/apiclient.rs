//! `apiclient` as the recorded exchanges have it (`tests/host_api/apiclient.txt`): stdout, coloured stderr, exit codes
//! (docs/facts/host-api.md#apiclient).
//!
//! Known limits: of the debug log that `-v` turns on, only the status line of `raw` is there; the usage text is the
//! part that was recorded; what a connection error says is not recorded and follows hyper's words.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::Machine;
use crate::host::{NoAnswer, Request, Response, Rng};

const USAGE: &str = "\
Usage: apiclient [SUBCOMMAND] [OPTION]...

Global options:
    -s, --socket-path PATH     Override the server socket path.  Default: /run/api.sock
    --log-level                Desired amount of output; trace|debug|info|warn|error
    -v, --verbose              Sets log level to 'debug'.  This prints extra info,
";

/// How a call ended.
pub(super) enum Ended {
    /// With this exit code: 0 success, 1 failure, 2 usage.
    Exit(i32),
    /// It uses a part of `apiclient` that is not simulated.
    NotSimulated(String),
}

/// One run of the tool after another, and all they wrote.
pub(super) struct Apiclient<'m> {
    machine: &'m dyn Machine,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Failed requests and how often to look for a command's end (`update.rs`, `WaitPolicy`).
#[derive(Clone, Copy)]
struct Wait {
    between: Duration,
    attempts: u32,
}

const CHECK: Wait = Wait { between: Duration::from_millis(100), attempts: 100 };
const PREPARE: Wait = Wait { between: Duration::from_millis(500), attempts: 1_200 };
const FLAGS: Wait = Wait { between: Duration::from_millis(100), attempts: 50 };

type Tried<T> = Result<T, String>;

impl<'m> Apiclient<'m> {
    pub(super) fn new(machine: &'m dyn Machine) -> Self {
        Self { machine, stdout: String::new(), stderr: String::new() }
    }

    /// Runs the tool with these arguments.
    pub(super) async fn run(&mut self, arguments: &[&str]) -> Ended {
        let is_verbose = |argument: &str| matches!(argument, "-v" | "--verbose");
        let debug = arguments.iter().any(|argument| is_verbose(argument));
        let arguments: Vec<&str> = arguments.iter().copied().filter(|argument| !is_verbose(argument)).collect();
        let result = match arguments.as_slice() {
            ["update", "check"] => self.check().await.map(drop),
            ["update", "apply", flags @ ..] => {
                let any = |long: &str, short: &str| flags.iter().any(|flag| *flag == long || *flag == short);
                let known = |flag: &&str| matches!(*flag, "-c" | "--check" | "-r" | "--reboot");
                if let Some(unknown) = flags.iter().find(|flag| !known(flag)) {
                    return self.usage(unknown);
                }
                self.apply(any("--check", "-c"), any("--reboot", "-r")).await
            }
            ["update", "cancel"] => self.cancel().await,
            ["reboot"] => self.reboot().await,
            ["get", uri] if uri.starts_with('/') => self.get_uri(uri).await,
            ["get", prefixes @ ..] if prefixes.iter().all(|prefix| !prefix.starts_with('-')) => {
                let all: &[&str] = if prefixes.is_empty() { &["os.", "settings."] } else { prefixes };
                self.get_prefixes(all).await
            }
            ["set", pairs @ ..] if !pairs.is_empty() && pairs.iter().all(|pair| pair.contains('=')) => {
                self.set(pairs).await
            }
            ["set", "-j" | "--json", json] => self.set_json(json).await,
            ["raw", options @ ..] | options @ ["-u" | "--uri" | "-m" | "-X" | "--method" | "-d" | "--data", ..] => {
                match raw_request(options) {
                    Ok(request) => self.raw(&request, debug).await,
                    Err(unknown) => return self.usage(&unknown),
                }
            }
            [
                known @ ("apply" | "exec" | "lockdown" | "report" | "network" | "ephemeral-storage" | "get" | "set"
                | "update"),
                ..,
            ] => {
                return Ended::NotSimulated(format!("apiclient {known} is not simulated"));
            }
            [unknown, ..] => return self.usage(unknown),
            [] => {
                self.stderr.push_str(USAGE);
                return Ended::Exit(2);
            }
        };
        match result {
            Ok(()) => Ended::Exit(0),
            Err(error) => {
                self.stderr.push_str(&error);
                self.stderr.push('\n');
                Ended::Exit(1)
            }
        }
    }

    fn usage(&mut self, unknown: &str) -> Ended {
        self.stderr.push_str(&format!("Unknown argument '{unknown}'\n\n{USAGE}"));
        Ended::Exit(2)
    }

    fn log(&mut self, colour: u8, level: &str, message: &str) {
        let time = self.machine.now().strftime("%H:%M:%S");
        self.stderr.push_str(&format!("{time} \u{1b}[0m\u{1b}[{colour}m[{level}] \u{1b}[0m{message}\n"));
    }

    fn info(&mut self, message: &str) {
        self.log(34, "INFO", message);
    }

    fn warn(&mut self, message: &str) {
        self.log(33, "WARN", message);
    }

    /// The tool has no time-out of its own (`apiclient/src/lib.rs`, `raw_request_unchecked`): it waits for an answer until
    /// somebody ends it, or the host goes down.
    async fn send(&self, request: &Request) -> Tried<Response> {
        match self.machine.api(request) {
            Ok(response) => Ok(response),
            Err(NoAnswer::Refused) => {
                Err("Failed to send request: error trying to connect: Connection refused (os error 111)".to_owned())
            }
            Err(NoAnswer::Silence { .. }) => std::future::pending().await,
        }
    }

    /// `raw_request`: an answer that is no 2xx is an error.
    async fn checked(&self, request: &Request) -> Tried<Response> {
        let response = self.send(request).await?;
        if response.is_success() {
            return Ok(response);
        }
        let Request { method, path_and_query, .. } = request;
        Err(format!("Status {} when {method}ing {path_and_query}: {}", response.status, response.body))
    }

    async fn named(&self, request: &Request) -> Tried<Response> {
        let Request { method, path_and_query, .. } = request;
        self.checked(request).await.map_err(|error| format!("Failed {method} request to '{path_and_query}': {error}"))
    }

    async fn check(&mut self) -> Tried<Value> {
        self.info("Refreshing updates...");
        let status = self
            .wait_for("/actions/refresh-updates", "refresh", CHECK)
            .await
            .map_err(|error| format!("Failed to check for updates: {error}"))?;
        self.stdout.push_str(&format!("{status:#}\n"));
        Ok(status)
    }

    async fn apply(&mut self, check: bool, reboot: bool) -> Tried<()> {
        if check {
            let status = self.check().await?;
            match status["update_state"].as_str() {
                Some("Idle") => {
                    self.info("No updates available.");
                    return Ok(());
                }
                Some("Ready") => {
                    self.info("Update already applied; reboot for it to take effect, or request a cancel.");
                    return Ok(());
                }
                _ => {}
            }
        }
        self.info("Downloading and applying update to disk...");
        self.wait_for("/actions/prepare-update", "prepare", PREPARE).await.map_err(|error| {
            format!(
                "Failed to apply update: Failed to prepare update.  This could mean that we don't have a list of \
                 updates yet or that an update is already applied.  Running 'apiclient update check' will help you \
                 find out.  You can cancel an applied ('Ready') update with 'apiclient update cancel' if desired.  \
                 Detail: {error}"
            )
        })?;
        self.info("Setting the update active so it will apply on the next reboot...");
        self.wait_for("/actions/activate-update", "activate", FLAGS)
            .await
            .map_err(|error| format!("Failed to apply update: {error}"))?;
        if reboot {
            return self.reboot().await;
        }
        self.info("Update has been applied and will take effect on next reboot.");
        Ok(())
    }

    async fn cancel(&mut self) -> Tried<()> {
        self.info("Canceling update...");
        self.wait_for("/actions/deactivate-update", "deactivate", FLAGS)
            .await
            .map(drop)
            .map_err(|error| format!("Failed to cancel update: {error}"))
    }

    async fn reboot(&mut self) -> Tried<()> {
        self.named(&Request::post("/actions/reboot")).await.map_err(|error| format!("Failed to reboot: {error}"))?;
        self.info("Rebooting, goodbye...");
        Ok(())
    }

    /// `wait_request`: gives the status after the command's success.
    async fn wait_for(&mut self, url: &str, command: &str, wait: Wait) -> Tried<Value> {
        let before = self.status_before().await?;
        self.checked(&Request::post(url))
            .await
            .map_err(|error| format!("Failed to make {command} request: {error}"))?;

        let (mut attempt, mut failures, mut waited) = (0, 0, Duration::ZERO);
        loop {
            attempt += 1;
            if attempt >= wait.attempts {
                let waited = wait.between * wait.attempts;
                return Err(format!(
                    "Timed out after waiting {waited:?} seconds after POST to {url}, unsure of result"
                ));
            }
            if failures >= 5 {
                return Err(format!("Failed to check status {failures} times after POST to {url}, unsure of result"));
            }
            if attempt > 1 && waited >= Duration::from_secs(5) {
                waited = Duration::ZERO;
                let longer = wait.between * (wait.attempts - attempt);
                self.info(&format!("Still waiting for updated status, will wait up to {longer:?} longer..."));
            }
            self.machine.sleep(SignedDuration::try_from(wait.between).unwrap_or_default()).await;
            waited += wait.between;

            let after = match self.send(&Request::get("/updates/status")).await {
                Ok(after) if after.is_success() => after,
                Ok(after) if after.status == 423 => continue,
                Ok(after) => {
                    failures += 1;
                    let code = format!("{} {}", after.status, after.reason());
                    self.warn(&format!(
                        "Got code {code} when checking update status, failure #{failures}: {}",
                        after.body
                    ));
                    continue;
                }
                Err(error) => {
                    failures += 1;
                    self.warn(&format!("Unable to check for update status, failure #{failures}: {error}"));
                    continue;
                }
            };
            let body: Value = serde_json::from_str(&after.body).unwrap_or_default();
            let last = &body["most_recent_command"];
            if last["cmd_type"] == command && timestamp(&after) != before {
                if last["cmd_status"] == "Success" {
                    return Ok(body);
                }
                let outcome = last["cmd_status"].as_str().unwrap_or("missing");
                let stderr = last["stderr"].as_str().unwrap_or("<missing>");
                // The exit status is read as a string, which it is not: always -1.
                return Err(format!("{command} attempt failed with status '{outcome}' (-1): {stderr}"));
            }
        }
    }

    /// When the update status last changed; `None` where there is none yet.
    async fn status_before(&mut self) -> Tried<Option<String>> {
        let before = self.send(&Request::get("/updates/status")).await;
        let before = before.map_err(|error| format!("Failed getting update status: {error}"))?;
        match before.status {
            404 => Ok(None),
            200 => Ok(timestamp(&before)),
            code => Err(format!(
                "Unable to check initial update status, got code '{code} {}': {}",
                before.reason(),
                before.body
            )),
        }
    }

    async fn get_uri(&mut self, uri: &str) -> Tried<()> {
        let response =
            self.named(&Request::get(uri)).await.map_err(|error| format!("Failed to get settings: {error}"))?;
        let value: Value = serde_json::from_str(&response.body)
            .map_err(|error| format!("Failed to get settings: Unable to deserialize response as JSON: {error}"))?;
        self.stdout.push_str(&format!("{value:#}\n"));
        Ok(())
    }

    async fn get_prefixes(&mut self, prefixes: &[&str]) -> Tried<()> {
        let mut merged = Value::Object(serde_json::Map::new());
        for prefix in prefixes {
            let response = self
                .named(&Request::get(&format!("/?prefix={prefix}")))
                .await
                .map_err(|error| format!("Failed to get settings: {error}"))?;
            let part = serde_json::from_str(&response.body)
                .map_err(|error| format!("Failed to get settings: Unable to deserialize response as JSON: {error}"))?;
            merge(&mut merged, part);
        }
        self.stdout.push_str(&format!("{merged:#}\n"));
        Ok(())
    }

    async fn set(&mut self, pairs: &[&str]) -> Tried<()> {
        let payload = serde_json::json!({ "request_payload": pairs }).to_string();
        self.change("/settings/keypair", &payload).await
    }

    async fn set_json(&mut self, json: &str) -> Tried<()> {
        self.change("/settings", json).await
    }

    async fn change(&mut self, path: &str, payload: &str) -> Tried<()> {
        let tx = self.transaction();
        for request in [
            Request::patch(&format!("{path}?tx={tx}"), payload),
            Request::post(&format!("/tx/commit_and_apply?tx={tx}")),
        ] {
            self.named(&request).await.map_err(|error| format!("Failed to change settings: {error}"))?;
        }
        Ok(())
    }

    /// A name of its own for each change; the real tool draws it at random.
    fn transaction(&self) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let now = self.machine.now().as_nanosecond();
        let mut rng = Rng::new(u64::try_from(now.rem_euclid(i128::from(u64::MAX))).unwrap_or(0));
        let letter = |_| usize::try_from(rng.below(62)).map_or('0', |index| char::from(LETTERS[index]));
        format!("apiclient-set-{}", (0..16).map(letter).collect::<String>())
    }

    async fn raw(&mut self, request: &Request, debug: bool) -> Tried<()> {
        let response = self.named(request).await?;
        if debug {
            self.stderr.push_str(&format!("{} {}\n", response.status, response.reason()));
        }
        if !response.body.is_empty() {
            self.stdout.push_str(&response.body);
            self.stdout.push('\n');
        }
        Ok(())
    }
}

/// The request that `raw` options ask for; the option that it does not know in `Err`.
fn raw_request(options: &[&str]) -> Result<Request, String> {
    let mut request =
        Request { method: "GET".to_owned(), content_type: Some("application/json".to_owned()), ..Request::default() };
    for pair in options.chunks(2) {
        match pair {
            ["-u" | "--uri", uri] => request.path_and_query = (*uri).to_owned(),
            ["-m" | "-X" | "--method", method] => request.method = (*method).to_owned(),
            ["-d" | "--data", data] => request.body = data.as_bytes().to_vec(),
            other => return Err(other.first().copied().unwrap_or_default().to_owned()),
        }
    }
    if request.path_and_query.is_empty() { Err("raw".to_owned()) } else { Ok(request) }
}

fn timestamp(response: &Response) -> Option<String> {
    let body: Value = serde_json::from_str(&response.body).ok()?;
    body["most_recent_command"]["timestamp"].as_str().map(str::to_owned)
}

fn merge(into: &mut Value, part: Value) {
    match (into, part) {
        (Value::Object(into), Value::Object(part)) => {
            for (key, value) in part {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, part) => *into = part,
    }
}
