//! Several processes of the updater side by side on one Region, each with a clock of its own,
//! that can be stopped, killed, or stand still for a while and go on, as a suspended machine does.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use ecs_updater::run::{Job, Signals};
use jiff::SignedDuration;
use models::ids::RunId;
use models::report::RunReport;
use tokio::sync::watch;

pub use crate::expect::{Pause, ProcessSpec};
use crate::limit::Limit;
use crate::rollout::{Lived, Ran, Rollout, purpose, run_and_store};
use crate::voice::Steered;

enum Fate {
    Paused(SignedDuration),
    Interrupted,
    Asked,
    Killed,
}

impl Rollout {
    /// Runs the processes, to the end of all.
    pub async fn side_by_side(&self, processes: &[ProcessSpec]) -> Vec<Ran> {
        self.side_by_side_within(Limit::NONE, processes).await
    }

    /// Runs the processes, each within a limit, to which the calls of all count.
    pub async fn side_by_side_within(&self, limit: Limit, processes: &[ProcessSpec]) -> Vec<Ran> {
        let numbered = (1_u32..).zip(processes);
        futures_util::future::join_all(numbered.map(|(number, spec)| self.process(number, spec, limit))).await
    }

    async fn process(&self, number: u32, spec: &ProcessSpec, limit: Limit) -> Ran {
        match &spec.when {
            Some(moment) => drop(self.comes(moment, false).await),
            None => sleep(spec.at).await,
        }
        let order = spec.command.as_ref().and_then(|command| self.order(command));
        let config = self.config_for(order.as_ref(), number);
        let clock = self.region.clock_of_a_run(spec.skew);
        let id = RunId::new(format!("01SIM{number:021}"));
        let job = Job {
            run: id.clone(),
            clusters: self.clusters.clone(),
            locations: self.locations.clone(),
            purpose: purpose(spec.command.as_ref()),
            dry_run: false,
            outside_window: false,
            named: Default::default(),
            lease_table: self.lease_table.clone(),
            api_share: self.api_share,
            dates_oldest: false,
        };
        let began = clock.now();
        let ((stop, stopped), (finish, finishing)) = (watch::channel(false), watch::channel(false));
        let signals = Signals { stop: stopped, finish: finishing };
        let liveness = self.liveness(&(), spec.pause.unwrap_or_default().lasts, began);
        let steered = Steered::default();
        let lived = match &order {
            None => {
                let work = pin!(run_and_store(&config, &clock, job, &liveness, signals));
                limit.hold(&self.region, live(work, spec, &stop, &finish)).await
            }
            Some(order) => {
                let work = pin!(self.steer(order, &config, (id, &clock), signals, &steered));
                limit.hold(&self.region, live(work, spec, &stop, &finish)).await
            }
        };
        let ended = clock.now();
        let stalls = if order.is_some() { Vec::new() } else { liveness.stalls(ended) };
        Ran::of(lived, ended.duration_since(began), stalls).told(steered)
    }
}

async fn live(
    mut work: Pin<&mut impl Future<Output = RunReport>>,
    spec: &ProcessSpec,
    stop: &watch::Sender<bool>,
    finish: &watch::Sender<bool>,
) -> Lived {
    let began = tokio::time::Instant::now();
    let pause = spec.pause.map(|pause| (pause.at, Fate::Paused(pause.lasts)));
    let interrupt = spec.interrupt.map(|at| (at, Fate::Interrupted));
    let sigint = spec.sigint.map(|at| (at, Fate::Asked));
    let kill = spec.kill.map(|at| (at, Fate::Killed));
    let mut fates: Vec<_> = [pause, interrupt, sigint, kill].into_iter().flatten().collect();
    fates.sort_by_key(|(at, _)| *at);
    for (at, fate) in fates {
        let at = began + Duration::try_from(at).unwrap_or_default();
        tokio::select! {
            biased;
            report = &mut work => return Lived::Ended { report, missed: true },
            () = tokio::time::sleep_until(at) => {}
        }
        match fate {
            // Nobody polls it meanwhile.
            Fate::Paused(lasts) => sleep(lasts).await,
            Fate::Interrupted => drop(stop.send_replace(true)),
            Fate::Asked => drop(finish.send_replace(true)),
            Fate::Killed => return Lived::Killed(None),
        }
    }
    Lived::Ended { report: work.await, missed: false }
}

async fn sleep(duration: SignedDuration) {
    tokio::time::sleep(duration.try_into().unwrap_or_default()).await;
}
