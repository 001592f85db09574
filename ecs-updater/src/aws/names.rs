//! Whether the names of AWS's endpoints resolve: a Region or an endpoint that is mistyped is told in seconds, and not after
//! all tries of the first call.

use std::time::Duration;

use aws_config::SdkConfig;

/// So long the answer is waited for; what takes longer is left to the calls, which try again.
const PATIENCE: Duration = Duration::from_secs(3);

/// What sends requests elsewhere than to the name in their URL.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A name that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("AWS cannot be reached: the name {host} does not resolve; check {what}")]
pub struct UnknownName {
    pub host: String,
    what: String,
}

/// Looks up the name that the first call goes to.
///
/// # Errors
/// It is known not to exist. A name server that does not answer is no such word.
pub async fn check_names(config: &SdkConfig) -> Result<(), UnknownName> {
    let is_proxied = PROXIES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    // A service may have an endpoint of its own.
    if is_proxied || std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("AWS_ENDPOINT_URL_")) {
        return Ok(());
    }
    let Some((host, what)) = first_host(config) else { return Ok(()) };
    let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.clone(), 443))).await;
    let is_none = matches!(&looked_up, Ok(Err(error)) if is_unknown(&error.to_string()));
    if is_none { Err(UnknownName { host, what }) } else { Ok(()) }
}

/// The host, and what it was made from.
fn first_host(config: &SdkConfig) -> Option<(String, String)> {
    if let Some(url) = config.endpoint_url() {
        return Some((host_of(url)?.to_owned(), format!("the endpoint {url} (--endpoint-url, AWS_ENDPOINT_URL)")));
    }
    let region = config.region()?.as_ref();
    // The closed partitions have names of their own.
    if region.contains("-iso")
        || region.starts_with("eusc-")
        || region.contains(|char: char| !char.is_ascii_alphanumeric() && char != '-')
    {
        return None;
    }
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Some((format!("ecs.{region}.{suffix}"), format!("the Region {region} (--region, AWS_REGION, the profile)")))
}

/// The host in a URL, where it is a name.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_name = host.chars().any(|char| char.is_ascii_alphabetic()) && !host.starts_with('[') && !host.contains('@');
    is_name.then_some(host)
}

/// Whether a resolver's words say that there is no such name, and not that it could not be asked: the words of `EAI_NONAME` and
/// `EAI_NODATA` in glibc, musl and macOS (getaddrinfo(3)).
fn is_unknown(words: &str) -> bool {
    const NO_NAME: [&str; 5] = [
        "Name or service not known",
        "No address associated with",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    NO_NAME.iter().any(|known| words.contains(known))
}

#[cfg(test)]
mod tests {
    use aws_config::Region;

    use super::*;

    fn config(region: Option<&str>, endpoint: Option<&str>) -> SdkConfig {
        let mut config = SdkConfig::builder().region(region.map(|region| Region::new(region.to_owned())));
        config.set_endpoint_url(endpoint.map(str::to_owned));
        config.build()
    }

    #[test]
    fn the_first_name_is_that_of_ecs_or_of_the_endpoint() {
        let host = |region, endpoint| first_host(&config(region, endpoint)).map(|(host, _)| host);
        assert_eq!(host(Some("eu-west-1"), None).as_deref(), Some("ecs.eu-west-1.amazonaws.com"));
        assert_eq!(host(Some("cn-north-1"), None).as_deref(), Some("ecs.cn-north-1.amazonaws.com.cn"));
        assert_eq!(host(Some("eu-wets-1"), None).as_deref(), Some("ecs.eu-wets-1.amazonaws.com"));
        assert_eq!(host(Some("us-iso-east-1"), None), None);
        assert_eq!(host(None, None), None);
        assert_eq!(host(Some("eu-west-1"), Some("http://nowhere.invalid:4566/x")).as_deref(), Some("nowhere.invalid"));
        for address in ["http://127.0.0.1:4566", "http://[::1]:4566", "nonsense"] {
            assert_eq!(host(Some("eu-west-1"), Some(address)), None, "{address}");
        }
    }

    #[test]
    fn only_a_word_of_no_such_name_is_one() {
        assert!(is_unknown("failed to lookup address information: Name or service not known"));
        assert!(is_unknown("failed to lookup address information: No address associated with hostname"));
        assert!(!is_unknown("failed to lookup address information: Temporary failure in name resolution"));
    }
}
