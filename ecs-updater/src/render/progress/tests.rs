use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::events::Progress;

pub(in crate::render) fn view(under_way: usize) -> ClusterView {
    let now = Timestamp::from_second(1_795_402_800).unwrap();
    let line = |number: usize| Line {
        host: format!("i-{number:017x}").into(),
        zone: (number > 0).then(|| "eu-west-1a".into()),
        phase: if number.is_multiple_of(3) { Phase::Draining } else { Phase::Rebooting },
        from: Some("1.26.1".parse().unwrap()),
        to: Some("1.27.0".parse().unwrap()),
        since: now - SignedDuration::from_secs(65 * number as i64),
    };
    let under_way: Vec<Line> = (0..under_way).map(line).collect();
    let mut tally = Tally {
        progress: Progress { settled: 14, total: 24 },
        settled: BTreeMap::from([(Outcome::Held, 2), (Outcome::Updated, 12), (Outcome::Gone, 0)]),
        out_of_service: 3,
        budget: 4,
        ..Tally::default()
    };
    for line in &under_way {
        *tally.under_way.entry(State::Phase(line.phase)).or_default() += 1;
    }
    ClusterView { cluster: "web".into(), tally, under_way, others: Vec::new(), closed: None, left: None, now }
}

pub(in crate::render) fn scene(under_way: usize) -> Scene {
    let view = view(under_way);
    Scene {
        head: "eu-west-1, account 123456789012 · run 01KAQ3X9ZC8W5N3M2T7R6V4B1D".to_owned(),
        began: Some(view.now - SignedDuration::from_secs(725)),
        clusters: [(view.cluster.clone(), Some(view))].into(),
    }
}

fn shown(scene: &Scene, lines: usize, columns: usize) -> String {
    let now = Timestamp::from_second(1_795_402_800).unwrap();
    text(scene, now, Screen { lines, columns, colours: false })
}

#[test]
fn a_headline_counts_and_a_line_tells_the_time_in_its_phase() {
    insta::assert_snapshot!(view(4).tally.sentence(), @"12 updated, 2 held · 3 of 4 out of service · 2 draining, 2 rebooting");
    insta::assert_snapshot!(view(0).tally.sentence(), @"12 updated, 2 held · 3 of 4 out of service");
    let text = shown(&scene(3), 24, 80);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "eu-west-1, account 123456789012 · run 01KAQ3X9ZC8W5N3M2T7R6V4B1D");
    assert_eq!(lines[1], "03:00:00 UTC · 12m 5s elapsed");
    assert_eq!(lines[2], "web  ███████████░░░░░░░░░  14/24  12 updated, 2 held · 3 of 4 out of service ·");
    assert_eq!(lines[3], "     1 draining, 2 rebooting");
    assert_eq!(lines[4], "  i-00000000000000000  –           draining    1.26.1 → 1.27.0  0s");
    assert_eq!(lines[5], "  i-00000000000000001  eu-west-1a  rebooting   1.26.1 → 1.27.0  1m 5s");
    assert_eq!(lines.len(), 7);
}

#[test]
fn others_and_gates_are_named_with_what_they_wait_for() {
    let mut scene = scene(1);
    let view = scene.clusters.values_mut().flatten().next().unwrap();
    view.others = vec![("i-0000000000000aaaa".into(), "drained by somebody else".to_owned())];
    view.closed =
        Some("not begun: no window is open; the next opens at 2026-11-24T01:00:00Z, and a run then goes on".to_owned());
    view.left = Some(SignedDuration::from_secs(1_799));
    scene.clusters.insert("batch".into(), None);
    let text = shown(&scene, 24, 80);
    for line in [
        "03:00:00 UTC · 12m 5s elapsed · about 30m left",
        "  1 of them not by this run: i-0000000000000aaaa (drained by somebody else)",
        "  not begun: no window is open; the next opens at 2026-11-24T01:00:00Z, and a",
        "    run then goes on",
        "batch  not looked at yet",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line:?} is missing:\n{text}");
    }
    // No word is cut, however narrow the terminal.
    let whole = shown(&scene, 50, 200);
    let known: Vec<&str> = whole.split_whitespace().collect();
    for columns in [60, 70, 80, 100, 120] {
        let text = shown(&scene, 50, columns);
        let cut = text.split_whitespace().find(|word| *word != "…" && !known.contains(word));
        assert_eq!(cut, None, "{columns}:\n{text}");
    }
}

/// The view as a person sees it, on terminals of three widths.
#[test]
fn captures_at_three_widths() {
    let mut scene = scene(3);
    let view = scene.clusters.values_mut().flatten().next().unwrap();
    view.others = vec![("i-0000000000000aaaa".into(), "drained by somebody else".to_owned())];
    view.closed =
        Some("not begun: no window is open; the next opens at 2026-11-24T01:00:00Z, and a run then goes on".to_owned());
    view.left = Some(SignedDuration::from_secs(1_799));
    scene.clusters.insert("batch".into(), None);
    let captures = [80, 120, 200].map(|columns| format!("{columns} columns\n{}", shown(&scene, 24, columns)));
    insta::assert_snapshot!(captures.join("\n\n"));
}

#[test]
fn a_view_is_no_higher_than_its_screen() {
    let text = shown(&scene(40), 9, 80);
    assert_eq!(text.lines().count(), 8, "{text}");
    assert_eq!(text.lines().last(), Some("  … and 37 more"), "{text}");
    let mut many = scene(2);
    many.clusters.extend((0..2_000).map(|number| (ClusterName::from(format!("c{number}")), None)));
    let text = shown(&many, 9, 80);
    assert!(text.lines().count() <= 8 && text.lines().any(|line| line.starts_with("web ")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("… and ") && line.ends_with(" more clusters")), "{text}");
    for (lines, columns) in [(1, 1), (2, 10), (3, 20), (5, 40), (24, 80)] {
        let text = shown(&scene(40), lines, columns);
        assert!(text.lines().count() < lines.max(2), "{lines}: {text}");
        assert!(text.lines().all(|line| super::columns(line) <= columns), "{columns}: {text}");
    }
}

proptest! {
    #[test]
    fn names_from_outside_control_no_terminal(name in proptest::collection::vec(any::<char>(), 0..40)) {
        let name = format!("\u{1b}[2J{}\n\u{9b}\u{202e}", String::from_iter(name));
        let mut view = view(3);
        view.cluster = name.as_str().into();
        view.under_way[0].host = name.as_str().into();
        view.under_way[1].zone = Some(name.as_str().into());
        view.others = vec![(name.as_str().into(), name.clone())];
        view.closed = Some(name.clone());
        let scene = Scene { head: name.clone(), began: None, clusters: [(view.cluster.clone(), Some(view))].into() };
        for colours in [false, true] {
            let text = text(&scene, Timestamp::UNIX_EPOCH, Screen { lines: 24, columns: 80, colours });
            prop_assert!(text.lines().count() < 24, "{:?}", text);
            let plain = without_colours(&text);
            for line in plain.lines() {
                prop_assert!(!line.chars().any(|char| char.is_control() || char == '\u{202e}'), "{:?}", line);
                prop_assert!(super::columns(line) <= 80, "{:?}", line);
            }
        }
    }
}

/// The text without our own colours.
fn without_colours(text: &str) -> String {
    let codes = ["0", "2", "31", "32", "33", "34", "35", "36"];
    codes.iter().fold(text.to_owned(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""))
}
