//! Settings as tags of an ECS cluster, such as `ecs-updater:max-unavailable`: how they are read, and which of them count.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use models::claim::TAG_PREFIX;
use models::cluster_tags::{FromTags, IgnoredTag, TagBySize};
use models::ids::ClusterName;
use models::policy::Policy;
use models::schedule::PAUSE_TAG;

use super::error::{Advice, Origin, Problem};
use super::fragment::{ClusterFragment, PolicyFragment};
use super::key::Key;
use super::tag_rule::Tag;
use super::value::Value;

/// The tags with our prefix that are no settings. `cloudformation/fleet.yaml` finds the clusters of a wave by one, and a run reads
/// the other at each look.
const NO_SETTINGS: [&str; 2] = ["ecs-updater:wave", PAUSE_TAG];

/// Reads a cluster's tags; those with other prefixes are somebody else's. An empty one says nothing, since templates
/// often cannot leave a tag out.
pub(super) fn of_tags(cluster: &ClusterName, tags: &BTreeMap<String, String>) -> ClusterFragment {
    let (mut policy, mut problems) = (PolicyFragment::default(), Vec::new());
    let name = cluster.as_str().to_owned();
    let ours = |tag: &str| tag.starts_with(TAG_PREFIX) && !NO_SETTINGS.contains(&tag);
    for (tag, text) in tags.iter().filter(|(tag, _)| ours(tag)) {
        let Some(key) = Key::all().find(|key| key.tag() == *tag) else {
            let open = Key::all().filter(|key| !matches!(key.tag_rule(), Tag::Never));
            let advice = Advice::for_unknown_behind(TAG_PREFIX, tag, open.map(Key::tag));
            problems.push(Problem::UnknownTag { key: tag.clone(), cluster: name.clone(), advice });
            continue;
        };
        let value = Value::text(text);
        if !text.is_empty() && policy.set(key, &value, None).is_err() {
            problems.push(Problem::BadValue {
                key: key.path().to_owned(),
                shown: value.shown(),
                origin: Origin::Tag { key: tag.clone(), cluster: name.clone() },
                allowed: key.allowed_in_tag(&value),
            });
        }
    }
    ClusterFragment { name: cluster.clone(), policy, groups: Vec::new(), problems }
}

/// What counts of a cluster's tags.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) policy: PolicyFragment,
    pub(super) from_tags: FromTags,
    /// The tags for keys that are closed to them.
    pub(super) problems: Vec<Problem>,
}

/// Judges the tags of a cluster against `base`, which is what stands without them; `open` says which keys they may set in
/// any way. What `above` says wins anyway.
pub(super) fn heard(tags: &ClusterFragment, above: &PolicyFragment, base: &Policy, open: &Policy) -> Heard {
    let said = tags.policy.over(base.clone());
    let mut heard = Heard::default();
    let mut counted = BTreeSet::new();
    let mut tagged = tags.policy.clone();
    for key in tags.policy.keys().filter(|key| !above.has(*key)) {
        let ignored = || IgnoredTag {
            tag: key.tag(),
            value: key.value(&said).trim_matches('"').to_owned(),
            setting: key.path().to_owned(),
            stands: key.value(base),
        };
        match key.tag_rule() {
            _ if open.tags.contain(key.path()) => drop(counted.insert(key)),
            Tag::Any => drop(counted.insert(key)),
            Tag::Never => heard.problems.push(Problem::ClosedTag {
                tag: key.tag(),
                cluster: tags.name.as_str().to_owned(),
                key: key.path(),
            }),
            Tag::Adds(join) => {
                tagged.add(key, base, join);
                counted.insert(key);
            }
            Tag::Stricter(compare) => match compare(&said, base) {
                Some(Ordering::Less | Ordering::Equal) => drop(counted.insert(key)),
                Some(Ordering::Greater) => heard.from_tags.ignored.push(ignored()),
                None => {
                    let (says, stands) = (said.max_unavailable, base.max_unavailable);
                    heard.from_tags.by_size = Some(TagBySize { tag: ignored(), says, stands });
                }
            },
        }
    }
    heard.policy = tagged.only(counted);
    heard
}
