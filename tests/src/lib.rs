//! Sim.
pub mod host;
