//! A host's settings for another person's eyes.
//!
//! Settings hold user data, registry credentials, keys and scripts. What is known to hold none is kept, and every other
//! value is withheld: a setting that a later OS version adds is withheld until it is known here.

use serde_json::Value;

/// The settings whose values are kept, a `*` for any one name. What is below a kept setting is kept with it.
const KEPT: &[&str] = &[
    "updates",
    "ecs",
    "autoscaling",
    "metrics",
    "ntp",
    "dns",
    "aws.region",
    "network.hostname",
    "network.no-proxy",
    "network.https-proxy",
    "kernel.lockdown",
    "kernel.modules",
    "kernel.sysctl",
    "boot.reboot-to-reconcile",
    "host-containers.*.source",
    "host-containers.*.enabled",
    "host-containers.*.superpowered",
    "bootstrap-containers.*.source",
    "bootstrap-containers.*.mode",
    "bootstrap-containers.*.essential",
    "bootstrap-commands.*.mode",
    "bootstrap-commands.*.essential",
];

/// What stands for a value that is not told.
const WITHHELD: &str = "(withheld)";

/// Returns the settings with the values of the known ones alone, and the names of all.
///
/// # Errors
/// What does not parse is not told at all.
pub(super) fn without_secrets(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut settings: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    withhold(&mut settings, &mut Vec::new());
    Ok(format!("{settings:#}\n").into_bytes())
}

fn withhold(value: &mut Value, path: &mut Vec<String>) {
    match value {
        _ if is_kept(path) => strip(value),
        Value::Object(members) => {
            for (name, value) in members {
                path.push(name.clone());
                withhold(value, path);
                path.pop();
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => *value = WITHHELD.into(),
    }
}

fn is_kept(path: &[String]) -> bool {
    KEPT.iter().any(|kept| {
        let names: Vec<&str> = kept.split('.').collect();
        names.len() <= path.len() && names.iter().zip(path).all(|(name, seen)| *name == "*" || name == seen)
    })
}

/// Takes out of the URLs below a kept value what may be a secret: the user and password, and the query.
fn strip(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(stripped) = stripped(text) {
                *text = stripped;
            }
        }
        Value::Array(members) => members.iter_mut().for_each(strip),
        Value::Object(members) => members.values_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A proxy may be written without its scheme, so that a `@` alone tells of a user.
fn stripped(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let is_url = !scheme.is_empty() || rest.contains('@');
    let (host, _query) = rest.split_once(['?', '#']).filter(|_| is_url).unwrap_or((rest, ""));
    // The last one: a password may hold another.
    let bare = host.rsplit_once('@').map_or(host, |(_user, host)| host);
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    (is_url && bare.len() != rest.len()).then(|| format!("{scheme}{WITHHELD}@{bare}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(settings: &Value) -> Value {
        serde_json::from_slice(&without_secrets(settings.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn secrets_are_withheld_and_what_explains_an_update_is_not() {
        let settings = json!({
            "updates": { "version-lock": "latest", "ignore-waves": false, "metadata-base-url": "https://u:p@repo.example/m?sig=s3cret" },
            "ecs": { "cluster": "web", "instance-attributes": { "role": "web" } },
            "host-containers": { "admin": { "enabled": true, "source": "ecr/admin:1", "user-data": "s3cret" } },
            "container-registry": { "credentials": [{ "registry": "r", "password": "s3cret" }] },
            "pki": { "own": { "data": "s3cret", "trusted": true } },
            "aws": { "region": "eu-central-1", "credentials": "s3cret" },
            "network": { "https-proxy": "user:s3cret@proxy.example:3128", "no-proxy": ["localhost"] },
            "new-in-1.99": { "token": 5 },
            "ecsx": "s3cret",
        });
        let told = told(&settings);
        assert!(!told.to_string().contains("s3cret"), "{told}");
        assert_eq!(told["updates"]["version-lock"], "latest");
        assert_eq!(told["updates"]["metadata-base-url"], "https://(withheld)@repo.example/m");
        assert_eq!(told["ecs"]["instance-attributes"]["role"], "web");
        assert_eq!(
            told["host-containers"]["admin"],
            json!({ "enabled": true, "source": "ecr/admin:1", "user-data": "(withheld)" })
        );
        assert_eq!(told["container-registry"]["credentials"], "(withheld)");
        assert_eq!(
            told["network"],
            json!({ "https-proxy": "(withheld)@proxy.example:3128", "no-proxy": ["localhost"] })
        );
        assert_eq!(told["new-in-1.99"]["token"], "(withheld)");
    }

    #[test]
    fn whatever_is_no_object_is_withheld() {
        assert_eq!(told(&json!(["s3cret"])), "(withheld)");
        assert_eq!(told(&json!({ "host-containers": "s3cret" }))["host-containers"], "(withheld)");
        assert!(without_secrets(b"s3cret").unwrap_err().starts_with("not JSON"));
        assert!(!without_secrets(b"s3cret").unwrap_err().contains("s3cret"));
    }

    #[test]
    fn urls_lose_their_users_and_queries() {
        let table = [
            ("plain", None),
            ("https://repo.example/targets", None),
            ("https://u@repo.example", Some("https://(withheld)@repo.example")),
            ("https://u:p@ss@repo.example/x#f", Some("https://(withheld)@repo.example/x")),
            ("http://repo.example/?token=1", Some("http://(withheld)@repo.example/")),
            ("a?b", None),
        ];
        for (text, expected) in table {
            assert_eq!(stripped(text).as_deref(), expected, "{text}");
        }
    }
}
