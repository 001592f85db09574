//! How long a rollout will take, told before it begins.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::build::DOCS;
use models::claim::whole_seconds;
use models::count::plural;
use models::fleet::{FleetSnapshot, Instance};
use models::ids::GroupName;
use models::max_unavailable::MaxUnavailable;
use models::plan::{Bakes, Estimate};
use models::policy::{Group, Policy, StandaloneTasks};
use models::time::after;
use semver::Version;

use super::context::RunFacts;
use super::durations::{DRAIN, OUT_OF_SERVICE, REBOOT, STAGE, longest_wait, times};
use super::gate;
use super::membership::{membership, tally};
use super::workload::standalone_words;

#[cfg(test)]
mod tests;

/// So many minor releases are many for one update in place: each leaves data behind
/// (docs/operations.md#a-host-that-has-no-room-for-its-data-store).
const MANY_RELEASES: u64 = 10;

/// What is ahead of a rollout.
#[derive(Debug)]
pub(crate) struct Ahead<'a> {
    policy: &'a Policy,
    now: Timestamp,
    /// Whether windows are heeded.
    heeds_windows: bool,
    places: Places,
    /// The updates, from which version to which.
    updates: Vec<(Version, Version)>,
    /// What is in no group, and each group.
    parts: Vec<Part<'a>>,
}

/// How many instances may be out of service at once.
#[derive(Debug, Clone, Copy)]
struct Places {
    limit: MaxUnavailable,
    members: usize,
    /// Out of service already, for something else.
    out: usize,
}

impl Places {
    fn at_once(self) -> usize {
        self.limit.of(self.members).saturating_sub(self.out).max(1)
    }

    fn words(self) -> String {
        let Self { limit, members, out } = self;
        format!("(max_unavailable {limit} of {}, {out} out of service now)", plural(members, "instance"))
    }
}

/// What is ahead of a part of the cluster.
#[derive(Debug)]
struct Part<'a> {
    /// `None`: what is in no group.
    group: Option<&'a Group>,
    policy: &'a Policy,
    /// Those of the group, where it has a budget of its own.
    places: Option<Places>,
    updates: usize,
    /// Those of them whose standalone tasks are waited for.
    waits: usize,
    /// The bakes that the run waits for in the course of this part: that of a group has a release by itself, the other one
    /// all that have none.
    bakes: usize,
}

impl Part<'_> {
    /// How much longer it takes because of standalone tasks, with so many at once.
    fn waiting(&self, at_once: usize) -> SignedDuration {
        times(longest_wait(self.policy), self.waits.div_ceil(at_once))
    }
}

impl<'a> Ahead<'a> {
    /// Returns one without updates. In a plan, what is out of service takes a place; in a run it is one of the updates.
    pub(crate) fn new(fleet: &FleetSnapshot, policy: &'a Policy, facts: &RunFacts, now: Timestamp) -> Self {
        let is_out: fn(&Instance) -> bool = if facts.dry_run { |one| !one.in_service() } else { |_| false };
        let counted: Vec<&Instance> = fleet.instances.values().filter(|instance| instance.counts()).collect();
        let out = counted.iter().filter(|instance| is_out(instance)).count();
        let places = Places { limit: policy.max_unavailable, members: counted.len(), out };
        let rest = Part { group: None, policy, places: None, updates: 0, waits: 0, bakes: 0 };
        let of_group = |group: &'a Group| {
            let places = group.max_unavailable.map(|limit| {
                let tally = tally(fleet, group, is_out);
                Places { limit, members: tally.members, out: tally.out.len() }
            });
            Part { group: Some(group), policy: &group.policy, places, updates: 0, waits: 0, bakes: 0 }
        };
        let parts = std::iter::once(rest).chain(policy.groups.iter().map(of_group)).collect();
        Self { policy, now, heeds_windows: !facts.outside_window, places, updates: Vec::new(), parts }
    }

    /// Adds the bakes that the run waits for.
    pub(crate) fn bake(&mut self, all: &[Bakes]) {
        for Bakes { group, bakes } in all {
            self.part(group.as_ref()).bakes = *bakes;
        }
    }

    /// Adds an update.
    pub(crate) fn update(&mut self, instance: &Instance, from: Version, to: Version) {
        let own = membership(instance, self.policy).group().map(|group| &group.name);
        let tasks = instance.tasks.as_ref();
        let is_waited_for = tasks.is_some_and(|seen| standalone_words(&seen.tasks).is_some());
        let part = self.part(own);
        part.updates += 1;
        part.waits += usize::from(is_waited_for && part.policy.standalone_tasks == StandaloneTasks::Wait);
        self.updates.push((from, to));
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.updates.is_empty()
    }

    /// How many updates there are.
    pub(crate) fn len(&self) -> usize {
        self.updates.len()
    }

    /// The part of a group, or what is in none.
    fn part(&mut self, group: Option<&GroupName>) -> &mut Part<'a> {
        let is_it = |part: &Part<'_>| part.group.map(|group| &group.name) == group;
        let at = self.parts.iter().position(is_it).unwrap_or_default();
        &mut self.parts[at]
    }

    /// The parts that are to be updated, by their order: those of one order go together.
    fn by_order(&self) -> BTreeMap<i32, Vec<&Part<'a>>> {
        let mut orders: BTreeMap<i32, Vec<&Part<'a>>> = BTreeMap::new();
        for part in self.parts.iter().filter(|part| part.updates > 0) {
            orders.entry(part.group.map_or(0, |group| group.order)).or_default().push(part);
        }
        orders
    }

    /// Returns how long the parts of one order take: as long as the budget of the cluster lets them all, and no shorter than the
    /// one that takes longest by itself.
    fn together(&self, parts: &[&Part<'_>]) -> SignedDuration {
        let at_once = self.places.at_once();
        let updates: usize = parts.iter().map(|part| part.updates).sum();
        let all = times(OUT_OF_SERVICE, updates.div_ceil(self.beside(at_once)));
        let all = parts.iter().map(|part| part.waiting(at_once)).fold(all, SignedDuration::saturating_add);
        let longest = parts.iter().map(|part| self.alone(part)).max();
        STAGE.saturating_add(longest.map_or(all, |longest| longest.max(all)))
    }

    /// Returns how long a part takes by itself, with its own bakes.
    fn alone(&self, part: &Part<'_>) -> SignedDuration {
        let at_once = part.places.map_or(usize::MAX, Places::at_once).min(self.places.at_once());
        let bakes = if part.group.is_some() { part.bakes } else { 0 };
        times(OUT_OF_SERVICE, part.updates.div_ceil(self.beside(at_once)))
            .saturating_add(part.waiting(at_once))
            .saturating_add(times(part.policy.bake, bakes))
    }

    /// How many overlap: with a soak each drain comes by itself, and the next one waits for the end of it too.
    fn beside(&self, at_once: usize) -> usize {
        if self.policy.soak.is_zero() { at_once } else { at_once.min(2) }
    }

    /// The windows that close before what they are for is over: `ends` is when the parts of an order are.
    fn closing(&self, parts: &[&Part<'_>], ends: Timestamp) -> Vec<String> {
        let with_window = parts.iter().filter(|_| self.heeds_windows).filter_map(|part| {
            let closes = gate::open_until(part.policy, self.now).filter(|closes| *closes < ends)?;
            let own = part.group.filter(|group| group.policy.opening() != self.policy.opening());
            Some((own.map(|group| format!(" of group {}", group.name)).unwrap_or_default(), whole_seconds(closes)))
        });
        let words = |(whose, closes)| {
            format!("the window{whose} closes at {closes}: what is not begun by then waits for the next one")
        };
        with_window.map(words).collect()
    }
}

/// Returns how long the rollout takes.
pub(crate) fn estimate(ahead: &Ahead<'_>) -> Estimate {
    if ahead.is_nothing() {
        return Estimate { duration: SignedDuration::ZERO, rests_on: Vec::new() };
    }
    let policy = ahead.policy;
    let bakes = ahead.parts.iter().filter(|part| part.group.is_none()).map(|part| part.bakes).sum();
    // They come somewhere in between.
    let mut duration = times(policy.bake, bakes).saturating_add(times(policy.soak, ahead.len() - 1));
    let orders = ahead.by_order();
    let mut closing = Vec::new();
    for parts in orders.values() {
        duration = duration.saturating_add(ahead.together(parts));
        closing.extend(ahead.closing(parts, after(ahead.now, duration)));
    }
    closing.sort();
    closing.dedup();
    let mut rests_on = pace(ahead, orders.len());
    rests_on.extend(waits(ahead));
    if !policy.soak.is_zero() {
        rests_on.push(format!("{} s after each drain and each return (soak)", policy.soak.as_secs()));
    }
    if orders.len() > 1 {
        let names = orders.values().map(|parts| names(parts));
        rests_on.push(format!("one after the other, by order: {}", names.collect::<Vec<_>>().join(", then ")));
    }
    rests_on.extend(closing);
    rests_on.extend(jump(&ahead.updates));
    Estimate { duration, rests_on }
}

/// Says how many go at once, and how long each takes.
fn pace(ahead: &Ahead<'_>, orders: usize) -> Vec<String> {
    let mut said = vec![format!("{} at once {}", ahead.places.at_once(), ahead.places.words())];
    for part in ahead.parts.iter().filter(|part| part.updates > 0) {
        if let (Some(group), Some(places)) = (part.group, part.places) {
            said.push(format!("{} of them in group {} {}", places.at_once(), group.name, places.words()));
        }
    }
    let stage = minutes(STAGE);
    said.push(if orders > 1 {
        format!("{stage} to write the first images of each order; later ones are written ahead")
    } else {
        format!("{stage} to write the first images; later ones are written ahead")
    });
    said.push(format!(
        "{} a drain, {} a reboot with its checks: a service that is slow to move takes longer",
        minutes(DRAIN),
        minutes(REBOOT)
    ));
    said
}

/// Says what is waited for between the drains.
fn waits(ahead: &Ahead<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for part in ahead.parts.iter().filter(|part| part.waits > 0) {
        let (waits, drain) = (part.waits, minutes(part.policy.timeouts.drain));
        let whose = whose(part);
        said.push(format!("{waits}{whose} with tasks of no service, whose end is waited for: {drain} each at most"));
    }
    for part in ahead.parts.iter().filter(|part| part.bakes > 0) {
        let (bakes, bake) = (plural(part.bakes, "bake"), minutes(part.policy.bake));
        said.push(format!("{bakes} of {bake}{} that this run waits for", whose(part)));
    }
    said
}

fn whose(part: &Part<'_>) -> String {
    part.group.map(|group| format!(" in group {}", group.name)).unwrap_or_default()
}

fn names(parts: &[&Part<'_>]) -> String {
    let name =
        |part: &&Part<'_>| part.group.map_or("what is in no group".to_owned(), |group| format!("group {}", group.name));
    parts.iter().map(name).collect::<Vec<_>>().join(" and ")
}

/// Says where an update skips many releases.
fn jump(updates: &[(Version, Version)]) -> Option<String> {
    let releases = |(from, to): &(Version, Version)| to.minor.saturating_sub(from.minor);
    let far: Vec<_> =
        updates.iter().filter(|update| update.0.major == update.1.major && releases(update) >= MANY_RELEASES).collect();
    let (from, to) = far.iter().max_by_key(|update| releases(update))?;
    Some(format!(
        "{} of them far behind ({from} to {to} at most): the data store of a host can grow too large on such a way, see \
         {DOCS}/operations.md#a-host-that-has-no-room-for-its-data-store",
        far.len()
    ))
}

fn minutes(duration: SignedDuration) -> String {
    format!("{} min", duration.as_mins())
}
