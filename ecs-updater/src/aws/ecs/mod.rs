//! ECS: a file for each kind of thing that it keeps.

pub(crate) mod clusters;
mod definitions;
pub(crate) mod instances;
pub(crate) mod providers;
mod read;
pub(crate) mod services;
pub(crate) mod tasks;
