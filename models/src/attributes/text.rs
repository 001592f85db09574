//! Texts in the characters that ECS takes in an attribute.

use std::fmt;

use jiff::Timestamp;
use smol_str::SmolStr;

/// The longest value that ECS takes, in characters.
pub const MAX_VALUE: usize = 128;

/// Stands for nothing.
pub(super) const NONE: &str = "-";
/// Ends a list that was cut.
const CUT: &str = "..";

/// The fields of a value, one after the other; `None` beyond the last.
pub(super) struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: Option<&'a str>) -> Self {
        Self(value.unwrap_or_default().split('/'))
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.0.next().filter(|field| !field.is_empty())
    }

    pub(super) fn text(&mut self) -> Option<SmolStr> {
        self.next().and_then(text_of)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_second(self.number()?).ok()
    }
}

pub(super) fn number(number: Option<impl fmt::Display>) -> String {
    number.map_or_else(|| NONE.to_owned(), |number| number.to_string())
}

/// A field: the text if it fits into `most` characters, else nothing.
pub(super) fn field(text: Option<&str>, most: usize) -> String {
    text.map(|text| escaped(text, false)).filter(|field| field.len() <= most).unwrap_or_else(|| NONE.to_owned())
}

pub(super) fn list(items: &[SmolStr], cut: bool) -> String {
    let room = MAX_VALUE - CUT.len() - 1;
    let mut value = String::new();
    let mut whole = !cut;
    for (at, item) in items.iter().enumerate() {
        let item = match item.as_str() {
            CUT => "@2e.".to_owned(),
            item => escaped(item, false),
        };
        let last = at + 1 == items.len() && whole;
        let space = usize::from(!value.is_empty());
        if value.len() + space + item.len() > if last { MAX_VALUE } else { room } {
            whole = false;
            break;
        }
        if space == 1 {
            value.push(' ');
        }
        value.push_str(&item);
    }
    if !whole {
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(CUT);
    }
    if value.is_empty() { NONE.to_owned() } else { value }
}

pub(super) fn list_of(value: &str) -> (Vec<SmolStr>, bool) {
    let mut items: Vec<&str> = value.split(' ').filter(|item| !item.is_empty() && *item != NONE).collect();
    let cut = items.last() == Some(&CUT);
    if cut {
        items.pop();
    }
    (items.into_iter().filter_map(text_of).collect(), cut)
}

/// Words for people: spaces stay, and what does not fit is cut.
pub(super) fn prose(text: &str) -> String {
    let whole = escaped(text, true);
    if whole.len() <= MAX_VALUE {
        return whole;
    }
    let mut value = String::new();
    for part in text.chars().map(|one| escape(one, true)) {
        if value.len() + part.len() > MAX_VALUE - 3 {
            break;
        }
        value.push_str(&part);
    }
    if value.starts_with(' ') {
        value.replace_range(..1, ".");
    }
    format!("{value}...")
}

/// A text in the characters that ECS takes and without our own separators, never empty and never a lone `-`.
pub(super) fn escaped(text: &str, spaces: bool) -> String {
    if text.is_empty() {
        return "@".to_owned();
    }
    if text == NONE {
        return "@2d".to_owned();
    }
    let last = text.chars().count() - 1;
    text.chars().enumerate().map(|(at, one)| escape(one, spaces && at != 0 && at != last)).collect()
}

fn escape(one: char, spaces: bool) -> String {
    match one {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | ':' => one.to_string(),
        ' ' if spaces => one.to_string(),
        other => other.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("@{byte:02x}")).collect(),
    }
}

/// The text of a field; `None` for nothing. What is no escape of ours stands as it is.
pub(super) fn text_of(field: &str) -> Option<SmolStr> {
    match field {
        NONE => return None,
        "@" => return Some(SmolStr::default()),
        _ => {}
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match (first, tail) {
            (b'@', [high, low, ..]) => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Some(SmolStr::new(String::from_utf8_lossy(&bytes)))
}
