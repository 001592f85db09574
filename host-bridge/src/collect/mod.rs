//! What on this host explains an update, in one tar archive, for a person who helps from afar.
//!
//! Nothing is changed on the host. What cannot be had is left out and named: no part's failure costs the others.

mod settings;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::client::{Client, ClientError};
use crate::inspect::Boot;
use crate::introspection::{Introspection, IntrospectionError};
use crate::signpost::{SignpostError, on_host};
use crate::update::chain;

/// The most of one part, in bytes: of more the end is kept, which is the newest of a log.
const PART_LIMIT: usize = 4 * 1024 * 1024;
/// How long a program of the host may take.
const PROGRAM_LIMIT: Duration = Duration::from_secs(20);
/// The lines of a log that are asked for.
const LINES: &str = "5000";
/// The units whose logs tell of an update: the ECS agent, the API with its update workers, what a boot of a new version
/// runs first, and what marks it good.
const UNITS: [&str; 4] = ["ecs.service", "apiserver.service", "migrator.service", "mark-successful-boot.service"];

/// Where everything is read from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The host API.
    pub client: &'a Client,
    /// The ECS agent.
    pub agent: &'a Introspection,
    /// The boot of now.
    pub boot: &'a Boot,
    /// The host's root filesystem.
    pub host_root: &'a Path,
    /// The directory of the bridge agent's journal.
    pub journal: &'a Path,
}

/// One file of the archive.
#[derive(Debug)]
pub struct Part {
    /// Its path in the archive.
    pub name: &'static str,
    /// What it holds, or why there is none.
    pub content: Result<Vec<u8>, String>,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", .path.display())]
pub struct CollectError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Reads everything.
pub async fn gather(sources: &Sources<'_>) -> Vec<Part> {
    let Sources { client, agent, host_root, journal, boot: _ } = sources;
    let logs: Vec<&str> = ["journalctl", "--no-pager", "--output=short-iso", "--lines", LINES]
        .into_iter()
        .chain(UNITS.iter().flat_map(|unit| ["--unit", unit]))
        .collect();
    let part = |name, content: Result<Vec<u8>, String>| Part { name, content: content.map(newest) };
    vec![
        part("api/os.json", api(client, "/os").await),
        part("api/updates-status.json", api(client, "/updates/status").await),
        part("api/settings.json", api(client, "/settings").await.and_then(|body| settings::without_secrets(&body))),
        part("ecs-agent/metadata.json", introspection(agent, "/v1/metadata").await),
        part("ecs-agent/tasks.json", introspection(agent, "/v1/tasks").await),
        part("bridge/journal.json", file(&journal.join("journal.json"))),
        part("bridge/journal.corrupt", file(&journal.join("journal.corrupt"))),
        part("host/signpost.txt", program(host_root, &["signpost", "status"]).await),
        part("host/boots.txt", program(host_root, &["journalctl", "--no-pager", "--list-boots"]).await),
        part("host/log.txt", program(host_root, &logs).await),
    ]
}

/// Writes the archive. It must not exist yet, and only its owner may read it.
///
/// # Errors
/// [`CollectError`].
pub fn write(parts: &[Part], boot: &Boot, at: Timestamp, to: &Path) -> Result<(), CollectError> {
    let failed = |source| CollectError { path: to.to_owned(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let mut archive = tar::Builder::new(file);
    let mut append = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(at.as_second()).unwrap_or_default());
        archive.append_data(&mut header, name, content)
    };
    append("about.json", &about(parts, boot, at)).map_err(failed)?;
    for part in parts {
        if let Ok(content) = &part.content {
            append(part.name, content).map_err(failed)?;
        }
    }
    archive.into_inner().and_then(|file| file.sync_all()).map_err(failed)
}

/// What the archive holds, and why it does not hold the rest.
fn about(parts: &[Part], boot: &Boot, at: Timestamp) -> Vec<u8> {
    let missing: serde_json::Map<String, serde_json::Value> =
        parts.iter().filter_map(|part| Some((part.name.to_owned(), json!(part.content.as_ref().err()?)))).collect();
    let held: Vec<&str> = parts.iter().filter(|part| part.content.is_ok()).map(|part| part.name).collect();
    let about = json!({
        "v": 1,
        "program": concat!("host-bridge ", env!("CARGO_PKG_VERSION")),
        "at": at.to_string(),
        "boot_id": boot.id.as_ref().map(|id| id.as_str()),
        "booted_at": boot.at,
        "parts": held,
        "missing": missing,
    });
    format!("{about:#}\n").into_bytes()
}

/// An answer that is no 200 is one of the things to know.
async fn api(client: &Client, target: &str) -> Result<Vec<u8>, String> {
    let answer = client.get(target).await.map_err(|error: ClientError| chain(&error))?;
    match answer.status.as_u16() {
        200 => Ok(answer.body.to_vec()),
        status => Err(format!("{status}: {}", String::from_utf8_lossy(&answer.body).trim())),
    }
}

async fn introspection(agent: &Introspection, target: &'static str) -> Result<Vec<u8>, String> {
    let body = agent.body(target).await.map_err(|error: IntrospectionError| chain(&error))?;
    Ok(body.to_vec())
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is none".to_owned(),
        _ => error.to_string(),
    })
}

async fn program(host_root: &Path, words: &[&str]) -> Result<Vec<u8>, String> {
    match on_host(host_root, words, PROGRAM_LIMIT).await {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
        Err(SignpostError::NoRights { lacking }) => Err(format!("this needs the host's root, and {lacking}")),
        Err(error) => Err(chain(&error)),
    }
}

/// Cuts the oldest off what is too long, at the end of a line where there is one.
fn newest(mut content: Vec<u8>) -> Vec<u8> {
    let Some(over) = content.len().checked_sub(PART_LIMIT).filter(|over| *over > 0) else { return content };
    let line = content[over..].iter().position(|byte| *byte == b'\n').map_or(over, |at| over + at + 1);
    content.split_off(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let short = b"one\ntwo\n".to_vec();
        assert_eq!(newest(short.clone()), short);
        let mut long = vec![b'x'; PART_LIMIT];
        long.extend(b"\nthe end\n");
        assert_eq!(newest(long), b"the end\n");
        assert_eq!(newest(vec![b'x'; PART_LIMIT + 5]).len(), PART_LIMIT);
    }

    #[test]
    fn an_archive_is_not_written_over_another() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("a.tar");
        let parts = [Part { name: "api/os.json", content: Ok(b"{}".to_vec()) }];
        let at = Timestamp::from_second(1_795_000_000).unwrap();
        write(&parts, &Boot::default(), at, &to).unwrap();
        let error = write(&parts, &Boot::default(), at, &to).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
    }
}
