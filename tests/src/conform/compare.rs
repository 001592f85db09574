//! Two answers beside each other: what differs, and what is new.

use serde_json::Value;

use super::real::Answer;
use super::requests::{Compared, Exactly};

/// What two answers to one request have apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Apart {
    /// Each with what the host has and what was expected.
    pub(super) differences: Vec<String>,
    /// Fields of the host's that the simulator does not know.
    pub(super) news: Vec<String>,
}

/// What was found in all.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) compared: usize,
    pub(super) differences: usize,
    pub(super) news: usize,
}

impl Findings {
    /// Counts and prints.
    pub(super) fn add(&mut self, title: &str, apart: Apart, say: &dyn Fn(&str)) {
        self.compared += 1;
        self.differences += apart.differences.len();
        self.news += apart.news.len();
        if apart != Apart::default() {
            say(title);
        }
        for difference in &apart.differences {
            say(&format!("  differs: {difference}"));
        }
        for new in &apart.news {
            say(&format!("  new: {new}"));
        }
    }

    pub(super) fn summary(&self) -> String {
        let Self { compared, differences, news } = self;
        format!(
            "{compared} answers compared: {differences} differences, {news} fields that the simulator does not know"
        )
    }
}

/// Compares the host's answer with the simulated one.
pub(super) fn compare(asked: &Compared, host: &Answer, simulated: &Answer) -> Apart {
    let mut apart = Apart::default();
    let mut differs = |what: &str, host: String, simulated: String| {
        if host != simulated {
            apart.differences.push(format!("{what}: the host has {host}, expected {simulated}"));
        }
    };
    differs("status", host.status.to_string(), simulated.status.to_string());
    let kind = |answer: &Answer| answer.content_type.clone().unwrap_or_else(|| "none".to_owned());
    differs("content type", kind(host), kind(simulated));
    let has_length = |answer: &Answer| if answer.length.is_some() { "a content-length" } else { "none" };
    differs("content-length", has_length(host).to_owned(), has_length(simulated).to_owned());
    match asked.exactly {
        Exactly::Text => differs("body", quoted(&host.body), quoted(&simulated.body)),
        Exactly::UpToTheModel => differs("body", quoted(before(&host.body)), quoted(before(&simulated.body))),
        Exactly::Type => differs("body", kind_of(host), kind_of(simulated)),
        Exactly::Json => match (host.json(), simulated.json()) {
            (Some(host), Some(simulated)) => values("", &host, &simulated, &mut apart),
            (_, _) => differs("body", quoted(&host.body), quoted(&simulated.body)),
        },
    }
    apart
}

/// The words before those that name every field of the model.
fn before(text: &str) -> &str {
    text.split_once(", expected").map_or(text, |(before, _)| before)
}

fn kind_of(answer: &Answer) -> String {
    let kind = match answer.json() {
        Some(Value::Object(_)) => "an object",
        Some(Value::Array(_)) => "a list",
        Some(_) => "another value",
        None => "no JSON",
    };
    kind.to_owned()
}

fn quoted(text: &str) -> String {
    const MOST: usize = 300;
    let cut: String = text.chars().take(MOST).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "…" } else { "" })
}

fn values(at: &str, host: &Value, simulated: &Value, apart: &mut Apart) {
    match (host, simulated) {
        (Value::Object(host), Value::Object(simulated)) => {
            let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            // What a worker says of its failure is this host's.
            let fails = host.get("cmd_status").is_some_and(|status| status == "Failed");
            for (name, expected) in simulated.iter().filter(|(name, _)| !(fails && *name == "stderr")) {
                match host.get(name) {
                    Some(own) => values(&below(name), own, expected, apart),
                    None => apart.differences.push(format!("{}: the host has none, expected {expected}", below(name))),
                }
            }
            let is_new = |name: &&String| !simulated.contains_key(*name);
            apart.news.extend(
                host.iter().filter(|(name, _)| is_new(name)).map(|(name, own)| format!("{}: {own}", below(name))),
            );
        }
        (Value::String(host), Value::String(_)) if at.ends_with("timestamp") => {
            if !is_timestamp(host) {
                apart.differences.push(format!("{at}: the host has {host:?}, expected an RFC 3339 time in UTC"));
            }
        }
        (host, simulated) if host != simulated => {
            let cut = |value: &Value| quoted(&value.to_string());
            apart.differences.push(format!("{at}: the host has {}, expected {}", cut(host), cut(simulated)));
        }
        (_, _) => {}
    }
}

/// As `2026-11-23T03:06:53.294534475Z`, with 0, 3, 6 or 9 digits behind the seconds (docs/facts/host-api.md#trap-16).
fn is_timestamp(text: &str) -> bool {
    let digits = text.strip_suffix('Z').and_then(|text| text.split_once('.')).map_or(0, |(_, digits)| digits.len());
    text.ends_with('Z') && [0, 3, 6, 9].contains(&digits) && text.parse::<jiff::Timestamp>().is_ok()
}
