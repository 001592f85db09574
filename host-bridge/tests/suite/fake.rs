//! A scripted host: the update state machine in a hundred lines, with a switch for each trap
//! (docs/facts/host-api.md#traps). It has no clock; work takes a number of looks at the status.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use host_bridge::client::Client;
use host_bridge::transport::{Limits, Transport, from_fn};
use serde_json::{Value, json};

use crate::wire::{Reply, Request, answer, serve, text};

pub(crate) const NOT_ALLOWED: &str = "Update action not allowed according to update state";

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) running: String,
    pub(crate) available: Vec<String>,
    pub(crate) state: &'static str,
    pub(crate) chosen: Option<String>,
    pub(crate) staged: Option<String>,
    pub(crate) last: Option<Value>,
    pub(crate) status_exists: bool,
    pub(crate) lock: String,
    /// What the workers use: follows `lock` after `lag` refreshes.
    pub(crate) applied: String,
    pub(crate) lag: u32,
    /// How many looks a command takes.
    pub(crate) looks: u32,
    pub(crate) work: Option<(&'static str, u32)>,
    pub(crate) ended: u32,
    /// The next worker is killed.
    pub(crate) kill: bool,
    /// The next command of this kind fails with this output.
    pub(crate) fail: Option<(&'static str, String)>,
    /// After the next command of the first kind, another client's of the second kind ends.
    pub(crate) interleave: Option<(&'static str, &'static str)>,
    /// What prepare writes rather than the chosen version.
    pub(crate) writes: Option<String>,
    pub(crate) writes_nothing: bool,
    pub(crate) reboot: Reply,
    pub(crate) transactions: BTreeMap<String, Value>,
    /// Answers that are given once instead of the real ones, to requests that begin so.
    pub(crate) instead: VecDeque<(&'static str, Reply)>,
    pub(crate) log: Vec<String>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            running: "1.26.1".into(),
            available: ["1.27.0", "1.26.1", "1.26.0"].map(String::from).into(),
            state: "Idle",
            chosen: None,
            staged: None,
            last: None,
            status_exists: false,
            lock: "latest".into(),
            applied: "latest".into(),
            lag: 0,
            looks: 2,
            work: None,
            ended: 0,
            kill: false,
            fail: None,
            interleave: None,
            writes: None,
            writes_nothing: false,
            reboot: text(204, ""),
            transactions: BTreeMap::new(),
            instead: VecDeque::new(),
            log: Vec::new(),
        }
    }
}

pub(crate) type Shared = Arc<Mutex<Fake>>;

impl Fake {
    pub(crate) fn shared(self) -> Shared {
        Arc::new(Mutex::new(self))
    }

    /// The requests that changed something, shortened.
    pub(crate) fn acts(&self) -> Vec<&str> {
        self.log.iter().filter(|line| !line.starts_with("GET")).map(String::as_str).collect()
    }

    pub(crate) fn handle(&mut self, request: &Request) -> Reply {
        let line = format!("{} {}", request.method, request.target);
        self.log.push(line.split("tx=").next().unwrap().to_owned());
        if let Some(at) = self.instead.iter().position(|(start, _)| line.starts_with(start)) {
            return self.instead.remove(at).unwrap().1;
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let transaction = query.strip_prefix("tx=").unwrap_or_default().to_owned();
        match (request.method.as_str(), path) {
            ("GET", "/os") => json_reply(&json!({"arch": "x86_64", "build_id": "1a2b3c4d0", "variant_id": "aws-ecs-2",
                "pretty_name": format!("Bottlerocket OS {} (aws-ecs-2)", self.running), "version_id": self.running})),
            ("GET", "/updates/status") => self.status(),
            ("POST", "/actions/refresh-updates") => self.act("refresh"),
            ("POST", "/actions/prepare-update") => self.act("prepare"),
            ("POST", "/actions/activate-update") => self.act("activate"),
            ("POST", "/actions/deactivate-update") => self.act("deactivate"),
            ("POST", "/actions/reboot") => self.reboot.clone(),
            ("GET", "/settings") => json_reply(&json!({"updates": {"version-lock": self.lock, "ignore-waves": false}})),
            ("PATCH", "/settings") => {
                assert!(request.head.to_ascii_lowercase().contains("content-type: application/json"));
                self.transactions.insert(transaction, serde_json::from_slice(&request.body).unwrap());
                text(204, "")
            }
            ("POST", "/tx/commit_and_apply") => match self.transactions.remove(&transaction) {
                Some(change) => {
                    self.lock = change["updates"]["version-lock"].as_str().unwrap().to_owned();
                    json_reply(&json!(["settings.updates.version-lock"]))
                }
                None => text(422, "Tried to commit with no pending changes"),
            },
            ("DELETE", "/tx") => {
                self.transactions.remove(&transaction);
                json_reply(&json!([]))
            }
            _ => text(404, ""),
        }
    }

    fn act(&mut self, command: &'static str) -> Reply {
        if self.work.is_some() {
            return text(423, "Update lock held");
        }
        let allowed = match command {
            "refresh" => true,
            "prepare" => matches!(self.state, "Available" | "Staged"),
            "activate" => self.state == "Staged",
            _ => self.state == "Ready",
        };
        if !allowed {
            self.status_exists = true;
            return text(409, NOT_ALLOWED);
        }
        self.work = Some((command, self.looks));
        text(204, "")
    }

    fn status(&mut self) -> Reply {
        if let Some((command, looks)) = &mut self.work {
            if *looks > 0 {
                *looks -= 1;
                return text(423, "Unable to obtain shared lock for reading update status: Resource temporarily …");
            }
            let command = *command;
            self.work = None;
            self.end(command);
        }
        if !self.status_exists {
            return text(404, "Update status is uninitialized, refresh-updates to initialize it");
        }
        let image = |version: &String| json!({"arch": "x86_64", "version": version, "variant": "aws-ecs-2"});
        let ready = self.state == "Ready";
        json_reply(&json!({
            "update_state": self.state,
            "available_updates": self.available,
            "chosen_update": self.chosen.as_ref().map(image),
            "active_partition": {"image": image(&self.running), "next_to_boot": !ready},
            "staging_partition": self.staged.as_ref().map(|v| json!({"image": image(v), "next_to_boot": ready})),
            "most_recent_command": self.last,
        }))
    }

    fn end(&mut self, command: &'static str) {
        if std::mem::take(&mut self.kill) {
            return;
        }
        self.status_exists = true;
        match self.fail.take_if(|(of, _)| *of == command) {
            Some((_, stderr)) => {
                if command == "refresh" && self.state == "Available" {
                    self.state = "Idle";
                }
                self.report(command, "Failed", &stderr);
            }
            None => {
                let stderr = self.succeed(command);
                self.report(command, "Success", &stderr);
            }
        }
        if let Some((_, other)) = self.interleave.take_if(|(after, _)| *after == command) {
            self.report(other, "Success", "");
        }
    }

    fn succeed(&mut self, command: &str) -> String {
        match command {
            "refresh" => {
                match self.lag {
                    0 => self.applied.clone_from(&self.lock),
                    _ if self.applied != self.lock => self.lag -= 1,
                    _ => {}
                }
                self.chosen = match self.applied.as_str() {
                    "latest" => self.available.first().cloned(),
                    pinned => self.available.iter().find(|version| *version == pinned).cloned(),
                }
                .filter(|version| *version != self.running);
                match (self.state, &self.chosen) {
                    ("Staged" | "Ready", _) => {}
                    (_, Some(_)) => self.state = "Available",
                    (_, None) => self.state = "Idle",
                }
                String::new()
            }
            "prepare" => {
                self.state = "Staged";
                self.staged.clone_from(&self.chosen);
                if std::mem::take(&mut self.writes_nothing) {
                    return "No update required\n".to_owned();
                }
                let wrote = self.writes.take().or_else(|| self.chosen.clone()).unwrap();
                format!("Starting update to {wrote}\n")
            }
            "activate" => {
                self.state = "Ready";
                String::new()
            }
            _ => {
                self.state = "Staged";
                String::new()
            }
        }
    }

    fn report(&mut self, command: &str, status: &str, stderr: &str) {
        self.ended += 1;
        self.last = Some(json!({"cmd_type": command, "cmd_status": status, "stderr": stderr,
            "timestamp": format!("2026-11-23T03:06:53.{:09}Z", self.ended), "exit_status": i32::from(status != "Success")}));
    }
}

fn json_reply(value: &Value) -> Reply {
    Reply::Bytes(answer(200, value.to_string()))
}

/// A client of the fake over in-memory pipes.
pub(crate) fn client(fake: &Shared) -> Client {
    let fake = Arc::clone(fake);
    let connect = from_fn("the fake host", move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let fake = Arc::clone(&fake);
        tokio::spawn(serve(theirs, move |request| fake.lock().unwrap().handle(&request)));
        Ok(ours)
    });
    Client::with_transactions(Transport::new(connect, Limits::default()), 7)
}
