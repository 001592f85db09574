//! What the signals of this process ask for.

use std::io::IsTerminal as _;
use std::pin::pin;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::error::CliError;
use crate::run::Signals;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// To begin nothing more.
    ToFinish,
    /// To stop now.
    ToStop,
}

/// Where the signals of this process go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Whether the work begins updates, so that it can be asked to begin no more.
    pub(super) begins: bool,
    /// Whether somebody watches who can press again.
    pub(super) is_on_terminal: bool,
}

impl Manners {
    /// Returns those of this process.
    pub(super) fn of(begins: bool) -> Self {
        Self { begins, is_on_terminal: std::io::stderr().is_terminal() }
    }

    /// Returns what a signal asks for; `asked`: one has come before.
    fn meaning(self, kind: SignalKind, asked: bool) -> Asks {
        if kind == SignalKind::interrupt() && self.begins && self.is_on_terminal && !asked {
            Asks::ToFinish
        } else {
            Asks::ToStop
        }
    }
}

/// Works to the end, and hears the signals of this process meanwhile.
pub(super) async fn heard<T, W>(manners: Manners, work: impl FnOnce(Signals) -> W) -> Result<T, CliError>
where
    W: Future<Output = Result<T, CliError>>,
{
    let ((stop, stopped), (finish, finishing)) = (watch::channel(false), watch::channel(false));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
    // Under nohup this one is ignored, and stays so.
    let mut hangup = if is_ignored(SignalKind::hangup()) {
        None
    } else {
        Some(signal(SignalKind::hangup()).map_err(CliError::Signals)?)
    };
    let mut work = pin!(work(Signals { stop: stopped, finish: finishing }));
    loop {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let kind = tokio::select! {
            done = &mut work => return done,
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hung_up => SignalKind::hangup(),
        };
        let asked = *finish.borrow();
        match manners.meaning(kind, asked) {
            Asks::ToFinish => drop(finish.send_replace(true)),
            // The work ends by itself soon after; a further signal changes nothing.
            Asks::ToStop => drop(stop.send_replace(true)),
        }
    }
}

/// Whether this process was started with the signal ignored. Linux tells, as a mask with a bit for each signal from the
/// lowest on; elsewhere it is not known, and none counts as ignored.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw_value() - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_ctrl_c_of_a_run_on_a_terminal_asks_to_finish() {
        let (interrupt, terminate, hangup) = (SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup());
        let table = [
            (interrupt, true, true, false, Asks::ToFinish),
            (interrupt, true, true, true, Asks::ToStop),
            (interrupt, true, false, false, Asks::ToStop),
            (interrupt, false, true, false, Asks::ToStop),
            (terminate, true, true, false, Asks::ToStop),
            (hangup, true, true, false, Asks::ToStop),
        ];
        for (kind, begins, is_on_terminal, asked, meaning) in table {
            let manners = Manners { begins, is_on_terminal };
            assert_eq!(manners.meaning(kind, asked), meaning, "{kind:?} {manners:?} {asked}");
        }
    }
}
