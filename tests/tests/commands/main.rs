//! The real commands as people call them, on this machine's loopback and on the real clock: apart from what computes, so
//! that they keep their time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, also in the helpers")]

mod bridge;
mod command;
mod common;
mod profile;
mod run;
mod shown;
