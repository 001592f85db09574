//! Whether the prerequisites are met, cluster by cluster and host by host: by reads alone, and without a command to any host.
//! `docs/prerequisites.md` says what they are, and has a line for each check.
//!
//! - `gather`: what is read, each thing by itself. `calls`: what went wrong with that.
//! - `cluster`, `host`: what is wrong with each, pure functions.
//! - `check`: the checks' ids. `findings`: what they have found.

mod calls;
mod check;
mod cluster;
mod findings;
mod gather;
mod host;

use std::collections::BTreeMap;

use models::doctor::{DoctorReport, Examined};
use models::ids::{AccountId, ClusterName};
use models::location::Location;
use models::policy::Policy;
use models::report::{ClusterError, ClusterErrorKind};

use crate::aws::{Aws, SdkConfig};
use crate::clock::Clock;
use crate::cluster_settings::{Resolved, ResolvedCluster};
use crate::planner;
use crate::steer::status::{self, Typed};

pub use calls::STATEMENTS;
pub use check::CHECK_IDS;

use check::Check;
use findings::{Findings, Said};
use gather::Facts;

/// The version of the shape of a [`DoctorReport`].
const VERSION: u32 = 1;

/// What is examined.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub resolved: &'a Resolved,
    /// The settings of each cluster without its tags, for one whose tags cannot be read.
    pub untagged: &'a BTreeMap<ClusterName, Policy>,
    /// The account in which all have to be.
    pub expect_account: Option<&'a AccountId>,
    /// What stands in the commands that are to be typed.
    pub typed: &'a Typed,
}

/// Examines the clusters. It never fails: what cannot be checked is a finding too.
pub async fn doctor(config: &SdkConfig, clock: &Clock, asked: &Asked<'_>) -> DoctorReport {
    let all = asked.resolved.clusters.iter().map(|cluster| examine(config, clock, asked, cluster));
    let clusters = futures_util::future::join_all(all).await;
    DoctorReport { version: VERSION, at: clock.now(), clusters }
}

async fn examine(
    config: &SdkConfig,
    clock: &Clock,
    asked: &Asked<'_>,
    (cluster, settings): &ResolvedCluster,
) -> Examined {
    let location = asked.resolved.locations.get(cluster).cloned().unwrap_or_default();
    let fallback = asked.untagged.get(cluster).cloned().unwrap_or_default();
    let policy = settings.as_ref().unwrap_or(&fallback);
    let aws = Aws::reading(config);
    let facts = gather::gather(&aws, cluster, policy, asked.resolved.lease_table.as_deref(), clock).await;
    let mut found = Findings::default();
    account(&location, asked.expect_account, &mut found);
    find(&facts, settings.as_ref().err(), asked.typed, &mut found);
    let hosts = facts.status.fleet.registered().count();
    Examined {
        cluster: cluster.clone(),
        location,
        read: facts.is_read,
        hosts,
        findings: found.into_vec(hosts),
        aws_calls: aws.calls().counts(),
    }
}

/// Returns what is wrong with a cluster, as far as it is known.
fn find(facts: &Facts<'_>, refused: Option<&ClusterError>, typed: &Typed, found: &mut Findings) {
    calls::clock(facts.clock_ahead, found);
    let is_missing = |error: &&crate::aws::AwsError| {
        error.kind == crate::aws::ErrorKind::NotFound && error.operation.starts_with("ecs:")
    };
    if let Some(error) = facts.troubles.iter().find(is_missing) {
        let said = Said::what(format!("there is no such cluster in this account and Region ({error})"));
        let said =
            said.advising("check its name, the Region and the account").typing(typed.aws("ecs list-clusters", &[]));
        return found.problem(Check::Cluster, None, said);
    }
    if facts.is_read {
        found.made(Check::Cluster, None);
    }
    settings(refused, typed, facts, found);
    cluster::lease_table(facts, typed, found);
    calls::calls(&facts.troubles, typed, found);
    let needs = if facts.is_read { status::report(&facts.status, typed).needs } else { Vec::new() };
    cluster::cluster(facts, &needs, typed, found);
    let obstacles = planner::obstacles(&facts.status.fleet, facts.status.policy, facts.status.now);
    for instance in facts.status.fleet.registered() {
        host::Host { instance, facts, needs: &needs, obstacles: &obstacles, typed }.examine(found);
    }
}

/// Why a run would not work on the cluster, but for what the reads say themselves.
fn settings(refused: Option<&ClusterError>, typed: &Typed, facts: &Facts<'_>, found: &mut Findings) {
    let of_reads = |error: &&ClusterError| match error.kind {
        ClusterErrorKind::Configuration | ClusterErrorKind::Unexpected => false,
        ClusterErrorKind::ClusterNotFound
        | ClusterErrorKind::NotPermitted
        | ClusterErrorKind::NotReachable
        | ClusterErrorKind::AnotherRun
        | ClusterErrorKind::LeaseLost => !facts.troubles.is_empty(),
    };
    if let Some(error) = refused.filter(|error| !of_reads(error)) {
        let said =
            Said::what(&error.message).advising("correct what the message names, in the configuration or the tags");
        let check = typed.ours("config check", &facts.status.fleet.cluster);
        found.problem(Check::Settings, None, said.typing(check));
    }
    if refused.is_none() {
        found.made(Check::Settings, None);
    }
}

fn account(location: &Location, expected: Option<&AccountId>, found: &mut Findings) {
    let Some(expected) = expected else { return };
    match &location.account {
        Some(account) if account == expected => {}
        Some(account) => {
            let what = format!("the cluster is in account {account}, but --expect-account says {expected}");
            let said =
                Said::what(what).advising("take the credentials of the other account, by --profile or AWS_PROFILE");
            found.problem(Check::Account, None, said);
        }
        None => {
            let what = format!("the account of the cluster; --expect-account says {expected}");
            found.not_checked(Check::Account, None, Said::what(what));
        }
    }
    found.made(Check::Account, None);
}
