//! The pages for people say what the code does: a row for every reason, a row for every permission, and no dead link.
//! `tests/suite/config.rs` does the same for `docs/configuration.md`.

mod links;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ecs_updater::doctor::CHECK_IDS;
use ecs_updater::exit::ExitStatus;
use ecs_updater::steer::status::NEED_CODES;
use models::reason::{FailReason, HoldReason};
use models::report::Outcome;

#[test]
fn every_reason_of_a_hold_has_a_row() {
    assert_eq!(codes("Why an instance is held"), HoldReason::CODES);
}

#[test]
fn every_reason_of_a_failure_has_a_row() {
    // No failures, and the last one is the only code beside the two lists.
    let expected: Vec<&str> = FailReason::CODES.iter().copied().chain(["scaled_in", "gone"]).collect();
    assert_eq!(codes("Why an update failed"), expected);
}

#[test]
fn every_need_of_a_status_has_a_row() {
    assert_eq!(codes("Who is out of service"), NEED_CODES);
}

#[test]
fn every_check_of_doctor_has_a_row_with_its_anchor() {
    let page = fs::read_to_string(root().join("docs/prerequisites.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| <a id=")).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(ids, CHECK_IDS);
    for (row, id) in rows.iter().zip(ids) {
        assert!(
            row.starts_with(&format!("| <a id=\"{id}\"></a>`{id}` | ")) && row.matches(" | ").count() == 2,
            "{row}"
        );
    }
}

#[test]
fn every_outcome_has_a_row() {
    let expected: BTreeSet<String> = Outcome::ALL.iter().map(|outcome| outcome.as_str().to_owned()).collect();
    assert_eq!(codes("Outcomes").into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_exit_code_has_a_row() {
    let rows = rows("Exit codes");
    let codes: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(codes, ExitStatus::ALL.map(|status| status.code().to_string()));
}

#[test]
fn a_row_says_what_to_do() {
    for heading in ["Why an instance is held", "Why an update failed", "Who is out of service"] {
        for row in rows(heading) {
            assert!(row.len() == 3 && row.iter().all(|cell| !cell.is_empty()), "{heading}: {row:?}");
        }
    }
}

/// The SDK's clients by the names of their fields, and their services.
const CLIENTS: [(&str, &str); 7] = [
    ("autoscaling", "autoscaling"),
    ("cloudwatch", "cloudwatch"),
    ("dynamodb", "dynamodb"),
    ("ecs", "ecs"),
    ("ec2", "ec2"),
    ("eventbridge", "events"),
    ("ssm", "ssm"),
];

#[test]
fn the_permissions_are_those_that_the_code_uses() {
    let listed: Vec<String> = codes("Permissions");
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), operations());
    assert_eq!(listed.len(), operations().len(), "a permission stands there twice");
}

/// An error that names another operation than the one that was called sends people to the wrong permission.
#[test]
fn every_call_is_named_as_it_is() {
    let mut called = BTreeSet::new();
    for (_, text) in aws_sources() {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for (client, service) in CLIENTS {
            let client = format!("self.{client}.");
            for after in text.split(client.as_str()).skip(1) {
                let name: String = after.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                called.insert(format!("{service}:{}", camel(&name)));
            }
        }
    }
    // Signed by hand.
    called.extend(["s3:PutObject", "lambda:InvokeFunction"].map(str::to_owned));
    assert_eq!(called, operations());
}

#[test]
fn the_templates_grant_every_permission() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let files = ["ecs-updater.yaml", "people.json", "events.yaml", "reports.yaml", "min-size.yaml", "hooks.yaml"];
    let template: String = files.map(|file| read(&format!("cloudformation/{file}"))).concat();
    let granted: BTreeSet<&str> =
        template.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).filter(|word| word.contains(':')).collect();
    let missing: Vec<String> =
        operations().into_iter().filter(|operation| !granted.contains(operation.as_str())).collect();
    assert!(missing.is_empty(), "cloudformation/ does not grant {missing:?}");
}

/// The operations named in `src/aws`, such as `ecs:ListTasks`.
fn operations() -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (_, text) in aws_sources() {
        for word in text.split('"') {
            let Some((service, operation)) = word.split_once(':') else { continue };
            let is_operation =
                operation.starts_with(char::is_uppercase) && operation.chars().all(|c| c.is_ascii_alphanumeric());
            let is_service = ["s3", "lambda"].contains(&service) || CLIENTS.iter().any(|(_, known)| *known == service);
            if is_service && is_operation {
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() > 10, "{named:?}");
    named
}

fn aws_sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    crate::house::collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws"), &mut files);
    let code = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        (path, code)
    };
    files.into_iter().map(code).collect()
}

fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').filter(|part| !part.is_empty()).map(word).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first column of a table of `docs/operations.md`, each cell a word in backticks.
fn codes(heading: &str) -> Vec<String> {
    rows(heading).into_iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

/// The rows of the first table below a heading, its own head left out.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let below: Vec<&str> = page
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != heading || !line.starts_with('#'))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .collect();
    assert!(!below.is_empty(), "docs/operations.md has no table below the heading {heading:?}");
    let cells = |line: &str| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
        inner.split('|').map(|cell| cell.replace('\u{0}', "|").trim().to_owned()).collect()
    };
    below.into_iter().map(cells).collect()
}
