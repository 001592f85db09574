//! A command of the updater that is no run, on a simulated Region: what a person does with it beside runs, or between them.

use aws_config::SdkConfig;
use ecs_updater::clock::Clock;
use ecs_updater::run::Signals;
use ecs_updater::steer::{Order, Steering, steer};
use jiff::Timestamp;
use models::ids::{ClusterName, HostId, RunId};
use models::report::{ClusterError, ClusterErrorKind, ClusterReport, RunReport};

use crate::expect::CommandSpec;
use crate::rollout::Rollout;
use crate::voice::Steered;

impl Rollout {
    /// Returns the order that a command is; `None` for one that is a run.
    pub(crate) fn order(&self, command: &CommandSpec) -> Option<Order> {
        let id = |index: usize| {
            self.region.snapshot_of(index).map_or_else(|| HostId::from("i-00000000"), |host| host.id.clone())
        };
        match command.clone() {
            CommandSpec::Finish | CommandSpec::Rollback(..) => None,
            CommandSpec::Unskip(version) => Some(Order::Unskip { version }),
            CommandSpec::Release(host) => Some(Order::Release { host: id(host) }),
            CommandSpec::Pause(reason) => Some(Order::Pause { reason }),
            CommandSpec::Resume => Some(Order::Resume),
            CommandSpec::Exclude(host, note) => Some(Order::Exclude { hosts: vec![id(host)], note }),
            CommandSpec::Include(host) => Some(Order::Include { hosts: vec![id(host)] }),
            CommandSpec::ForgetFailed(version) => Some(Order::ForgetFailed { version, hosts: Vec::new() }),
        }
    }

    /// The SDK's configuration of process `number` that carries an order out. Only what lets go of an instance is a run; all
    /// else a person does.
    pub(crate) fn config_for(&self, order: Option<&Order>, number: u32) -> SdkConfig {
        let client = match order {
            None | Some(Order::Release { .. }) => self.region.http_client_of(number),
            Some(_) => self.region.http_client_of_person(number),
        };
        self.config.to_builder().http_client(client).build()
    }

    /// Carries an order out on the first cluster. Returns the report of the run that it took, or one without instances.
    pub(crate) async fn steer(
        &self,
        order: &Order,
        config: &SdkConfig,
        (run, clock): (RunId, &Clock),
        signals: impl Into<Signals>,
        steered: &Steered,
    ) -> RunReport {
        let started_at = clock.now();
        let mut error = None;
        let mut cluster_name: ClusterName = "none".into();
        if let Some((cluster, Ok(policy))) = self.clusters.first() {
            cluster_name = cluster.clone();
            let at = Steering {
                config,
                clock,
                run: run.clone(),
                cluster,
                policy,
                location: self.locations.get(cluster).cloned().unwrap_or_default(),
                lease_table: self.lease_table.as_deref(),
                api_share: self.api_share,
                signals: signals.into(),
                voice: steered,
            };
            match steer(order, &at).await {
                Ok(done) => {
                    steered.exit.set(Some(done.status));
                    if let Some(report) = done.report {
                        return report;
                    }
                }
                Err(failed) => {
                    steered.exit.set(Some(failed.status()));
                    error = Some(match failed {
                        ecs_updater::steer::SteerError::Cluster(error) => error,
                        other => ClusterError { kind: ClusterErrorKind::Unexpected, message: other.to_string() },
                    });
                }
            }
        }
        empty_report(run, (started_at, clock.now()), cluster_name, error)
    }
}

/// The report of an order that took no run.
fn empty_report(
    run: RunId,
    (started_at, ended_at): (Timestamp, Timestamp),
    cluster: ClusterName,
    error: Option<ClusterError>,
) -> RunReport {
    let cluster = ClusterReport {
        cluster,
        location: Default::default(),
        error,
        taken_back: None,
        notes: Vec::new(),
        instances: Vec::new(),
        aws_calls: Default::default(),
        longest_out_of_service_s: None,
        estimate: None,
        ignored_tags: Vec::new(),
        end: Default::default(),
        auto_scaling_groups: Vec::new(),
        oldest_release: None,
        timeline: Default::default(),
    };
    RunReport {
        version: 1,
        run,
        dry_run: false,
        started_at,
        ended_at,
        interrupted: false,
        clusters: vec![cluster],
        nothing_updated: None,
    }
}
