//! The words of an expression, each with its place.

use super::expression::QueryError;

/// A word or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its place in the text, in characters from 1.
    pub(super) at: usize,
    pub(super) text: String,
    /// Between quotes it is a name or a value, whatever it says.
    pub(super) is_quoted: bool,
}

impl Word {
    pub(super) fn is(&self, text: &str) -> bool {
        !self.is_quoted && self.text == text
    }

    /// Whether it is one of the signs that are no values.
    pub(super) fn is_sign(&self) -> bool {
        !self.is_quoted && ["(", ")", "[", "]", ",", "!"].contains(&self.text.as_str())
    }
}

/// What a word without quotes ends at.
const ENDS: &str = " \t\r\n()[],=!<>&|\"'";
/// What the signs of operators are made of, after the first.
const SIGNS: &str = "=~&|";

/// Cuts a text into its words.
pub(super) fn words(text: &str) -> Result<Vec<Word>, QueryError> {
    let mut words = Vec::new();
    let mut chars = text.chars().zip(1..).peekable();
    while let Some((char, at)) = chars.next() {
        let mut word = Word { at, text: char.to_string(), is_quoted: false };
        match char {
            ' ' | '\t' | '\r' | '\n' => continue,
            '(' | ')' | '[' | ']' | ',' => {}
            '"' | '\'' => {
                word.text.clear();
                word.is_quoted = true;
                loop {
                    match chars.next() {
                        Some((end, _)) if end == char => break,
                        Some((other, _)) => word.text.push(other),
                        None => return Err(QueryError::new(at, "a quotation is not closed")),
                    }
                }
            }
            '=' | '!' | '<' | '>' | '&' | '|' => {
                while let Some((next, _)) = chars.next_if(|(next, _)| SIGNS.contains(*next)) {
                    word.text.push(next);
                }
                if word.text == "!" {
                    let follows: String =
                        chars.clone().map(|(next, _)| next).take_while(|n| !ENDS.contains(*n)).collect();
                    // `!exists`, `!in`: operators that begin with the sign.
                    if ["exists", "in"].contains(&follows.as_str()) {
                        word.text.push_str(&follows);
                        chars.nth(follows.len() - 1);
                    }
                }
            }
            _ => {
                while let Some((next, _)) = chars.next_if(|(next, _)| !ENDS.contains(*next)) {
                    word.text.push(next);
                }
            }
        }
        words.push(word);
    }
    Ok(words)
}
