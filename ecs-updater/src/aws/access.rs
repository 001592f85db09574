//! The SDK's configuration for real use.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::answers::checked;
use super::profile::{self, ProfileError};
use super::timing::settings;

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

/// The SDK's configuration for real use, TLS by rustls with ring.
///
/// # Errors
/// A profile that is named and cannot be used.
pub async fn load(access: &Access) -> Result<SdkConfig, ProfileError> {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let http = checked(http);
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
