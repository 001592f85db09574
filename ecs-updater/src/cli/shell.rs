//! Completions and manual pages, made from the commands themselves.

use std::io::{self, Write as _};
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes to standard output what a shell completes the command line by.
///
/// # Errors
/// Standard output does not take it. That its reader has seen enough is no error.
pub fn completions(command: Command, shell: Shell) -> io::Result<()> {
    let (mut command, mut text) = (command, Vec::new());
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    print(&text)
}

/// Writes the manual page to standard output, or one of the program and one of each command into a directory.
///
/// # Errors
/// They could not be written. That the reader of standard output has seen enough is no error.
pub fn manual(command: Command, directory: Option<&Path>) -> io::Result<()> {
    match directory {
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            clap_mangen::generate_to(command, directory)
        }
        None => {
            let mut text = Vec::new();
            Man::new(command).render(&mut text)?;
            print(&text)
        }
    }
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
