//! The EC2 instance metadata service of a machine, version 2 only: a token first (EC2 user guide,
//! `instance-metadata-v2-how-it-works`), then plain GETs with it. Instance tags are served where they are switched on,
//! and a changed tag shows while the instance runs, as on Nitro instances; how soon is nowhere said, so that
//! `metadata_lag` is a switch (docs/facts/ec2.md#tags-in-the-metadata-service).

use jiff::SignedDuration;
use models::policy::BridgePolicy;
use serde_json::json;

use super::World;
use super::ids::MachineNo;
use crate::scenario::TargetLifecycle;

/// Credentials of an instance role are good for about six hours (EC2 user guide, `instance-metadata-security-credentials`).
const CREDENTIALS: SignedDuration = SignedDuration::from_hours(6);
const TOKEN: &str = "AQAEAsimulatedtokenofthemetadataservice==";
const TARGET_STATE: &str = "autoscaling/target-lifecycle-state";
const ROLE: &str = "ecsInstanceRole";

/// The id of the access key that the role of each host has: this and the host's number.
const ROLE_KEY: &str = "ASIAHOST";

/// Returns the id of the access key of a host's role.
pub(crate) fn role_key(number: MachineNo) -> String {
    format!("{ROLE_KEY}{:012}", number.0)
}

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
        let item = path.strip_prefix("/latest/meta-data/");
        if item == Some(TARGET_STATE) && self.spec.target_lifecycle == TargetLifecycle::Refused {
            return (403, String::new());
        }
        let found = item.and_then(|item| self.metadata_item(number, item));
        found.map_or((404, String::new()), |text| (200, text))
    }

    fn metadata_item(&self, number: MachineNo, item: &str) -> Option<String> {
        let machine = &self.machines[number];
        if item.starts_with("tags/") {
            return self.metadata_tags(number, item);
        }
        if let Some(role) = item.strip_prefix("iam/security-credentials/").filter(|role| !role.is_empty()) {
            let until = self.now.checked_add(CREDENTIALS).ok()?;
            return (role == ROLE).then(|| {
                json!({
                    "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": role_key(number),
                    "SecretAccessKey": "simulated", "Token": "simulated", "Expiration": until.to_string(),
                })
                .to_string()
            });
        }
        match item.trim_end_matches('/') {
            "iam/security-credentials" => Some(ROLE.to_owned()),
            "placement/region" => Some(self.spec.name.clone()),
            "services/domain" => Some("amazonaws.com".to_owned()),
            "instance-id" => Some(machine.id.clone()),
            "spot/instance-action" => self.spot_notice(number).map(|at| {
                let time = at + SignedDuration::from_mins(2);
                json!({ "action": "terminate", "time": time.to_string() }).to_string()
            }),
            TARGET_STATE => self.target_state(number).map(str::to_owned),
            _ => None,
        }
    }

    /// Where the group of a machine takes it, as its metadata service says.
    pub(crate) fn target_state(&self, number: MachineNo) -> Option<&str> {
        let machine = &self.machines[number];
        if machine.instance.asg.is_none() || self.spec.target_lifecycle != TargetLifecycle::Told {
            return None;
        }
        Some(match machine.in_group.state.as_str() {
            "EnteringStandby" | "Standby" => "Standby",
            "Detaching" | "Detached" => "Detached",
            "Warmed:Pending" => "Warmed:Stopped",
            state if state.starts_with("Warmed:Terminat") => "Warmed:Terminated",
            state if state.starts_with("Warmed:") => state,
            state if state.starts_with("Terminat") => "Terminated",
            _ => "InService",
        })
    }

    fn metadata_tags(&self, number: MachineNo, item: &str) -> Option<String> {
        let machine = &self.machines[number];
        let tags = machine.metadata_tags.then(|| machine.tags_at(self.now - self.metadata_lag(number)))?;
        match item.trim_end_matches('/') {
            "tags/instance" => Some(tags.keys().map(String::as_str).collect::<Vec<_>>().join("\n")),
            _ => tags.get(item.strip_prefix("tags/instance/")?).cloned(),
        }
    }

    /// How late a changed tag shows here.
    fn metadata_lag(&self, number: MachineNo) -> SignedDuration {
        let most = u64::try_from(self.spec.metadata_lag.as_millis()).unwrap_or(0);
        let n = u64::try_from(number.0).unwrap_or(u64::MAX);
        SignedDuration::from_millis(i64::try_from(self.dice.between("metadata-lag", n, 0, most)).unwrap_or(0))
    }

    /// Returns the host whose role has the access key with this id.
    pub(crate) fn host_of_key(&self, id: &str) -> Option<MachineNo> {
        let number = MachineNo(id.strip_prefix(ROLE_KEY)?.parse().ok()?);
        (number.0 < self.machines.len()).then_some(number)
    }

    /// Whether the role of the hosts lets each report on itself alone.
    pub fn hosts_are_limited(&self) -> bool {
        self.spec.bridge_policy == BridgePolicy::OwnHost
    }

    /// Returns the ARN of a machine's EC2 instance.
    pub(crate) fn instance_arn(&self, number: MachineNo) -> String {
        format!("arn:aws:ec2:{}:{}:instance/{}", self.spec.name, self.spec.account, self.machines[number].id)
    }

    /// Whether its metadata service answers at all.
    pub(crate) fn metadata_answers(&self, number: MachineNo) -> bool {
        self.machines[number].metadata_away_until.is_none_or(|until| self.now >= until)
    }

    /// Whether the agent on the host runs and can read the tags of its instance.
    pub(crate) fn bridge_reads_its_tags(&self, number: MachineNo) -> bool {
        let machine = &self.machines[number];
        machine.seen.bridge && machine.metadata_tags && self.metadata_answers(number)
    }

    /// Serves the tags, or no more. It is refused while a tag has a key that no path can hold (inferred:
    /// docs/facts/ec2.md#tags-in-the-metadata-service).
    pub(super) fn serve_tags(&mut self, number: MachineNo, on: bool) {
        let machine = &mut self.machines[number];
        let holds = |key: &String| key.chars().all(|c| c.is_ascii_alphanumeric() || "+-=.,_:@".contains(c));
        if on && !machine.tags.keys().all(holds) {
            tracing::warn!(host = number.0, "tags in the metadata service were refused: a key has other characters");
            return;
        }
        machine.metadata_tags = on;
    }
}
