//! A value as it was written, and where: a text of TOML, a table of another document, or the plain text of a variable, a
//! tag or a flag.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{Place, Places, shown};

/// A key of a table with its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Option<Place>,
    pub(super) node: Node,
}

/// A value and where it stands.
pub(super) struct Node {
    pub(super) place: Option<Place>,
    pub(super) value: Value,
}

/// What was written for a key, in TOML or elsewhere.
pub(super) enum Value {
    /// A text, an integer or a truth value, as text.
    Scalar {
        text: String,
        shown: String,
    },
    Array(Vec<Node>),
    Table(Vec<Entry>),
    /// What no key takes: a float, a date.
    Other {
        shown: String,
    },
}

impl Entry {
    /// Returns the entries of a table in the order of the text.
    pub(super) fn of_text(table: &DeTable<'_>, places: &Places<'_>) -> Vec<Self> {
        let place = |span: Range<usize>| Some(places.at(span.start));
        let mut entries: Vec<(usize, Entry)> = table
            .iter()
            .map(|(key, value)| {
                let node = Node { place: place(value.span()), value: Value::from_text(value.get_ref(), places) };
                let entry = Self { key: key.get_ref().to_string(), key_place: place(key.span()), node };
                (key.span().start, entry)
            })
            .collect();
        entries.sort_by_key(|(start, _)| *start);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Returns the entries of a table that has no places.
    pub(super) fn of_table(table: &toml::Table) -> Vec<Self> {
        let node = |value| Node { place: None, value: Value::from_value(value) };
        table.iter().map(|(key, value)| Self { key: key.clone(), key_place: None, node: node(value) }).collect()
    }
}

impl Value {
    fn from_text(value: &DeValue<'_>, places: &Places<'_>) -> Self {
        match value {
            DeValue::String(string) => Self::text(string),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => Self::plain(integer.to_string()),
                Err(_) => Self::Other { shown: integer.as_str().to_owned() },
            },
            DeValue::Boolean(boolean) => Self::plain(boolean.to_string()),
            DeValue::Float(float) => Self::Other { shown: float.as_str().to_owned() },
            DeValue::Datetime(datetime) => Self::Other { shown: datetime.to_string() },
            DeValue::Array(array) => Self::Array(
                array
                    .iter()
                    .map(|item| Node {
                        place: Some(places.at(item.span().start)),
                        value: Self::from_text(item.get_ref(), places),
                    })
                    .collect(),
            ),
            DeValue::Table(table) => Self::Table(Entry::of_text(table, places)),
        }
    }

    fn from_value(value: &toml::Value) -> Self {
        match value {
            toml::Value::String(string) => Self::text(string),
            toml::Value::Integer(integer) => Self::plain(integer.to_string()),
            toml::Value::Boolean(boolean) => Self::plain(boolean.to_string()),
            toml::Value::Float(float) => Self::Other { shown: float.to_string() },
            toml::Value::Datetime(datetime) => Self::Other { shown: datetime.to_string() },
            toml::Value::Array(array) => {
                Self::Array(array.iter().map(|item| Node { place: None, value: Self::from_value(item) }).collect())
            }
            toml::Value::Table(table) => Self::Table(Entry::of_table(table)),
        }
    }

    /// A plain text, which all places but TOML give.
    pub(super) fn text(string: &str) -> Self {
        Self::Scalar { text: string.to_owned(), shown: shown(string) }
    }

    fn plain(text: String) -> Self {
        Self::Scalar { shown: text.clone(), text }
    }

    /// Returns the text of a scalar.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } => Some(text),
            Self::Array(_) | Self::Table(_) | Self::Other { .. } => None,
        }
    }

    /// Returns the value as messages show it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Scalar { shown, .. } | Self::Other { shown } => shown.clone(),
            Self::Array(_) => "[…]".to_owned(),
            Self::Table(_) => "{…}".to_owned(),
        }
    }
}
