//! Charts of a cluster over the time of the run: instances out of service against the budget, and what services had running.

use std::fmt::{Error, Write as _};

use jiff::Timestamp;
use models::report::Timeline;

use super::{Span, escaped, time_of_day};

/// The chart's own units: its width is that of the page.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 120.0;
const LOW: f64 = 36.0;

/// A line that changes in steps: from when on, and how much.
type Steps = Vec<(Timestamp, usize)>;

/// Writes the charts of a cluster, those that there are facts for.
pub(super) fn write(page: &mut String, timeline: &Timeline, span: Span) -> Result<(), Error> {
    if !timeline.out_of_service.is_empty() {
        let out: Steps = timeline.out_of_service.iter().map(|point| (point.at, point.out)).collect();
        let budget: Steps = timeline.out_of_service.iter().map(|point| (point.at, point.budget)).collect();
        let most = out.iter().chain(&budget).map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let worst = out.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let allowed = budget.last().map_or(0, |(_, count)| *count);
        writeln!(page, "<h3>Out of service</h3><p>At most {worst} at once; the budget allows {allowed}.</p>")?;
        write!(page, "<div class=chart><span class=top>{most}</span><span class=bottom>0</span>")?;
        write!(page, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\"")?;
        write!(page, " aria-label=\"Instances out of service over time\">")?;
        for tick in span.ticks() {
            let x = span.percent(tick) * WIDTH / 100.0;
            write!(page, "<path class=grid d=\"M{x:.1} 0V{HEIGHT}\"/>")?;
        }
        write!(page, "<path class=area d=\"{}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z\"/>", path(&out, most, span, HEIGHT))?;
        write!(page, "<path class=budget d=\"{}\"/></svg></div>", path(&budget, most, span, HEIGHT))?;
        scale(page, span, usize::MAX)?;
    }
    if timeline.services.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h3>Services</h3><p>What was running of what was wanted, as far as the run has looked.</p>")?;
    for (name, points) in &timeline.services {
        let running: Steps = points.iter().map(|point| (point.at, point.running as usize)).collect();
        let desired: Steps = points.iter().map(|point| (point.at, point.desired as usize)).collect();
        let most = running.iter().chain(&desired).map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let least = points.iter().min_by_key(|point| point.running);
        let told = least.map_or(String::new(), |point| format!("{} of {} at the least", point.running, point.desired));
        write!(page, "<div class=service><span>{}</span><span>{told}</span>", escaped(name.as_str()))?;
        write!(page, "<svg viewBox=\"0 0 {WIDTH} {LOW}\" preserveAspectRatio=\"none\">")?;
        write!(page, "<path class=running d=\"{}L{WIDTH} {LOW}L0 {LOW}Z\"/>", path(&running, most, span, LOW))?;
        writeln!(page, "<path class=budget d=\"{}\"/></svg></div>", path(&desired, most, span, LOW))?;
    }
    Ok(())
}

/// In percent of the whole; a time further right would stand beyond the edge.
const LAST_TIME: f64 = 94.0;

/// Writes the times of a chart, so many at most.
pub(super) fn scale(page: &mut String, span: Span, most: usize) -> Result<(), Error> {
    let ticks = span.ticks();
    let shown = ticks.iter().step_by(ticks.len().div_ceil(most).max(1));
    write!(page, "<div class=scale>")?;
    for (tick, percent) in shown.map(|tick| (tick, span.percent(*tick))).filter(|(_, percent)| *percent <= LAST_TIME) {
        let text = time_of_day(*tick);
        let short = text.strip_suffix(":00").unwrap_or(&text);
        write!(page, "<span style=\"left:{percent:.2}%\">{short}</span>")?;
    }
    writeln!(page, "</div>")
}

/// The path of a line in steps, from the chart's left edge to its right one.
fn path(steps: &Steps, most: usize, span: Span, height: f64) -> String {
    let y = |count: usize| height - 2.0 - (height - 4.0) * (count as f64) / (most as f64);
    let mut path = String::new();
    for (at, count) in steps {
        let (x, y) = (span.percent(*at) * WIDTH / 100.0, y(*count));
        // Writing to a String cannot fail.
        let _ = if path.is_empty() { write!(path, "M0 {y:.1}H{x:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
    }
    let _ = write!(path, "H{WIDTH}");
    path
}
