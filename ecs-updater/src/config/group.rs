//! `[[cluster.group]]`: a part of a cluster's instances with settings of its own.

use std::collections::BTreeSet;

use models::ids::GroupName;
use models::policy::{Group, Policy};
use models::query::Select;

use super::error::{Place, Problem};
use super::file::Reader;
use super::fragment::{ClusterFragment, GroupFragment, PolicyFragment};
use super::key::Key;
use super::select::Expression;
use super::syntax::{NotAllowed, Syntax};
use super::tags::heard;
use super::value::{Entry, Node, Value};

/// The path of the budget, which a group has beside its cluster's.
pub(super) const MAX_UNAVAILABLE: &str = "max_unavailable";
const NAME_ALLOWED: &str = "1 to 64 letters, digits, hyphens and underscores";
const MATCH_ALLOWED: &str = "an expression such as \"attribute:pool == batch\"";
const ORDER_ALLOWED: &str = "a whole number from -1000 to 1000";

impl Reader<'_> {
    /// Reads the groups of a cluster; `of` is how messages call the cluster's table.
    pub(super) fn groups(&mut self, node: Node, of: &str) -> Vec<GroupFragment> {
        let items = match node.value {
            Value::Array(items) => items,
            value => {
                self.bad(
                    "group",
                    &value,
                    node.place,
                    of,
                    "a list of tables: write [[cluster.group]], with two brackets",
                );
                return Vec::new();
            }
        };
        let mut seen = BTreeSet::new();
        let mut groups = Vec::new();
        for node in items {
            let place = node.place;
            let Value::Table(entries) = node.value else {
                self.bad("group", &node.value, place, of, "a table: write [[cluster.group]] on a line of its own");
                continue;
            };
            let Some(group) = self.group(entries, place, of) else { continue };
            if seen.insert(group.name.clone()) {
                groups.push(group);
            } else {
                let origin = self.origin(place, &format!("[[cluster.group]] of {of}"));
                self.note(Problem::DuplicateGroup { name: group.name.to_string(), origin });
            }
        }
        groups
    }

    /// Reads one group; `None` where it is not known whose settings these are.
    fn group(&mut self, mut entries: Vec<Entry>, place: Option<Place>, of: &str) -> Option<GroupFragment> {
        let mut take = |key: &str| {
            let at = entries.iter().position(|entry| entry.key == key)?;
            Some(entries.remove(at).node)
        };
        let (name, matches, order) = (take("name"), take("match"), take("order"));
        let unnamed = format!("[[cluster.group]] of {of}");
        let name = self.required(name, ("name", "which the report shows"), (place, &unnamed), NAME_ALLOWED, group_name);
        let table = name.as_ref().map_or(unnamed, |name| format!("[[cluster.group]] {:?} of {of}", name.as_str()));
        let what = "an expression that its instances meet";
        let matches = self.required(matches, ("match", what), (place, &table), MATCH_ALLOWED, expression);
        let order = order.map_or(Some(0), |node| {
            let order = node.value.as_text().and_then(|text| text.parse().ok()).filter(|order| in_range(*order));
            if order.is_none() {
                self.bad("order", &node.value, node.place, &table, ORDER_ALLOWED);
            }
            order
        });
        let mut policy = PolicyFragment::default();
        self.policy(entries, "", &table, &mut policy);
        let refused: Vec<Key> = policy.keys().filter(|key| !key.may_stand_in_group()).collect();
        for key in refused {
            let origin = self.origin(policy.place(key), &table);
            let known = Key::all().filter(|key| key.may_stand_in_group()).map(Key::path).collect();
            self.note(Problem::NotInGroup { key: key.path(), origin, known });
        }
        Some(GroupFragment { name: name?, matches: matches?, order: order?, policy })
    }

    /// Reads what a group cannot be without.
    fn required<T>(
        &mut self,
        node: Option<Node>,
        (key, what): (&'static str, &'static str),
        (place, table): (Option<Place>, &str),
        allowed: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let Some(node) = node else {
            let origin = self.origin(place, table);
            self.note(Problem::IncompleteGroup { key, what, origin });
            return None;
        };
        match read(&node.value) {
            Ok(value) => Some(value),
            Err(fault) if fault.is_empty() => {
                self.bad(key, &node.value, node.place, table, allowed);
                None
            }
            Err(fault) => {
                self.bad(key, &node.value, node.place, table, &format!("{allowed}: {fault}"));
                None
            }
        }
    }
}

fn group_name(value: &Value) -> Result<GroupName, String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    let name = value.as_text().filter(|name| (1..=64).contains(&name.len()) && name.chars().all(allowed));
    name.map(GroupName::from).ok_or_else(String::new)
}

/// An expression; `none` would leave a group without instances, or with all.
fn expression(value: &Value) -> Result<Select, String> {
    match Expression.read(value) {
        Ok(Some(select)) => Ok(select),
        Ok(None) => Err("a group is what meets its expression".to_owned()),
        Err(NotAllowed) => Err(Expression.fault(value).unwrap_or_default()),
    }
}

fn in_range(order: i32) -> bool {
    (-1000..=1000).contains(&order)
}

/// What places say for a group beside its own table.
pub(super) struct Around<'a> {
    pub(super) flags: &'a PolicyFragment,
    pub(super) tags: Option<&'a ClusterFragment>,
    pub(super) environment: &'a PolicyFragment,
    /// What the file says for the cluster.
    pub(super) file: &'a PolicyFragment,
}

/// Joins all places for each group of a cluster, by order. `whole` is what holds for the cluster.
pub(super) fn groups(listed: Option<&ClusterFragment>, around: &Around<'_>, whole: &Policy) -> Vec<Group> {
    let fragments = listed.map(|cluster| cluster.groups.as_slice()).unwrap_or_default();
    let mut groups: Vec<Group> = fragments.iter().map(|fragment| group(fragment, around, whole)).collect();
    groups.sort_by_key(|group| group.order);
    groups
}

fn group(fragment: &GroupFragment, around: &Around<'_>, whole: &Policy) -> Group {
    let lower = around.environment.clone().or(fragment.policy.clone()).or(around.file.clone());
    let base = lower.over(Policy::default());
    let open = around.flags.over(base.clone());
    // A tag that is stricter than the cluster's setting can be looser than the group's.
    let heard = around.tags.map(|tags| heard(tags, around.flags, &base, &open)).unwrap_or_default();
    let said = around.flags.clone().or(heard.policy).or(lower);
    let own = said.only(Key::all().filter(|key| key.may_stand_in_group()).collect());
    let mut policy = own.over(whole.clone());
    policy.max_unavailable = whole.max_unavailable;
    // The group's own budget is beside the cluster's, even where a flag or a variable sets that one.
    let budget = Key::find(MAX_UNAVAILABLE).filter(|key| fragment.policy.has(*key));
    let max_unavailable = budget.map(|_| fragment.policy.over(Policy::default()).max_unavailable);
    let of_course = ["canary", "canary_match", "checkpoints", "bake"];
    let has_own_course = fragment.policy.keys().any(|key| of_course.contains(&key.path()));
    Group {
        name: fragment.name.clone(),
        matches: fragment.matches.clone(),
        order: fragment.order,
        max_unavailable,
        has_own_course,
        policy: Box::new(policy),
    }
}
