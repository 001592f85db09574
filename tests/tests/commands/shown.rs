//! What a pipe, and a terminal that takes nothing back, are shown: plain lines, and the same to both.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};

/// What a command wrote, on standard error and on standard output.
struct Shown {
    error: String,
    output: String,
}

fn demo(term: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-sim"));
    command.arg("demo").env_clear().env("TERM", term).stdin(Stdio::null());
    command
}

fn piped(mut command: Command) -> Shown {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Shown { error: text(output.stderr), output: text(output.stdout) }
}

/// Each on a terminal of its own, so that they can be told apart.
fn on_terminals(mut command: Command, columns: u16) -> Shown {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (error, output) = (openpty(&size, None).unwrap(), openpty(&size, None).unwrap());
    let mut child = command.stderr(Stdio::from(error.slave)).stdout(Stdio::from(output.slave)).spawn().unwrap();
    // The terminals end with their last writer.
    drop(command);
    let readers = [error.master, output.master].map(|master| {
        std::thread::spawn(move || {
            let (mut terminal, mut bytes) = (File::from(master), Vec::new());
            // Linux ends it with EIO.
            let _ = terminal.read_to_end(&mut bytes);
            String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
        })
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let [error, output] = readers.map(|reader| reader.join().unwrap());
    Shown { error, output }
}

/// Without the sentence that tells how long it took here.
fn report(shown: &Shown) -> String {
    let (report, rest) = shown.output.split_once("\nSimulated ").unwrap();
    let (_, end) = rest.split_once("was broken.\n").unwrap_or_else(|| rest.split_once("none was\nbroken.\n").unwrap());
    format!("{report}\nSimulated …\n{end}")
}

#[test]
fn captures_of_a_pipe_and_of_a_dumb_terminal() {
    let pipe = piped(demo("xterm"));
    let dumb = on_terminals(demo("dumb"), 80);
    assert_eq!(pipe.error, dumb.error);
    for text in [&pipe.error, &pipe.output, &dumb.output] {
        assert!(!text.chars().any(|char| char.is_control() && char != '\n'), "{text:?}");
    }
    let story = [pipe.error.lines().take(2).collect::<Vec<_>>().join("\n"), "…".to_owned()].join("\n");
    insta::assert_snapshot!(format!(
        "both, on standard error\n{story}\n\na pipe\n{}\n\na dumb terminal of 80 columns\n{}",
        report(&pipe),
        report(&dumb)
    ));
    let wide = dumb.output.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
}

/// A line for each step of each instance, and one a minute.
#[test]
fn no_minute_is_without_a_line() {
    let pipe = piped(demo("xterm"));
    let second = |line: &str| {
        let time: Vec<u32> = line.get(..8)?.split(':').filter_map(|part| part.parse().ok()).collect();
        Some((time.first()? * 60 + time.get(1)?) * 60 + time.get(2)?)
    };
    let times: Vec<u32> = pipe.error.lines().filter_map(second).collect();
    assert!(times.len() > 100, "{}", pipe.error);
    let longest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max();
    assert!(longest <= Some(60), "{longest:?} s without a line");
}
