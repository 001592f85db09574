//! What can be wrong with a scenario.

use std::path::PathBuf;

use crate::errors::malformed;

/// Why a file is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("failed to read scenario {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why that is so.
        source: std::io::Error,
    },
    /// It is no TOML, or has a key that is not known.
    #[error("the scenario is malformed: {}", malformed(.0))]
    Malformed(#[from] toml::de::Error),
    /// A time of the form `"+2h"` is no time.
    #[error("{text:?} is no time since the start, such as \"+2h\"")]
    Time {
        /// As it was written.
        text: String,
        /// Why that is so.
        source: jiff::Error,
    },
    /// `[[host]]` without `index`.
    #[error("a [[host]] needs an index: the place of the machine among all [[instances]], from 0")]
    HostWithoutIndex,
    /// There is no such machine.
    #[error("there is no host {index}: the scenario has {count}")]
    NoSuchHost {
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A machine's fields are wrong.
    #[error("host {index} is malformed: {}", malformed(.source))]
    Host {
        index: usize,
        /// Why that is so.
        source: toml::de::Error,
    },
    /// `count` is no number.
    #[error("count of [[instances]] is no number of machines")]
    Count,
    /// `zones` is no list.
    #[error("zones of [[instances]] is no list of zones")]
    Zones(#[source] toml::de::Error),
    /// A cluster that is not there.
    #[error("{what} names cluster {name:?}, which the scenario does not have")]
    NoSuchCluster {
        /// Who names it.
        what: String,
        name: String,
    },
    /// A cluster must be named because there are several.
    #[error("{what} must name its cluster: the scenario has several")]
    WhichCluster {
        /// Who must.
        what: String,
    },
    /// A tag that ECS would refuse.
    #[error(
        "tag of cluster {cluster}: {text:?} has a character other than letters, digits, spaces and + - = . _ : / @"
    )]
    ClusterTag {
        cluster: String,
        /// The key or value.
        text: String,
    },
    /// A service that is not there.
    #[error("event {index} names service {name:?}, which the scenario does not have")]
    NoSuchService {
        /// Its place among the events.
        index: usize,
        /// The service.
        name: String,
    },
    /// A placement constraint is no expression.
    #[error("member_of of service {name}: {reason}")]
    MemberOf {
        /// The service.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A capacity provider or a strategy is not as AWS would have it.
    #[error("{what}: {reason}")]
    Provider {
        /// What it is about.
        what: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An event has too little or too much.
    #[error("event {index}: {reason}")]
    Event {
        /// Its place among the events.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// Something waits for, or strikes, calls that there are not.
    #[error("{what} is for {pattern:?}, which is no operation that is modelled (docs/simulator.md lists them)")]
    NoSuchOperation {
        /// What it is.
        what: String,
        /// As it was written.
        pattern: String,
    },
    /// A fault without an effect.
    #[error("fault {index}: {reason}")]
    Fault {
        /// Its place among the faults.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
}
