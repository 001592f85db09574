//! What is written on Auto Scaling groups: their least size, and their tags.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::min_size::{HeldMinSize, MIN_SIZE_TAG};

use super::World;
use super::log::Event;

/// What was written on a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// Its tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// `MinSize` from before the updater changed it, until it is that again or somebody else changes it.
    pub(crate) held_from: Option<usize>,
    /// When a call of the updater's about the group was last refused or not answered.
    pub(crate) hindered: Option<Timestamp>,
}

impl World {
    /// What was written on a group.
    pub(crate) fn written_on(&self, group: &str) -> Written {
        self.written.get(group).cloned().unwrap_or_default()
    }

    /// The groups whose least size is not what it was before the updater changed it.
    pub(crate) fn held_min_sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.written.iter().filter_map(|(group, written)| Some((group.as_str(), written.held_from?)))
    }

    /// A call of the updater's about these groups was refused, or not answered.
    pub(crate) fn hinder(&mut self, groups: Vec<String>) {
        for group in groups {
            self.written.entry(group).or_default().hindered = Some(self.now);
        }
    }

    /// The updater sets the least size of a group. One above the desired capacity raises that.
    pub(crate) fn set_min_size(&mut self, group: &str, least: usize) {
        let (was, _) = self.bounds_of(group);
        let tag = self.written_on(group).tags.get(MIN_SIZE_TAG).and_then(|tag| tag.parse::<HeldMinSize>().ok());
        let is_told =
            tag.is_some_and(|tag| [tag.old, tag.held].iter().all(|one| [was, least].contains(&(*one as usize))));
        let written = self.written.entry(group.to_owned()).or_default();
        written.held_from = match written.held_from {
            Some(from) => (from != least).then_some(from),
            None => (was != least).then_some(was),
        };
        self.record(Event::Group { group: group.to_owned(), what: format!("MinSize {was} -> {least} by the updater") });
        // The same once more, as a client sends what it got no answer to, changes nothing.
        if was != least && !is_told {
            let what = format!("MinSize {was} -> {least} without a tag that says so");
            self.invariants_of_group(group, what);
        }
        self.change_min_size(group, least);
    }

    /// Somebody else sets it.
    pub(super) fn change_min_size(&mut self, group: &str, least: usize) {
        self.groups.entry(group.to_owned()).or_default().min_size = Some(least);
        self.set_desired(group, self.desired(group), "its minimum");
        self.reconcile(group);
    }

    /// Writes a tag of a group, or removes it.
    pub(crate) fn tag_group(&mut self, group: &str, key: &str, value: Option<String>) {
        let what = format!("tag {key} = {}", value.as_deref().unwrap_or("nothing"));
        let tags = &mut self.written.entry(group.to_owned()).or_default().tags;
        match value {
            Some(value) => tags.insert(key.to_owned(), value),
            None => tags.remove(key),
        };
        self.record(Event::Group { group: group.to_owned(), what });
    }

    fn invariants_of_group(&mut self, group: &str, what: String) {
        let first = self.machines.ids().find(|number| self.machines[*number].instance.asg.as_deref() == Some(group));
        let Some(first) = first else { return };
        let mut invariants = std::mem::take(&mut self.invariants);
        invariants.see_min_size(self, first, what);
        self.invariants = invariants;
    }
}
