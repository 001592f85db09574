//! Sees every request that leaves, retries included: counts it, and stops those that may not leave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

use super::fence::Fence;
use super::in_flight::InFlight;
use super::shutdown::Shutdown;
use super::skew::Skew;

/// Requests by operation, such as `ecs:ListContainerInstances`.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, Count>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    sent: u64,
    /// Those that were answered and did what they were for.
    done: u64,
}

impl Calls {
    /// How many were sent so far.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().iter().map(|(operation, count)| (operation.clone(), count.sent)).collect()
    }

    /// How many of an operation were sent, tries of one call included.
    pub(crate) fn sent(&self, operation: &str) -> u64 {
        self.lock().get(operation).map_or(0, |count| count.sent)
    }

    /// How many of an operation did what they were for.
    pub(crate) fn done(&self, operation: &str) -> u64 {
        self.lock().get(operation).map_or(0, |count| count.done)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands between one service's client and the network.
#[derive(Debug, Clone)]
pub(super) struct Gatekeeper {
    pub(super) service: &'static str,
    pub(super) calls: Calls,
    pub(super) fence: Fence,
    pub(super) shutdown: Shutdown,
    pub(super) in_flight: InFlight,
    pub(super) skew: Skew,
}

/// The write that a try has sent.
#[derive(Debug, Clone, Copy)]
struct SentWrite(u64);

impl Storable for SentWrite {
    type Storer = StoreReplace<Self>;
}

impl Gatekeeper {
    fn key(&self, operation: &str) -> String {
        format!("{}:{operation}", self.service)
    }
}

impl Intercept for Gatekeeper {
    fn name(&self) -> &'static str {
        "Gatekeeper"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = cfg.load::<Metadata>().map_or("Unknown", Metadata::name);
        self.shutdown.pass(operation)?;
        self.fence.pass(operation)?;
        self.calls.lock().entry(self.key(operation)).or_default().sent += 1;
        if let Some(id) = self.in_flight.sent(operation) {
            cfg.interceptor_state().store_put(SentWrite(id));
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().and_then(|response| response.headers().get("date"));
        if let (Some(date), Some(time)) = (date, components.time_source()) {
            self.skew.heard(date, time.now());
        }
        if let Some(Ok(_)) = context.output_or_error() {
            let operation = cfg.load::<Metadata>().map_or("Unknown", Metadata::name);
            self.calls.lock().entry(self.key(operation)).or_default().done += 1;
        }
        if let Some(SentWrite(id)) = cfg.load::<SentWrite>().copied() {
            self.in_flight.ended(id, context.response().is_some());
        }
        Ok(())
    }
}
