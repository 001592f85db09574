//! What standard error can show.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

/// The terminal behind standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Whether lines can be taken back there.
    pub redraws: bool,
    /// Whether it shows colours, and is to.
    pub colours: bool,
}

impl Terminal {
    /// Returns that of this process. `TERM=dumb` names a terminal that takes nothing back and shows no colours; `NO_COLOR` with
    /// any value asks for none (<https://no-color.org>).
    pub fn of_stderr() -> Self {
        Self::of(io::stderr().is_terminal(), std::env::var_os("TERM"), std::env::var_os("NO_COLOR"))
    }

    fn of(is_terminal: bool, term: Option<OsString>, no_color: Option<OsString>) -> Self {
        let redraws = is_terminal && term.is_none_or(|term| term != "dumb");
        let colours = redraws && no_color.is_none_or(|wish| wish.is_empty());
        Self { redraws, colours }
    }
}

/// Its lines and columns; `None` where it is none.
pub(super) fn size() -> Option<(usize, usize)> {
    console::Term::stderr().size_checked().map(|(lines, columns)| (usize::from(lines), usize::from(columns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_shows() {
        let of = |is_terminal, term: Option<&str>, no_color: Option<&str>| {
            let Terminal { redraws, colours } =
                Terminal::of(is_terminal, term.map(OsString::from), no_color.map(OsString::from));
            (redraws, colours)
        };
        assert_eq!(of(true, Some("xterm"), None), (true, true));
        assert_eq!(of(true, None, Some("")), (true, true));
        assert_eq!(of(true, Some("xterm"), Some("1")), (true, false));
        assert_eq!(of(true, Some("dumb"), None), (false, false));
        assert_eq!(of(false, Some("xterm"), None), (false, false));
    }
}
