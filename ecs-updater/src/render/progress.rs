//! The live view of a run on a terminal: a headline for each cluster, and a line for each instance under way.
//!
//! It never reads a clock: each [`ClusterView`] brings the time it was taken at, so a simulated night looks as a real
//! one does. Logs go through [`Live::log_writer`], which takes the view away while a line is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use models::claim::whole_seconds;
use models::clean;
use models::ids::{ClusterName, HostId, ZoneName};
use models::location::Location;
use models::plan::Phase;
use models::report::Outcome;
use semver::Version;
use tracing_subscriber::fmt::MakeWriter;

use super::{columns, duration, stderr_width, table};

/// One cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    pub cluster: ClusterName,
    /// Its instances.
    pub total: usize,
    /// How many are settled, by how.
    pub settled: BTreeMap<Outcome, usize>,
    /// The instances that something is being done with, in the order in which they are to be shown.
    pub under_way: Vec<Line>,
    /// Instances out of service now, whoever took them out.
    pub out_of_service: usize,
    /// How many may be.
    pub budget: usize,
    /// Why the rest waits by itself, and until when.
    pub waits: Option<(&'static str, Timestamp)>,
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

impl ClusterView {
    /// The instances that are settled.
    pub fn done(&self) -> usize {
        self.settled.values().sum()
    }

    /// What stands behind the bar: `12 updated, 2 held · 3 of 3 out of service · 1 draining, 2 rebooting`.
    pub fn headline(&self) -> String {
        let settled = Outcome::ALL.into_iter().filter_map(|outcome| {
            let count = self.settled.get(&outcome).copied().filter(|count| *count > 0)?;
            Some(format!("{count} {}", table::word(outcome)))
        });
        let mut phases: BTreeMap<Phase, usize> = BTreeMap::new();
        for line in &self.under_way {
            *phases.entry(line.phase).or_default() += 1;
        }
        let phases = phases.into_iter().map(|(phase, count)| format!("{count} {}", phase.as_str()));
        let parts = [
            settled.collect::<Vec<_>>().join(", "),
            format!("{} of {} out of service", self.out_of_service, self.budget),
            phases.collect::<Vec<_>>().join(", "),
            self.waits.map(|(why, until)| format!("{why} until {}", whole_seconds(until))).unwrap_or_default(),
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    /// At most `most` lines; the last one counts those that have no room.
    fn lines(&self, most: usize) -> Vec<String> {
        let all = self.under_way.len();
        let shown = if all <= most { all } else { most.saturating_sub(1) };
        let mut lines: Vec<String> = self.under_way.iter().take(shown).map(|line| line.text(self.now)).collect();
        if shown < all {
            lines.push(format!("… and {} more", all - shown));
        }
        lines
    }
}

impl Line {
    /// `i-0123456789abcdef0  eu-west-1a  rebooting  1.26.1 → 1.27.0  1m 5s`.
    pub fn text(&self, now: Timestamp) -> String {
        let versions = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            (Some(version), None) | (None, Some(version)) => version.to_string(),
            (None, None) => String::new(),
        };
        format!(
            "{:<19}  {:<10}  {:<9}  {versions:<15}  {}",
            clean::name(self.host.as_str()),
            clean::name(self.zone.as_ref().map_or("–", ZoneName::as_str)),
            self.phase.as_str(),
            duration::short(now.duration_since(self.since)),
        )
    }
}

/// The view on standard error. Clones share it.
///
/// It is one bar of indicatif whose message has many lines: a bar for each line would be drawn, and held back by the
/// rate limit, each for itself, so that neighbouring lines showed different moments.
#[derive(Debug, Clone)]
pub struct Live {
    bar: ProgressBar,
    views: Arc<Mutex<BTreeMap<ClusterName, ClusterView>>>,
    /// The first line.
    head: Arc<OnceLock<String>>,
    shown: bool,
}

/// Lines of instances in the whole view. More could make it larger than a terminal, where it can no longer be redrawn
/// in place.
const MOST_LINES: usize = 14;

impl Live {
    /// A view that is drawn, or with `shown` false one that swallows all it is told.
    pub fn new(shown: bool) -> Self {
        Self::on(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }, shown)
    }

    fn on(target: ProgressDrawTarget, shown: bool) -> Self {
        // The template is sound, which a test shows; should it not be, indicatif's own look is better than none.
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self { bar, views: Arc::default(), head: Arc::default(), shown }
    }

    /// Whether it is drawn.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Sets the first line: where the clusters of the run are, which is one account and one Region as a rule. It is set
    /// once.
    pub fn head<'a>(&self, locations: impl IntoIterator<Item = &'a Location>) {
        let places: BTreeSet<String> = locations.into_iter().map(ToString::to_string).collect();
        self.head.get_or_init(|| places.into_iter().collect::<Vec<_>>().join("; "));
    }

    /// Shows a cluster as it is now. At most 20 times a second are drawn.
    pub fn update(&self, view: &ClusterView) {
        if !self.shown {
            return;
        }
        let mut views = self.lock();
        views.insert(view.cluster.clone(), view.clone());
        self.bar.set_message(text(self.head.get(), &views, stderr_width()));
    }

    /// Takes the view away, so that the report stands alone.
    pub fn finish(&self) {
        self.lock().clear();
        self.bar.finish_and_clear();
    }

    /// Where logs go: to standard error, between two drawings of the view.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter { bar: self.bar.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterName, ClusterView>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TEMPLATE: &str = "{msg}";

/// No line of the view is longer, however wide the terminal.
const LONGEST_LINE: usize = 1_000;

/// Returns the whole view, cleaned; lines that are wider than the terminal are cut.
pub fn text(head: Option<&String>, views: &BTreeMap<ClusterName, ClusterView>, width: Option<u16>) -> String {
    let shown: Vec<String> = views.keys().map(|name| clean::name(name.as_str())).collect();
    let names = shown.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let most = (MOST_LINES / views.len().max(1)).max(1);
    let mut lines: Vec<String> = head.cloned().into_iter().collect();
    for (name, view) in shown.iter().zip(views.values()) {
        let (done, total) = (view.done(), view.total);
        lines.push(format!("{name:<names$}  {}  {done}/{total}  {}", gauge(done, total), view.headline()));
        lines.extend(view.lines(most).into_iter().map(|line| format!("  {line}")));
    }
    let width = width.map_or(usize::MAX, usize::from);
    lines.iter().map(|line| cut(&clean::cut(line, LONGEST_LINE), width).to_owned()).collect::<Vec<String>>().join("\n")
}

/// As much of a line as `width` columns hold.
fn cut(line: &str, width: usize) -> &str {
    let ends = line.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = ends.take_while(|end| columns(&line[..*end]) <= width).last();
    &line[..end.unwrap_or(0)]
}

/// A bar of 20 columns.
fn gauge(done: usize, total: usize) -> String {
    const COLUMNS: usize = 20;
    let full = (done * COLUMNS).checked_div(total).unwrap_or(COLUMNS).min(COLUMNS);
    format!("{}{}", "█".repeat(full), "░".repeat(COLUMNS - full))
}

/// Writes to standard error while the view is away. A log line comes in one piece and goes out in one.
#[derive(Debug, Clone)]
pub struct LogWriter {
    bar: ProgressBar,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use indicatif::TermLike;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    /// A terminal that remembers what was written, and not where.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn take(&self) -> String {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn view(under_way: usize) -> ClusterView {
        let now = Timestamp::from_second(1_795_402_800).unwrap();
        let line = |number: usize| Line {
            host: format!("i-{number:017x}").into(),
            zone: (number > 0).then(|| "eu-west-1a".into()),
            phase: if number.is_multiple_of(3) { Phase::Draining } else { Phase::Rebooting },
            from: Some("1.26.1".parse().unwrap()),
            to: Some("1.27.0".parse().unwrap()),
            since: now - SignedDuration::from_secs(65 * number as i64),
        };
        ClusterView {
            cluster: "web".into(),
            total: 24,
            settled: BTreeMap::from([(Outcome::Held, 2), (Outcome::Updated, 12), (Outcome::Gone, 0)]),
            under_way: (0..under_way).map(line).collect(),
            out_of_service: 3,
            budget: 4,
            waits: Some(("soaking", now)),
            now,
        }
    }

    #[test]
    fn a_headline_counts_and_a_line_tells_the_time_in_its_phase() {
        insta::assert_snapshot!(view(4).headline(), @"12 updated, 2 held · 3 of 4 out of service · 2 draining, 2 rebooting · soaking until 2026-11-23T03:00:00Z");
        insta::assert_snapshot!(view(0).headline(), @"12 updated, 2 held · 3 of 4 out of service · soaking until 2026-11-23T03:00:00Z");
        insta::assert_snapshot!(view(3).lines(3).join("\n"), @r"
        i-00000000000000000  –           draining   1.26.1 → 1.27.0  0s
        i-00000000000000001  eu-west-1a  rebooting  1.26.1 → 1.27.0  1m 5s
        i-00000000000000002  eu-west-1a  rebooting  1.26.1 → 1.27.0  2m 10s
        ");
        insta::assert_snapshot!(view(20).lines(3).join("\n"), @r"
        i-00000000000000000  –           draining   1.26.1 → 1.27.0  0s
        i-00000000000000001  eu-west-1a  rebooting  1.26.1 → 1.27.0  1m 5s
        … and 18 more
        ");
    }

    #[test]
    fn the_view_shows_all_clusters_and_is_cut_to_the_terminal() {
        let views: BTreeMap<ClusterName, ClusterView> = [
            ("batch".into(), ClusterView { cluster: "batch".into(), total: 0, settled: BTreeMap::new(), ..view(0) }),
            ("web".into(), view(9)),
        ]
        .into();
        insta::assert_snapshot!(text(Some(&"eu-west-1, account 123456789012".into()), &views, Some(72)), @r"
        eu-west-1, account 123456789012
        batch  ████████████████████  0/0  3 of 4 out of service · soaking until 
        web    ███████████░░░░░░░░░  14/24  12 updated, 2 held · 3 of 4 out of s
          i-00000000000000000  –           draining   1.26.1 → 1.27.0  0s
          i-00000000000000001  eu-west-1a  rebooting  1.26.1 → 1.27.0  1m 5s
          i-00000000000000002  eu-west-1a  rebooting  1.26.1 → 1.27.0  2m 10s
          i-00000000000000003  eu-west-1a  draining   1.26.1 → 1.27.0  3m 15s
          i-00000000000000004  eu-west-1a  rebooting  1.26.1 → 1.27.0  4m 20s
          i-00000000000000005  eu-west-1a  rebooting  1.26.1 → 1.27.0  5m 25s
          … and 3 more
        ");
    }

    proptest! {
        #[test]
        fn names_from_outside_control_no_terminal(name in proptest::collection::vec(any::<char>(), 0..40)) {
            let name = format!("\u{1b}[2J{}\n\u{9b}\u{202e}", String::from_iter(name));
            let mut view = view(3);
            view.cluster = name.as_str().into();
            view.under_way[0].host = name.as_str().into();
            view.under_way[1].zone = Some(name.as_str().into());
            let text = text(Some(&name), &[(view.cluster.clone(), view)].into(), Some(80));
            prop_assert_eq!(text.lines().count(), 5, "{:?}", text);
            for line in text.lines() {
                prop_assert!(!line.chars().any(|char| char.is_control() || char == '\u{202e}'), "{:?}", line);
                prop_assert!(columns(line) <= 80, "{:?}", line);
            }
        }
    }

    #[test]
    fn the_view_follows_its_cluster_and_leaves_nothing_behind() {
        let paper = Paper::default();
        let live = Live::on(ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255), true);
        let location = Location::of_arn("arn:aws:ecs:eu-west-1:123456789012:cluster/web").unwrap();
        live.head([&location, &location]);
        for under_way in [2, 5, 40, 1, 0, 3] {
            live.update(&view(under_way));
        }
        let drawn = paper.take();
        assert!(drawn.contains("eu-west-1, account 123456789012"), "{drawn}");
        assert!(drawn.contains("web") && drawn.contains("14/24") && drawn.contains("12 updated, 2 held"), "{drawn}");
        assert!(drawn.contains("i-00000000000000002  eu-west-1a  rebooting"), "{drawn}");
        live.finish();
        paper.take();
        live.bar.suspend(|| ());
        assert_eq!(paper.take().trim(), "");
    }

    #[test]
    fn a_view_that_is_not_shown_swallows_all() {
        let live = Live::new(false);
        live.update(&view(3));
        assert!(!live.is_shown() && live.lock().is_empty());
        live.finish();
    }

    #[test]
    fn the_template_is_sound() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }
}
