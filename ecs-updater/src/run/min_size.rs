//! Puts `MinSize` of Auto Scaling groups back at the end of a run: what this run has held, and what a dead one has left.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use models::min_size::MIN_SIZE_TAG;
use models::time::after;
use smol_str::SmolStr;

use super::acts::pace;
use super::cluster::Cluster;
use super::interruption::signal;
use crate::aws::{AwsError, Group};
use crate::planner::{self, Holder, Purpose, PutBack};

/// So long it is tried; then the tag stays for the next run.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

impl Cluster<'_> {
    /// Puts back what is held. Nobody is kept from the end of the run for long: what cannot be put back is named, and the next run does
    /// it.
    pub(super) async fn put_back_min_sizes(&mut self) {
        let mut names: BTreeSet<SmolStr> = self.fleet.auto_scaling.held.clone();
        let scaled = self.fleet.auto_scaling.scaled_providers.values();
        names.extend(scaled.map(|scaling| scaling.group.clone()));
        let is_about_all = !matches!(self.facts.purpose, Purpose::Release(_));
        if names.is_empty() || self.facts.dry_run || !is_about_all || broken!(MinSizeKept) {
            return;
        }
        let until = after(self.clock.now(), PATIENCE);
        let mut pace = pace();
        loop {
            let Err(error) = self.try_to_put_back(&mut names).await else { return };
            let is_final = error.kind.is_refusal() || self.is_stopped();
            if is_final || self.clock.now() >= until {
                self.not_put_back(&names, &error);
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pace.next_wait()) => {}
                () = signal(self.stop.clone()) => {}
            }
        }
    }

    /// Puts back one group after the other, and takes out of `names` what is done.
    async fn try_to_put_back(&mut self, names: &mut BTreeSet<SmolStr>) -> Result<(), AwsError> {
        let told = self.aws.groups(names).await?;
        for name in names.clone() {
            if let Some(group) = told.get(&name) {
                self.put_back(&name, group).await?;
            }
            names.remove(&name);
            self.fleet.auto_scaling.held.remove(&name);
        }
        Ok(())
    }

    async fn put_back(&mut self, name: &SmolStr, group: &Group) -> Result<(), AwsError> {
        let Some(size) = &group.size else { return Ok(()) };
        let by = Holder { run: &self.facts.run, alone: self.epoch.is_some(), now: self.clock.now() };
        match planner::put_back_min_size(name, size, &group.tag, by) {
            PutBack::Leave(None) => return Ok(()),
            PutBack::Leave(Some(words)) => {
                self.size_notes.push(words);
                return Ok(());
            }
            PutBack::Lower(old) => {
                self.aws.set_min_size(name, old).await?;
                let held = size.least;
                tracing::info!(cluster = %self.name, group = %name, old, held, "MinSize is put back");
                self.size_notes
                    .push(format!("MinSize of group {name} was held at {held} for the run and is {old} again"));
            }
            PutBack::Forget => {}
            PutBack::Foreign(words) => self.size_notes.push(words),
        }
        self.aws.untag_group(name).await
    }

    fn not_put_back(&mut self, names: &BTreeSet<SmolStr>, error: &AwsError) {
        tracing::warn!(cluster = %self.name, %error, "what is held of MinSize is not put back");
        let held = std::mem::take(&mut self.fleet.auto_scaling.held);
        // Without the setting there is rarely anything to put back.
        if self.policy.hold_min_size || !held.is_empty() {
            let left = names.iter().map(|name| not_back(name, Some(error)));
            self.size_notes.extend(left);
        }
    }

    /// What the report says of it.
    pub(super) fn min_size_notes(&self) -> Vec<String> {
        let known = &self.fleet.auto_scaling;
        let not_held = known.not_held.iter();
        let not_held =
            not_held.map(|(group, why)| format!("MinSize of group {group} is not held (hold_min_size): {why}"));
        // The run was cut off.
        let left = known.held.iter().map(|group| not_back(group, None));
        not_held.chain(left).chain(self.size_notes.iter().cloned()).collect()
    }
}

fn not_back(group: &str, error: Option<&AwsError>) -> String {
    let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
    format!(
        "MinSize of group {group} may still be held{why}: its tag {MIN_SIZE_TAG} says what it was, and the next run, or `finish`, puts \
         it back"
    )
}
