//! Puts `MinSize` of Auto Scaling groups back at the end of a run: what this run has held, and what a dead one has left.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use models::fleet::{AutoScaling, HeldSize};
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

/// Why a group is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    why: String,
    /// Whether another try can do what this one did not.
    may_pass: bool,
    /// Whether `MinSize` is what it was, and only the tag is still there.
    is_back: bool,
    /// Whether it is known that a run holds something.
    is_seen: bool,
}

impl Trouble {
    fn of(error: &AwsError) -> Self {
        Self { why: error.to_string(), may_pass: !error.kind.is_refusal(), is_back: false, is_seen: false }
    }

    /// An answer without what was asked for may be whole the next time.
    fn not_told(what: &str) -> Self {
        let why = format!("EC2 Auto Scaling does not tell {what}");
        Self { why, may_pass: true, is_back: false, is_seen: true }
    }
}

/// What became of each group.
type Tried = BTreeMap<SmolStr, Result<(), Trouble>>;

impl Cluster<'_> {
    /// Puts back what is held, each group by itself. Nobody is kept from the end of the run for long: what cannot be put back is
    /// named, and the next run does it.
    pub(super) async fn put_back_min_sizes(&mut self) {
        let known = &self.fleet.auto_scaling;
        let is_blind = known.held.is_empty() && known.denied.contains_key(AutoScaling::GROUPS);
        let mut names: BTreeSet<SmolStr> = self.fleet.groups_of_providers();
        names.extend(known.held.keys().cloned());
        let is_about_all = !matches!(self.facts.purpose, Purpose::Release(_));
        if is_blind || self.facts.dry_run || !is_about_all || broken!(MinSizeKept) {
            return;
        }
        let until = after(self.clock.now(), PATIENCE);
        let mut pace = pace();
        while !names.is_empty() {
            let tried = self.try_to_put_back(&names).await;
            let is_over = self.is_stopped() || self.clock.now() >= until;
            let (again, left) = sort_out(tried, is_over);
            for (name, trouble) in left {
                self.not_put_back(&name, &trouble);
            }
            names = again;
            if names.is_empty() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pace.next_wait()) => {}
                () = signal(self.stop.clone()) => {}
            }
        }
    }

    async fn try_to_put_back(&mut self, names: &BTreeSet<SmolStr>) -> Tried {
        let told = self.aws.groups(names).await;
        let mut tried = Tried::new();
        for name in names {
            let done = match &told {
                Ok(told) => self.put_back(name, told.get(name)).await,
                Err(error) => Err(Trouble::of(error)),
            };
            if done.is_ok() {
                self.fleet.auto_scaling.held.remove(name);
            }
            tried.insert(name.clone(), done);
        }
        tried
    }

    async fn put_back(&mut self, name: &SmolStr, group: Option<&Group>) -> Result<(), Trouble> {
        let held = self.fleet.auto_scaling.held.get(name).copied().filter(HeldSize::is_raised);
        let Some(group) = group else { return held.map_or(Ok(()), |_| Err(Trouble::not_told("of the group"))) };
        let Some(size) = &group.size else {
            let is_held = held.is_some() || group.tag.is_some();
            return if is_held { Err(Trouble::not_told("its size")) } else { Ok(()) };
        };
        let by = Holder { run: &self.facts.run, alone: self.epoch.is_some(), now: self.clock.now() };
        let mut is_back = true;
        match planner::put_back_min_size(name, size, &group.tag, held, by) {
            PutBack::Leave(words) => {
                self.size_notes.extend(words);
                return Ok(());
            }
            PutBack::Lower(old) => {
                let set = self.aws.set_min_size(name, old).await;
                set.map_err(|error| Trouble { is_seen: true, ..Trouble::of(&error) })?;
                let held = size.least;
                tracing::info!(cluster = %self.name, group = %name, old, held, "MinSize is put back");
                self.size_notes
                    .push(format!("MinSize of group {name} was held at {held} for the run and is {old} again"));
            }
            PutBack::Forget => {}
            PutBack::Foreign(words) => {
                is_back = false;
                if !self.size_notes.contains(&words) {
                    self.size_notes.push(words);
                }
            }
        }
        let untagged = self.aws.untag_group(name).await;
        untagged.map_err(|error| Trouble { is_back, is_seen: true, ..Trouble::of(&error) })
    }

    /// Names a group where it is known that something is held of it. Without the setting there is rarely anything.
    fn not_put_back(&mut self, name: &SmolStr, trouble: &Trouble) {
        let held = self.fleet.auto_scaling.held.remove(name).filter(HeldSize::is_raised);
        let why = &trouble.why;
        if held.is_none() && !trouble.is_seen {
            tracing::debug!(cluster = %self.name, group = %name, why, "whether MinSize is held is not known");
            return;
        }
        tracing::warn!(cluster = %self.name, group = %name, why, "what is held of MinSize is not put back");
        self.size_notes.push(not_back(name, held, Some(trouble)));
    }

    /// What the report says of it.
    pub(super) fn min_size_notes(&self) -> Vec<String> {
        let known = &self.fleet.auto_scaling;
        let not_held = known.not_held.iter();
        let not_held =
            not_held.map(|(group, why)| format!("MinSize of group {group} is not held (hold_min_size): {why}"));
        // The run was cut off.
        let left = known.held.iter().filter(|(_, held)| held.is_raised());
        let left = left.map(|(group, held)| not_back(group, Some(*held), None));
        not_held.chain(left).chain(self.size_notes.iter().cloned()).collect()
    }
}

/// Returns the groups that are tried again, and those that are left as they are.
fn sort_out(tried: Tried, is_over: bool) -> (BTreeSet<SmolStr>, BTreeMap<SmolStr, Trouble>) {
    let mut again = BTreeSet::new();
    let mut left = BTreeMap::new();
    for (name, done) in tried {
        match done {
            Ok(()) => {}
            Err(trouble) if trouble.may_pass && !is_over => {
                again.insert(name);
            }
            Err(trouble) => {
                left.insert(name, trouble);
            }
        }
    }
    (again, left)
}

fn not_back(group: &str, held: Option<HeldSize>, trouble: Option<&Trouble>) -> String {
    let why = trouble.map(|trouble| format!(" ({})", trouble.why)).unwrap_or_default();
    if trouble.is_some_and(|trouble| trouble.is_back) {
        return format!(
            "MinSize of group {group} is what it was, and its tag {MIN_SIZE_TAG} is still there{why}: the next run, or `finish`, \
             removes it"
        );
    }
    let sizes = held.map(|HeldSize { old, held }| format!(" at {held}, and was {old}")).unwrap_or_default();
    format!(
        "MinSize of group {group} may still be held{sizes}{why}: its tag {MIN_SIZE_TAG} says what it was, and the next run, or \
         `finish`, puts it back"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_group_keeps_no_other_from_being_put_back() {
        let trouble = |may_pass| Trouble { why: "no".to_owned(), may_pass, is_back: false, is_seen: true };
        let tried = || {
            Tried::from([
                ("bad".into(), Err(trouble(false))),
                ("busy".into(), Err(trouble(true))),
                ("done".into(), Ok(())),
            ])
        };
        let names = |left: BTreeMap<SmolStr, Trouble>| left.into_keys().collect::<Vec<_>>();
        let (again, left) = sort_out(tried(), false);
        assert_eq!((again, names(left)), (BTreeSet::from(["busy".into()]), vec!["bad".into()]));
        let (again, left) = sort_out(tried(), true);
        assert_eq!((again, names(left)), (BTreeSet::new(), vec!["bad".into(), "busy".into()]));
    }

    /// Without an answer the report still says what the run has changed.
    #[test]
    fn what_is_not_put_back_is_named_with_what_it_was() {
        let held = Some(HeldSize { old: 2, held: 10 });
        let said = not_back("web", held, Some(&Trouble::not_told("of the group")));
        for words in ["group web may still be held at 10, and was 2", "does not tell of the group"] {
            assert!(said.contains(words), "{said}");
        }
        let only_tag = Trouble { is_back: true, ..Trouble::not_told("anything") };
        assert!(not_back("web", held, Some(&only_tag)).contains("is what it was"));
    }
}
