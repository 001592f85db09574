//! Makes words from outside safe to print. Names, notes and messages can hold characters that move a terminal's cursor,
//! end a line, reverse the order of what follows or are not seen at all.
//!
//! Each such character becomes one other character of one column, so that a text keeps its length: a line break or a tab
//! becomes a space, a control character its picture (`␛` for escape), and everything else `�`. Joiners and variation
//! selectors are among the latter: an emoji that is made of several shows its parts.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns `text` as one line without characters that control a terminal or are not seen.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, shown)
}

/// As [`line()`], but line feeds stay: for text of several lines that is ours, with words from outside in it.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |char| if char == '\n' { char } else { shown(char) })
}

/// Returns the JSON document `json` with the same characters written as `\u` and four digits. What it says does not
/// change: outside of strings JSON has none of them but line feeds, which stay.
pub fn json(json: &str) -> Cow<'_, str> {
    let is_escaped = |char: char| char != '\n' && shown(char) != char;
    if !json.chars().any(is_escaped) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        if is_escaped(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(char);
        }
    }
    text.into()
}

/// As [`line()`], and no longer than `most` characters: the last of a longer text is `…`. For where words come in.
pub fn cut(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return line(text).into_owned() };
    let last = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    format!("{}…", line(&text[..last]))
}

/// The longest name that AWS gives anything that is read here: an Auto Scaling group's, a task group's.
const LONGEST_NAME: usize = 255;

/// A name as AWS allows it is returned as it is; whatever else stands in its place is cut and cleaned.
pub fn name(text: &str) -> String {
    cut(text, LONGEST_NAME)
}

fn replaced(text: &str, with: impl Fn(char) -> char) -> Cow<'_, str> {
    let shown = || {
        let mut marks = 0;
        text.chars().map(move |char| {
            marks = if is_mark(char) { marks + 1 } else { 0 };
            (char, marks > MOST_MARKS)
        })
    };
    let with = |(char, is_too_many)| if is_too_many { '�' } else { with(char) };
    if shown().all(|one| with(one) == one.0) { text.into() } else { shown().map(with).collect() }
}

/// How many marks may stand on one character. Languages need three; many more run over the lines above and below.
const MOST_MARKS: usize = 4;

/// Whether a character is drawn onto the one before it: the blocks of combining marks that stand on any letter.
fn is_mark(char: char) -> bool {
    matches!(
        u32::from(char),
        0x300..=0x36f | 0x483..=0x489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f
    )
}

fn shown(char: char) -> char {
    match char {
        '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('�'),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' => '�',
        _ if is_unseen(char) => '�',
        _ => char,
    }
}

/// Whether a character has no glyph of its own: Unicode's `Default_Ignorable_Code_Point`, which has all that change the
/// direction of text, and the annotation and hieroglyph controls.
fn is_unseen(char: char) -> bool {
    matches!(
        u32::from(char),
        0xad | 0x34f
            | 0x61c
            | 0x115f..=0x1160
            | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            | 0x200b..=0x200f
            | 0x202a..=0x202e
            | 0x2060..=0x206f
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff0..=0xfffb
            | 0x13430..=0x1343f
            | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_replaced_is_seen_and_takes_one_column() {
        let cases = [
            ("web", "web", "web"),
            ("Zürich → 東京 «é»", "Zürich → 東京 «é»", "Zürich → 東京 «é»"),
            ("a\x1b[2Jb\x07", "a␛[2Jb␇", "a␛[2Jb␇"),
            ("one\r\ntwo\tthree", "one  two three", "one \ntwo three"),
            ("nul\0del\x7f", "nul␀del␡", "nul␀del␡"),
            ("csi\u{9b}2J nel\u{85}", "csi�2J nel ", "csi�2J nel "),
            ("ls\u{2028}ps\u{2029}", "ls ps ", "ls ps "),
            ("\u{202e}evas\u{202c} \u{2066}x\u{2069}", "�evas� �x�", "�evas� �x�"),
            ("zero\u{200b}width\u{200d}\u{feff}\u{ad}", "zero�width���", "zero�width���"),
            ("tag\u{e0041}", "tag�", "tag�"),
            ("e\u{301}\u{323}", "e\u{301}\u{323}", "e\u{301}\u{323}"),
            (
                "e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}x",
                "e\u{301}\u{302}\u{303}\u{304}��x",
                "e\u{301}\u{302}\u{303}\u{304}��x",
            ),
        ];
        for (given, as_line, as_lines) in cases {
            assert_eq!(line(given), as_line, "{given:?}");
            assert_eq!(lines(given), as_lines, "{given:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, expected) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("äöüß", 3, "äö…"),
            ("a\n\x1bd", 3, "a …"),
            ("ab", 1, "…"),
        ] {
            assert_eq!(cut(text, most), expected, "{text:?}");
        }
        assert_eq!(cut(&"x".repeat(1 << 20), 400).chars().count(), 400);
        assert_eq!(name("family:curl-test_1"), "family:curl-test_1");
    }

    #[test]
    fn json_says_the_same_in_other_letters() {
        let word = "a\x1b\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}é";
        let escaped = json(&serde_json::to_string_pretty(&[word]).unwrap()).into_owned();
        assert_eq!(escaped, "[\n  \"a\\u001b\\u007f\\u009b\\u202e\\u2028\\udb40\\udc41é\"\n]");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [word]);
    }

    /// Letters and, as often, characters that do harm.
    fn words() -> impl Strategy<Value = String> {
        let harmful = prop_oneof![
            proptest::char::range('\0', '\u{9f}'),
            proptest::char::range('\u{200b}', '\u{206f}'),
            proptest::char::any(),
        ];
        proptest::collection::vec(harmful, 0..60).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn no_text_controls_a_terminal(text in words()) {
            let clean = line(&text);
            prop_assert!(!clean.chars().any(char::is_control), "{clean:?}");
            prop_assert_eq!(clean.lines().count(), usize::from(!text.is_empty()));
            prop_assert_eq!(clean.chars().count(), text.chars().count());
            prop_assert_eq!(line(&clean), clean.as_ref());
            prop_assert!(lines(&text).chars().all(|char| char == '\n' || !char.is_control()));
        }

        #[test]
        fn no_json_does_and_none_is_changed(text in words()) {
            let document = serde_json::to_string_pretty(&[&text]).unwrap();
            let escaped = json(&document);
            prop_assert!(escaped.chars().all(|char| char == '\n' || line(&char.to_string()) == char.to_string()));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [text]);
        }
    }
}
