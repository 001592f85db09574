//! The report as one page for a browser. It needs no network, no script and no font: what it shows stands in it, and its
//! policy lets it fetch nothing. Light and dark go by the reader's wish; printed, it is black on white.
//!
//! It is drawn from the report alone, so that a saved one gives the same page.

mod chart;
mod instances;
mod needs;

use std::fmt::{Error, Write as _};

use jiff::{SignedDuration, Timestamp};
use models::clean;
use models::report::{ClusterReport, Outcome, RunReport};

use super::{duration, table};
use crate::events::State;

/// No text of others is longer on the page.
const LONGEST_TEXT: usize = 4_000;

/// Returns the page.
pub fn render(report: &RunReport) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, report);
    page
}

fn write_page(page: &mut String, report: &RunReport) -> Result<(), Error> {
    let what = if report.dry_run { "Plan" } else { "Run" };
    let names: Vec<&str> = report.clusters.iter().take(3).map(|cluster| cluster.cluster.as_str()).collect();
    let title = escaped(&format!("{what} {} – {}", report.run, names.join(", ")));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{}</style></head><body>\n<header><h1>{what} <code>{}</code></h1>",
        include_str!("page.css"),
        escaped(report.run.as_str())
    )?;
    let took = duration::short(report.ended_at.duration_since(report.started_at));
    let interrupted = if report.interrupted { ", interrupted by a signal" } else { "" };
    let (from, to) = (time(report.started_at), time(report.ended_at));
    writeln!(page, "<p class=when>{from} to {to}, {took}{interrupted}</p>")?;
    write_counts(page, &report.clusters.iter().collect::<Vec<_>>())?;
    writeln!(page, "<p>{}</p></header>", escaped(&table::closing(report)))?;
    if let Some(found) = &report.nothing_updated {
        writeln!(page, "<p class=alert>{}</p>", escaped(&found.to_string()))?;
    }
    let mut clusters: Vec<&ClusterReport> = report.clusters.iter().collect();
    clusters.sort_by_key(|cluster| !needs_somebody(cluster));
    if clusters.len() > 1 {
        write_contents(page, &clusters)?;
    }
    for cluster in clusters {
        write_cluster(page, cluster, report)?;
    }
    let version = models::build::VERSION;
    writeln!(page, "<footer>ecs-updater {version}. Times are UTC.</footer></body></html>")
}

fn needs_somebody(cluster: &ClusterReport) -> bool {
    cluster.error.is_some() || cluster.instances.iter().any(|instance| instance.outcome.is_failure())
}

/// How many instances ended how.
fn write_counts(page: &mut String, clusters: &[&ClusterReport]) -> Result<(), Error> {
    write!(page, "<p class=counts>")?;
    for outcome in Outcome::ALL {
        let count: usize = clusters.iter().map(|cluster| cluster.count(outcome)).sum();
        if count > 0 {
            let (class, word) = (outcome.as_str(), State::Settled(outcome).word());
            write!(page, "<span class=\"chip {class}\"><b>{count}</b> {word}</span> ")?;
        }
    }
    writeln!(page, "</p>")
}

fn write_contents(page: &mut String, clusters: &[&ClusterReport]) -> Result<(), Error> {
    writeln!(page, "<nav><h2>Clusters</h2><ul>")?;
    for cluster in clusters {
        let name = escaped(cluster.cluster.as_str());
        write!(page, "<li><a href=\"#{}\">{name}</a> ", anchor(cluster))?;
        if cluster.error.is_some() {
            write!(page, "<span class=\"chip failed\">not worked through</span> ")?;
        }
        for outcome in Outcome::ALL {
            let count = cluster.count(outcome);
            if count > 0 {
                let (class, word) = (outcome.as_str(), State::Settled(outcome).word());
                write!(page, "<span class=\"chip {class}\"><b>{count}</b> {word}</span> ")?;
            }
        }
        writeln!(page, "</li>")?;
    }
    writeln!(page, "</ul></nav>")
}

/// A name is other people's; its bytes in hexadecimal digits are an id on any page.
fn anchor(cluster: &ClusterReport) -> String {
    let hex: String = cluster.cluster.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("c-{hex}")
}

fn write_cluster(page: &mut String, cluster: &ClusterReport, report: &RunReport) -> Result<(), Error> {
    let name = escaped(cluster.cluster.as_str());
    write!(page, "<section id=\"{}\"><h2>Cluster {name}</h2><p class=when>", anchor(cluster))?;
    if !cluster.location.is_unknown() {
        write!(page, "{}, ", escaped(&cluster.location.to_string()))?;
    }
    writeln!(page, "{}</p>", models::count::plural(cluster.instances.len(), "instance"))?;
    if let Some(error) = &cluster.error {
        writeln!(page, "<p class=alert>{}</p>", escaped(&error.message))?;
    }
    write_counts(page, &[cluster])?;
    needs::write(page, cluster, report.dry_run)?;
    if let Some(estimate) = &cluster.estimate {
        let rests_on = estimate.rests_on.join("; ");
        let time = duration::long(estimate.duration);
        writeln!(page, "<p><b>How long:</b> about {time}. {}</p>", escaped(&rests_on))?;
    }
    let notes = table::notes_of(cluster);
    if !notes.is_empty() {
        writeln!(page, "<h3>To know</h3><ul>")?;
        for note in notes {
            writeln!(page, "<li>{}</li>", escaped(&note))?;
        }
        writeln!(page, "</ul>")?;
    }
    let span = Span { from: report.started_at, to: report.ended_at };
    if !report.dry_run {
        chart::write(page, &cluster.timeline, span)?;
    }
    instances::write(page, cluster, report.dry_run, span)?;
    let calls: u64 = cluster.aws_calls.values().sum();
    if calls > 0 {
        write!(page, "<details><summary>{calls} AWS calls</summary><ul>")?;
        for (operation, count) in &cluster.aws_calls {
            write!(page, "<li>{count} {}</li>", escaped(operation))?;
        }
        writeln!(page, "</ul></details>")?;
    }
    writeln!(page, "</section>")
}

/// The time that the page shows.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Span {
    /// Returns where a moment is, in percent of the whole.
    fn percent(self, at: Timestamp) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs_f64();
        let part = at.duration_since(self.from).as_secs_f64();
        if whole > 0.0 { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 }
    }

    /// Returns round moments for a scale, six to twelve of them as a rule.
    fn ticks(self) -> Vec<Timestamp> {
        const STEPS: [i64; 12] = [10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];
        let whole = self.to.duration_since(self.from).as_secs();
        let step = STEPS.into_iter().find(|step| whole / step <= 10).unwrap_or(whole / 10 + 1);
        let first = self.from.as_second().div_euclid(step) * step + step;
        let moments = (0..).map(|number| first + number * step).take_while(|at| *at < self.to.as_second());
        moments.take(20).filter_map(|at| Timestamp::from_second(at).ok()).collect()
    }
}

/// Words of others, so that a browser takes them for nothing but text; in an attribute too.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in clean::cut(text, LONGEST_TEXT).chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// `2026-11-23 03:00:00 UTC`.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn time_of_day(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

fn seconds(seconds: i64) -> String {
    duration::short(SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
