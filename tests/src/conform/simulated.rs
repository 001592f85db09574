//! The simulated host beside the real one, in the same state.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ConformError;
use super::real::{Answer, Real};
use crate::host::{Command, Host, HostSpec, Repository, Request, Status};

/// Longer than settings take to be applied, and shorter than anybody would wait.
const APPLIED: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug)]
pub(super) struct Simulated {
    host: Host,
    repository: Repository,
    now: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Os {
    version_id: Version,
    variant_id: String,
    arch: String,
    build_id: String,
}

impl Simulated {
    /// A host as the real one says that it is.
    pub(super) async fn like(real: &Real) -> Result<Self, ConformError> {
        real.settled().await?;
        let os: Os = read(real, "/os").await?;
        let settings = real.ask(&Request::get("/settings?prefix=updates")).await?;
        let status = real.ask(&Request::get("/updates/status")).await?;
        let spec = HostSpec {
            version: os.version_id.clone(),
            variant: os.variant_id,
            arch: os.arch,
            build_id: os.build_id,
            lockdown: settings.status == 500,
            jitter_percent: 0,
            ..HostSpec::default()
        };
        let now = Timestamp::now();
        let mut host = Host::new(spec, 1, now);
        let mut repository = Repository::of(&[os.version_id]);
        if status.status == 200 {
            let known: Status = parse("/updates/status", &status.body)?;
            repository = Repository::of(&known.available_updates);
            host.resume(known)?;
        }
        let mut simulated = Self { host, repository, now };
        if let Some(updates) = settings.json().filter(|_| settings.status == 200).map(|all| all["updates"].clone()) {
            simulated.adopt(&updates);
        }
        Ok(simulated)
    }

    /// Takes over the real host's update settings.
    fn adopt(&mut self, updates: &Value) {
        let patch = json!({ "updates": updates }).to_string();
        self.ask(&Request::patch("/settings?tx=like", &patch));
        self.ask(&Request::post("/tx/commit_and_apply?tx=like"));
        self.pass(APPLIED);
    }

    pub(super) fn title(&self) -> String {
        let spec = self.host.spec();
        format!("a simulated host on {} ({}, {})", spec.version, spec.variant, spec.arch)
    }

    pub(super) fn is_locked_down(&self) -> bool {
        self.host.spec().lockdown
    }

    /// Its answer. A host that is up always has one.
    pub(super) fn ask(&mut self, request: &Request) -> Answer {
        match self.host.handle(self.now, &self.repository, request) {
            Ok(response) => {
                let headers: BTreeMap<&str, String> = response.headers().into_iter().collect();
                let is_head = request.method == "HEAD";
                Answer {
                    status: response.status,
                    content_type: headers.get("content-type").cloned(),
                    length: headers.get("content-length").and_then(|length| length.parse().ok()),
                    body: if is_head { String::new() } else { response.body },
                }
            }
            Err(error) => Answer { status: 0, content_type: None, length: None, body: error.to_string() },
        }
    }

    /// The next command goes as it went on the real host, as far as that is the world's doing: which releases there are, and
    /// whether its worker could do its work.
    pub(super) fn goes_like(&mut self, command: Command, after: Option<&Value>) {
        let Some(status) = after else { return };
        let available = status["available_updates"].as_array().into_iter().flatten();
        let available: Vec<Version> = available.filter_map(|version| version.as_str()?.parse().ok()).collect();
        let last = &status["most_recent_command"];
        let failed = last["cmd_status"] == "Failed" && last["cmd_type"] == command.to_string().as_str();
        if command == Command::Refresh && !failed {
            self.repository = Repository::of(&available);
        }
        let spec = self.host.spec_mut();
        let count = u32::from(failed);
        match command {
            Command::Refresh => spec.refresh_fails = count,
            Command::Prepare => spec.prepare_fails = count,
            Command::Activate | Command::Deactivate => spec.activate_fails = count,
        }
    }

    /// Lets a command that runs come to its end.
    pub(super) fn settle(&mut self) {
        while let Some(next) = self.host.next_event() {
            self.now = next;
            self.host.advance(next, &self.repository);
        }
    }

    fn pass(&mut self, duration: SignedDuration) {
        self.now += duration;
        self.host.advance(self.now, &self.repository);
    }
}

async fn read<T: for<'de> Deserialize<'de>>(real: &Real, path: &str) -> Result<T, ConformError> {
    let answer = real.ask(&Request::get(path)).await?;
    if answer.status != 200 {
        let request = format!("GET {path}");
        return Err(ConformError::NotReadable { request, status: answer.status, body: answer.body });
    }
    parse(path, &answer.body)
}

fn parse<T: for<'de> Deserialize<'de>>(path: &str, body: &str) -> Result<T, ConformError> {
    serde_json::from_str(body).map_err(|source| ConformError::NotUnderstood { request: format!("GET {path}"), source })
}
