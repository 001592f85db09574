//! From a file, the environment and flags to the settings of each cluster.
//!
//! Three types, in the order in which a value passes through them:
//!
//! - [`Fragment`] and [`PolicyFragment`]: what one place said; everything may be missing, each value is checked alone.
//! - [`Inputs`]: the fragments of all places side by side: the file, the environment, the flags.
//! - [`Settings`]: joined and checked as a whole: the clusters to work on, each with its complete
//!   [`Policy`](models::policy::Policy).
//!
//! For each key by itself, the first of these that says something wins: flag, environment variable, the cluster's own
//! `[[cluster]]`, `[defaults]`, built-in default.
//!
//! What is wrong is collected, so that a person mends a file once and not once per mistake; see [`ConfigError`].
//! `docs/configuration.md` is the page for people; a test holds the two together.
//!
//! Not here: the flags' definitions ([`crate::args`]), and Region, profile and endpoint, which are the SDK's business.

mod error;
mod file;
mod fragment;
mod inputs;
mod key;
mod settings;

pub use error::{Advice, ConfigError, Origin, Place, Problem};
pub use file::{from_table, parse};
pub use fragment::{ClusterFragment, Fragment, PolicyFragment};
pub use inputs::{Environment, Given, Inputs, Layer, environment};
pub use key::{CLUSTERS_VARIABLE, CONFIG_VARIABLE, Key, LEASE_TABLE_VARIABLE, LOG_VARIABLE, VARIABLE_PREFIX};
pub use settings::{ClusterSettings, Settings};

/// Reads the configuration file, where one is named, and joins it with the environment and the flags.
///
/// # Errors
/// Everything that is wrong in all three, or, where each is sound alone, with the whole.
pub fn load(given: &Given, environment: &Environment) -> Result<Settings, ConfigError> {
    Inputs::gather(given, environment)?.settings()
}
