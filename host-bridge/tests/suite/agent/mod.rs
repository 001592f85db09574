//! The agent: its decisions as tables, and its life in an in-memory world on paused time.

mod decisions;
mod environment;
mod groups;
mod kills;
mod life;
mod process;
mod trial;
mod world;
