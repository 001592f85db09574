//! The report for people: a table for each cluster, the reasons in full, and a closing line.
//!
//! The order is by what needs a person: failures, then what is unfinished or held, then what went well. A plan begins
//! with what would be done, in its order. There are no colours and no frames, so a pipe, a log and a terminal show the
//! same.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use comfy_table::{ContentArrangement, ContentLineStyle, LineStyle, Row, Table, TableStyle};
use jiff::SignedDuration;
use models::clean;
use models::cluster_tags::IgnoredTag;
use models::count::plural;
use models::plan::Estimate;
use models::reason::HoldCode;
use models::report::{ClusterReport, InstanceReport, OldestRelease, Outcome, RunReport};

use super::drift::drift;
use super::{columns, duration};
use crate::events::State;

/// The report as text, with a line break at its end. `width` is the terminal's, in columns; `None` for a pipe, which
/// takes lines of any length: then nothing is wrapped and each instance is one line.
pub fn render(report: &RunReport, width: Option<u16>) -> String {
    let mut text = String::new();
    for cluster in &report.clusters {
        text.push_str(&of_cluster(cluster, report, width));
        text.push('\n');
    }
    text.push_str(&wrap(&closing(report), width, ""));
    text.push('\n');
    if let Some(found) = &report.nothing_updated {
        text.push_str(&wrap(&found.to_string(), width, ""));
        text.push('\n');
    }
    text
}

/// The closing line, unbroken: the counts and, for a run, what it cost; for a plan, how long it would take.
pub fn closing(report: &RunReport) -> String {
    let counts = |always: &[Outcome]| {
        let named = Outcome::ALL.into_iter().map(|outcome| {
            let count: usize = report.clusters.iter().map(|cluster| cluster.count(outcome)).sum();
            (outcome, count)
        });
        let shown = named.filter(|(outcome, count)| *count > 0 || always.contains(outcome));
        shown.map(|(outcome, count)| format!("{count} {}", word(outcome))).collect::<Vec<_>>().join(", ")
    };
    let troubled = report.clusters.iter().filter(|cluster| cluster.error.is_some()).count();
    let troubled = match troubled {
        0 => String::new(),
        count => format!("; {count} of {} not worked through", plural(report.clusters.len(), "cluster")),
    };
    let interrupted = if report.interrupted { " (interrupted)" } else { "" };
    if report.dry_run && report.interrupted && report.clusters.iter().all(|cluster| cluster.instances.is_empty()) {
        return format!("Plan (interrupted): nothing was looked at{troubled}.");
    }
    if report.dry_run {
        let counts = counts(&[Outcome::WouldUpdate, Outcome::Current, Outcome::Held]);
        return format!("Plan{interrupted}: {counts}{troubled}.{}", estimates(report));
    }
    let counts = counts(&[Outcome::Updated, Outcome::Held, Outcome::RolledBack, Outcome::Failed]);
    let took = duration::short(report.ended_at.duration_since(report.started_at));
    let longest = report.clusters.iter().filter_map(|cluster| cluster.longest_out_of_service_s).max();
    let longest = longest.map_or("no instance was taken out of service".to_owned(), |seconds| {
        format!("longest out of service {}", duration::short(SignedDuration::from_secs(seconds)))
    });
    let calls: u64 = report.clusters.iter().flat_map(|cluster| cluster.aws_calls.values()).sum();
    let calls = plural(usize::try_from(calls).unwrap_or(usize::MAX), "AWS call");
    format!("Run {}{interrupted}: {counts} in {took}{troubled}; {longest}; {calls}", report.run)
}

/// An outcome in a table or a sentence.
pub fn word(outcome: Outcome) -> &'static str {
    State::Settled(outcome).word()
}

fn of_cluster(cluster: &ClusterReport, report: &RunReport, width: Option<u16>) -> String {
    let dry_run = report.dry_run;
    let heading = match (&cluster.error, cluster.instances.len()) {
        (Some(_), 0) => "not worked on".to_owned(),
        (None, 0) if report.interrupted => "interrupted, no container instances seen".to_owned(),
        (None, 0) => "no container instances".to_owned(),
        (Some(_), count) => format!("{}, not worked through", plural(count, "instance")),
        (None, count) => plural(count, "instance"),
    };
    let location = if cluster.location.is_unknown() { String::new() } else { format!(" ({})", cluster.location) };
    let mut text = wrap(&format!("Cluster {}{location}: {heading}", cluster.cluster), width, "");
    text.push('\n');
    if let Some(error) = &cluster.error {
        text.push_str(&wrap(&error.message, width, "  "));
        text.push('\n');
    }
    for sentence in ignored(cluster) {
        text.push_str(&wrap(&sentence, width, "  "));
        text.push('\n');
    }
    if cluster.instances.is_empty() {
        return text;
    }
    if dry_run {
        text.push_str(&drifts(cluster, width));
    }
    let mut instances: Vec<&InstanceReport> = cluster.instances.iter().collect();
    // What a person asks about stands above what the same wish leaves out.
    let is_left_out =
        |instance: &InstanceReport| instance.reason.as_deref().and_then(HoldCode::find) == Some(HoldCode::NotSelected);
    instances.sort_by_key(|one| (rank(one.outcome, dry_run), is_left_out(one), one.turn));

    let (table, notes) = table(&instances, dry_run, width);
    text.push('\n');
    text.push_str(&table);
    text.push('\n');
    for (heading, detail) in notes {
        text.push('\n');
        text.push_str(&wrap(&heading, width, ""));
        text.push('\n');
        text.push_str(&wrap(&detail, width, "  "));
        text.push('\n');
    }
    for note in asides(cluster) {
        text.push('\n');
        text.push_str(&wrap(&note, width, ""));
        text.push('\n');
    }
    if !dry_run {
        text.push_str(&drifts(cluster, width));
    }
    text
}

/// What groups launch that would undo the rollout.
fn drifts(cluster: &ClusterReport, width: Option<u16>) -> String {
    let sentences = cluster.auto_scaling_groups.iter().filter_map(drift);
    sentences.map(|sentence| format!("\n{}\n", wrap(&sentence, width, ""))).collect()
}

/// Returns what else a person should know of a cluster, a sentence each.
pub(super) fn notes_of(cluster: &ClusterReport) -> Vec<String> {
    let drifts = cluster.auto_scaling_groups.iter().filter_map(drift);
    ignored(cluster).chain(asides(cluster)).chain(drifts).collect()
}

fn ignored(cluster: &ClusterReport) -> impl Iterator<Item = String> {
    cluster.ignored_tags.iter().map(|IgnoredTag { tag, value, setting, stands }| {
        format!(
            "tag {tag} = {value:?} of the cluster is ignored: it would loosen {setting}, which is {stands}; the setting \
             tags says which keys a tag may loosen"
        )
    })
}

fn asides(cluster: &ClusterReport) -> impl Iterator<Item = String> {
    let tags = unknown_tags(cluster).into_iter().map(|(tag, instances)| {
        format!("EC2 tag {tag} means nothing to this program (on {instances}): correct or remove it")
    });
    let oldest = cluster.oldest_release.iter().map(|OldestRelease { version, published_at }| {
        format!("the oldest version that runs here, {version}, was published on {}", published_at.strftime("%Y-%m-%d"))
    });
    tags.chain(cluster.notes.iter().cloned()).chain(oldest)
}

/// The tags that may be somebody's mistyped wishes, each with the instances that have it.
fn unknown_tags(cluster: &ClusterReport) -> Vec<(&str, String)> {
    const MOST: usize = 3;
    let mut tags: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for instance in &cluster.instances {
        for tag in &instance.unknown_tags {
            tags.entry(tag).or_default().push(instance.ec2_instance_id.as_str());
        }
    }
    let words = |instances: Vec<&str>| match instances.len() {
        0..=MOST => instances.join(", "),
        count => format!("{} and {} more", instances[..MOST].join(", "), count - MOST),
    };
    tags.into_iter().map(|(tag, instances)| (tag, words(instances))).collect()
}

/// Lower comes first.
pub(super) fn rank(outcome: Outcome, dry_run: bool) -> u8 {
    match outcome {
        Outcome::WouldUpdate if dry_run => 0,
        Outcome::Failed => 1,
        Outcome::RolledBack => 2,
        Outcome::InProgress => 3,
        Outcome::Held => 4,
        Outcome::ScaledIn => 5,
        Outcome::Gone => 6,
        Outcome::WouldUpdate => 7,
        Outcome::Updated => 8,
        Outcome::Current => 9,
    }
}

/// The least width of a column for reasons; where there is less, the column is left out and all reasons stand below.
const LEAST_REASON: usize = 30;
/// Between two columns.
const GAP: usize = 2;
/// Below this width, headings are broken to save columns; where that is not enough, the zones are left out.
const NARROW: u16 = 104;

/// The table, and the reasons that did not fit into it: which instances, and the sentence.
fn table(instances: &[&InstanceReport], dry_run: bool, width: Option<u16>) -> (String, Vec<(String, String)>) {
    let narrow = width.is_some_and(|width| width < NARROW);
    let has_groups = instances.iter().any(|instance| instance.group.is_some());
    let mut header = vec!["instance", if has_groups { "zone, group" } else { "zone" }, "version", "outcome"];
    if dry_run {
        header.insert(0, "turn");
    } else {
        header.push(if narrow { "out of\nservice" } else { "out of service" });
    }
    let mut rows: Vec<Vec<String>> = instances.iter().map(|instance| cells(instance, dry_run)).collect();

    let taken = |header: &[&str], rows: &[Vec<String>]| -> usize {
        let widest = |at: usize| {
            let cells = rows.iter().map(|row| columns(&row[at]));
            cells.chain(header[at].lines().map(columns)).max()
        };
        (0..header.len()).filter_map(widest).map(|widest| widest + GAP).sum::<usize>()
    };
    if width.is_some_and(|width| taken(&header, &rows) - GAP > usize::from(width)) {
        let zone = usize::from(dry_run) + 1;
        header.remove(zone);
        rows.iter_mut().for_each(|row| drop(row.remove(zone)));
    }
    let taken = taken(&header, &rows);
    let room = match width {
        None => Some(usize::MAX / 2),
        Some(width) => usize::from(width).checked_sub(taken).filter(|room| *room >= LEAST_REASON),
    };
    let mut below = Vec::new();
    let reasons = instances.iter().any(|instance| reason(instance).is_some());
    if let Some(room) = room.filter(|_| reasons) {
        header.push("reason");
        for (row, instance) in rows.iter_mut().zip(instances) {
            let (code, sentence) = reason(instance).unwrap_or_default();
            // Two lines of a cell are still a table; more are prose.
            let fits = columns(&sentence) <= room.saturating_mul(2) - room.min(24) / 2;
            if !fits {
                below.push(*instance);
            }
            row.push(if fits { sentence } else { format!("{code} (see below)") });
        }
    } else {
        below.extend(instances.iter().filter(|instance| reason(instance).is_some()));
    }
    (lay_out(header, rows, width), notes(&below))
}

fn cells(instance: &InstanceReport, dry_run: bool) -> Vec<String> {
    const NONE: &str = "–";
    let version = match (&instance.from, &instance.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (Some(version), _) | (None, Some(version)) => version.to_string(),
        (None, None) => NONE.to_owned(),
    };
    let mut cells = vec![
        flat(&clean::name(instance.ec2_instance_id.as_str())),
        flat(&clean::name(&instance.place().unwrap_or_else(|| NONE.to_owned()))),
        version,
        word(instance.outcome).to_owned(),
    ];
    if dry_run {
        cells.insert(0, instance.turn.map_or(NONE.to_owned(), |turn| turn.to_string()));
    } else {
        let out = instance.out_of_service_s.map(|seconds| duration::short(SignedDuration::from_secs(seconds)));
        cells.push(out.unwrap_or(NONE.to_owned()));
    }
    cells
}

/// No sentence is shown any longer.
const LONGEST_SENTENCE: usize = 4_000;

/// The reason's code and its sentence, which is the code again where there is none.
fn reason(instance: &InstanceReport) -> Option<(String, String)> {
    let code = instance.reason.as_deref().or(instance.detail.as_deref())?;
    let sentence = instance.detail.as_deref().unwrap_or(code);
    Some((flat(&clean::name(code)), flat(&clean::cut(sentence, LONGEST_SENTENCE))))
}

fn lay_out(header: Vec<&str>, rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let gap = ContentLineStyle::none().junction(' ');
    let bare = TableStyle::new().header_lines(gap).content_lines(gap);
    let ruled = bare.header_separator(LineStyle::none().fill('─').junction('─'));
    let mut table = Table::new();
    table.force_no_tty();
    match width {
        Some(width) => {
            table.load_style(ruled).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.load_style(bare).set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.set_header(Row::from(header)).add_rows(rows.into_iter().map(Row::from));
    let last = table.column_count().saturating_sub(1);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { GAP as u16 - 1 }));
    }
    table.trim_fmt()
}

/// Instances with the same reason share a note.
fn notes(instances: &[&InstanceReport]) -> Vec<(String, String)> {
    let mut notes: Vec<(String, String)> = Vec::new();
    let mut at: BTreeMap<(Outcome, String, String), usize> = BTreeMap::new();
    for instance in instances {
        let Some((code, sentence)) = reason(instance) else { continue };
        let heading = format!("{}, {code}: {}", word(instance.outcome), instance.ec2_instance_id);
        match at.entry((instance.outcome, code, sentence)) {
            Entry::Occupied(known) => {
                let (heading, _) = &mut notes[*known.get()];
                heading.push_str(&format!(", {}", instance.ec2_instance_id));
            }
            Entry::Vacant(new) => {
                notes.push((heading, new.key().2.clone()));
                new.insert(notes.len() - 1);
            }
        }
    }
    notes
}

/// One cluster: the estimate and what it rests on. Several: each by its name, and what clusters have in common once.
fn estimates(report: &RunReport) -> String {
    let estimates: Vec<(&ClusterReport, &Estimate)> =
        report.clusters.iter().filter_map(|cluster| Some((cluster, cluster.estimate.as_ref()?))).collect();
    if let [(_, only)] = estimates.as_slice() {
        let rests_on = sentences(only).collect::<Vec<_>>().join("; ");
        let rests_on = if rests_on.is_empty() { rests_on } else { format!(": {rests_on}") };
        return format!(" {}{rests_on}.", capital(&about(only)));
    }
    let is_shared = |sentence: &str| estimates.iter().all(|(_, one)| sentences(one).any(|other| other == sentence));
    let each = estimates.iter().map(|(cluster, estimate)| {
        let own: Vec<&str> = sentences(estimate).filter(|sentence| !is_shared(sentence)).collect();
        let own = if own.is_empty() { String::new() } else { format!(" ({})", own.join("; ")) };
        format!(" {}: {}{own}.", cluster.cluster, about(estimate))
    });
    let mut text: String = each.collect();
    let shared = estimates.first().into_iter().flat_map(|(_, first)| sentences(first)).filter(|one| is_shared(one));
    let shared: Vec<&str> = shared.collect();
    if !shared.is_empty() {
        text.push_str(&format!(" For all of them: {}.", shared.join("; ")));
    }
    text
}

fn about(estimate: &Estimate) -> String {
    match estimate.duration.as_mins() {
        ..=0 => "less than a minute".to_owned(),
        _ => format!("about {}", duration::long(estimate.duration)),
    }
}

/// What an estimate rests on.
fn sentences(estimate: &Estimate) -> impl Iterator<Item = &str> {
    let sentences = estimate.rests_on.iter().map(|sentence| sentence.trim_end_matches('.'));
    sentences.filter(|sentence| !sentence.is_empty())
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// The words of a text on one line, with one space between two.
fn flat(text: &str) -> String {
    clean::line(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// No paragraph is longer; that of many instances with one reason is the longest.
const LONGEST_PARAGRAPH: usize = 1 << 18;

/// Breaks at spaces to `width` columns, each line behind `indent`.
pub fn wrap(text: &str, width: Option<u16>, indent: &str) -> String {
    let width = width.map_or(usize::MAX, usize::from);
    let (mut lines, mut used): (Vec<String>, usize) = (Vec::new(), 0);
    for word in clean::cut(text, LONGEST_PARAGRAPH).split_whitespace() {
        let more = columns(word);
        match lines.last_mut() {
            Some(line) if used + 1 + more <= width => {
                line.push(' ');
                line.push_str(word);
                used += 1 + more;
            }
            Some(_) | None => {
                lines.push(format!("{indent}{word}"));
                used = columns(indent) + more;
            }
        }
    }
    lines.join("\n")
}
