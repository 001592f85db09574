//! Every instance of a cluster on a line: what it went through, and when; of a plan, its turn.

use std::fmt::{Error, Write as _};

use models::plan::Phase;
use models::report::{ClusterReport, InstanceReport, PhaseTime};

use super::{Span, chart, escaped, seconds, time_of_day};
use crate::events::State;
use crate::render::table;

/// Times above the lines, which are narrow on a small screen.
const MOST_TIMES: usize = 4;

/// Writes the lines of all instances, what needs somebody first.
pub(super) fn write(page: &mut String, cluster: &ClusterReport, dry_run: bool, span: Span) -> Result<(), Error> {
    if cluster.instances.is_empty() {
        return Ok(());
    }
    let mut instances: Vec<&InstanceReport> = cluster.instances.iter().collect();
    instances.sort_by_key(|one| (table::rank(one.outcome, dry_run), one.turn, began(one)));
    writeln!(page, "<h3>Instances</h3>")?;
    if !dry_run {
        legend(page)?;
    }
    let class = if dry_run { "rows plan" } else { "rows" };
    writeln!(page, "<div class=\"{class}\">")?;
    if !dry_run {
        write!(page, "<div class=r><span></span><span></span><span></span><span></span><span></span><span class=t>")?;
        chart::scale(page, span, MOST_TIMES)?;
        writeln!(page, "</span></div>")?;
    }
    for instance in instances {
        row(page, instance, dry_run, span)?;
    }
    writeln!(page, "</div>")
}

/// When something was begun with it.
fn began(instance: &InstanceReport) -> Option<jiff::Timestamp> {
    instance.phases.iter().find(|time| time.phase.is_under_way()).map(|time| time.began_at)
}

fn legend(page: &mut String) -> Result<(), Error> {
    write!(page, "<p class=legend>")?;
    for phase in Phase::ALL.into_iter().filter(|phase| is_drawn(*phase)) {
        write!(page, "<span><i class=\"p {}\"></i>{}</span> ", phase.as_str(), phase.as_str())?;
    }
    writeln!(page, "</p>")
}

/// Whether a phase has a colour of its own. The others are the line's ground: nothing is done.
fn is_drawn(phase: Phase) -> bool {
    match phase {
        Phase::Staging
        | Phase::Staged
        | Phase::Draining
        | Phase::Drained
        | Phase::Rebooting
        | Phase::Verifying
        | Phase::Confirming
        | Phase::Reverting
        | Phase::Held => true,
        Phase::Unseen | Phase::Current | Phase::Outdated | Phase::Settled => false,
    }
}

fn row(page: &mut String, instance: &InstanceReport, dry_run: bool, span: Span) -> Result<(), Error> {
    let version = match (&instance.from, &instance.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (Some(version), _) | (None, Some(version)) => version.to_string(),
        (None, None) => "–".to_owned(),
    };
    let place = instance.place().unwrap_or_else(|| "–".to_owned());
    let outcome = instance.outcome;
    let why = instance.detail.as_deref().map(|detail| format!(" title=\"{}\"", escaped(detail))).unwrap_or_default();
    let last = match (dry_run, instance.turn, instance.out_of_service_s) {
        (true, Some(turn), _) => format!("turn {turn}"),
        (false, _, Some(out)) => seconds(out),
        (true, None, _) | (false, _, None) => String::new(),
    };
    write!(
        page,
        "<div class=r><code>{}</code><span>{}</span><span>{}</span><span><b class=\"chip {}\"{why}>{}</b></span><span>{last}</span>",
        escaped(instance.ec2_instance_id.as_str()),
        escaped(&place),
        escaped(&version),
        outcome.as_str(),
        State::Settled(outcome).word(),
    )?;
    if dry_run {
        let reason = instance.reason.as_deref().unwrap_or_default();
        return writeln!(page, "<span>{}</span></div>", escaped(reason));
    }
    write!(page, "<span class=t>")?;
    for time in instance.phases.iter().filter(|time| is_drawn(time.phase)) {
        phase(page, time, span)?;
    }
    writeln!(page, "</span></div>")
}

fn phase(page: &mut String, time: &PhaseTime, span: Span) -> Result<(), Error> {
    let ended = time.ended_at.unwrap_or(span.to);
    let (left, right) = (span.percent(time.began_at), span.percent(ended));
    let name = time.phase.as_str();
    write!(
        page,
        "<i class=\"p {name}\" style=\"left:{left:.2}%;width:{:.2}%\" title=\"{name} {} to {}, {}\"></i>",
        (right - left).max(0.0),
        time_of_day(time.began_at),
        time_of_day(ended),
        seconds(time.duration(span.to).as_secs())
    )
}
