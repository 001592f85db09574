//! The command `host-bridge`, for a person on a host (also one without an orchestrator).
//!
//! Composes the library: arguments, tools, one command, one ending. It decides nothing about updates itself.

mod agent;
mod args;
mod commands;
mod ending;
mod render;
mod shell;
mod signals;

use std::fmt::Debug;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use models::clean;
use tokio::time::Instant;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use self::args::{Cli, Command, Global, Output, Verb};
use self::commands::Tools;
use self::ending::{CommandError, Done, Exit};
use self::signals::stopped;
use crate::client::Client;
use crate::inspect::{Boot, Seen};
use crate::introspection::Introspection;
use crate::signpost;
use crate::transport::{Limits, Transport, UnixSocket};
use crate::update::Visit;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == signpost::ON_HOST) {
        return ExitCode::from(u8::try_from(signpost::become_program_on_host(arguments)).unwrap_or(u8::MAX));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let Cli { global, verb } = cli;
    let command = match verb {
        Verb::Once(command) => command,
        Verb::Agent(arguments) => {
            // A service tells what it does.
            log_to_stderr(global.verbose + 1);
            return agent::run(&global, &arguments);
        }
        Verb::Completions(arguments) => return printed(shell::completions(Cli::command(), arguments.shell)),
        Verb::Man(arguments) => return printed(shell::manual(Cli::command(), arguments.to.as_deref())),
    };
    log_to_stderr(global.verbose);
    let Ended { ending, seen, wrote } = run(&global, &command);
    let exit = ending::exit(&ending);
    match global.output {
        Output::Json => print(stdout(), &render::json(&command, &ending, seen.as_ref(), wrote)),
        Output::Text => {
            let text = render::text(&command, &ending, seen.as_ref());
            if ending.is_ok() { print(stdout(), &text) } else { print(stderr(), &text) }
        }
    }
    ExitCode::from(exit as u8)
}

fn printed(written: std::io::Result<()>) -> ExitCode {
    match written {
        Ok(()) => ExitCode::from(Exit::Done as u8),
        Err(error) => {
            print(stderr(), &format!("host-bridge: the text could not be written: {error}"));
            ExitCode::from(Exit::Failed as u8)
        }
    }
}

struct Ended {
    ending: Result<Done, CommandError>,
    seen: Option<Seen>,
    wrote: Option<String>,
}

fn run(global: &Global, command: &Command) -> Ended {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run_until_stopped(global, command)),
        Err(error) => Ended { ending: Err(CommandError::Runtime(error)), seen: None, wrote: None },
    }
}

async fn run_until_stopped(global: &Global, command: &Command) -> Ended {
    let tools = tools(global, command);
    let mut visit = Visit::new(&tools.client, tools.deadline);
    let mut seen = None;
    let ending = tokio::select! {
        ending = commands::run(command, &tools, &mut visit, &mut seen) => ending,
        () = stopped() => Err(CommandError::Interrupted { lock: String::new() }),
    };
    let ending = match ending {
        Err(CommandError::Interrupted { .. }) => {
            let lock = match (visit.saved_lock().map(str::to_owned), visit.restore_lock().await) {
                (None, _) => String::new(),
                (Some(lock), Ok(())) => format!("; `version-lock` was put back to {lock}"),
                (Some(lock), Err(_)) => format!("; `version-lock` could not be put back to {lock}"),
            };
            Err(CommandError::Interrupted { lock })
        }
        // A failed command is shown with where it left the host.
        Err(error) if !matches!(error, CommandError::Look(_)) => {
            if seen.is_none() {
                seen = tools.look().await.ok();
            }
            Err(error)
        }
        other => other,
    };
    Ended { ending, seen, wrote: visit.wrote().map(ToString::to_string) }
}

fn tools(global: &Global, command: &Command) -> Tools {
    let whole = timeout(global, command);
    let defaults = Limits::default();
    let limits = Limits {
        connect: defaults.connect.min(whole),
        read: defaults.read.min(whole),
        total: defaults.total.min(whole),
        ..defaults
    };
    Tools {
        client: Client::new(Transport::new(UnixSocket::new(&global.socket), limits)),
        agent: Introspection::at(global.ecs_agent),
        boot: Boot::read(std::path::Path::new("/proc")),
        host_root: global.host_root.clone(),
        deadline: Instant::now() + whole,
    }
}

fn timeout(global: &Global, command: &Command) -> std::time::Duration {
    global.timeout.unwrap_or_else(|| command.default_timeout())
}

fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no reason to fail.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::from(Exit::Done as u8),
        _ => ExitCode::from(Exit::Usage as u8),
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .init();
}

/// What the host says in a log controls no terminal.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(writer, "{}", clean::line(&value)),
        name => write!(writer, "{name}={}", clean::line(&value)),
    }
}

/// A closed pipe is no reason to fail: the exit code says how it ended.
fn print(mut to: impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
