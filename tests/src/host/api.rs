//! The host API's routes, byte for byte as the recorded exchanges have them (`tests/host_api/`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::http::{NoAnswer, Request, Response};
use super::machine::Host;
use super::repository::Repository;
use super::settings::{DEFAULT_TX, KeypairError};
use super::spec::spend;
use super::status::Command;

#[derive(Serialize)]
struct Os {
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pretty_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
}

const STATUS_LOCKED: &str =
    "Unable to obtain shared lock for reading update status: Resource temporarily unavailable (os error 11)";
const STATUS_MISSING: &str = "Update status is uninitialized, refresh-updates to initialize it";
/// One trailing newline, as `shutdown` wrote it (`tests/host_api/reboot.txt`).
const INHIBITED: &str = "Failed to reboot, exit code: 1, stderr: Operation inhibited by \"test\" (PID 1 \"x\", user root), reason is \"test\".\n";
/// What a host under API lockdown says to who reads its settings, and to who writes them
/// (docs/facts/host-api.md#trap-11).
const NO_READING: &str = "Live datastore missing";
const NO_WRITING: &str = "Required key not available (os error 126)";

impl Host {
    pub(super) fn route(&mut self, now: Timestamp, repository: &Repository, request: &Request) -> Response {
        let path = request.path();
        let stores = path.starts_with("/settings") || path == "/tx" || path.starts_with("/tx/");
        if self.spec.lockdown && stores {
            return Response::error(500, if request.method == "GET" { NO_READING } else { NO_WRITING });
        }
        match (request.method.as_str(), path) {
            ("GET", "/") => self.get_root(request),
            ("GET", "/os") => self.get_os(request),
            ("GET", "/updates/status") => self.get_status(),
            ("POST", "/actions/refresh-updates") => self.update_action(now, repository, Command::Refresh),
            ("POST", "/actions/prepare-update") => self.update_action(now, repository, Command::Prepare),
            ("POST", "/actions/activate-update") => self.update_action(now, repository, Command::Activate),
            ("POST", "/actions/deactivate-update") => self.update_action(now, repository, Command::Deactivate),
            ("GET", "/settings") => self.get_settings(request),
            ("PATCH", "/settings") => self.patch_settings(request),
            ("PATCH", "/settings/keypair") => self.patch_keypairs(request),
            ("GET", "/tx") => Response::json_text(self.settings.pending_json(&transaction(request))),
            ("GET", "/tx/list") => Response::json(&self.settings.transactions()),
            ("DELETE", "/tx") => self.delete_transaction(request),
            ("POST", "/tx/commit") => self.commit(now, request, false),
            ("POST", "/tx/commit_and_apply") => self.commit(now, request, true),
            ("POST", "/tx/apply") => {
                self.schedule_apply(now);
                Response { content_type: Some("application/json"), ..Response::no_content() }
            }
            ("GET", "/metadata/affected-services") => affected(request),
            ("GET", "/services") => listed(request, &SERVICES),
            ("GET", "/configuration-files") => listed(request, &CONFIGURATION_FILES),
            _ => Response::not_found(),
        }
    }

    fn os(&self, wanted: impl Fn(&str) -> bool) -> Os {
        let image = &self.running;
        let field = |name: &str, value: String| wanted(name).then_some(value);
        Os {
            arch: field("arch", image.arch.clone()),
            build_id: field("build_id", self.spec.build_id.clone()),
            pretty_name: field("pretty_name", format!("Bottlerocket OS {} ({})", image.version, image.variant)),
            variant_id: field("variant_id", image.variant.clone()),
            version_id: field("version_id", image.version.to_string()),
        }
    }

    fn get_os(&self, request: &Request) -> Response {
        match request.query("prefix") {
            Some(prefix) if prefix.is_empty() => empty_input("prefix"),
            Some(prefix) => Response::json(&self.os(|name| name.starts_with(&prefix))),
            None => Response::json(&self.os(|_| true)),
        }
    }

    /// The whole model, or what of it begins with `prefix`: what `apiclient get` asks for.
    fn get_root(&self, request: &Request) -> Response {
        let prefix = request.query("prefix");
        if prefix.as_deref() == Some("") {
            return empty_input("prefix");
        }
        let prefix = prefix.unwrap_or_default();
        if self.spec.lockdown && !prefix.starts_with("os") {
            return Response::error(500, NO_READING);
        }
        let settings = self.settings.json(|key| key.starts_with(&prefix));
        let os = self.os(|name| format!("os.{name}").starts_with(&prefix));
        let os = match serde_json::to_string(&os) {
            Ok(os) => os,
            Err(error) => return Response::error(500, format!("Unable to serialize: {error}")),
        };
        let [files, services] = [&CONFIGURATION_FILES, &SERVICES].map(|list| list.matching(&prefix).to_string());
        let parts = [(CONFIGURATION_FILES.name, files), ("os", os), (SERVICES.name, services), ("settings", settings)];
        let parts: Vec<String> =
            parts.iter().filter(|(_, json)| json != "{}").map(|(name, json)| format!("\"{name}\":{json}")).collect();
        Response::json_text(format!("{{{}}}", parts.join(",")))
    }

    /// The lock comes before the file: 423 while an action runs, 404 before the first of a boot.
    fn get_status(&self) -> Response {
        if self.worker.is_some() {
            return Response::error(423, STATUS_LOCKED);
        }
        match &self.status {
            Some(status) => Response::json(status),
            None => Response::error(404, STATUS_MISSING),
        }
    }

    /// `POST /actions/reboot`. The shutdown comes also where the answer is lost.
    pub(super) fn reboot(&mut self, now: Timestamp) -> Result<Response, NoAnswer> {
        if spend(&mut self.spec.reboot_lost) {
            return Err(NoAnswer::Silence { taken: false });
        }
        if spend(&mut self.spec.reboot_inhibited) {
            return Ok(Response::error(500, INHIBITED));
        }
        self.schedule_shutdown(now);
        if spend(&mut self.spec.reboot_unsure) {
            return Err(NoAnswer::Silence { taken: true });
        }
        Ok(Response::no_content())
    }

    fn get_settings(&self, request: &Request) -> Response {
        if let Some(keys) = request.query("keys") {
            if keys.is_empty() {
                return empty_input("keys");
            }
            return Response::json_text(self.settings.json(|key| keys.split(',').any(|wanted| wanted == key)));
        }
        match request.query("prefix") {
            Some(prefix) if prefix.is_empty() => empty_input("prefix"),
            Some(prefix) => {
                let full = if prefix.starts_with("settings") { prefix } else { format!("settings.{prefix}") };
                Response::json_text(self.settings.json(|key| key.starts_with(&full)))
            }
            None => Response::json_text(self.settings.json(|_| true)),
        }
    }

    fn patch_settings(&mut self, request: &Request) -> Response {
        if let Err(refused) = check_body(request) {
            return refused;
        }
        if let Some(refused) = too_long(request, "set_keys", "/settings") {
            return refused;
        }
        match self.settings.patch_json(&transaction(request), &request.body) {
            Ok(()) => Response::no_content(),
            Err(reason) => refused_body(reason),
        }
    }

    fn patch_keypairs(&mut self, request: &Request) -> Response {
        if let Err(refused) = check_body(request) {
            return refused;
        }
        if let Some(refused) = too_long(request, "set_keys", "/settings") {
            return refused;
        }
        match self.settings.patch_keypairs(&transaction(request), &request.body) {
            Ok(()) => Response::no_content(),
            Err(KeypairError::Json(reason)) => refused_body(reason),
            Err(KeypairError::Model(reason)) => Response::error(400, reason),
        }
    }

    /// As v3.1.1 does it, everything that anybody has pending goes (docs/facts/host-api.md#trap-16).
    fn delete_transaction(&mut self, request: &Request) -> Response {
        if let Some(refused) = too_long(request, "delete_pending", "") {
            return refused;
        }
        let tx = transaction(request);
        let dropped = self.settings.drop_tx(&tx);
        if self.spec.delete_takes_all {
            self.settings.drop_all();
        }
        Response::json(&dropped)
    }

    fn commit(&mut self, now: Timestamp, request: &Request, apply: bool) -> Response {
        let Some(changed) = self.settings.commit(&transaction(request)) else {
            return Response::error(422, "Tried to commit with no pending changes");
        };
        if apply {
            self.schedule_apply(now);
        }
        Response::json(&changed)
    }

    /// The answer goes out first; the update tools see the change later (docs/facts/host-api.md#trap-7).
    fn schedule_apply(&mut self, now: Timestamp) {
        let delay = self.rng.stretch(self.spec.durations.settings_apply, self.spec.jitter_percent);
        self.apply_due.push(now + delay);
    }
}

fn transaction(request: &Request) -> String {
    request.query("tx").unwrap_or_else(|| DEFAULT_TX.to_owned())
}

/// What a JSON body may have at most, and what a file name of the data store.
const MOST_JSON: usize = 2 * 1024 * 1024;
const MOST_NAME: usize = 255;

fn check_body(request: &Request) -> Result<(), Response> {
    if !is_json(request) {
        return Err(refused_body("Content type error".to_owned()));
    }
    let length = request.body.len();
    if length > MOST_JSON {
        let reason = format!("JSON payload ({length} bytes) is larger than allowed (limit: {MOST_JSON} bytes).");
        return Err(Response { status: 413, ..refused_body(reason) });
    }
    Ok(())
}

/// `application/json`, and any other type of JSON.
fn is_json(request: &Request) -> bool {
    let essence = request.content_type.as_deref().and_then(|kind| kind.split(';').next()).unwrap_or_default();
    essence
        .trim()
        .to_ascii_lowercase()
        .split_once('/')
        .is_some_and(|(_, kind)| kind == "json" || kind.ends_with("+json"))
}

/// The answer to a transaction whose name is too long for a directory, each byte but letters, digits, `_` and `-` taking
/// three ([`filesystem.rs`][store]).
///
/// [store]: https://github.com/bottlerocket-os/bottlerocket-core-kit/blob/v3.1.1/sources/api/datastore/src/filesystem.rs
fn too_long(request: &Request, op: &str, below: &str) -> Option<Response> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let encode = |byte: &u8| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    let name: String = transaction(request).as_bytes().iter().map(encode).collect();
    (name.len() > MOST_NAME).then(|| {
        Response::error(
            500,
            format!(
                "Data store error during {op}: IO error on \
                 '/var/lib/bottlerocket/datastore/current/pending/{name}{below}': File name too long (os error 36)"
            ),
        )
    })
}

fn empty_input(name: &str) -> Response {
    Response::error(400, format!("Input '{name}' cannot be empty"))
}

/// A 400 of the JSON extractor, which alone of the errors has a content type.
fn refused_body(reason: String) -> Response {
    Response { content_type: Some("text/plain; charset=utf-8"), ..Response::error(400, reason) }
}

fn affected(request: &Request) -> Response {
    match request.query("keys") {
        None => Response::error(400, "Missing required input 'keys'"),
        Some(keys) if keys.is_empty() => empty_input("keys"),
        Some(keys) => {
            let found: BTreeMap<&str, Value> = keys
                .split(',')
                .filter(|key| key.starts_with("settings.updates"))
                .map(|key| (key, serde_json::json!(["updog", "thar-be-updates"])))
                .collect();
            Response::json(&found)
        }
    }
}

/// Entries of the data store beside the settings. Of the host's own only those that have to do with updates.
struct Listed {
    name: &'static str,
    entries: [Entry; 2],
}

/// Its name and what it is.
type Entry = (&'static str, fn() -> Value);

const SERVICES: Listed = Listed {
    name: "services",
    entries: [("updog", || service("updog-toml")), ("thar-be-updates", || service("thar-be-updates-toml"))],
};

const CONFIGURATION_FILES: Listed = Listed {
    name: "configuration-files",
    entries: [
        ("updog-toml", || configuration_file("updog")),
        ("thar-be-updates-toml", || configuration_file("thar-be-updates")),
    ],
};

fn service(file: &str) -> Value {
    serde_json::json!({ "configuration-files": [file], "restart-commands": [] })
}

fn configuration_file(of: &str) -> Value {
    serde_json::json!({ "path": format!("/etc/{of}.toml"), "template-path": format!("/usr/share/templates/{of}-toml") })
}

impl Listed {
    /// The entries whose full name begins with a prefix, or is the beginning of it. (A prefix that goes on into an
    /// entry's own fields gives the whole entry here.)
    fn matching(&self, prefix: &str) -> Value {
        let passes = |name: &str| {
            let full = format!("{}.{name}", self.name);
            full.starts_with(prefix) || prefix.starts_with(&format!("{full}."))
        };
        let found = self.entries.iter().filter(|(name, _)| passes(name));
        Value::Object(found.map(|(name, value)| ((*name).to_owned(), value())).collect())
    }
}

/// All of them, by `names` or by `prefix`. A name that is not there is 404, a prefix without entries is not.
fn listed(request: &Request, list: &Listed) -> Response {
    if let Some(names) = request.query("names") {
        if names.is_empty() {
            return empty_input("names");
        }
        let mut found = BTreeMap::new();
        for wanted in names.split(',') {
            match list.entries.iter().find(|(name, _)| *name == wanted) {
                Some((name, value)) => found.insert(*name, value()),
                None => return Response::error(404, format!("Found no '{}.{wanted}' in datastore", list.name)),
            };
        }
        return Response::json(&found);
    }
    match request.query("prefix") {
        Some(prefix) if prefix.is_empty() => empty_input("prefix"),
        Some(prefix) if prefix.starts_with(list.name) => Response::json(&list.matching(&prefix)),
        Some(prefix) => Response::json(&list.matching(&format!("{}.{prefix}", list.name))),
        None => Response::json(&list.matching("")),
    }
}
