//! The profile of `--profile`: its credentials and its Region, and nobody else's.
//!
//! The SDK's default chain looks into the environment before it looks into any profile, also into one that is named. But
//! a person who names a profile means that account. So its credentials come from the profile's own provider, and what can
//! be told from the files alone is told before AWS is asked.

use aws_config::Region;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{
    ProfileFileCredentialsProvider, ProfileFileLoadError, ProfileFileRegionProvider, ProfileSet,
};
use aws_config::provider_config::ProviderConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::timing::{ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, retries, timeouts};

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The files themselves.
    #[error("the AWS configuration files cannot be read; correct them, or leave out --profile")]
    Files(#[source] ProfileFileLoadError),
    /// The profile, or one that it takes its credentials from, is not there.
    #[error("there is no profile {name:?}{} in {files}; {}", Named(by.as_deref()), Known(known))]
    Unknown {
        /// The profile.
        name: String,
        /// The profile whose `source_profile` it is.
        by: Option<String>,
        /// Where profiles are looked for.
        files: String,
        /// The profiles that are there.
        known: Vec<String>,
    },
    /// Profiles that take their credentials from each other.
    #[error("profiles take their credentials from each other by source_profile: {}; give one of them its own", names.join(", "))]
    Circle {
        /// The profiles, the first one again at the end.
        names: Vec<String>,
    },
    /// A profile that says nothing of credentials.
    #[error(
        "profile {name:?} has no credentials in {files}; add them (aws configure --profile {name}), or leave out \
         --profile to use those of the environment"
    )]
    NoCredentials {
        /// The profile.
        name: String,
        /// Where profiles are looked for.
        files: String,
    },
    /// Credentials of `aws login`, which this program is built without.
    #[error(
        "profile {name:?} signs in by `aws login`, which this program cannot use; take its credentials into the \
         environment (eval \"$(aws configure export-credentials --profile {name} --format env)\"), and give --region \
         in place of --profile"
    )]
    Login {
        /// The profile.
        name: String,
    },
}

/// Reads the AWS configuration files and checks that they have the profile, with credentials of some kind.
pub(super) async fn check(name: &str) -> Result<(), ProfileError> {
    // The process's own file system, environment and files.
    let profiles = aws_config::profile::load(&Default::default(), &Default::default(), &Default::default(), None)
        .await
        .map_err(ProfileError::Files)?;
    has_credentials(&profiles, name, &files())
}

/// The Region of the profile; where it has none, that of the environment.
pub(super) async fn region(name: &str) -> Option<Region> {
    let own = ProfileFileRegionProvider::builder().profile_name(name).build();
    RegionProviderChain::first_try(own).or_else(EnvironmentVariableRegionProvider::new()).region().await
}

/// The credentials of the profile. Where they come from a role or from IAM Identity Center, `region` and `http` are for
/// those calls.
pub(super) fn credentials(
    name: &str,
    region: Option<Region>,
    http: SharedHttpClient,
) -> ProfileFileCredentialsProvider {
    let calls = ProviderConfig::without_region()
        .with_region(region)
        .with_http_client(http)
        .with_retry_config(retries())
        .with_timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT));
    ProfileFileCredentialsProvider::builder().configure(&calls).profile_name(name).build()
}

/// The files, as a person knows them.
fn files() -> String {
    let path = |variable, default: &str| std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let config = path("AWS_CONFIG_FILE", "~/.aws/config");
    format!("{config} and {}", path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
}

/// Follows `source_profile` to a profile with credentials, as the SDK does. What else may be wrong in a profile, the SDK
/// tells when it reads it.
fn has_credentials(profiles: &ProfileSet, name: &str, files: &str) -> Result<(), ProfileError> {
    let mut seen: Vec<&str> = Vec::new();
    let mut at = name;
    loop {
        let Some(profile) = profiles.get_profile(at) else {
            let mut known: Vec<String> = profiles.profiles().map(str::to_owned).collect();
            known.sort_unstable();
            let by = seen.last().map(|by| (*by).to_owned());
            return Err(ProfileError::Unknown { name: at.to_owned(), by, files: files.to_owned(), known });
        };
        if seen.contains(&at) {
            let names = seen.iter().chain([&at]).map(|name| (*name).to_owned()).collect();
            return Err(ProfileError::Circle { names });
        }
        seen.push(at);
        let has_one_of = |keys: &[&str]| keys.iter().any(|key| profile.get(key).is_some());
        let has_keys = has_one_of(&KEYS);
        let assumes_role = has_one_of(&["role_arn"]) && !has_one_of(&["web_identity_token_file"]);
        // Keys of its own come first in a profile that another one names.
        let needs_another = assumes_role && !(has_keys && seen.len() > 1);
        match profile.get("source_profile").filter(|_| needs_another) {
            Some(source) if source != at => at = source,
            Some(_) | None => {
                return if has_one_of(&BEFORE_LOGIN) || needs_another && !has_one_of(&["source_profile"]) {
                    Ok(())
                } else if has_one_of(&["login_session"]) {
                    Err(ProfileError::Login { name: at.to_owned() })
                } else if has_keys || has_one_of(&["credential_process"]) {
                    Ok(())
                } else {
                    Err(ProfileError::NoCredentials { name: at.to_owned(), files: files.to_owned() })
                };
            }
        }
    }
}

const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];

/// What the SDK takes credentials from before it looks for a login.
const BEFORE_LOGIN: [&str; 7] = [
    "credential_source",
    "web_identity_token_file",
    "sso_account_id",
    "sso_region",
    "sso_role_name",
    "sso_session",
    "sso_start_url",
];

struct Named<'a>(Option<&'a str>);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |by| write!(f, ", which profile {by:?} names as its source_profile,"))
    }
}

struct Known<'a>(&'a [String]);

impl std::fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [] => f.write_str("they have no profile at all: aws configure --profile NAME makes one"),
            names => write!(f, "known are: {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

    use super::*;

    const FILES: &str = "
[default]
region = eu-west-1
[profile keys]
aws_access_key_id = AKIA
aws_secret_access_key = secret
[profile role]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = keys
[profile role-of-role]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = role
[profile own-keys]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = own-keys
aws_access_key_id = AKIA
[profile keys-first]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = nowhere
aws_access_key_id = AKIA
[profile through-keys]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = keys-first
[profile in-a-task]
role_arn = arn:aws:iam::123456789012:role/updater
credential_source = EcsContainer
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = admin
[profile process]
credential_process = /opt/credentials
[profile token]
role_arn = arn:aws:iam::123456789012:role/updater
web_identity_token_file = /token
[profile login]
login_session = arn:aws:iam::123456789012:user/somebody
[profile behind-login]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = login
[profile lost]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = gone
[profile ring]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = ring-2
[profile ring-2]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = ring
[profile behind-default]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = default
";

    async fn checked(files: &str, name: &str) -> String {
        let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, files).build();
        let profiles = aws_config::profile::load(&Default::default(), &Default::default(), &files, None).await.unwrap();
        has_credentials(&profiles, name, "FILES").err().map_or(String::new(), |error| error.to_string())
    }

    #[tokio::test]
    async fn a_profile_with_credentials_of_any_kind_can_be_used() {
        let good = ["keys", "role", "role-of-role", "own-keys", "through-keys", "in-a-task", "sso", "process", "token"];
        for name in good {
            assert_eq!(checked(FILES, name).await, "", "{name}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_told_with_what_to_do() {
        let all = "known are: behind-default, behind-login, default, in-a-task, keys, keys-first, login, lost, own-keys, \
                   process, ring, ring-2, role, role-of-role, sso, through-keys, token";
        let cases = [
            ("kyes", format!("there is no profile \"kyes\" in FILES; {all}")),
            (
                "lost",
                format!(
                    "there is no profile \"gone\", which profile \"lost\" names as its source_profile, in FILES; {all}"
                ),
            ),
            (
                "default",
                "profile \"default\" has no credentials in FILES; add them (aws configure --profile default), or leave \
                 out --profile to use those of the environment"
                    .to_owned(),
            ),
            (
                "ring",
                "profiles take their credentials from each other by source_profile: ring, ring-2, ring; give one of \
                 them its own"
                    .to_owned(),
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(checked(FILES, name).await, expected, "{name}");
        }
        for name in ["login", "behind-login"] {
            let said = checked(FILES, name).await;
            assert!(said.starts_with("profile \"login\" signs in by `aws login`"), "{said}");
        }
        let said = checked(FILES, "behind-default").await;
        assert!(said.starts_with("profile \"default\" has no credentials"), "{said}");
        let said = checked("", "web").await;
        assert!(said.contains("they have no profile at all: aws configure --profile NAME"), "{said}");
    }
}
