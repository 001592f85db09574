//! Settings as tags of an ECS cluster, such as `ecs-updater:max-unavailable`.

use std::collections::BTreeMap;

use models::claim::TAG_PREFIX;
use models::ids::ClusterName;

use super::error::{Advice, Origin, Problem, shown};
use super::fragment::{ClusterFragment, PolicyFragment};
use super::key::Key;

/// Not a setting: `cloudformation/fleet.yaml` finds the clusters of a wave by it.
const WAVE: &str = "ecs-updater:wave";

/// Reads a cluster's tags; those with other prefixes are somebody else's. An empty one says nothing, since templates
/// often cannot leave a tag out.
pub(super) fn of_tags(cluster: &ClusterName, tags: &BTreeMap<String, String>) -> ClusterFragment {
    let (mut policy, mut problems) = (PolicyFragment::default(), Vec::new());
    let name = cluster.as_str().to_owned();
    for (tag, value) in tags.iter().filter(|(tag, _)| tag.starts_with(TAG_PREFIX) && *tag != WAVE) {
        let Some(key) = Key::ALL.into_iter().find(|key| key.tag().as_ref() == Some(tag)) else {
            let advice = match Key::ALL.into_iter().any(|key| format!("{TAG_PREFIX}{}", key.flag()) == *tag) {
                true => Advice::BelongsIn("the configuration file, the environment or a flag"),
                false => Advice::for_unknown_behind(TAG_PREFIX, tag, Key::ALL.into_iter().filter_map(Key::tag)),
            };
            problems.push(Problem::UnknownTag { key: tag.clone(), cluster: name.clone(), advice });
            continue;
        };
        if !value.is_empty() && policy.set(key, value).is_err() {
            problems.push(Problem::BadValue {
                key: key.path().to_owned(),
                shown: shown(value),
                origin: Origin::Tag { key: tag.clone(), cluster: name.clone() },
                allowed: key.allowed_in_tag(),
            });
        }
    }
    ClusterFragment { name: cluster.clone(), policy, problems }
}
