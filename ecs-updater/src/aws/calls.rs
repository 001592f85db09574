//! Counts every request that leaves, retries included; those that may not leave it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::fence::Fence;

/// Requests by operation, such as `ecs:ListContainerInstances`.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    /// The counts so far.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn interceptor(&self, service: &'static str, fence: &Fence) -> Counter {
        Counter { service, calls: self.clone(), fence: fence.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Counter {
    service: &'static str,
    calls: Calls,
    fence: Fence,
}

impl Intercept for Counter {
    fn name(&self) -> &'static str {
        "CallCounter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = cfg.load::<Metadata>().map_or("Unknown", Metadata::name);
        self.fence.pass(operation)?;
        let key = format!("{}:{operation}", self.service);
        *self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        Ok(())
    }
}
