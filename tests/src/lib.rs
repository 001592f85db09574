//! Sim.
pub mod documents;
pub mod host;
