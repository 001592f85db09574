//! The EC2 instance metadata service of a machine, version 2 only: a token first (EC2 user guide,
//! `instance-metadata-v2-how-it-works`), then plain GETs with it. Instance tags are switched on
//! (`instancedata-data-categories`, `tags/instance`), and a changed tag shows at once (AWS facts, "EC2": on Nitro
//! instances changes show while running).

use jiff::SignedDuration;
use serde_json::json;

use super::World;
use super::ids::MachineNo;

/// Credentials of an instance role are good for about six hours (EC2 user guide, `instance-metadata-security-credentials`).
const CREDENTIALS: SignedDuration = SignedDuration::from_hours(6);
const TOKEN: &str = "AQAEAsimulatedtokenofthemetadataservice==";
const ROLE: &str = "ecsInstanceRole";

impl World {
    /// Status and body of the answer to one request.
    pub(crate) fn metadata(
        &self,
        number: MachineNo,
        method: &str,
        path: &str,
        ttl: Option<&str>,
        token: Option<&str>,
    ) -> (u16, String) {
        if path == "/latest/api/token" {
            let valid = ttl.and_then(|ttl| ttl.parse::<u32>().ok()).is_some_and(|ttl| (1..=21_600).contains(&ttl));
            return match (method, valid) {
                ("PUT", true) => (200, TOKEN.to_owned()),
                ("PUT", false) => (400, String::new()),
                _ => (405, String::new()),
            };
        }
        if token != Some(TOKEN) {
            return (401, String::new());
        }
        if method != "GET" {
            return (405, String::new());
        }
        let found = path.strip_prefix("/latest/meta-data/").and_then(|item| self.metadata_item(number, item));
        found.map_or((404, String::new()), |text| (200, text))
    }

    fn metadata_item(&self, number: MachineNo, item: &str) -> Option<String> {
        let machine = &self.machines[number.0];
        if let Some(key) = item.strip_prefix("tags/instance/").filter(|key| !key.is_empty()) {
            return machine.tags.get(key).cloned();
        }
        if let Some(role) = item.strip_prefix("iam/security-credentials/").filter(|role| !role.is_empty()) {
            let until = self.now.checked_add(CREDENTIALS).ok()?;
            return (role == ROLE).then(|| {
                json!({
                    "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIASIMULATED0000000",
                    "SecretAccessKey": "simulated", "Token": "simulated", "Expiration": until.to_string(),
                })
                .to_string()
            });
        }
        match item.trim_end_matches('/') {
            "tags/instance" => Some(machine.tags.keys().map(String::as_str).collect::<Vec<_>>().join("\n")),
            "iam/security-credentials" => Some(ROLE.to_owned()),
            "placement/region" => Some(self.spec.name.clone()),
            "services/domain" => Some("amazonaws.com".to_owned()),
            "instance-id" => Some(machine.id.clone()),
            _ => None,
        }
    }
}
