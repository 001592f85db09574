//! The library and the command against a scripted host. In process everything is on tokio's paused clock; the command
//! is the real binary on a real Unix socket.

mod client;
mod command;
mod fake;
mod properties;
mod transport;
mod update;
mod wire;
