//! A file that nears 400 lines asks to be two.

use std::fs;

use super::{collect, workspace};

/// The most lines of a file of what ships, tests apart.
const MOST_LINES: usize = 400;

#[test]
fn no_file_of_what_ships_is_long() {
    let mut long = Vec::new();
    for package in ["models", "host-bridge", "ecs-updater"] {
        let mut files = Vec::new();
        collect(&workspace().join(package).join("src"), &mut files);
        for file in files {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            if lines > MOST_LINES {
                long.push(format!("{}: {lines}", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "above {MOST_LINES} lines:\n{}", long.join("\n"));
}
