//! A simulated AWS Region with Bottlerocket hosts, beneath the real AWS SDK.
//!
//! - [`Scenario`]: what there is and what happens, as a TOML file.
//! - [`Region`]: a scenario that runs; [`Region::http_client`] is the way in for the AWS SDK, [`server`] for others.
//! - [`iam`]: what a policy has to allow for a call, and whether it does.
//! - [`query`]: the language in which container instances are selected.
//! - [`invariants`]: the rules an updater must keep, checked after everything that happens.
//! - [`liveness`]: how long nothing may move in a run.
//! - [`expect`]: how the updater is run on a scenario, and what must come of it.
//! - [`rollout`]: a scenario joined with the real updater; the [`demo`] shows one, [`measure`] says what it costs.
//! - [`trial`]: everything that is expected to be run, [`record`]ed and held against what is expected ([`verdict`]).
//! - [`proof`]: that nothing is lost, wherever a run dies and whatever goes wrong.
//!
//! The simulator is a model of AWS and Bottlerocket, written from their documents, and knows nothing of the updater but
//! the tags that it writes; `expect`, `liveness`, `rollout`, `processes`, `trial`, `record`, `verdict`, `kept`, `run`, `serve`,
//! `signals`, `steered`, `voice`, `measure`, `proof` and `demo` alone know its library.

pub mod bench;
mod bridges;
pub mod cli;
pub mod clock;
mod conform;
pub mod connector;
pub mod demo;
pub mod dice;
pub mod documents;
pub mod emf;
mod errors;
pub mod expect;
pub mod host;
pub mod host_server;
pub mod iam;
pub mod invariants;
mod kept;
pub mod limit;
pub mod liveness;
pub mod measure;
pub mod meter;
pub mod moment;
pub mod pipe;
pub mod processes;
pub mod proof;
pub mod query;
pub mod read_report;
pub mod record;
pub mod region;
pub mod rollout;
pub mod run;
pub mod scenario;
mod serve;
pub mod server;
pub mod signals;
mod steered;
pub mod trial;
mod until;
pub mod verdict;
mod voice;
pub mod wire;
pub mod world;

pub use region::{CrashPoint, HostSnapshot, Region};
pub use scenario::Scenario;
