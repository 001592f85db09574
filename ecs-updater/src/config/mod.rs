//! From a file or an SSM parameter, the environment, the clusters' tags and flags to the settings of each cluster.
//!
//! Three types, in the order in which a value passes through them:
//!
//! - `Fragment` and [`PolicyFragment`]: what one place said; everything may be missing, each value is checked alone.
//! - [`Inputs`]: the fragments of all places side by side: the file, the environment, the tags, the flags.
//! - [`Settings`]: joined and checked as a whole: the clusters to work on, each with its complete
//!   [`Policy`](models::policy::Policy).
//!
//! For each key by itself, the first of these that says something wins: flag, tag of the cluster, the key's own environment
//! variable, the variable that holds several keys, the cluster's own `[[cluster]]`, `[defaults]`, built-in default.
//!
//! What is wrong is collected, so that a person fixes a file once and not once per mistake; see [`ConfigError`]. What is
//! wrong in the table or the tags of one cluster keeps that one from being worked on; all else keeps the run from
//! beginning.
//!
//! A new key is a row in `rows.rs`, a field of [`Policy`](models::policy::Policy), and in `docs/configuration.md`, the
//! page for people, a paragraph and the row that a test prints.
//!
//! Not here: the flags' definitions ([`crate::args`]), asking AWS ([`crate::cluster_settings`]), and Region, profile and endpoint,
//! which are the SDK's business.

mod alarms;
mod effective;
mod error;
mod file;
mod fragment;
mod group;
mod hooks;
mod inline;
mod inputs;
mod key;
mod names;
mod rollout;
mod rows;
mod schedule;
mod select;
mod settings;
mod syntax;
mod tag_rule;
mod tags;
mod value;
mod versions;

pub use effective::{Effective, EffectiveCluster, EffectiveGroup, Said, Setting};
pub use error::ConfigError;
pub(crate) use error::Origin;
pub use file::{from_table, parse};
pub use fragment::PolicyFragment;
pub use inputs::{Environment, Given, Inputs, environment, parameter};
pub use key::Key;
pub use names::{
    API_SHARE_VARIABLE, CLUSTERS_VARIABLE, CONFIG_VARIABLE, LEASE_TABLE_VARIABLE, LOG_VARIABLE, METRICS_VARIABLE,
    PARAMETER_PREFIX, SETTINGS_VARIABLE, VARIABLE_PREFIX,
};
pub use settings::Settings;
