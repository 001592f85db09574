//! Errors in words.

use std::error::Error;

/// An error and its causes, each once: some say their cause themselves.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut below = error.source();
    while let Some(cause) = below {
        let words = cause.to_string();
        if !one_line(&text).contains(&one_line(&words)) {
            text = format!("{text}: {}", words.trim_end());
        }
        below = cause.source();
    }
    text
}

/// Words without the breaks between their lines.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is wrong with a table: beside the lines of the file where it was read from one, else on one line.
pub(crate) fn malformed(error: &toml::de::Error) -> String {
    match error.span() {
        Some(_) => error.to_string().trim_end().to_owned(),
        None => one_line(&error.to_string()),
    }
}
