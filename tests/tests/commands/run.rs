//! `fleet-sim run` as people call it: what it prints, and its exit codes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const TWO: &str = "clusters = [\"web\"]\n[repository]\nversions = [\"1.26.1\", \"1.27.0\"]\n[[instances]]\ncount = 2\n";

fn run(arguments: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet-sim")).arg("run").args(arguments).arg(file).output().unwrap()
}

/// Runs two outdated instances with something more to it.
fn two(arguments: &[&str], more: &str) -> Output {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{TWO}{more}").unwrap();
    run(arguments, file.path())
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn last_line(output: &Output) -> String {
    printed(output).lines().last().unwrap_or_default().to_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", printed(output)))
}

#[test]
fn what_is_right_ends_with_zero() {
    let plain = two(&[], "");
    assert_eq!(plain.status.code(), Some(0), "{}", printed(&plain));
    let text = printed(&plain);
    for line in [
        "run 1 of 1: ended after",
        "2 updated",
        "Rules broken: none",
        "Not modelled: none",
        "host 1, i-00000000000000001: 1.27.0, ACTIVE, boot ",
        "(1 since the start), version-lock latest",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert_eq!(last_line(&plain), "Right: it ended, and no rule was broken; nothing else is expected");
    let by_bridge = two(&["--by", "bridge"], "[expect]\noutcomes = { updated = 2 }\nmax_calls = 1");
    assert_eq!(last_line(&by_bridge), "Right: as expected, and no rule was broken", "{}", printed(&by_bridge));
}

#[test]
fn only_what_is_named_is_compared() {
    let fails = "[[host]]\nindex = 0\nfails_to_boot = [\"1.27.0\"]\n";
    for (expect, code, last) in [
        ("", 0, "Right: it ended"),
        ("exit = \"failures\"", 0, "Right: as expected"),
        ("hosts = { 0 = \"rolled_back\" }", 0, "Right: as expected"),
        ("hosts = { 0 = \"rolled_back: unhealthy\" }", 1, "1 problem: host 0: expected rolled_back: unhealthy, got"),
        ("outcomes = { rolled_back = 1 }", 0, "Right: as expected"),
        ("outcomes = { updated = 2 }", 1, "1 problem: updated: expected 2, got 0"),
        ("versions = { 0 = \"1.27.0\" }", 1, "1 problem: version of host 0: expected 1.27.0, got 1.26.1"),
        ("exit = \"success\"\nmax_calls = 3", 1, "2 problems: exit: expected success, got failures; "),
    ] {
        let output = two(&[], &format!("{fails}[expect]\n{expect}"));
        assert_eq!(output.status.code(), Some(code), "{expect}: {}", printed(&output));
        assert!(last_line(&output).starts_with(last), "{expect}: {}", last_line(&output));
    }
}

#[test]
fn a_run_that_does_not_end_is_wrong() {
    // A task without an end, and more time for it than the run has.
    let waits = "[[task]]\nfamily = \"batch\"\nhost = 0\n[[task]]\nfamily = \"batch\"\nhost = 1\n\
                 [updater.defaults]\nstandalone_tasks = \"wait\"\ntimeouts.drain = \"5h\"\n\
                 [expect]\nrun = [{}, { after = \"1m\" }]\noutcomes = { updated = 2 }";
    let output = two(&["--hours", "2"], waits);
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    assert!(printed(&output).contains("run 1 of 1: did not end within 2 hours"), "{}", printed(&output));
    assert!(last_line(&output).starts_with("1 problem: the run did not end within 2 hours"), "{}", last_line(&output));
}

#[test]
fn processes_are_run_too() {
    let processes = "[tables]\nleases = \"lease\"\n[updater]\nlease_table = \"leases\"\n\
                     [[expect.process]]\nupdated = 2\n[[expect.process]]\nat = \"1m\"\nerror = \"another_run\"\n";
    let output = two(&[], processes);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(printed(&output).contains("process 2 of 2: ended after"), "{}", printed(&output));
    let output = two(&[], &processes.replace("updated = 2", "updated = 1\nexit = \"failures\""));
    let last = "2 problems: process 1: exit: expected failures, got success; process 1: updated: expected 1, got 2";
    assert_eq!((output.status.code(), last_line(&output)), (Some(1), last.to_owned()));
}

#[test]
fn the_json_has_all_of_it() {
    let dies = "[expect]\nrun = [{ kill = { host = 0, is = \"draining\" } }, { kill = { after_call = 100000 } }]";
    let output = two(&["--output", "json", "--log"], dies);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let json = json(&output);
    assert_eq!((&json["right"], &json["problems"]), (&Value::from(true), &Value::Array(Vec::new())));
    assert_eq!((&json["runs"][0], &json["ends"][0]["end"]), (&Value::Null, &Value::from("killed")));
    assert_eq!(json["runs"][1]["clusters"][0]["instances"][1]["outcome"], "updated");
    assert_eq!((&json["ends"][1]["exit"], &json["ends"][1]["missed"]), (&Value::from("success"), &Value::from(true)));
    assert_eq!((&json["hosts"][0]["version"], &json["hosts"][0]["boots"]), (&Value::from("1.27.0"), &Value::from(1)));
    assert!(json["log"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("ACTIVE -> DRAINING")));
    assert!(json["broken_rules"].as_array().unwrap().is_empty() && json["not_modelled"].as_array().unwrap().is_empty());
}

/// A run dies or hears its signal at every point of a host's life; the next one goes on.
#[test]
fn a_run_ends_at_every_point() {
    for point in ["claimed", "staged", "draining", "drained", "activated", "rebooting", "booted", "active"] {
        for (fate, end) in [("kill", "killed"), ("interrupt", "reported")] {
            let fate = format!("{fate} = {{ host = 0, is = \"{point}\" }}");
            let more =
                format!("[expect]\nrun = [{{ {fate} }}, {{}}]\nexit = \"success\"\nversions = {{ 0 = \"1.27.0\" }}");
            let output = two(&["--output", "json"], &more);
            let json = json(&output);
            let first = &json["ends"][0];
            assert_eq!((&first["end"], &first["missed"]), (&end.into(), &false.into()), "{fate}: {json:#}");
            assert_eq!(output.status.code(), Some(0), "{fate}: {}", json["problems"]);
        }
    }
}

#[test]
fn a_signal_comes_at_a_call() {
    for moment in ["before_call", "after_call"] {
        let output = two(&["--output", "json"], &format!("[expect]\nrun = [{{ interrupt = {{ {moment} = 20 }} }}]"));
        let json = json(&output);
        assert_eq!(json["ends"][0]["exit"], "interrupted", "{json:#}");
        assert_eq!((&json["runs"][0]["interrupted"], output.status.code()), (&true.into(), Some(0)));
    }
}

#[test]
fn settings_that_the_updater_refuses_are_its_end() {
    let refused = "[updater.defaults]\nmax_unavailable = 0\n";
    let output = two(&[], refused);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(printed(&output).contains("The updater ended before its first run, with exit code 2: "));
    assert_eq!(two(&[], &format!("{refused}[expect]\nexit = \"usage\"")).status.code(), Some(0));
    let output = two(&["--output", "json"], &format!("{refused}[expect]\noutcomes = {{ updated = 2 }}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(json(&output)["refused"].as_str().unwrap().contains("max_unavailable"), "{}", printed(&output));
}

#[test]
fn a_scenario_that_is_malformed_ends_with_two() {
    for (more, words) in [
        (
            "[expect]\nrun = [{ kill = { host = 0, is = \"asleep\" } }]",
            "unknown variant `asleep`, expected one of `claimed`",
        ),
        (
            "[[event]]\nwhen = { is = \"asleep\" }\ndo = \"drain\"\nhost = 0",
            "unknown variant `asleep`, expected one of",
        ),
        ("[expect]\noutcomes = { uptated = 2 }", "unknown variant `uptated`, expected one of `updated`"),
        ("[expect]\nrun = [{ kill = { host = 7, is = \"booted\" } }]", "run 1 names host 7, and the scenario has 2"),
        ("[[service]]\nname = \"a\"\nodd = 1", "unknown field `odd`"),
    ] {
        let output = two(&[], more);
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{more}: {said}{}", printed(&output));
        assert!(said.lines().last().unwrap().contains(words), "{more}: {said}");
    }
    assert_eq!(run(&[], Path::new("nowhere.toml")).status.code(), Some(2));
    assert_eq!(two(&["--by", "hand"], "").status.code(), Some(2));
}
