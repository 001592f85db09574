//! Settings as tags of an ECS cluster, such as `ecs-updater:max-unavailable`.

use std::collections::BTreeMap;

use models::claim::TAG_PREFIX;
use models::ids::ClusterName;

use super::error::{Advice, Origin, Problem};
use super::fragment::{ClusterFragment, PolicyFragment};
use super::key::Key;
use super::value::Value;

/// Not a setting: `cloudformation/fleet.yaml` finds the clusters of a wave by it.
const WAVE: &str = "ecs-updater:wave";

/// Reads a cluster's tags; those with other prefixes are somebody else's. An empty one says nothing, since templates
/// often cannot leave a tag out.
pub(super) fn of_tags(cluster: &ClusterName, tags: &BTreeMap<String, String>) -> ClusterFragment {
    let (mut policy, mut problems) = (PolicyFragment::default(), Vec::new());
    let name = cluster.as_str().to_owned();
    for (tag, text) in tags.iter().filter(|(tag, _)| tag.starts_with(TAG_PREFIX) && *tag != WAVE) {
        let Some(key) = Key::all().find(|key| key.tag().as_ref() == Some(tag)) else {
            let advice = if Key::all().any(|key| format!("{TAG_PREFIX}{}", key.flag()) == *tag) {
                Advice::BelongsIn("the configuration file, the environment or a flag")
            } else {
                Advice::for_unknown_behind(TAG_PREFIX, tag, Key::all().filter_map(Key::tag))
            };
            problems.push(Problem::UnknownTag { key: tag.clone(), cluster: name.clone(), advice });
            continue;
        };
        let value = Value::text(text);
        if !text.is_empty() && policy.set(key, &value).is_err() {
            problems.push(Problem::BadValue {
                key: key.path().to_owned(),
                shown: value.shown(),
                origin: Origin::Tag { key: tag.clone(), cluster: name.clone() },
                allowed: key.allowed_in_tag(),
            });
        }
    }
    ClusterFragment { name: cluster.clone(), policy, problems }
}
