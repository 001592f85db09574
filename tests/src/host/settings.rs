//! The settings store: committed values, transactions, validation by type.
//!
//! Values are kept by dotted key, as the data store does. Known limits: only the update, host-container and `motd`
//! settings are typed; other sections of an `aws-ecs` variant take any JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use semver::Version;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The transaction of requests that name none.
pub(super) const DEFAULT_TX: &str = "default";
/// The transaction of the boot's own settings; it stays listed after its commit (`tests/host_api/settings.txt`).
const LAUNCH_TX: &str = "bottlerocket-launch";

type Pairs = BTreeMap<String, Value>;

/// The settings of one host.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    committed: Pairs,
    pending: BTreeMap<String, Pairs>,
}

/// What the update tools' own configuration files hold. It follows the committed settings with a delay
/// (docs/facts/host-api.md#trap-7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UpdaterConfig {
    pub(super) version_lock: String,
    pub(super) ignore_waves: bool,
    pub(super) seed: u32,
}

impl Settings {
    pub(super) fn new(version_lock: &str, ignore_waves: bool) -> Self {
        let committed = BTreeMap::from([
            ("settings.updates.version-lock".to_owned(), Value::from(version_lock)),
            ("settings.updates.ignore-waves".to_owned(), Value::from(ignore_waves)),
        ]);
        Self { committed, pending: BTreeMap::from([(LAUNCH_TX.to_owned(), Pairs::new())]) }
    }

    /// The configuration files, rendered from the committed settings; `seed` where no setting names one.
    pub(super) fn render_config(&self, seed: u32) -> UpdaterConfig {
        let get = |key: &str| self.committed.get(&format!("settings.updates.{key}"));
        UpdaterConfig {
            version_lock: get("version-lock").and_then(Value::as_str).unwrap_or("latest").to_owned(),
            ignore_waves: get("ignore-waves").and_then(Value::as_bool).unwrap_or(false),
            seed: get("seed").and_then(Value::as_u64).and_then(|seed| u32::try_from(seed).ok()).unwrap_or(seed),
        }
    }

    /// `PATCH /settings`: checks `body` and adds it to transaction `tx`.
    ///
    /// # Errors
    /// The body of the 400.
    pub(super) fn patch_json(&mut self, tx: &str, body: &[u8]) -> Result<(), String> {
        serde_json::from_slice::<Model>(body)
            .and_then(|_| serde_json::from_slice::<Value>(body))
            .map(|value| self.add(tx, &value))
            .map_err(|error| format!("Json deserialize error: {error}"))
    }

    /// `PATCH /settings/keypair`: `KEY=VALUE` texts, typed by the model.
    ///
    /// # Errors
    /// The body of the 400.
    pub(super) fn patch_keypairs(&mut self, tx: &str, body: &[u8]) -> Result<(), KeypairError> {
        let payload: Keypairs = serde_json::from_slice(body)
            .map_err(|error| KeypairError::Json(format!("Json deserialize error: {error}")))?;
        let mut all = Vec::new();
        for pair in &payload.request_payload {
            let (key, text) = pair
                .split_once('=')
                .ok_or_else(|| KeypairError::Model(format!("Failed to split the string: {pair}")))?;
            check_key(key).map_err(|why| {
                KeypairError::Model(format!(
                    "Prefix '{key}' is not a valid key: Key name '{key}' has invalid format: {why}"
                ))
            })?;
            let value = nested(key.strip_prefix("settings.").unwrap_or(key), scalar(text));
            Model::deserialize(&value).map_err(|error| {
                KeypairError::Model(format!(
                    "Unable to match your input to the data model.  We may not have enough type information.  \
                     Please try the --json input form.  Cause: Error deserializing scalar value: {error}"
                ))
            })?;
            all.push(value);
        }
        for value in &all {
            self.add(tx, value);
        }
        Ok(())
    }

    /// A patch without a value, `{}` or nothing but nulls, makes no transaction.
    fn add(&mut self, tx: &str, value: &Value) {
        let mut pairs = Pairs::new();
        flatten("settings", value, &mut pairs);
        if !pairs.is_empty() {
            self.pending.entry(tx.to_owned()).or_default().extend(pairs);
        }
    }

    /// `POST /tx/commit`: the changed keys, `None` where nothing is pending.
    pub(super) fn commit(&mut self, tx: &str) -> Option<Vec<String>> {
        let changes = self.pending.get_mut(tx).filter(|pending| !pending.is_empty()).map(std::mem::take)?;
        self.forget(tx);
        let keys = changes.keys().rev().cloned().collect();
        self.committed.extend(changes);
        Some(keys)
    }

    /// `DELETE /tx`: the keys that are dropped.
    pub(super) fn drop_tx(&mut self, tx: &str) -> Vec<String> {
        let dropped = self.pending.get_mut(tx).map(std::mem::take).unwrap_or_default();
        self.forget(tx);
        dropped.into_keys().rev().collect()
    }

    /// What everybody has pending is dropped.
    pub(super) fn drop_all(&mut self) {
        self.pending.retain(|tx, _| tx == LAUNCH_TX);
    }

    fn forget(&mut self, tx: &str) {
        if tx != LAUNCH_TX {
            self.pending.remove(tx);
        }
    }

    /// `GET /tx/list`.
    pub(super) fn transactions(&self) -> Vec<&str> {
        self.pending.keys().map(String::as_str).collect()
    }

    /// `GET /tx`: what is pending, as JSON below `settings`.
    pub(super) fn pending_json(&self, tx: &str) -> String {
        self.pending.get(tx).map_or_else(|| "{}".to_owned(), |pairs| below_settings(pairs.iter()))
    }

    /// `GET /settings`: the committed settings whose full key passes `wanted`, as JSON below `settings`.
    pub(super) fn json(&self, wanted: impl Fn(&str) -> bool) -> String {
        below_settings(self.committed.iter().filter(|(key, _)| wanted(key)))
    }
}

/// Why `KEY=VALUE` input was refused.
pub(super) enum KeypairError {
    /// The request is not of the shape; from the JSON extractor, so with a content type.
    Json(String),
    /// A key or value does not fit the model; from the handler, so without.
    Model(String),
}

/// The value of a text, as the server guesses its type: truth values and numbers first.
fn scalar(text: &str) -> Value {
    let parsed = serde_json::from_str::<Value>(text).ok();
    parsed.filter(|value| value.is_boolean() || value.is_number()).unwrap_or_else(|| Value::from(text))
}

/// Why a text is no key of the data store ([`key.rs`][key]).
///
/// [key]: https://github.com/bottlerocket-os/bottlerocket-core-kit/blob/v3.1.1/sources/api/datastore/src/key.rs
fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("cannot be empty".to_owned());
    }
    let is_good = |c: char| c.is_ascii_alphanumeric() || "_-/.\"".contains(c);
    if let Some(odd) = key.chars().find(|c| !is_good(*c)) {
        return Err(format!("invalid character in key: '{odd}'"));
    }
    if key.matches('"').count() % 2 == 1 {
        return Err("unbalanced quotes".to_owned());
    }
    let segments = segments(key);
    match segments.iter().position(|segment| segment.trim_matches('"').is_empty()) {
        Some(at) if at + 1 == segments.len() => Err("ends with separator".to_owned()),
        Some(_) => Err("empty key segment".to_owned()),
        None => Ok(()),
    }
}

fn nested(key: &str, value: Value) -> Value {
    segments(key).into_iter().rev().fold(value, |inner, segment| {
        Value::Object(std::iter::once((segment.trim_matches('"').to_owned(), inner)).collect())
    })
}

fn flatten(prefix: &str, value: &Value, into: &mut Pairs) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
                flatten(&format!("{prefix}.{name}"), field, into);
            }
        }
        Value::Null => {}
        leaf => {
            into.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

/// Splits a dotted key; a segment in quotes may hold dots.
fn segments(key: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (index, byte) in key.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'.' if !quoted => {
                parts.push(&key[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&key[start..]);
    parts
}

/// Fields in the order of the settings model; names that it does not list come after, by name.
const FIELD_ORDER: [&str; 10] = [
    "metadata-base-url",
    "targets-base-url",
    "seed",
    "version-lock",
    "ignore-waves",
    "source",
    "enabled",
    "superpowered",
    "user-data",
    "command",
];

#[derive(Default)]
struct Node<'a> {
    leaf: Option<&'a Value>,
    fields: BTreeMap<(usize, &'a str), Node<'a>>,
}

impl Node<'_> {
    fn write(&self, into: &mut String) {
        if let Some(leaf) = self.leaf {
            let _ = write!(into, "{leaf}");
            return;
        }
        into.push('{');
        for (index, ((_, name), field)) in self.fields.iter().enumerate() {
            if index > 0 {
                into.push(',');
            }
            let _ = write!(into, "{}:", Value::from(name.trim_matches('"')));
            field.write(into);
        }
        into.push('}');
    }
}

fn below_settings<'a>(pairs: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let mut root = Node::default();
    for (key, value) in pairs {
        let mut node = &mut root;
        for segment in segments(key).into_iter().skip(1) {
            let rank = FIELD_ORDER.iter().position(|name| *name == segment).unwrap_or(FIELD_ORDER.len());
            node = node.fields.entry((rank, segment)).or_default();
        }
        node.leaf = Some(value);
    }
    let mut text = String::new();
    root.write(&mut text);
    text
}

#[derive(Deserialize)]
struct Keypairs {
    request_payload: Vec<String>,
}

/// The settings model: read for its errors only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "deserialized to be checked, never read")]
struct Model {
    motd: Option<String>,
    updates: Option<Updates>,
    host_containers: Option<BTreeMap<String, HostContainer>>,
    bootstrap_containers: Option<Value>,
    ntp: Option<Value>,
    network: Option<Value>,
    kernel: Option<Value>,
    boot: Option<Value>,
    aws: Option<Value>,
    ecs: Option<Value>,
    metrics: Option<Value>,
    pki: Option<Value>,
    container_registry: Option<Value>,
    oci_defaults: Option<Value>,
    dns: Option<Value>,
    cloudformation: Option<Value>,
    autoscaling: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "deserialized to be checked, never read")]
struct Updates {
    metadata_base_url: Option<String>,
    targets_base_url: Option<String>,
    seed: Option<u32>,
    version_lock: Option<FriendlyVersion>,
    ignore_waves: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "deserialized to be checked, never read")]
struct HostContainer {
    source: Option<String>,
    enabled: Option<bool>,
    superpowered: Option<bool>,
    user_data: Option<String>,
    command: Option<Vec<String>>,
}

/// `latest`, or a version with or without `v`.
struct FriendlyVersion;

impl<'de> Deserialize<'de> for FriendlyVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "latest" || Version::parse(text.strip_prefix('v').unwrap_or(&text)).is_ok() {
            return Ok(Self);
        }
        Err(serde::de::Error::custom(format!(
            "Unable to deserialize into FriendlyVersion: Invalid version string '{text}'"
        )))
    }
}
