//! A shell that runs nothing but `apiclient`.

use super::apiclient::{Apiclient, Ended};
use super::{Machine, Output};

/// Exit code of a shell for a command that it does not find.
const NOT_FOUND: i32 = 127;
/// What would need a real shell.
const SHELL_SYNTAX: [char; 12] = ['$', '`', '|', '&', ';', '<', '>', '(', ')', '*', '\\', '~'];

/// Runs `lines` one after the other. Without `set -e` a failing line does not end the script, and the last line's exit
/// code is the script's.
pub(super) async fn run(machine: &dyn Machine, lines: &[String]) -> Output {
    let mut client = Apiclient::new(machine);
    let (mut exit_code, mut stop_on_error) = (0, false);
    for line in lines.iter().flat_map(|line| line.lines()).map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        exit_code = match words(line) {
            Some(words) => match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["set", "-e" | "-eu" | "-ex" | "-eux"] => {
                    stop_on_error = true;
                    0
                }
                ["apiclient", arguments @ ..] => match client.run(arguments).await {
                    Ended::Exit(code) => code,
                    Ended::NotSimulated(what) => return loud(client, line, &what),
                },
                _ => return loud(client, line, "not an apiclient call"),
            },
            None => return loud(client, line, "shell syntax"),
        };
        if stop_on_error && exit_code != 0 {
            break;
        }
    }
    Output { exit_code, stdout: client.stdout, stderr: client.stderr }
}

fn loud(client: Apiclient<'_>, line: &str, why: &str) -> Output {
    let stderr = format!("{}{line}: command not found in the simulator ({why})\n", client.stderr);
    Output { exit_code: NOT_FOUND, stdout: client.stdout, stderr }
}

/// Splits a line into words as a shell would; `None` where that takes a shell.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some('"') if matches!(c, '$' | '`' | '\\') => return None,
            Some(_) => word.get_or_insert_default().push(c),
            None if matches!(c, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None if SHELL_SYNTAX.contains(&c) => return None,
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}
