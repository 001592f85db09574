//! One release on its way through the instances of one variant and architecture.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::fleet::Instance;
use models::ids::{GroupName, HostId, ZoneName};
use models::policy::{Checkpoints, Policy};
use models::time::after;
use semver::Version;

use super::seen::{Came, Since, came};
use crate::planner::alarms::last_change;
use crate::planner::context::{Context, Contexts};
use crate::planner::selection::meets;

/// From one night to the next.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// How far the release has come, and what stands before the rest.
#[derive(Debug, Default)]
pub(super) struct Course<'a> {
    /// The candidates.
    queued: usize,
    /// Those that can be canaries.
    matching: usize,
    /// Its instances: those that have it, that it goes to, or on which it failed.
    members: usize,
    /// Those that run it.
    run: Vec<Since>,
    /// Those of them that can be canaries, and are in service or were when they had been watched to the end.
    canaries: Vec<Since>,
    /// Those that are not.
    lost: Vec<Lost<'a>>,
    /// When the first was updated that tells of it.
    first: Option<Timestamp>,
    /// Those that can be canaries and are no candidates for a moment.
    absent: usize,
    zones: Vec<Option<&'a ZoneName>>,
    under_way: usize,
    canaries_under_way: usize,
    /// The first on which it failed.
    failed: Option<(Timestamp, &'a HostId)>,
    /// Begun by this plan, or waiting for a place in the budget.
    taken: usize,
    /// How far a run would come.
    foreseen: Vec<Leg>,
    /// The groups of the candidates; `None`: in none.
    parts: BTreeSet<Option<&'a GroupName>>,
}

/// A canary that is out of service before it was watched to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost<'a> {
    pub(super) host: &'a HostId,
    pub(super) why: &'static str,
    /// Until when that may be a moment's trouble.
    pub(super) patience: Timestamp,
}

/// Whether an instance is a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Queued,
    /// Not for a moment: nobody could look at it.
    Absent,
    No,
}

/// What a release waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage<'a> {
    Canary { done: usize, of: usize },
    NoCanary,
    Failed(&'a HostId),
    Lost(Lost<'a>),
    Checkpoint { percent: u32, done: usize, of: usize },
    Bake { until: Timestamp, is_sure: bool, what: String },
    Open,
}

/// How far a run comes until the next bake that it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    /// How many candidates it has begun by then, those before included.
    pub(super) begins: usize,
    /// When the bake ends before it, where there is one: then windows may be others than now.
    pub(super) opens: Option<Timestamp>,
}

/// So many that run the release, the oldest first, are watched.
struct Watched<'r> {
    run: &'r [Since],
    of: usize,
    /// The number of this bake: by that many the release has come so far, where none begins again.
    bakes: u32,
}

impl<'a> Course<'a> {
    /// Counts a candidate of a group, by the settings of the course.
    pub(super) fn candidate(&mut self, instance: &Instance, group: Option<&'a GroupName>, policy: &Policy) {
        self.queued += 1;
        self.parts.insert(group);
        self.matching += usize::from(can_be_canary(instance, policy));
        self.members += 1;
    }

    /// Counts an instance of its kind.
    pub(super) fn see(&mut self, instance: &'a Instance, version: &Version, cx: &Context<'_>, stands: Stands) {
        // A candidate takes its place when its turn comes.
        let came = came(instance, version, cx);
        let came = came.filter(|came| !(stands == Stands::Queued && *came == Came::Staging));
        let can_be_canary = can_be_canary(instance, cx.policy);
        let Some(came) = came else {
            self.absent += usize::from(stands == Stands::Absent && can_be_canary);
            return;
        };
        match came {
            Came::UnderWay | Came::Staging => {
                self.under_way += 1;
                self.canaries_under_way += usize::from(can_be_canary);
            }
            Came::Updated(since) => {
                self.run.push(since);
                self.first = self.first.into_iter().chain(since.is_sure.then_some(since.at)).min();
                if let Some(lost) = lost(instance, since, cx).filter(|_| can_be_canary) {
                    self.lost.push(lost);
                } else if can_be_canary {
                    self.canaries.push(since);
                    if instance.run.verdict.is_none() {
                        self.zones.push(instance.zone.as_ref());
                    }
                }
            }
            Came::Launched(since) => self.run.push(since),
            Came::Failed(at) => {
                let first = (at, &instance.host);
                self.failed = Some(self.failed.map_or(first, |known| known.min(first)));
            }
        }
        self.members += 1;
    }

    /// To be called once all are counted.
    pub(super) fn sort(&mut self) {
        self.run.sort_unstable();
        self.canaries.sort_unstable();
    }

    /// What it waits for now.
    pub(super) fn stage(&self, cx: &Context<'_>) -> Stage<'a> {
        if let Some(canary) = cx.policy.canary
            && let Some(stage) = self.canary_stage(canary as usize, cx)
        {
            return stage;
        }
        let before = u32::from(cx.policy.canary.is_some());
        for (bakes, percent) in (before + 1..).zip(cx.policy.checkpoints.percents()) {
            let of = self.share(percent);
            if self.run.len() < of {
                return Stage::Checkpoint { percent, done: self.run.len(), of };
            }
            let what = || format!("the first {percent}% of these instances");
            if let Some(bake) = self.bake(&Watched { run: &self.run, of, bakes }, cx, what) {
                return bake;
            }
        }
        Stage::Open
    }

    /// What it waits for on account of its canaries. One that failed before the others were watched to the end ends it.
    fn canary_stage(&self, canary: usize, cx: &Context<'_>) -> Option<Stage<'a>> {
        let there = self.canaries.len() + self.lost.len() + self.canaries_under_way;
        let of = canary.min(there + self.matching + self.absent);
        let done = self.canaries.len();
        let proved_at = of.checked_sub(1).and_then(|last| self.canaries.get(last)).map(|since| ends(*since, cx));
        if let Some((_, host)) = self.failed.filter(|(at, _)| proved_at.is_none_or(|proved_at| *at <= proved_at)) {
            return Some(Stage::Failed(host));
        }
        if of == 0 {
            return Some(Stage::NoCanary);
        }
        if done < of {
            let lost = self.lost.first().filter(|_| done + self.lost.len() >= of);
            return Some(lost.map_or(Stage::Canary { done, of }, |lost| Stage::Lost(lost.clone())));
        }
        self.bake(&Watched { run: &self.canaries, of, bakes: 1 }, cx, || "the canaries".to_owned())
    }

    /// What is watched, if so.
    fn bake(&self, watched: &Watched<'_>, cx: &Context<'_>, what: impl Fn() -> String) -> Option<Stage<'a>> {
        let Watched { run, of, bakes } = *watched;
        let last = *run.get(of.checked_sub(1)?)?;
        let is_sure = run.iter().take(of).all(|since| since.is_sure || ends(*since, cx) <= cx.now);
        // An alarm that fired meanwhile has not let it end well.
        let change = last_change(cx).filter(|(at, _)| *at > last.at);
        let until = ends(last, cx).max(change.map_or(Timestamp::MIN, |(at, _)| after(at, cx.policy.bake)));
        if cx.now >= until || broken!(BakeIgnored) {
            return None;
        }
        // The run that goes on after a bake may come a night later.
        let usual = cx.policy.bake.saturating_add(A_DAY).saturating_mul(i32::try_from(bakes).unwrap_or(i32::MAX));
        let first = self.first.filter(|first| after(*first, usual) < last.at);
        let what = match (change, first) {
            (Some((at, alarm)), _) => {
                format!("{}, once more since the alarm {alarm:?} came to be OK at {at},", what())
            }
            (None, Some(first)) => {
                let (began, what) = (last.at, what());
                format!("{what}, whose bake began only at {began} although the first instance was updated at {first},")
            }
            (None, None) => what(),
        };
        Some(Stage::Bake { until, is_sure, what })
    }

    /// How many instances a share is.
    pub(super) fn share(&self, percent: u32) -> usize {
        Checkpoints::of(percent, self.members).max(1)
    }

    /// Returns how many more canaries are to be begun.
    pub(super) fn canary_places(&self, of: usize) -> usize {
        of.saturating_sub(self.canaries.len() + self.lost.len() + self.canaries_under_way)
    }

    /// Whether one that can be a canary is no candidate for a moment.
    pub(super) fn has_absent(&self) -> bool {
        self.absent > 0
    }

    /// Returns how many more are to be begun until so many run it.
    pub(super) fn places(&self, of: usize) -> usize {
        of.saturating_sub(self.run.len() + self.under_way)
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether the instance may be the next canary of so many.
    pub(super) fn may_be_canary(&self, instance: &Instance, of: usize, policy: &Policy) -> bool {
        self.lacks_canary(of) && can_be_canary(instance, policy)
    }

    /// Whether one more of so many canaries is to be begun.
    pub(super) fn lacks_canary(&self, of: usize) -> bool {
        self.taken < self.canary_places(of)
    }

    /// Whether one more may be begun until so many run it.
    pub(super) fn has_room(&self, of: usize) -> bool {
        self.taken < self.places(of)
    }

    /// The zones of the canaries that earlier runs updated.
    pub(super) fn zones(&self) -> impl Iterator<Item = Option<&'a ZoneName>> + '_ {
        self.zones.iter().copied()
    }

    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// How far a run would come.
    pub(super) fn foresee(&mut self, legs: Vec<Leg>) {
        self.foreseen = legs;
    }

    /// Returns between which bakes a run would begin a candidate, which has a turn now or not. Those that have none leave the places
    /// before the next bake to those that have.
    pub(super) fn foreseen(&self, has_turn: bool, places: usize) -> Option<Leg> {
        let others = if has_turn { 0 } else { places.saturating_sub(self.taken) };
        self.foreseen.iter().find(|leg| self.taken + others < leg.begins).copied()
    }

    /// The groups of its candidates; `None`: in none.
    pub(super) fn parts(&self) -> impl Iterator<Item = Option<&'a GroupName>> + '_ {
        self.parts.iter().copied()
    }

    /// The lowest order of the groups of its candidates.
    pub(super) fn first_order(&self, all: &Contexts<'_>) -> Option<i32> {
        self.parts().map(|part| all.of_name(part).group.map_or(0, |group| group.order)).min()
    }

    /// The first checkpoint that it has not reached: its share, how many run the release, and of how many.
    pub(super) fn checkpoint_ahead(&self, policy: &Policy) -> Option<(u32, usize, usize)> {
        let mut all = policy.checkpoints.percents().map(|percent| (percent, self.run.len(), self.share(percent)));
        all.find(|(_, done, of)| done < of)
    }
}

fn can_be_canary(instance: &Instance, policy: &Policy) -> bool {
    policy.canary_match.as_ref().is_none_or(|select| meets(instance, select) == Some(true))
}

/// When an instance has been watched to the end.
fn ends(since: Since, cx: &Context<'_>) -> Timestamp {
    after(since.at, cx.policy.bake)
}

/// Returns how a canary is out of service that was not seen in service at the end of its bake, if so. What this run takes out for something
/// newer is no loss.
fn lost<'a>(instance: &'a Instance, since: Since, cx: &Context<'_>) -> Option<Lost<'a>> {
    if instance.in_service() || instance.out_of_service_claim().is_some() {
        return None;
    }
    // What no run has seen in service at the end of its bake may have been lost within it.
    let seen_at = instance.run.last_seen.in_service.unwrap_or(Timestamp::MIN);
    let (why, gone_at) = if instance.agent_connected {
        ("somebody has taken it out of service", cx.run.started_at)
    } else {
        ("its ECS agent is not connected", instance.disconnected_since.unwrap_or(cx.run.started_at))
    };
    let patience = after(gone_at, cx.policy.timeouts.inspect);
    (seen_at < ends(since, cx)).then_some(Lost { host: &instance.host, why, patience })
}
