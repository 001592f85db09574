//! The clients of a cluster's loop. Each operation is a function of its own, in the file of its service.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::retries::classifiers::SharedRetryClassifier;
use jiff::SignedDuration;

use super::calls::{Calls, Gatekeeper};
use super::fence::Fence;
use super::in_flight::InFlight;
use super::limits::{Bucket, Limits};
use super::no_way::AtOnce;
use super::shutdown::Shutdown;
use super::skew::Skew;
use super::timing::{SHORT_ATTEMPT_TIMEOUT, SHORT_OPERATION_TIMEOUT, timeouts};

/// What calls of functions are made with: there is no client for one operation.
#[derive(Debug, Clone)]
pub(super) struct Lambda {
    pub(super) config: SdkConfig,
    pub(super) gate: Gatekeeper,
}

/// The clients of one cluster's loop, with the count of what they sent.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) autoscaling: aws_sdk_autoscaling::Client,
    pub(crate) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) eventbridge: aws_sdk_eventbridge::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    pub(super) lambda: Lambda,
    calls: Calls,
    limits: Limits,
    shutdown: Shutdown,
    in_flight: InFlight,
    skew: Skew,
}

impl Aws {
    /// New clients over a configuration, which keep to `limits` together with all others that do; `fence` stands before
    /// what they write.
    pub fn new(config: &SdkConfig, fence: &Fence, limits: Limits) -> Self {
        Self::build(config, fence, limits, None)
    }

    fn build(config: &SdkConfig, fence: &Fence, limits: Limits, at_once: Option<AtOnce>) -> Self {
        let at_once = at_once.map(SharedRetryClassifier::new);
        let (calls, shutdown, in_flight) = (Calls::default(), Shutdown::default(), InFlight::default());
        let skew = Skew::default();
        let before = |service| Gatekeeper {
            service,
            calls: calls.clone(),
            fence: fence.clone(),
            shutdown: shutdown.clone(),
            in_flight: in_flight.clone(),
            skew: skew.clone(),
        };
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(config)
            .timeout_config(timeouts(SHORT_ATTEMPT_TIMEOUT, SHORT_OPERATION_TIMEOUT))
            .interceptor(before("autoscaling"))
            .build();
        let cloudwatch = aws_sdk_cloudwatch::config::Builder::from(config)
            .timeout_config(timeouts(SHORT_ATTEMPT_TIMEOUT, SHORT_OPERATION_TIMEOUT))
            .interceptor(before("cloudwatch"))
            .build();
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(config).interceptor(before("dynamodb")).build();
        let mut ecs = aws_sdk_ecs::config::Builder::from(config).interceptor(before("ecs"));
        // Messages are no part of the work: no lease fences them, no stop ends them, and no lease is kept for one that was not
        // answered.
        let apart = Gatekeeper {
            service: "events",
            calls: calls.clone(),
            fence: Fence::open(),
            shutdown: Shutdown::default(),
            in_flight: InFlight::default(),
            skew: skew.clone(),
        };
        let eventbridge = aws_sdk_eventbridge::config::Builder::from(config)
            .timeout_config(timeouts(SHORT_ATTEMPT_TIMEOUT, SHORT_ATTEMPT_TIMEOUT))
            .retry_config(RetryConfig::disabled())
            .interceptor(apart)
            .build();
        // What a function of the user's does is no write of ours: no lease is kept for one that has not answered.
        let lambda = Gatekeeper { in_flight: InFlight::default(), ..before("lambda") };
        let ec2 = aws_sdk_ec2::config::Builder::from(config).interceptor(before("ec2")).build();
        let mut ssm = aws_sdk_ssm::config::Builder::from(config)
            .timeout_config(timeouts(SHORT_ATTEMPT_TIMEOUT, SHORT_OPERATION_TIMEOUT))
            .interceptor(before("ssm"));
        if let Some(at_once) = at_once {
            ecs = ecs.retry_classifier(at_once.clone());
            ssm = ssm.retry_classifier(at_once);
        }
        Self {
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(cloudwatch),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            ecs: aws_sdk_ecs::Client::from_conf(ecs.build()),
            eventbridge: aws_sdk_eventbridge::Client::from_conf(eventbridge),
            ec2: aws_sdk_ec2::Client::from_conf(ec2),
            ssm: aws_sdk_ssm::Client::from_conf(ssm.build()),
            lambda: Lambda { config: config.clone(), gate: lambda },
            calls,
            limits,
            shutdown,
            in_flight,
            skew,
        }
    }

    /// New clients for the few calls before a run, which only read. That there is no way to AWS is not tried again.
    pub fn reading(config: &SdkConfig) -> Self {
        Self::build(config, &Fence::open(), Limits::default(), Some(AtOnce))
    }

    /// As [`Aws::reading`], in another Region where one is named.
    pub fn reading_in(config: &SdkConfig, region: Option<&str>) -> Self {
        match region {
            Some(region) => {
                Self::reading(&config.to_builder().region(aws_config::Region::new(region.to_owned())).build())
            }
            None => Self::reading(config),
        }
    }

    /// Waits until a call that takes from the bucket may be sent.
    pub(super) async fn pace(&self, bucket: Bucket) {
        self.limits.take(bucket).await;
    }

    /// The same before a page is asked for.
    pub(super) async fn paced<T>(&self, bucket: Bucket, page: impl Future<Output = T>) -> T {
        self.limits.take(bucket).await;
        page.await
    }

    /// Requests sent so far, by operation.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// By how much this machine's clock is ahead of AWS's, as far as the answers to these clients tell.
    pub(crate) fn clock_ahead(&self) -> Option<SignedDuration> {
        self.skew.ahead()
    }

    /// How far the stop of the run has come, for all these clients.
    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The writes of these clients that were not answered.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }
}
