//! The library and the command against a scripted host. In process everything is on tokio's paused clock; the command
//! is the real binary on a real Unix socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, also in the helpers")]

mod agent;
mod client;
mod command;
mod fake;
mod properties;
mod transport;
mod update;
mod wire;
