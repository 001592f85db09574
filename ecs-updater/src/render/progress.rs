//! What the live view of a run shows: where and when, each cluster, and a line for each instance under way.
//!
//! It never reads a clock: the time comes in, so a simulated night looks as a real one does.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use models::clean;
use models::ids::{ClusterName, HostId, ZoneName};
use models::plan::Phase;
use models::report::Outcome;
use semver::Version;

use super::words::{Colour, Paper, Word, joined, lay, word, words};
use super::{columns, duration};
use crate::events::{State, Tally};

/// One cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    pub cluster: ClusterName,
    pub tally: Tally,
    /// The instances that something is being done with, in the order in which they are to be shown.
    pub under_way: Vec<Line>,
    /// The instances that take a place of the budget and are not this run's, each with the reason in words.
    pub others: Vec<(HostId, String)>,
    /// Why nothing is begun now, where that is so, and until when.
    pub closed: Option<String>,
    /// How long the rest is likely to take.
    pub left: Option<SignedDuration>,
    /// The time of this view.
    pub now: Timestamp,
}

/// One instance under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The instance.
    pub host: HostId,
    /// Its availability zone.
    pub zone: Option<ZoneName>,
    /// What is being done.
    pub phase: Phase,
    /// The version it comes from.
    pub from: Option<Version>,
    /// The version it goes to.
    pub to: Option<Version>,
    /// Since when it is in this phase.
    pub since: Timestamp,
}

/// The whole of the view.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// Where the clusters are and which run this is; or what is done before that is known.
    pub head: String,
    /// When the run began.
    pub began: Option<Timestamp>,
    /// The clusters, each with its view once it was looked at.
    pub clusters: BTreeMap<ClusterName, Option<ClusterView>>,
}

/// The terminal to show it on.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub lines: usize,
    pub columns: usize,
    pub colours: bool,
}

/// Lines that a sentence takes at most.
const MOST_OF_A_SENTENCE: usize = 3;

/// Returns the view in lines, none longer than the screen is wide, and no more of them than it has.
pub fn text(scene: &Scene, now: Timestamp, screen: Screen) -> String {
    let Screen { lines: height, columns: width, colours } = screen;
    let paper = |most| Paper { width, most, colours };
    let mut lines = lay(&words(&scene.head, Colour::Dim), 2, paper(2));
    if let Some(began) = scene.began {
        lines.extend(lay(&clock(scene, began, now), 2, paper(1)));
    }
    let names = scene.clusters.keys().map(|name| columns(&clean::name(name.as_str()))).max().unwrap_or(0).min(32);
    // Those that something happens in first; a screen has no room for hundreds.
    let mut clusters: Vec<_> = scene.clusters.iter().collect();
    clusters.sort_by_key(|(_, view)| view.as_ref().is_none_or(|view| view.under_way.is_empty()));
    let mut blocks: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for (name, view) in clusters {
        let name = word(&format!("{:<names$} ", clean::name(name.as_str())), Colour::Plain);
        blocks.push(match view {
            None => {
                let mut all = vec![name];
                all.extend(words("not looked at yet", Colour::Dim));
                (lay(&all, names + 2, paper(1)), Vec::new())
            }
            Some(view) => (block(name, names, view, paper), under_way(view, now, paper(1))),
        });
    }
    let room = height.saturating_sub(1).saturating_sub(lines.len());
    lines.extend(shown(blocks, room));
    lines.truncate(height.saturating_sub(1).max(1));
    lines.join("\n")
}

/// `03:12:05 UTC · 12m 5s elapsed · about 30m left`.
fn clock(scene: &Scene, began: Timestamp, now: Timestamp) -> Vec<Word> {
    let time = now.to_zoned(TimeZone::UTC).strftime("%H:%M:%S UTC").to_string();
    let elapsed = duration::short(now.duration_since(began).max(SignedDuration::ZERO));
    let left = scene.clusters.values().flatten().filter_map(|view| {
        let passed = now.duration_since(view.now);
        view.left.map(|left| (left - passed).max(SignedDuration::ZERO))
    });
    let mut parts = vec![words(&time, Colour::Plain), words(&format!("{elapsed} elapsed"), Colour::Plain)];
    if let Some(left) = left.max() {
        let about = if left < SignedDuration::from_mins(1) {
            "less than a minute left".to_owned()
        } else {
            let minutes = SignedDuration::from_mins((left.as_secs() + 59) / 60);
            format!("about {} left", duration::short(minutes))
        };
        parts.push(words(&about, Colour::Plain));
    }
    joined(parts)
}

/// As many lines as there is room for: of each cluster its headline first, then its instances; what is left out is counted.
fn shown(blocks: Vec<(Vec<String>, Vec<String>)>, room: usize) -> Vec<String> {
    let heads: usize = blocks.iter().map(|(head, _)| head.len()).sum();
    let clusters = blocks.len();
    let mut free = room.saturating_sub(heads);
    let mut lines = Vec::new();
    for (at, (head, instances)) in blocks.into_iter().enumerate() {
        let rest = clusters - at;
        if lines.len() + head.len() + usize::from(rest > 1) > room {
            lines.push(format!("… and {rest} more cluster{}", if rest == 1 { "" } else { "s" }));
            return lines;
        }
        lines.extend(head);
        let most = free.div_ceil(rest);
        let all = instances.len();
        let count = if all <= most { all } else { most.saturating_sub(1) };
        free -= all.min(most);
        lines.extend(instances.into_iter().take(count));
        if count < all && most > 0 {
            lines.push(format!("  … and {} more", all - count));
        }
    }
    lines
}

/// The lines of a cluster: bar and counts, who else takes places, and why nothing is begun.
fn block(name: Word, names: usize, view: &ClusterView, paper: impl Fn(usize) -> Paper) -> Vec<String> {
    let progress = view.tally.progress;
    let mut head = vec![name, word(&gauge(progress.settled, progress.total), Colour::Well)];
    head.push(word(&format!(" {progress} "), Colour::Plain));
    head.extend(headline(&view.tally));
    let mut lines = lay(&head, names + 2, paper(MOST_OF_A_SENTENCE));
    if !view.others.is_empty() {
        let (shown, more) = view.others.split_at(view.others.len().min(3));
        let mut named: Vec<String> = shown.iter().map(|(host, why)| format!("{host} ({why})")).collect();
        if !more.is_empty() {
            named.push(format!("{} more", more.len()));
        }
        let count = view.others.len();
        let text = format!("  {count} of them not by this run: {}", named.join(", "));
        let mut all = vec![word(" ", Colour::Plain)];
        all.extend(words(&text, Colour::Held));
        lines.extend(lay(&all, 4, paper(MOST_OF_A_SENTENCE)));
    }
    if let Some(closed) = &view.closed {
        let mut all = vec![word(" ", Colour::Plain)];
        all.extend(words(closed, Colour::Held));
        lines.extend(lay(&all, 4, paper(MOST_OF_A_SENTENCE)));
    }
    lines
}

fn under_way(view: &ClusterView, now: Timestamp, paper: Paper) -> Vec<String> {
    let zones = view.under_way.iter().filter_map(|line| line.zone.as_ref()).map(|zone| columns(zone.as_str())).max();
    let zones = zones.unwrap_or(1).min(20);
    view.under_way.iter().flat_map(|line| lay(&line.words(now, zones), 4, paper)).collect()
}

impl Line {
    /// `i-0123456789abcdef0  eu-west-1a  rebooting   1.26.1 → 1.27.0  1m 5s`.
    fn words(&self, now: Timestamp, zones: usize) -> Vec<Word> {
        let versions = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            (Some(version), None) | (None, Some(version)) => version.to_string(),
            (None, None) => String::new(),
        };
        let zone = clean::name(self.zone.as_ref().map_or("–", ZoneName::as_str));
        vec![
            word(" ", Colour::Plain),
            word(&format!("{:<19} ", clean::name(self.host.as_str())), Colour::Plain),
            word(&format!("{zone:<zones$} "), Colour::Plain),
            word(&format!("{:<10} ", self.phase.as_str()), colour(State::Phase(self.phase))),
            word(&format!("{versions:<15} "), Colour::Plain),
            word(&duration::short(now.duration_since(self.since).max(SignedDuration::ZERO)), Colour::Plain),
        ]
    }
}

/// What stands behind the bar, in colours.
fn headline(tally: &Tally) -> Vec<Word> {
    let settled = Outcome::ALL.into_iter().filter_map(|outcome| {
        let count = tally.settled.get(&outcome).copied().filter(|count| *count > 0)?;
        Some((State::Settled(outcome), count))
    });
    let counted = |states: Vec<(State, usize)>| -> Vec<Word> {
        let last = states.len().saturating_sub(1);
        let each = states.into_iter().enumerate().flat_map(|(at, (state, count))| {
            let comma = if at == last { "" } else { "," };
            Some(word(&format!("{count} {}{comma}", state.word()), colour(state)))
        });
        each.collect()
    };
    let out = format!("{} of {} out of service", tally.out_of_service, tally.budget);
    joined(vec![
        counted(settled.collect()),
        vec![word(&out, Colour::Plain)],
        counted(tally.under_way.iter().map(|(state, count)| (*state, *count)).collect()),
    ])
}

/// The colour of a state.
pub(super) fn colour(state: State) -> Colour {
    match state {
        State::Inspecting => Colour::Dim,
        State::Phase(phase) => match phase {
            Phase::Unseen | Phase::Current | Phase::Outdated | Phase::Settled => Colour::Dim,
            Phase::Staging | Phase::Staged => Colour::Ahead,
            Phase::Draining | Phase::Drained => Colour::Out,
            Phase::Rebooting | Phase::Verifying | Phase::Confirming => Colour::Rebooting,
            Phase::Reverting => Colour::Wrong,
            Phase::Held => Colour::Held,
        },
        State::Settled(outcome) => match outcome {
            Outcome::Updated => Colour::Well,
            Outcome::Current | Outcome::Gone | Outcome::ScaledIn | Outcome::WouldUpdate => Colour::Dim,
            Outcome::Held => Colour::Held,
            Outcome::InProgress => Colour::Out,
            Outcome::RolledBack | Outcome::Failed => Colour::Wrong,
        },
    }
}

/// A bar of 20 columns.
fn gauge(done: usize, total: usize) -> String {
    const COLUMNS: usize = 20;
    let full = (done * COLUMNS).checked_div(total).unwrap_or(COLUMNS).min(COLUMNS);
    format!("{}{}", "█".repeat(full), "░".repeat(COLUMNS - full))
}

#[cfg(test)]
pub(super) mod tests;
