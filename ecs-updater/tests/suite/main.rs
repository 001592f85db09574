//! The controller from outside: its command line, configuration and output, the documents, and how the code is built.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod command_line;
mod config;
mod docs;
mod groups;
mod house;
mod metrics;
mod mutations;
mod render;
mod several_settings;
mod tags;
mod words;
