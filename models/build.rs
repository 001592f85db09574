//! Says which commit a release was built from: by `ECS_UPDATER_COMMIT` and `ECS_UPDATER_COMMIT_DATE`, else by git, else not. A
//! build for development does not ask, so that a commit rebuilds nothing. And where the documents are, by `ECS_UPDATER_DOCS`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["ECS_UPDATER_COMMIT", "ECS_UPDATER_COMMIT_DATE", "ECS_UPDATER_DOCS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty() && value != "unknown");
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let given = set("ECS_UPDATER_COMMIT").map(|commit| {
        let short: String = commit.chars().take(12).collect();
        set("ECS_UPDATER_COMMIT_DATE").map_or(short.clone(), |date| format!("{short} {date}"))
    });
    let by_git = || {
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={log}");
        }
        git(&["log", "-1", "--abbrev=12", "--format=%h %cs"])
    };
    let built = match (given, is_release) {
        (Some(given), _) => given,
        (None, true) => by_git().unwrap_or_else(|| "commit not known".to_owned()),
        (None, false) => "development build".to_owned(),
    };
    println!("cargo::rustc-env=ECS_UPDATER_BUILT_FROM={built}");
    let docs = set("ECS_UPDATER_DOCS").unwrap_or_else(|| "docs".to_owned());
    println!("cargo::rustc-env=ECS_UPDATER_DOCS_AT={}", docs.trim_end_matches('/'));
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
