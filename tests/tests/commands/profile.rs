//! `--profile` of the real `ecs-updater` command means that profile, whatever the environment says: seen by what its
//! requests to the simulated Region are signed with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use fleet_sim::{Region, Scenario, server};
use tokio::net::TcpListener;

/// A look at an empty cluster is a whole run.
const EMPTY: &str = r#"clusters = ["web"]"#;

const CONFIG: &str = "
[default]
region = ap-south-1
[profile prod]
region = eu-north-1
[profile here]
[profile process]
region = eu-north-1
credential_process = DIR/credentials.sh
[profile role]
region = eu-west-3
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = prod
[profile half]
aws_access_key_id = AKIAHALF
[profile bare]
region = eu-west-3
[profile login]
login_session = arn:aws:iam::123456789012:user/somebody
[profile sso]
region = eu-west-3
sso_session = corp
sso_account_id = 123456789012
sso_role_name = admin
[sso-session corp]
sso_region = eu-west-3
sso_start_url = https://corp.awsapps.com/start
[profile broken]
region = eu-west-3
credential_process = /bin/false
[profile lost]
role_arn = arn:aws:iam::123456789012:role/updater
source_profile = gone
";

const CREDENTIALS: &str = "
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = secret
[prod]
aws_access_key_id = AKIAPROD
aws_secret_access_key = secret
[here]
aws_access_key_id = AKIAHERE
aws_secret_access_key = secret
";

const PROCESS: &str = r#"#!/bin/sh
echo '{"Version":1,"AccessKeyId":"AKIAPROCESS","SecretAccessKey":"secret"}'
"#;

/// A Region, and the files of somebody with several profiles.
struct Account {
    endpoint: String,
    region: Arc<Region>,
    home: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Account {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let scenario = Scenario::parse(EMPTY).unwrap();
        let (endpoint, region) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let region = Region::start(&scenario).unwrap();
            tokio::spawn(server::serve(Arc::clone(&region), listener, std::future::pending()));
            (endpoint, region)
        });
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().to_str().unwrap();
        std::fs::write(home.path().join("config"), CONFIG.replace("DIR", directory)).unwrap();
        std::fs::write(home.path().join("credentials"), CREDENTIALS).unwrap();
        executable(&home.path().join("credentials.sh"), PROCESS);
        Self { endpoint, region, home, _runtime: runtime }
    }

    /// A plan with access keys and a Region in the environment, and what its requests were signed with.
    fn plan(&self, arguments: &[&str], profile_variable: Option<&str>) -> (Output, BTreeSet<(String, String)>) {
        let before = self.region.calls().len();
        let output = Command::new(updater())
            .args(["plan", "--cluster", "web"])
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_CONFIG_FILE", self.home.path().join("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.home.path().join("credentials"))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_SESSION_TOKEN", "token")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(profile_variable.map(|name| ("AWS_PROFILE", name)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let calls = self.region.calls().split_off(before);
        let signed = calls.into_iter().map(|call| call.signature.unwrap());
        (output, signed.map(|by| (by.access_key, by.region)).collect())
    }
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn updater() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| crate::common::program("ecs-updater"))
}

#[test]
fn a_profile_that_is_named_is_meant() {
    let account = Account::new();
    let cases: [(&[&str], Option<&str>, &str, &str); 6] = [
        (&["--profile", "prod"], None, "AKIAPROD", "eu-north-1"),
        (&["--profile", "prod", "--region", "eu-west-1"], None, "AKIAPROD", "eu-west-1"),
        // A profile without a Region leaves it to the environment.
        (&["--profile", "here"], None, "AKIAHERE", "us-east-1"),
        (&["--profile", "process"], None, "AKIAPROCESS", "eu-north-1"),
        // Without the flag the SDK's own order holds: the environment first, also where it names a profile.
        (&[], Some("prod"), "AKIAENVIRONMENT", "us-east-1"),
        (&["--profile", "prod"], Some("here"), "AKIAPROD", "eu-north-1"),
    ];
    for (arguments, variable, access_key, region) in cases {
        let (output, signed) = account.plan(arguments, variable);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        let expected = BTreeSet::from([(access_key.to_owned(), region.to_owned())]);
        assert_eq!(signed, expected, "{arguments:?} {variable:?}");
    }
}

#[test]
fn a_role_is_assumed_with_the_credentials_of_its_source_profile() {
    let account = Account::new();
    let (output, signed) = account.plan(&["--profile", "role"], None);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The simulated Region has no roles to give.
    assert_eq!(account.region.unknown(), ["sts:AssumeRole: sts:AssumeRole is not modelled"], "{said}");
    assert_eq!(signed, BTreeSet::from([("AKIAPROD".to_owned(), "eu-west-3".to_owned())]), "{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
}

#[test]
fn a_profile_that_cannot_be_used_is_told_before_aws_is_asked() {
    let account = Account::new();
    let cases: [(&str, i32, &[&str]); 4] = [
        (
            "prdo",
            2,
            &[
                "there is no profile \"prdo\" in ",
                "known are: bare, broken, default, half, here, login, lost, process, prod, role, sso",
            ],
        ),
        ("lost", 2, &["\"gone\", which profile \"lost\" names as its source_profile", "known are: "]),
        ("bare", 2, &["profile \"bare\" has no credentials", "aws configure --profile bare", "leave out --profile"]),
        ("login", 2, &["`aws login`", "aws configure export-credentials --profile login", "--region"]),
    ];
    for (name, code, words) in cases {
        let (output, signed) = account.plan(&["--profile", name], None);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(signed.is_empty() && output.stdout.is_empty(), "{name}: {signed:?}");
        for word in words {
            assert!(said.contains(word), "{name} does not say {word:?}: {said}");
        }
    }
    std::fs::write(account.home.path().join("config"), "[profile prod\n").unwrap();
    let (output, _) = account.plan(&["--profile", "prod"], None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the AWS configuration files cannot be read"), "{said}");
}

/// What only the SDK finds wrong comes with its words and the next step.
#[test]
fn a_profile_that_the_sdk_cannot_use_is_told_with_what_to_do() {
    let account = Account::new();
    let cases: [(&str, &[&str]); 3] = [
        ("half", &["profile missing aws_secret_access_key", "correct the profile in the AWS configuration files"]),
        ("sso", &["failed to load the cached SSO token", "sign in again: aws sso login"]),
        ("broken", &["external process exited", "run the credential_process of the profile by hand"]),
    ];
    for (name, words) in cases {
        let (output, signed) = account.plan(&["--profile", name], None);
        let said = String::from_utf8_lossy(&output.stdout);
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(3), "{name}: {said}");
        assert!(signed.is_empty(), "{name}: {signed:?}");
        for word in words {
            assert!(flat.contains(word), "{name} does not say {word:?}: {said}");
        }
    }
}
