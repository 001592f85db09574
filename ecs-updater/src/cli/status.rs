//! `status`: read, shown, and with `--watch` read again.

use std::io::{self, IsTerminal as _, Write as _};

use models::status::StatusReport;
use tokio::sync::watch;

use super::error::CliError;
use super::resolved::resolved;
use super::signals::{Manners, heard};
use crate::args::{Cli, GlobalArgs, Output, SettingArgs, StatusArgs};
use crate::clock::Clock;
use crate::config::{self, Environment};
use crate::exit::ExitStatus;
use crate::render::live::{Live, Manner};
use crate::render::{json, stdout_width};
use crate::steer::status::{Typed, status};
use crate::telemetry;

/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Shows how the clusters stand, with a runtime of its own.
pub(super) fn execute(cli: &Cli, args: &StatusArgs) -> Result<ExitStatus, CliError> {
    let environment = config::environment();
    telemetry::init(&cli.global, &environment, &Live::new(Manner::Hidden))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let manners = Manners::of(false);
    runtime.block_on(heard(manners, |signals| show(cli, args, &environment, signals.stop)))
}

/// Shows how the clusters stand, once or until a signal comes.
async fn show(
    cli: &Cli,
    args: &StatusArgs,
    environment: &Environment,
    mut stop: watch::Receiver<bool>,
) -> Result<ExitStatus, CliError> {
    let typed = typed(cli, &args.settings);
    let mut has_looked = false;
    loop {
        let asked = stop.clone();
        let read = async {
            let (config, resolved) = resolved(cli, environment, &asked).await?;
            Ok::<_, CliError>(status(&config, &Clock::system(), &resolved, &typed).await)
        };
        let read = tokio::select! {
            biased;
            read = read => read,
            _ = stop.wait_for(|stopped| *stopped) => return Ok(interrupted(args)),
        };
        let Some(pace) = args.watch else {
            let read = read?;
            print(&cli.global, &read, false).map_err(CliError::Status)?;
            return Ok(ExitStatus::of_status(&read));
        };
        match read {
            Ok(read) => match print(&cli.global, &read, true) {
                Ok(()) => has_looked = true,
                // Its reader has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitStatus::Success),
                Err(error) => return Err(CliError::Status(error)),
            },
            // What worked before may work again.
            Err(error) if has_looked => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the settings could not be read; looking again");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            _ = stop.wait_for(|stopped| *stopped) => return Ok(ExitStatus::Success),
        }
    }
}

/// What was given on the command line, for the commands that are to be typed next.
pub(super) fn typed(cli: &Cli, settings: &SettingArgs) -> Typed {
    Typed {
        config: settings.config.clone(),
        lease_table: settings.lease_table.clone(),
        region: cli.global.region.clone(),
        profile: cli.global.profile.clone(),
        expect_account: cli.global.expect_account.clone(),
        settings: settings.given().values.into_iter().map(|(key, value)| (key.flag(), value)).collect(),
    }
}

/// A signal ends a watch, and breaks off a single look.
fn interrupted(args: &StatusArgs) -> ExitStatus {
    if args.watch.is_some() { ExitStatus::Success } else { ExitStatus::Interrupted }
}

fn print(args: &GlobalArgs, status: &StatusReport, again: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let layout = if again { json::Layout::Compact } else { json::Layout::Pretty };
    let text = match args.output {
        Output::Json => json::render(status, layout)?,
        Output::Table if again => {
            let time = models::claim::whole_seconds(status.at);
            let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
            format!("{clear}{time}\n\n{}", crate::render::status::render(status, stdout_width()))
        }
        Output::Table => crate::render::status::render(status, stdout_width()),
    };
    out.write_all(text.as_bytes())?;
    out.flush()
}
