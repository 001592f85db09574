//! The live view of a run on a terminal, and the plain lines of one that can take nothing back.
//!
//! Logs go through [`Live::log_writer`], which takes the view away while a line is written.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use models::ids::{ClusterName, RunId};
use models::location::Location;
use tracing_subscriber::fmt::MakeWriter;

use super::plain;
use super::progress::{ClusterView, Scene, Screen, text};
use super::terminal::{Terminal, size};
use super::words::{Colour, Paper, lay, word, words};
use crate::events::{Event, What};

/// How a run is shown while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// By a view that is drawn again and again.
    Drawn,
    /// By a line for each thing that happens.
    Lines,
    /// Not at all: the log tells.
    Hidden,
}

/// The view on standard error. Clones share it.
///
/// It is one bar of indicatif whose message has many lines: a bar for each line would be drawn, and held back by the
/// rate limit, each for itself, so that neighbouring lines showed different moments.
#[derive(Debug, Clone)]
pub struct Live {
    bar: ProgressBar,
    scene: Arc<Mutex<Scene>>,
    manner: Manner,
    colours: bool,
}

/// The screen where its size is not known.
const USUAL: (usize, usize) = (24, 80);

const TEMPLATE: &str = "{msg}";

/// No line of the view is longer, however wide the terminal.
const WIDEST: usize = 200;

impl Live {
    /// Returns one that nothing has been told yet.
    pub fn new(manner: Manner) -> Self {
        let target = if manner == Manner::Drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self::on(target, manner, Terminal::of_stderr().colours)
    }

    fn on(target: ProgressDrawTarget, manner: Manner, colours: bool) -> Self {
        // The template is sound, which a test shows; should it not be, indicatif's own look is better than none.
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self { bar, scene: Arc::default(), manner, colours }
    }

    /// Whether it is drawn.
    pub fn is_drawn(&self) -> bool {
        self.manner == Manner::Drawn
    }

    /// Whether anything is shown.
    pub fn is_shown(&self) -> bool {
        self.manner != Manner::Hidden
    }

    /// Says what is done before the clusters are known.
    pub fn prepare(&self, doing: &str) {
        doing.clone_into(&mut self.lock().head);
        self.draw(Timestamp::UNIX_EPOCH);
    }

    /// Sets the first lines: where the clusters are, which is one account and one Region as a rule, and which run it is.
    pub fn begin<'a>(
        &self,
        locations: impl IntoIterator<Item = &'a Location>,
        run: &RunId,
        clusters: impl IntoIterator<Item = ClusterName>,
        now: Timestamp,
    ) {
        let places: BTreeSet<String> =
            locations.into_iter().filter(|place| !place.is_unknown()).map(ToString::to_string).collect();
        let place = places.into_iter().collect::<Vec<_>>().join("; ");
        let head = if place.is_empty() { format!("run {run}") } else { format!("{place} · run {run}") };
        if self.manner == Manner::Lines {
            self.print(&format!("{head}\n"));
        }
        let mut scene = self.lock();
        scene.head = head;
        scene.began = Some(now);
        scene.clusters = clusters.into_iter().map(|cluster| (cluster, None)).collect();
        drop(scene);
        self.draw(now);
    }

    /// Shows a cluster as it is now, and what has happened in it. At most 20 times a second are drawn.
    pub fn update(&self, view: &ClusterView, events: &[Event]) {
        match self.manner {
            Manner::Hidden => {}
            Manner::Lines => {
                let lines: Vec<String> = events.iter().filter_map(plain::line).collect();
                self.print(&lines.concat());
            }
            Manner::Drawn => {
                self.lock().clusters.insert(view.cluster.clone(), Some(view.clone()));
                for event in events {
                    self.tell_trouble(event);
                }
                self.draw(view.now);
            }
        }
    }

    /// Shows the same with another time.
    pub fn tick(&self, now: Timestamp) {
        self.draw(now);
    }

    /// Takes the view away, so that the report stands alone.
    pub fn finish(&self) {
        *self.lock() = Scene::default();
        self.bar.finish_and_clear();
    }

    /// Where logs go: to standard error, between two drawings of the view.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter { bar: self.bar.clone() }
    }

    /// Writes above the view which instance an update failed on, and why: it stays on the screen.
    fn tell_trouble(&self, event: &Event) {
        let What::Moves(moved) = &event.what else { return };
        if !moved.is.is_failure() {
            return;
        }
        let Screen { columns, .. } = self.screen();
        let mut all = vec![
            word(&plain::time(event.at), Colour::Dim),
            word(event.cluster.as_str(), Colour::Plain),
            word(moved.host.as_str(), Colour::Plain),
        ];
        all.extend(words(&format!("{}:", moved.is.words()), Colour::Wrong));
        let why = moved.why.as_ref().map_or("no reason is known", |why| why.sentence.as_str());
        all.extend(words(why, Colour::Plain));
        let paper = Paper { width: columns, most: usize::MAX, colours: self.colours };
        self.bar.println(lay(&all, 2, paper).join("\n"));
    }

    fn draw(&self, now: Timestamp) {
        if self.manner == Manner::Drawn {
            let text = text(&self.lock(), now, self.screen());
            self.bar.set_message(text);
        }
    }

    fn screen(&self) -> Screen {
        let (lines, columns) = size().unwrap_or(USUAL);
        Screen { lines, columns: columns.min(WIDEST), colours: self.colours }
    }

    fn print(&self, text: &str) {
        // Where nobody reads it any more, the run goes on.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use indicatif::TermLike;

    use super::super::progress::tests::{scene, view};
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

    #[test]
    fn the_view_follows_its_cluster_and_leaves_nothing_behind() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255);
        let live = Live::on(target, Manner::Drawn, false);
        live.prepare("reading the settings");
        assert!(paper.take().contains("reading the settings"));
        let location = Location::of_arn("arn:aws:ecs:eu-west-1:123456789012:cluster/web").unwrap();
        live.begin([&location, &location], &"01KAQ3".into(), ["web".into()], view(0).now);
        for under_way in [2, 5, 40, 1, 0, 3] {
            live.update(&view(under_way), &[]);
        }
        let drawn = paper.take();
        assert!(drawn.contains("eu-west-1, account 123456789012 · run 01KAQ3"), "{drawn}");
        assert!(drawn.contains("web") && drawn.contains("14/24") && drawn.contains("12 updated, 2 held"), "{drawn}");
        assert!(drawn.contains("i-00000000000000002  eu-west-1a  rebooting"), "{drawn}");
        live.finish();
        paper.take();
        live.bar.suspend(|| ());
        assert_eq!(paper.take().trim(), "");
    }

    #[test]
    fn a_view_that_is_not_shown_swallows_all() {
        let live = Live::new(Manner::Hidden);
        live.update(&view(3), &[]);
        assert!(!live.is_shown() && live.lock().clusters.is_empty());
        live.finish();
    }

    #[test]
    fn the_template_is_sound() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
        assert!(!scene(1).clusters.is_empty());
    }
}
