//! How windows and freezes stand in the configuration: in TOML a list, elsewhere a text with `;` between them.

use std::fmt::Display;
use std::str::FromStr;

use models::schedule::{EXAMPLE, Freeze, Window, date};

use super::syntax::{NONE, NotAllowed, Syntax, quoted};
use super::value::{Entry, Value};

/// A list of windows.
pub(super) struct Windows;

/// A list of freezes.
pub(super) struct Freezes;

impl Syntax<Vec<Window>> for Windows {
    fn read(&self, value: &Value) -> Result<Vec<Window>, NotAllowed> {
        list(value, |item| parsed(item.as_text().ok_or(NotAllowed)?))
    }

    fn write(&self, value: &Vec<Window>) -> String {
        written(value)
    }

    fn allowed(&self, _: &Vec<Window>) -> String {
        format!("a list of windows such as {EXAMPLE:?}, or {NONE:?}")
    }

    fn placeholder(&self) -> String {
        "WINDOW;…".to_owned()
    }
}

impl Syntax<Vec<Freeze>> for Freezes {
    fn read(&self, value: &Value) -> Result<Vec<Freeze>, NotAllowed> {
        list(value, |item| match item {
            Value::Table(entries) => freeze(entries),
            Value::Scalar { text, .. } => parsed(text),
            Value::Array(_) | Value::Other { .. } => Err(NotAllowed),
        })
    }

    fn write(&self, value: &Vec<Freeze>) -> String {
        written(value)
    }

    fn allowed(&self, _: &Vec<Freeze>) -> String {
        format!("a list of freezes such as \"2026-12-20..2027-01-04: holidays\", or {NONE:?}")
    }

    fn placeholder(&self) -> String {
        "FREEZE;…".to_owned()
    }
}

/// Reads each item of a list. An empty list is a mistake: what was to limit updates would limit none.
fn list<T>(value: &Value, read: impl Fn(&Value) -> Result<T, NotAllowed>) -> Result<Vec<T>, NotAllowed> {
    match value {
        Value::Scalar { text, .. } if text == NONE => Ok(Vec::new()),
        Value::Scalar { text, .. } => text.split(';').map(|item| read(&Value::text(item.trim()))).collect(),
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| read(&item.value)).collect(),
        Value::Array(_) | Value::Table(_) | Value::Other { .. } => Err(NotAllowed),
    }
}

fn parsed<T: FromStr>(text: &str) -> Result<T, NotAllowed> {
    text.parse().map_err(|_| NotAllowed)
}

fn freeze(entries: &[Entry]) -> Result<Freeze, NotAllowed> {
    let of = |name: &str| entries.iter().find(|entry| entry.key == name).map(|entry| entry.node.value.as_text());
    let text = |name: &str| of(name).map(|text| text.ok_or(NotAllowed)).transpose();
    // TOML has dates of its own.
    let day = |name: &str| match entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node.value) {
        Some(Value::Scalar { text, .. } | Value::Other { shown: text }) => date(text).map_err(|_| NotAllowed),
        Some(Value::Array(_) | Value::Table(_)) | None => Err(NotAllowed),
    };
    if entries.iter().any(|entry| !["from", "to", "zone", "why"].contains(&entry.key.as_str())) {
        return Err(NotAllowed);
    }
    let zone = text("zone")?.map(parsed).transpose()?;
    Freeze::new(day("from")?, day("to")?, zone, text("why")?.map(str::to_owned)).map_err(|_| NotAllowed)
}

fn written<T: Display>(values: &[T]) -> String {
    if values.is_empty() {
        return quoted(NONE);
    }
    let items: Vec<String> = values.iter().map(|value| quoted(&value.to_string())).collect();
    format!("[{}]", items.join(", "))
}
