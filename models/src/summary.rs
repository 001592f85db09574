//! What a run leaves beside its lease for those who look later: how far it came, who was out of service since when, and
//! which versions the hosts said they run. Nothing is decided by it, and what ECS and the tags say goes before it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::clean;
use crate::ids::{HostId, RunId};

/// The version of this shape. Keys are only added within it.
pub const VERSION: u32 = 1;

/// No summary is longer as text: an item of DynamoDB holds 400 KB, the names of its attributes included (DynamoDB
/// developer guide, "Service, account, and table quotas").
pub const MAX_BYTES: usize = 300_000;

/// What the lists may take of [`MAX_BYTES`], in bytes.
const ROOM_FOR_TROUBLE: usize = 80_000;
const ROOM_FOR_OUT: usize = 40_000;
const ROOM_FOR_VERSIONS: usize = 170_000;

/// The longest sentence about one instance, and about the cluster.
const LONGEST_DETAIL: usize = 300;
const LONGEST_ERROR: usize = 1_000;

/// One cluster, as a run saw it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// [`VERSION`].
    pub version: u32,
    pub run: RunId,
    /// When the run began.
    pub started_at: Timestamp,
    /// When this was written, by the run's clock.
    pub written_at: Timestamp,
    /// Whether the run had come to its end by then.
    #[serde(default)]
    pub ended: bool,
    /// Whether a signal ended it.
    #[serde(default)]
    pub interrupted: bool,
    /// Why the cluster could not be worked on to the end, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SummaryError>,
    /// How many instances ended how, by the names in the report.
    #[serde(default)]
    pub outcomes: BTreeMap<String, usize>,
    /// How many were held, by the reason's code.
    #[serde(default)]
    pub held: BTreeMap<String, usize>,
    /// Until when, at the earliest, by the codes of those that a rollout waits for by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub until: BTreeMap<String, Timestamp>,
    /// The instances whose update failed, was rolled back or is in the middle.
    #[serde(default)]
    pub troubled: Vec<Troubled>,
    /// The instances that were out of service, and not by a run.
    #[serde(default)]
    pub out: Vec<SeenOut>,
    /// The versions that hosts said they run.
    #[serde(default)]
    pub versions: Vec<Heard>,
    /// So many entries of the lists had no room.
    #[serde(default)]
    pub left_out: usize,
}

/// Why a cluster was not worked on to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryError {
    /// As in the report, such as `not_permitted`.
    pub kind: String,
    pub message: String,
}

/// An instance whose update did not end well, or has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Troubled {
    pub host: HostId,
    /// As in the report.
    pub outcome: String,
    /// The reason's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An instance that somebody or something else has out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenOut {
    pub host: HostId,
    pub how: OutAs,
    /// When a run first saw it so; nobody tells when that began.
    pub since: Timestamp,
}

/// How an instance is out of service without a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutAs {
    /// DRAINING.
    Draining,
    /// Its ECS agent is not connected.
    Disconnected,
    /// What a newer program knows.
    #[serde(other)]
    Other,
}

/// The hosts that said they run a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub version: Version,
    /// When the run began that heard it last.
    pub at: Timestamp,
    pub hosts: Vec<HostId>,
}

/// Why a text is no summary that this program reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSummary {
    /// Another program wrote it; it is not guessed at.
    #[error("it is of version {0}, which is not known to this program")]
    Version(u32),
    #[error("it cannot be read: {0}")]
    Malformed(String),
}

impl Summary {
    /// Returns the text that is kept, no longer than [`MAX_BYTES`]: what has no room is left out and counted. Words of
    /// others are cleaned and cut.
    ///
    /// # Errors
    /// None that a summary can cause; serde's signature has one.
    pub fn encode(mut self) -> Result<String, serde_json::Error> {
        self.run = clean::name(self.run.as_str()).into();
        if let Some(error) = &mut self.error {
            error.message = clean::cut(&error.message, LONGEST_ERROR);
        }
        for one in &mut self.troubled {
            one.host = clean::name(one.host.as_str()).into();
            one.detail = one.detail.take().map(|detail| clean::cut(&detail, LONGEST_DETAIL));
        }
        for one in &mut self.out {
            one.host = clean::name(one.host.as_str()).into();
        }
        self.left_out += keep(&mut self.troubled, ROOM_FOR_TROUBLE)? + keep(&mut self.out, ROOM_FOR_OUT)?;
        let mut room = ROOM_FOR_VERSIONS;
        for group in &mut self.versions {
            for host in &mut group.hosts {
                *host = clean::name(host.as_str()).into();
            }
            let empty = Heard { hosts: Vec::new(), ..group.clone() };
            let left = room.saturating_sub(size(&empty)?);
            self.left_out += keep(&mut group.hosts, left)?;
            if !group.hosts.is_empty() {
                room = room.saturating_sub(size(group)?);
            }
        }
        self.versions.retain(|group| !group.hosts.is_empty());
        serde_json::to_string(&self)
    }

    /// Reads what a run has written.
    ///
    /// # Errors
    /// [`BadSummary`] where another program, or another version of this one, wrote it.
    pub fn read(text: &str) -> Result<Self, BadSummary> {
        #[derive(Deserialize)]
        struct Shape {
            version: u32,
        }
        let bad = |error: serde_json::Error| BadSummary::Malformed(clean::cut(&error.to_string(), LONGEST_DETAIL));
        let Shape { version } = serde_json::from_str(text).map_err(bad)?;
        if version != VERSION {
            return Err(BadSummary::Version(version));
        }
        serde_json::from_str(text).map_err(bad)
    }

    /// Returns since when a run has seen an instance out of service like this, and not by a run.
    pub fn out_since(&self, host: &HostId, how: OutAs) -> Option<Timestamp> {
        self.out.iter().find(|one| one.host == *host && one.how == how).map(|one| one.since)
    }

    /// Returns the version of each host, and when the run began that heard it last.
    pub fn versions_by_host(&self) -> BTreeMap<&HostId, (&Version, Timestamp)> {
        let groups = self.versions.iter();
        groups.flat_map(|group| group.hosts.iter().map(|host| (host, (&group.version, group.at)))).collect()
    }
}

/// Keeps the first of these that have room. Returns how many have not.
fn keep<T: Serialize>(items: &mut Vec<T>, room: usize) -> Result<usize, serde_json::Error> {
    let (mut taken, mut kept) = (0, 0);
    for item in items.iter() {
        taken += size(item)? + 1;
        if taken > room {
            break;
        }
        kept += 1;
    }
    let left_out = items.len() - kept;
    items.truncate(kept);
    Ok(left_out)
}

fn size<T: Serialize>(item: &T) -> Result<usize, serde_json::Error> {
    serde_json::to_string(item).map(|text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(hosts: usize, word: &str) -> Summary {
        let at = Timestamp::UNIX_EPOCH;
        let host = |number: usize| HostId::from(format!("i-{number:017x}{word}"));
        let all = || (0..hosts).map(host);
        Summary {
            version: VERSION,
            run: "01KAQ3X9ZC8W5N3M2T7R6V4B1D".into(),
            started_at: at,
            written_at: at,
            ended: true,
            interrupted: false,
            error: Some(SummaryError { kind: "unexpected".to_owned(), message: word.repeat(100) }),
            outcomes: BTreeMap::from([("updated".to_owned(), hosts)]),
            held: BTreeMap::new(),
            until: BTreeMap::new(),
            troubled: all()
                .map(|host| {
                    let (reason, detail) = (Some("stage_failed".to_owned()), Some(format!("it says {word}")));
                    Troubled { host, outcome: "failed".to_owned(), reason, detail }
                })
                .collect(),
            out: all().map(|host| SeenOut { host, how: OutAs::Draining, since: at }).collect(),
            versions: vec![
                Heard { version: Version::new(1, 27, 0), at, hosts: all().collect() },
                Heard { version: Version::new(1, 26, 1), at, hosts: vec!["i-last".into()] },
            ],
            left_out: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = summary(3, "");
        assert_eq!(Summary::read(&written.clone().encode().unwrap()), Ok(written));
    }

    #[test]
    fn a_summary_has_room_for_seven_thousand_hosts_and_is_never_too_long() {
        for (hosts, word, all_versions) in
            [(100, "", true), (7_000, "", true), (50_000, "", false), (3_000, "\u{1b}[2J\"\\東\u{202e}", true)]
        {
            let text = summary(hosts, word).encode().unwrap();
            assert!(text.len() <= MAX_BYTES, "{hosts}: {}", text.len());
            let read = Summary::read(&text).unwrap();
            assert_eq!(read.versions_by_host().len() == hosts + 1, all_versions, "{hosts}");
            let kept = read.troubled.len() + read.out.len() + read.versions_by_host().len();
            assert_eq!(kept + read.left_out, 3 * hosts + 1, "{hosts}");
            assert!(!text.contains('\u{1b}') && !text.contains("\\u001b"), "{hosts}");
        }
    }

    #[test]
    fn what_another_program_wrote_is_not_guessed_at() {
        assert_eq!(Summary::read(r#"{"version": 2, "anything": []}"#), Err(BadSummary::Version(2)));
        for text in ["", "[]", "{}", r#"{"version": 1}"#, r#"{"version": "1"}"#, "{\"version\": 1, \"run\": 7}"] {
            assert!(matches!(Summary::read(text), Err(BadSummary::Malformed(_))), "{text}");
        }
        let newer = r#"{"version":1,"run":"R","started_at":"2026-11-23T03:00:00Z","written_at":"2026-11-23T03:00:00Z",
            "out":[{"host":"i-1","how":"asleep","since":"2026-11-23T03:00:00Z"}],"more":{}}"#;
        assert_eq!(Summary::read(newer).unwrap().out[0].how, OutAs::Other);
    }
}
