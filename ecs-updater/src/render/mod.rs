//! What a person, or a program, is shown: the report as [`table`] or [`json`], the [`metrics`] of a run, the live view of
//! [`progress`], which [`live`] draws, how the clusters stand ([`status`]), and what is wrong with them ([`doctor`]).
//!
//! Nothing here decides or measures anything: values come in, text goes out. Many of the values are words from outside
//! (tags, names, what a host or AWS says), and all that leaves here is cleaned of what a terminal would obey
//! ([`models::clean`]): in JSON by escapes, elsewhere by other characters.

pub mod doctor;
mod drift;
pub mod duration;
pub mod html;
pub mod json;
pub mod live;
pub mod metrics;
pub mod plain;
pub mod progress;
pub mod status;
pub mod table;
pub mod terminal;
mod words;

use comfy_table::Table;
use unicode_width::UnicodeWidthStr as _;

/// The columns of the terminal behind standard output, for [`table::render`]; `None` when it is a pipe or a file.
pub fn stdout_width() -> Option<u16> {
    Table::new().width()
}

/// The columns that a terminal needs for a text of one line.
fn columns(text: &str) -> usize {
    text.width()
}
