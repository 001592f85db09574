//! Settings in one text, as they would stand between the braces of an inline table of TOML: `host = "ssm",
//! timeouts.drain = "30m"`. One on each line is right too, so that a text may be as long as it likes.

use std::str::Chars;

/// Returns the text with a line break in place of each comma between two settings, which is a document of TOML. No byte
/// changes its place.
pub(super) fn on_lines_of_their_own(text: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(text.len()), 0_usize);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ',' if depth == 0 => {
                out.push('\n');
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let taken = match char {
            '"' | '\'' => quoted(char, chars.clone()),
            '#' => chars.as_str().find('\n').unwrap_or(chars.as_str().len()),
            _ => 0,
        };
        out.push(char);
        out.push_str(&chars.as_str()[..taken]);
        chars = chars.as_str()[taken..].chars();
    }
    out
}

/// How many bytes a text in quotes has behind its first one, its last quote included.
fn quoted(quote: char, rest: Chars<'_>) -> usize {
    let rest = rest.as_str();
    let long = quote.to_string().repeat(3);
    let (end, begin) = if rest.starts_with(&long[1..]) { (long.as_str(), 2) } else { (&long[..1], 0) };
    let mut at = begin;
    while let Some(left) = rest.get(at..).filter(|left| !left.is_empty()) {
        if left.starts_with(end) {
            return at + end.len();
        }
        let escapes = quote == '"' && left.starts_with('\\');
        at += left.chars().take(if escapes { 2 } else { 1 }).map(char::len_utf8).sum::<usize>();
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_between_settings_become_lines() {
        let table = [
            ("", ""),
            ("a = 1", "a = 1"),
            ("a = 1, b.c = \"2\"", "a = 1\n b.c = \"2\""),
            ("a = 1,\nb = 2,\n", "a = 1\n\nb = 2\n\n"),
            ("a = [1, 2], b = { c = 1, d = [3, 4] }, e = 5", "a = [1, 2]\n b = { c = 1, d = [3, 4] }\n e = 5"),
            (r#"a = "x, \", y", b = 2"#, "a = \"x, \\\", y\"\n b = 2"),
            (r"a = 'x, \', b = 2", "a = 'x, \\'\n b = 2"),
            ("a = \"\", b = '', c = 3", "a = \"\"\n b = ''\n c = 3"),
            ("a = \"\"\"x, \"y\", z\"\"\", b = 2", "a = \"\"\"x, \"y\", z\"\"\"\n b = 2"),
            ("a = 1 # one, two\nb = 2, c = 3", "a = 1 # one, two\nb = 2\n c = 3"),
            ("a = \"ä, ö\", b = \"never ends, ", "a = \"ä, ö\"\n b = \"never ends, "),
            ("a = ], b = 2", "a = ]\n b = 2"),
        ];
        for (text, lines) in table {
            assert_eq!(on_lines_of_their_own(text), lines, "{text}");
            assert_eq!(on_lines_of_their_own(text).len(), text.len(), "{text}");
        }
    }
}
