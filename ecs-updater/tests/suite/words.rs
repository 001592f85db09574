//! Words from outside, whatever they are, control no terminal: not from the report, nor from a log.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ecs_updater::events::{Progress, State, Tally};
use ecs_updater::render::json::{self, Layout};
use ecs_updater::render::progress::{self, ClusterView, Line, Scene, Screen};
use ecs_updater::render::{self, table};
use ecs_updater::telemetry;
use jiff::{SignedDuration, Timestamp};
use models::cluster_tags::IgnoredTag;
use models::fleet::{Exclusion, InstanceStatus};
use models::ids::RunId;
use models::location::Location;
use models::plan::{Estimate, Phase};
use models::reason::{FailReason, HoldReason};
use models::report::{
    ClusterEnd, ClusterError, ClusterErrorKind, ClusterReport, GroupReport, InstanceReport, LaunchImage, LaunchReport,
    Outcome, RunReport,
};
use models::status::{
    Begins, ClusterStatus, GroupBegins, InstanceLine, LastRun, LeaseStatus, Need, OutBy, OutOfService, StatusReport,
};
use models::summary::Troubled;
use proptest::prelude::*;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// Letters, spaces, and characters that control a terminal, end a line or hide others.
fn words() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        2 => proptest::char::range(' ', '~'),
        2 => proptest::char::range('\0', '\u{9f}'),
        1 => proptest::char::range('\u{2000}', '\u{206f}'),
        1 => Just('\x1b'),
        1 => Just('\n'),
        1 => proptest::char::any(),
    ];
    proptest::collection::vec(char, 0..80).prop_map(String::from_iter)
}

fn instance(text: &str, outcome: Outcome) -> InstanceReport {
    InstanceReport {
        container_instance: text.into(),
        ec2_instance_id: text.into(),
        zone: Some(text.into()),
        group: Some(text.into()),
        outcome,
        reason: Some(text.to_owned()),
        detail: Some(format!("it says {text} and no more")),
        from: None,
        to: None,
        turn: None,
        phases: Vec::new(),
        out_of_service_s: None,
        unknown_tags: vec![text.to_owned()],
    }
}

/// A report that has `text` wherever somebody else's words can stand.
fn report(text: &str, dry_run: bool) -> RunReport {
    let group = GroupReport {
        name: text.to_owned(),
        instances: 1,
        youngest: text.into(),
        launched_at: Timestamp::UNIX_EPOCH,
        image: text.into(),
        image_version: Some("1.26.1".parse().unwrap()),
        newest: Some("1.27.0".parse().unwrap()),
        launches: Some(LaunchReport {
            images: vec![LaunchImage { from: text.to_owned(), image: text.into(), version: None }],
            besides: Some(text.to_owned()),
            unknown: Some(text.to_owned()),
            ahead: 1,
        }),
    };
    let cluster = ClusterReport {
        cluster: text.into(),
        location: Location { account: Some(text.into()), region: Some(text.into()) },
        error: Some(ClusterError { kind: ClusterErrorKind::Unexpected, message: text.to_owned() }),
        taken_back: None,
        instances: vec![instance(text, Outcome::Held), instance(text, Outcome::Failed)],
        aws_calls: BTreeMap::from([(text.to_owned(), 1)]),
        longest_out_of_service_s: None,
        estimate: dry_run.then(|| Estimate { duration: SignedDuration::from_mins(1), rests_on: vec![text.to_owned()] }),
        ignored_tags: vec![IgnoredTag {
            tag: text.to_owned(),
            value: text.to_owned(),
            setting: text.to_owned(),
            stands: text.to_owned(),
        }],
        auto_scaling_groups: vec![group],
        oldest_release: None,
        notes: vec![text.to_owned()],
        timeline: Default::default(),
        end: ClusterEnd::default(),
    };
    RunReport {
        version: 1,
        run: RunId::new(text),
        dry_run,
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        interrupted: false,
        clusters: vec![cluster.clone(), cluster],
        nothing_updated: None,
    }
}

/// What of a text would control a terminal; line feeds are ours.
fn harmful(text: &str) -> Option<char> {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}'];
    let ends_a_line = ['\u{2028}', '\u{2029}'];
    let is_hidden = |char| {
        ('\u{200b}'..='\u{200f}').contains(&char)
            || ('\u{202a}'..='\u{202e}').contains(&char)
            || ('\u{2060}'..='\u{206f}').contains(&char)
    };
    text.chars().find(|char| {
        char.is_control() && *char != '\n' || turns.contains(char) || ends_a_line.contains(char) || is_hidden(*char)
    })
}

/// A log line without the colours that are ours.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (colour, rest) = part.split_once('m').unwrap_or(("not a colour", part));
        assert!(colour.chars().all(|char| char.is_ascii_digit() || char == ';'), "{colour:?} in {line:?}");
        text.push_str(rest);
    }
    text
}

#[derive(Debug, Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Paper {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What is logged of a text: as the message, as a value and as an error.
fn logged(text: &str, colours: Option<bool>) -> String {
    let paper = Paper::default();
    let layer = match colours {
        Some(colours) => telemetry::text(paper.clone(), colours, true),
        None => telemetry::json(paper.clone()),
    };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let error = io::Error::other(text.to_owned());
        let error: &dyn std::error::Error = &error;
        tracing::info!(shown = %text, quoted = text, r#type = ?text, error, "the host says {text}");
    });
    let bytes = std::mem::take(&mut *paper.0.lock().unwrap());
    String::from_utf8(bytes).unwrap()
}

/// A status that has `text` wherever somebody else's words can stand.
fn status(text: &str) -> StatusReport {
    let word = || text.to_owned();
    let line = InstanceLine {
        ec2_instance_id: text.into(),
        container_instance: text.into(),
        zone: Some(text.into()),
        group: Some(text.into()),
        status: InstanceStatus::Draining,
        agent_connected: true,
        machine: None,
        out: Some(OutOfService { by: OutBy::Run { run: text.into() }, why: word(), since: None, seen: false }),
        claim: None,
        malformed_claim: Some(word()),
        excluded: Some(Exclusion { tag: word(), note: word() }),
        failed: vec![word()],
        last: None,
        troubled: Some(Troubled { host: text.into(), outcome: word(), reason: Some(word()), detail: Some(word()) }),
        version: None,
        unknown_tags: vec![word()],
    };
    let last_run = LastRun {
        run: text.into(),
        started_at: Timestamp::UNIX_EPOCH,
        written_at: Timestamp::UNIX_EPOCH,
        ended: true,
        interrupted: true,
        error: Some(word()),
        outcomes: BTreeMap::from([(word(), 1)]),
        held: BTreeMap::from([(word(), 1)]),
        until: BTreeMap::from([(word(), Timestamp::UNIX_EPOCH)]),
        left_out: 1,
    };
    let need = Need { code: word(), message: word(), commands: vec![word()], instances: vec![text.into()] };
    let begins = || Begins { may: false, reason: Some(word()), detail: Some(word()), until: None };
    let cluster = ClusterStatus {
        cluster: text.into(),
        location: Location { account: Some(text.into()), region: Some(text.into()) },
        error: None,
        begins: Some(begins()),
        groups: vec![GroupBegins { group: text.into(), begins: begins() }],
        lease: LeaseStatus::Free { run: text.into() },
        last_run: Some(last_run),
        max_unavailable: Some(1),
        versions: Vec::new(),
        instances: vec![line],
        not_known: vec![word()],
        needs: vec![need],
        aws_calls: BTreeMap::from([(word(), 1)]),
    };
    let error = ClusterError { kind: ClusterErrorKind::Unexpected, message: word() };
    let unread = ClusterStatus::unread(text.into(), cluster.location.clone(), error);
    StatusReport { version: 1, at: Timestamp::UNIX_EPOCH, clusters: vec![cluster, unread] }
}

proptest! {
    #[test]
    fn a_status_has_no_control_character_and_says_the_same_in_json(text in words()) {
        let status = status(&text);
        for width in [Some(80), None] {
            let shown = render::status::render(&status, width);
            prop_assert_eq!(harmful(&shown), None, "{:?}", shown);
        }
        let document = json::render(&status, Layout::Compact).unwrap();
        prop_assert_eq!(harmful(&document), None, "{:?}", document);
        prop_assert_eq!(document.lines().count(), 1);
        prop_assert_eq!(serde_json::from_str::<StatusReport>(&document).unwrap(), status);
    }

    #[test]
    fn a_table_has_no_control_character_and_each_instance_is_a_line(text in words()) {
        for (width, dry_run) in [(Some(80), false), (Some(80), true), (Some(160), false), (None, false), (None, true)] {
            let table = table::render(&report(&text, dry_run), width);
            prop_assert_eq!(harmful(&table), None, "{:?}", table);
        }
        let table = table::render(&report(&text, false), None);
        let rows = table.lines().filter(|line| line.contains("held") || line.contains("failed"));
        // Two instances of each of two clusters, and the closing line.
        prop_assert_eq!(rows.filter(|line| line.contains("it says")).count(), 4, "{}", table);
    }

    #[test]
    fn json_has_none_and_says_the_same(text in words()) {
        let report = report(&text, true);
        for layout in [Layout::Pretty, Layout::Compact] {
            let document = json::render(&report, layout).unwrap();
            prop_assert_eq!(harmful(&document), None, "{:?}", document);
            prop_assert_eq!(serde_json::from_str::<RunReport>(&document).unwrap(), report.clone());
        }
    }

    #[test]
    fn a_log_line_is_one_line_and_its_colours_are_ours(text in words()) {
        for colours in [true, false] {
            let line = logged(&text, Some(colours));
            let plain = if colours { without_colours(&line) } else { line.clone() };
            prop_assert_eq!(harmful(&plain), None, "{:?}", line);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{:?}", line);
        }
    }

    #[test]
    fn a_json_log_line_is_one_line_and_says_the_same(text in words()) {
        let line = logged(&text, None);
        prop_assert_eq!(harmful(&line), None, "{:?}", line);
        prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{:?}", line);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let message = format!("the host says {text}");
        prop_assert_eq!(object["message"].as_str(), Some(message.as_str()));
        prop_assert_eq!(object["shown"].as_str(), Some(text.as_str()));
    }
}

/// A live view that has `text` wherever somebody else's words can stand.
fn live(text: &str) -> String {
    let line = Line {
        host: text.into(),
        zone: Some(text.into()),
        phase: Phase::Rebooting,
        from: None,
        to: None,
        since: Timestamp::UNIX_EPOCH,
    };
    let view = ClusterView {
        cluster: text.into(),
        tally: Tally {
            progress: Progress { settled: 1, total: 2 },
            settled: BTreeMap::from([(Outcome::Held, 1)]),
            under_way: BTreeMap::from([(State::Phase(Phase::Rebooting), 1)]),
            out_of_service: 1,
            budget: 1,
        },
        under_way: vec![line],
        others: vec![(text.into(), text.to_owned())],
        closed: Some(text.to_owned()),
        left: None,
        now: Timestamp::UNIX_EPOCH,
    };
    let scene =
        Scene { head: text.to_owned(), began: None, clusters: BTreeMap::from([(view.cluster.clone(), Some(view))]) };
    progress::text(&scene, Timestamp::UNIX_EPOCH, Screen { lines: 24, columns: 80, colours: false })
}

/// The ten worst things to say, each in every field that reaches a terminal or a program that reads the output.
#[test]
fn the_ten_worst_words_do_nothing() {
    let marks = format!("e{}", "\u{301}".repeat(400));
    let long = "all work and no play ".repeat(50_000);
    let words = [
        ("clears the screen and sets the title", "\u{1b}[2J\u{1b}[H\u{1b}]0;root\u{7}\u{9b}31m"),
        ("writes to the clipboard", "\u{1b}]52;c;cm0gLXJmIC8=\u{1b}\\"),
        ("turns what follows around", "\u{202e}dlotted\u{2066}\u{61c}\u{200f}"),
        ("overwrites its line, and feigns another", "held\rupdated\nRun 01X: 9 updated\u{85}\u{2028}ok"),
        ("ends a text in C", "i-1\0; rm -rf /"),
        ("is markup", "<script>alert(1)</script><!-- &amp; ]]> | a |\n|---|---|\n[x](javascript:1) ```"),
        ("breaks out of JSON", "\\\",\"outcome\":\"updated\",\"x\":\"\\u001b[2J\\"),
        ("runs over the lines around it", &marks),
        ("is not seen, or looks like something else", "w\u{200b}e\u{ad}b\u{feff}\u{e0041}\u{3164} \u{430}dmin"),
        ("is a megabyte", &long),
    ];
    for (what, word) in words {
        for width in [Some(80), None] {
            let report = report(word, false);
            let shown = table::render(&report, width);
            assert_eq!(harmful(&shown), None, "{what}: the table");
            assert!(most_marks(&shown) <= 4, "{what}: the table");
            assert!(shown.len() < 8 << 20, "{what}: the table has {} bytes", shown.len());
        }
        let shown = live(word);
        assert_eq!(harmful(&shown), None, "{what}: the live view");
        assert!(shown.lines().count() <= 13, "{what}: the live view");
        assert!(most_marks(&shown) <= 4 && shown.len() < 4_096, "{what}: the live view");
        let report = report(word, true);
        for layout in [Layout::Pretty, Layout::Compact] {
            let document = json::render(&report, layout).unwrap();
            assert_eq!(harmful(&document), None, "{what}: JSON");
            assert_eq!(serde_json::from_str::<RunReport>(&document).unwrap(), report, "{what}: JSON");
        }
        for colours in [Some(true), Some(false), None] {
            let line = logged(word, colours);
            let plain = if colours == Some(true) { without_colours(&line) } else { line.clone() };
            assert_eq!((harmful(&plain), line.matches('\n').count()), (None, 1), "{what}: a log line");
            assert!(colours.is_none() || most_marks(&plain) <= 4, "{what}: a log line");
        }
    }
}

/// The most combining marks that follow each other.
fn most_marks(text: &str) -> usize {
    let runs = text.split(|char| !('\u{300}'..='\u{36f}').contains(&char));
    runs.map(|run| run.chars().count()).max().unwrap_or_default()
}

#[test]
fn a_log_line_looks_as_it_did() {
    let line = logged("all's well", Some(false));
    let (_, words) = line.split_once("INFO ").unwrap();
    assert_eq!(
        words.trim_end(),
        "suite::words: the host says all's well shown=all's well quoted=\"all's well\" type=\"all's well\" error=all's well"
    );
    let coloured = logged("all's well", Some(true));
    assert!(coloured.contains("\x1b[3mshown\x1b[0m\x1b[2m=\x1b[0mall's well"), "{coloured:?}");
}

/// What people write into tags, and hosts into errors, at its longest.
#[test]
fn notes_and_errors_of_many_lines_are_prose() {
    let note = "do not touch\r\n\task Ann\u{202e}\n".repeat(8);
    let held = HoldReason::Excluded { tag: "ecs-updater:exclude".into(), note };
    let error = "\tFailed to write\u{1b}[31m the image\n\t\tat block 0x1f\t東京".repeat(7);
    let failed = FailReason::StageFailed { detail: error };
    let mut report = report("web", false);
    report.clusters.truncate(1);
    let cluster = &mut report.clusters[0];
    cluster.error = None;
    cluster.auto_scaling_groups.clear();
    cluster.notes.clear();
    cluster.ignored_tags.clear();
    for (instance, (code, detail)) in
        cluster.instances.iter_mut().zip([(held.code(), held.to_string()), (failed.code(), failed.to_string())])
    {
        instance.ec2_instance_id = "i-00000000000000001".into();
        instance.unknown_tags.clear();
        instance.group = None;
        instance.zone = Some("eu-west-1a".into());
        (instance.reason, instance.detail) = (Some(code.to_owned()), Some(detail));
    }
    insta::assert_snapshot!(table::render(&report, Some(80)), @r#"
    Cluster web (web, account web): 2 instances

    instance             zone        version  outcome  out of
                                                       service
    ──────────────────────────────────────────────────────────
    i-00000000000000001  eu-west-1a  –        failed   –
    i-00000000000000001  eu-west-1a  –        held     –

    failed, stage_failed: i-00000000000000001
      the update could not be written to the inactive partition set: Failed to
      write␛[31m the image at block 0x1f 東京 Failed to write␛[31m the image at
      block 0x1f 東京 Failed to write␛[31m the image at block 0x1f 東京 Failed to
      write␛[31m the image at block 0x1f 東京 Failed to write␛[31m the image at
      block 0x1f 東京 Failed to write␛[31m the image at block 0x1f 東京 Failed to
      write␛[31m the image at block 0x1f 東京; it stayed in service

    held, excluded: i-00000000000000001
      excluded by its EC2 tag ecs-updater:exclude = "do not touch ask Ann� do not
      touch ask Ann� do not touch ask Ann� do not touch ask Ann� do not touch ask
      Ann� do not touch ask Ann� do not touch ask Ann� do not touch ask Ann� ";
      remove the tag to have it updated

    Run web: 0 updated, 1 held, 0 rolled back, 1 failed in 0s; no instance was taken
    out of service; 1 AWS call
    "#);
}
