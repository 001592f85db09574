//! A run that gets a signal at one of its calls, and everything that it sends: the times are those at which a request
//! leaves, whether or not it is ever answered.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use ecs_updater::planner::Purpose;
use ecs_updater::run::{Job, run};
use jiff::{SignedDuration, Timestamp};
use models::ids::RunId;
use models::report::RunReport;
use tokio::sync::{Notify, watch};

use crate::clock::SimClock;
use crate::rollout::Rollout;
use crate::wire::{Aim, Request};

/// When a run gets a signal.
#[derive(Debug, Clone, Copy)]
pub struct SignalAt {
    /// At its so-manyth call, counted from 1, as it leaves; before all else with 0.
    pub call: u64,
    /// So long after that.
    pub after: Duration,
}

/// A request that left.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it was sent.
    pub at: Timestamp,
    /// Its operation, such as `ecs:ListTasks`.
    pub name: String,
}

/// What came of a run.
#[derive(Debug)]
pub struct Signalled {
    /// Its report; `None` where it did not end in time.
    pub report: Option<RunReport>,
    /// When the signal came; `None` where the run ended before it.
    pub signal_at: Option<Timestamp>,
    /// When the run ended, or was watched no longer.
    pub ended_at: Timestamp,
    /// What it sent.
    pub sent: Vec<Sent>,
}

impl Rollout {
    /// Runs the updater as process `number`, for as long as `at_most`. What it has sent is carried out although it does
    /// not wait for it any more, as on a real network.
    pub async fn run_with_signal(&self, number: u32, signal: Option<SignalAt>, at_most: Duration) -> Signalled {
        let recorder = Recorder {
            inner: self.region.http_client_of(number),
            log: Arc::new(Mutex::new(Vec::new())),
            clock: self.region.clock(),
            left: Arc::new(Notify::new()),
        };
        let log = Arc::clone(&recorder.log);
        let (stop, stopped) = watch::channel(signal.is_some_and(|signal| signal.call == 0));
        let mut signal_at = stopped.borrow().then(|| self.region.clock().now());
        let waits_for = signal.filter(|signal| signal.call > 0);
        let left = Arc::clone(&recorder.left);
        let config = self.config.to_builder().http_client(SharedHttpClient::new(recorder)).build();
        let clock = self.region.clock_of_a_run(SignedDuration::ZERO);
        let job = Job {
            run: RunId::new(format!("01SIM{number:021}")),
            clusters: self.clusters.clone(),
            locations: self.locations.clone(),
            purpose: Purpose::Update,
            dry_run: false,
            outside_window: false,
            named: Default::default(),
            lease_table: self.lease_table.clone(),
            api_share: self.api_share,
            dates_oldest: false,
        };
        let mut work = pin!(tokio::time::timeout(at_most, run(&config, &clock, job, &(), stopped)));
        let comes = async {
            let Some(signal) = waits_for else { return std::future::pending().await };
            while (locked(&log).len() as u64) < signal.call {
                left.notified().await;
            }
            tokio::time::sleep(signal.after).await;
        };
        let report = tokio::select! {
            biased;
            report = &mut work => report,
            () = comes => {
                signal_at = Some(self.region.clock().now());
                stop.send_replace(true);
                work.await
            }
        };
        let sent = locked(&log).clone();
        Signalled { report: report.ok(), signal_at, ended_at: self.region.clock().now(), sent }
    }
}

#[derive(Debug, Clone)]
struct Recorder {
    inner: SharedHttpClient,
    log: Arc<Mutex<Vec<Sent>>>,
    clock: SimClock,
    left: Arc<Notify>,
}

#[derive(Debug)]
struct RecordingConnector {
    inner: SharedHttpConnector,
    recorder: Recorder,
}

impl HttpClient for Recorder {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(RecordingConnector { inner, recorder: self.clone() })
    }
}

impl HttpConnector for RecordingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<http::Uri>().unwrap_or_default();
        let Aim { target, is_cbor, rest, function } =
            Aim::read(|name| request.headers().get(name), request.method(), &uri);
        let named = Request {
            target,
            is_cbor,
            rest,
            function,
            body: Bytes::copy_from_slice(request.body().bytes().unwrap_or_default()),
            ..Request::default()
        };
        let Recorder { log, clock, left, .. } = &self.recorder;
        locked(log).push(Sent { at: clock.now(), name: named.name() });
        left.notify_one();
        self.inner.call(request)
    }
}

fn locked(log: &Mutex<Vec<Sent>>) -> MutexGuard<'_, Vec<Sent>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
