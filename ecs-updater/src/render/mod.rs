//! What a person, or a program, is shown: the report as [`table`] or [`json`], and the live view of [`progress`].
//!
//! Nothing here decides or measures anything: values come in, text goes out.

pub mod duration;
pub mod json;
pub mod progress;
pub mod table;
