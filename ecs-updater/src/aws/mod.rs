//! The four AWS services, in the field's words. SDK types stop here.
//!
//! One file a service, one function an operation, paging and batch limits inside. Retries with back-off are the
//! SDK's own (standard mode); what is left of an error after them is an [`AwsError`].

mod calls;
mod clusters;
pub(crate) mod dynamodb;
pub(crate) mod ec2;
pub(crate) mod ecs;
mod error;
mod fence;
mod in_flight;
mod limits;
mod parameters;
mod profile;
mod shutdown;
pub(crate) mod ssm;

use std::time::Duration;

use aws_config::BehaviorVersion;
pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use calls::Calls;
pub(crate) use clusters::Described;
pub use error::{AwsError, ErrorKind};
pub use fence::Fence;
pub(crate) use in_flight::InFlight;
pub use limits::Limits;
pub use profile::ProfileError;
pub(crate) use shutdown::Shutdown;

use calls::Gatekeeper;
use limits::Bucket;

/// How to reach AWS; whatever is `None` comes from the SDK's usual places (environment, profile, container role).
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Region; it goes before the profile's.
    pub region: Option<String>,
    /// The profile whose credentials and Region are used, whatever the environment says.
    pub profile: Option<String>,
    /// Endpoint of every service.
    pub endpoint_url: Option<String>,
}

/// One request may take this long before the SDK tries it again: the answers here are small, and a stuck connection
/// must not hold up a drain's time-out.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// One operation with all its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(120);
/// The same for SSM, which is asked in the middle of the loop: while it hangs, what needs ECS alone is to go on.
const SSM_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// One operation of SSM with all its retries.
const SSM_OPERATION_TIMEOUT: Duration = Duration::from_secs(20);
/// Tries of one operation. With the SDK's back-off this outlasts an emptied token bucket of ECS (burst 100, 20 a
/// second) several times over.
const MAX_ATTEMPTS: u32 = 8;

/// The longest wait between two tries. With [`MAX_ATTEMPTS`] a person without a network waits half a minute for the
/// answer; whoever is throttled for longer is asked again by the run's own loop.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How every client retries.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_max_backoff(MAX_BACKOFF)
}

/// Time-outs and retries of every client.
pub fn settings(loader: aws_config::ConfigLoader) -> aws_config::ConfigLoader {
    loader.retry_config(retries()).timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// The SDK's configuration for real use, TLS by rustls with ring.
///
/// # Errors
/// A profile that is named and cannot be used.
pub async fn load(access: &Access) -> Result<SdkConfig, ProfileError> {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut loader = settings(aws_config::defaults(BehaviorVersion::latest())).http_client(http.clone());
    let mut region = access.region.clone().map(aws_config::Region::new);
    if let Some(name) = &access.profile {
        profile::check(name).await?;
        if region.is_none() {
            region = profile::region(name).await;
        }
        let credentials = profile::credentials(name, region.clone(), http);
        // The name is for what else a profile can set, such as an endpoint.
        loader = loader.profile_name(name).credentials_provider(credentials).region(region);
    } else if let Some(region) = region {
        loader = loader.region(region);
    }
    if let Some(url) = &access.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    Ok(loader.load().await)
}

/// The clients of one cluster's loop, with the count of what they sent.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    calls: Calls,
    limits: Limits,
    shutdown: Shutdown,
    in_flight: InFlight,
}

impl Aws {
    /// New clients over a configuration, which keep to `limits` together with all others that do; `fence` stands before
    /// what they write.
    pub fn new(config: &SdkConfig, fence: &Fence, limits: Limits) -> Self {
        let (calls, shutdown, in_flight) = (Calls::default(), Shutdown::default(), InFlight::default());
        let before = |service| Gatekeeper {
            service,
            calls: calls.clone(),
            fence: fence.clone(),
            shutdown: shutdown.clone(),
            in_flight: in_flight.clone(),
        };
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(config).interceptor(before("dynamodb")).build();
        let ecs = aws_sdk_ecs::config::Builder::from(config).interceptor(before("ecs")).build();
        let ec2 = aws_sdk_ec2::config::Builder::from(config).interceptor(before("ec2")).build();
        let ssm = aws_sdk_ssm::config::Builder::from(config)
            .timeout_config(timeouts(SSM_ATTEMPT_TIMEOUT, SSM_OPERATION_TIMEOUT))
            .interceptor(before("ssm"))
            .build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            ecs: aws_sdk_ecs::Client::from_conf(ecs),
            ec2: aws_sdk_ec2::Client::from_conf(ec2),
            ssm: aws_sdk_ssm::Client::from_conf(ssm),
            calls,
            limits,
            shutdown,
            in_flight,
        }
    }

    /// New clients for the few calls before a run, which only read.
    pub fn reading(config: &SdkConfig) -> Self {
        Self::new(config, &Fence::open(), Limits::default())
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
    async fn pace(&self, bucket: Bucket) {
        self.limits.take(bucket).await;
    }

    /// The same before a page is asked for.
    async fn paced<T>(&self, bucket: Bucket, page: impl Future<Output = T>) -> T {
        self.limits.take(bucket).await;
        page.await
    }

    /// Requests sent so far, by operation.
    pub fn calls(&self) -> &Calls {
        &self.calls
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
