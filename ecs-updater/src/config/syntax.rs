//! The kinds of values that keys take: how each is read, written and described.
//!
//! A key of a new kind, such as a list of texts, brings its kind here: a type with [`Syntax`] for the type of its field.

use std::fmt::Display;
use std::str::FromStr;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use models::cluster_tags::OpenKeys;
use models::policy::StopAfter;

use super::value::Value;
use crate::render::duration;

/// The value is not what its key allows; [`Syntax::allowed`] says what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAllowed;

/// How a value stands in the configuration.
pub(super) trait Syntax<T>: Sync {
    /// Reads a value. All places are read by the same rule, so `2` and `"2"` are the same in TOML too.
    fn read(&self, value: &Value) -> Result<T, NotAllowed>;

    /// Says what is wrong with a value that [`Syntax::read`] does not take, and where in it, where the kind can tell.
    fn fault(&self, _: &Value) -> Option<String> {
        None
    }

    /// Writes a value as it would stand in TOML.
    fn write(&self, value: &T) -> String;

    /// Describes what the value may be, to follow "must be"; the default may serve as the example.
    fn allowed(&self, default: &T) -> String;

    /// Names the value in the help, such as `COUNT|PERCENT`.
    fn placeholder(&self) -> String;

    /// Returns what the bare flag means, where it may stand without a value.
    fn bare(&self) -> Option<&'static str> {
        None
    }
}

/// A value whose type has a text form.
pub(super) struct Parsed {
    pub(super) allowed: &'static str,
    pub(super) placeholder: &'static str,
}

impl<T: FromStr + Display> Syntax<T> for Parsed {
    fn read(&self, value: &Value) -> Result<T, NotAllowed> {
        text(value)?.parse().map_err(|_| NotAllowed)
    }

    fn write(&self, value: &T) -> String {
        let text = value.to_string();
        if text.parse::<u64>().is_ok() { text } else { quoted(&text) }
    }

    fn allowed(&self, _: &T) -> String {
        self.allowed.to_owned()
    }

    fn placeholder(&self) -> String {
        self.placeholder.to_owned()
    }
}

/// One of a few words.
pub(super) struct Words<T: 'static> {
    pub(super) all: &'static [T],
    pub(super) word: fn(T) -> &'static str,
}

impl<T: Copy + Sync> Words<T> {
    fn words(&self) -> Vec<&'static str> {
        self.all.iter().map(|value| (self.word)(*value)).collect()
    }
}

impl<T: Copy + Sync> Syntax<T> for Words<T> {
    fn read(&self, value: &Value) -> Result<T, NotAllowed> {
        let text = text(value)?;
        self.all.iter().copied().find(|value| (self.word)(*value) == text).ok_or(NotAllowed)
    }

    fn write(&self, value: &T) -> String {
        quoted((self.word)(*value))
    }

    fn allowed(&self, _: &T) -> String {
        let words: Vec<String> = self.words().into_iter().map(quoted).collect();
        match words.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            words => words.concat(),
        }
    }

    fn placeholder(&self) -> String {
        self.words().join("|")
    }
}

/// `true` or `false`; the bare flag means `true`.
pub(super) struct Switch;

impl Syntax<bool> for Switch {
    fn read(&self, value: &Value) -> Result<bool, NotAllowed> {
        text(value)?.parse().map_err(|_| NotAllowed)
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }

    fn allowed(&self, _: &bool) -> String {
        "true or false".to_owned()
    }

    fn placeholder(&self) -> String {
        "true|false".to_owned()
    }

    fn bare(&self) -> Option<&'static str> {
        Some("true")
    }
}

/// A count from 1, or `"never"`.
pub(super) struct CountOrNever;

const NEVER: &str = "never";

impl Syntax<StopAfter> for CountOrNever {
    fn read(&self, value: &Value) -> Result<StopAfter, NotAllowed> {
        match text(value)? {
            NEVER => Ok(StopAfter::Never),
            text => match text.parse() {
                Ok(count @ 1..) => Ok(StopAfter::Count(count)),
                Ok(0) | Err(_) => Err(NotAllowed),
            },
        }
    }

    fn write(&self, value: &StopAfter) -> String {
        match value {
            StopAfter::Count(count) => count.to_string(),
            StopAfter::Never => quoted(NEVER),
        }
    }

    fn allowed(&self, _: &StopAfter) -> String {
        format!("a count from 1, or {NEVER:?}")
    }

    fn placeholder(&self) -> String {
        "COUNT".to_owned()
    }
}

/// A duration between two others, both included: in Jiff's friendly format ("1h 30m", "20 minutes", "2 days") or in ISO
/// 8601 ("PT20M"). A day is 24 hours.
pub(super) struct Between(pub(super) SignedDuration, pub(super) SignedDuration);

impl Syntax<SignedDuration> for Between {
    fn read(&self, value: &Value) -> Result<SignedDuration, NotAllowed> {
        let span: Span = text(value)?.parse().map_err(|_| NotAllowed)?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| NotAllowed)?;
        if (self.0..=self.1).contains(&duration) { Ok(duration) } else { Err(NotAllowed) }
    }

    fn write(&self, value: &SignedDuration) -> String {
        quoted(&duration::short(*value))
    }

    fn allowed(&self, default: &SignedDuration) -> String {
        let (least, most) = (duration::short(self.0), duration::short(self.1));
        format!("a duration from {least} to {most} with its unit, such as {}", self.write(default))
    }

    fn placeholder(&self) -> String {
        "DURATION".to_owned()
    }
}

/// A value of another kind, or a word that lifts what a lower place set.
pub(super) struct OrNone<S, T> {
    pub(super) some: S,
    pub(super) example: T,
    pub(super) none: &'static str,
}

/// Lifts a limit.
pub(super) const NONE: &str = "none";
/// Leaves a value to the program.
pub(super) const AUTO: &str = "auto";

impl<S: Syntax<T>, T: Sync> Syntax<Option<T>> for OrNone<S, T> {
    fn read(&self, value: &Value) -> Result<Option<T>, NotAllowed> {
        if value.as_text() == Some(self.none) { Ok(None) } else { self.some.read(value).map(Some) }
    }

    fn write(&self, value: &Option<T>) -> String {
        value.as_ref().map_or_else(|| quoted(self.none), |value| self.some.write(value))
    }

    fn allowed(&self, _: &Option<T>) -> String {
        format!("{}, or {:?}", self.some.allowed(&self.example), self.none)
    }

    fn placeholder(&self) -> String {
        self.some.placeholder()
    }
}

/// The name or ARN of an SSM document: the pattern of `DocumentName` in the SSM API's `SendCommand`.
pub(super) struct DocumentName;

impl Syntax<String> for DocumentName {
    fn read(&self, value: &Value) -> Result<String, NotAllowed> {
        let text = text(value)?;
        let allowed = |char: char| char.is_ascii_alphanumeric() || "_-.:/".contains(char);
        if (3..=128).contains(&text.len()) && text.chars().all(allowed) { Ok(text.to_owned()) } else { Err(NotAllowed) }
    }

    fn write(&self, value: &String) -> String {
        quoted(value)
    }

    fn allowed(&self, _: &String) -> String {
        "the name or ARN of an SSM document: 3 to 128 letters, digits and the characters _ - . : /".to_owned()
    }

    fn placeholder(&self) -> String {
        "NAME".to_owned()
    }
}

/// The name or ARN of an event bus: the pattern of `EventBusName` in EventBridge's `PutEvents`.
pub(super) struct BusName;

impl Syntax<String> for BusName {
    fn read(&self, value: &Value) -> Result<String, NotAllowed> {
        let text = text(value)?;
        let allowed = |char: char| char.is_ascii_alphanumeric() || "_-.:/".contains(char);
        if (1..=256).contains(&text.len()) && text.chars().all(allowed) { Ok(text.to_owned()) } else { Err(NotAllowed) }
    }

    fn write(&self, value: &String) -> String {
        quoted(value)
    }

    fn allowed(&self, _: &String) -> String {
        "the name or ARN of an event bus: 1 to 256 letters, digits and the characters _ - . : /".to_owned()
    }

    fn placeholder(&self) -> String {
        "BUS".to_owned()
    }
}

/// The paths of keys: a list in TOML, a text with commas everywhere. Which keys there are, is not known here.
pub(super) struct KeyList;

impl Syntax<OpenKeys> for KeyList {
    fn read(&self, value: &Value) -> Result<OpenKeys, NotAllowed> {
        let texts = match value {
            Value::Array(items) => items.iter().map(|item| text(&item.value)).collect::<Result<Vec<_>, _>>()?,
            Value::Scalar { text, .. } if text.is_empty() => Vec::new(),
            Value::Scalar { text, .. } => text.split(',').map(str::trim).collect(),
            Value::Table(_) | Value::Other { .. } => return Err(NotAllowed),
        };
        let allowed = |char: char| char.is_ascii_lowercase() || "_.".contains(char);
        let is_path = |text: &&str| !text.is_empty() && text.chars().all(allowed);
        if texts.iter().all(is_path) { Ok(texts.into_iter().map(str::to_owned).collect()) } else { Err(NotAllowed) }
    }

    fn write(&self, value: &OpenKeys) -> String {
        format!("[{}]", value.paths().map(quoted).collect::<Vec<_>>().join(", "))
    }

    fn allowed(&self, _: &OpenKeys) -> String {
        "a list of keys, such as [\"target\", \"host\"], or \"target,host\"".to_owned()
    }

    fn placeholder(&self) -> String {
        "KEYS".to_owned()
    }
}

fn text(value: &Value) -> Result<&str, NotAllowed> {
    value.as_text().ok_or(NotAllowed)
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
