//! Hooks: functions of the user's that are asked in the middle of a run, what they are asked, and what they answer.

use std::fmt;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clean;
use crate::function::FunctionArn;
use crate::ids::{ClusterName, ContainerInstanceArn, HostId, RunId};

/// The longest answer that is read, in bytes: a real one has a hundred.
pub const LONGEST_ANSWER: usize = 64 << 10;
/// How much of a function's words is shown.
const MOST_SHOWN: usize = 300;
/// The longest wait that a function can ask for at once, in seconds: it is asked again after it.
const LONGEST_WAIT: u32 = 3_600;

/// When a function is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookStep {
    /// Before anything is begun in the cluster.
    BeforeRun,
    /// Before an instance is claimed and drained.
    BeforeDrain,
    /// Once an instance is drained, before its reboot.
    BeforeReboot,
    /// Once an instance is healthy on its new version, before it is set ACTIVE.
    BeforeActive,
    /// Once the update of an instance has ended.
    AfterInstance,
    /// At the end of a run that has updated something, or tried to.
    AfterRun,
}

impl HookStep {
    /// All, in their order.
    pub const ALL: [Self; 6] = [
        Self::BeforeRun,
        Self::BeforeDrain,
        Self::BeforeReboot,
        Self::BeforeActive,
        Self::AfterInstance,
        Self::AfterRun,
    ];

    /// As in the settings and in the request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeRun => "before_run",
            Self::BeforeDrain => "before_drain",
            Self::BeforeReboot => "before_reboot",
            Self::BeforeActive => "before_active",
            Self::AfterInstance => "after_instance",
            Self::AfterRun => "after_run",
        }
    }

    /// Whether it only tells of what has happened: what a function says to it changes nothing.
    pub fn only_tells(self) -> bool {
        match self {
            Self::BeforeRun | Self::BeforeDrain | Self::BeforeReboot | Self::BeforeActive => false,
            Self::AfterInstance | Self::AfterRun => true,
        }
    }
}

impl fmt::Display for HookStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hooks.{}", self.as_str())
    }
}

/// What a function is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub step: HookStep,
    /// `None` where it is about the run.
    pub host: Option<HostId>,
    /// The version that the instance ran when its update began.
    pub from: Option<Version>,
    /// The version that it is to run.
    pub to: Option<Version>,
}

impl Subject {
    /// Returns what is asked about a run.
    pub fn of_run(step: HookStep) -> Self {
        Self { step, host: None, from: None, to: None }
    }
}

/// A function that is to be asked now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub function: FunctionArn,
    pub subject: Subject,
    /// When this step was first asked about.
    pub since: Timestamp,
    /// Until when all askings of this step may take.
    pub deadline: Timestamp,
    /// How the update ended, of a step that tells of it: the report's word.
    pub outcome: Option<String>,
}

/// The body of the request, as the function sees it.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    version: u32,
    /// The same for each asking of one step, so that a function can tell a question that it has had.
    key: String,
    run: &'a RunId,
    cluster: &'a ClusterName,
    step: &'static str,
    instance: Option<&'a HostId>,
    container_instance: Option<&'a ContainerInstanceArn>,
    from: Option<&'a Version>,
    to: Option<&'a Version>,
    outcome: Option<&'a str>,
    since: Timestamp,
    deadline: Timestamp,
}

impl<'a> Request<'a> {
    /// Returns the request of a run on a cluster.
    pub fn new(
        ask: &'a Ask,
        run: &'a RunId,
        cluster: &'a ClusterName,
        container_instance: Option<&'a ContainerInstanceArn>,
    ) -> Self {
        let Ask { subject, since, deadline, outcome, .. } = ask;
        let Subject { step, host, from, to } = subject;
        let step = step.as_str();
        let version = |version: &Option<Version>| version.as_ref().map_or_else(|| "-".to_owned(), Version::to_string);
        let key = match host {
            Some(host) => format!("{cluster}/{host}/{}/{}/{step}", version(from), version(to)),
            None => format!("{cluster}/{run}/{step}"),
        };
        Self {
            version: 1,
            key,
            run,
            cluster,
            step,
            instance: host.as_ref(),
            container_instance,
            from: from.as_ref(),
            to: to.as_ref(),
            outcome: outcome.as_deref(),
            since: *since,
            deadline: *deadline,
        }
    }
}

/// What came of asking a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum HookAnswer {
    /// Go on.
    Ok,
    /// Ask again, in so many seconds.
    Wait { seconds: u32 },
    /// Do not go on.
    Fail { reason: String },
    /// It was called, and did not say: it failed itself, or its answer is none.
    Error { detail: String },
    /// AWS refuses to call it.
    Refused { detail: String },
    /// It was called, and did not answer in the time that the call had.
    Silent,
    /// AWS has not called it, as far as is known: throttled, or not reached.
    NotAsked { detail: String },
}

impl HookAnswer {
    /// Reads what a function has returned.
    pub fn read(body: &[u8]) -> Self {
        let error = |detail: String| Self::Error { detail };
        if body.len() > LONGEST_ANSWER {
            return error(format!(
                "its answer has {} bytes, and no real one has more than {LONGEST_ANSWER}",
                body.len()
            ));
        }
        let shown = || clean::cut(&String::from_utf8_lossy(body), MOST_SHOWN);
        let Ok(Value::Object(said)) = serde_json::from_slice(body) else {
            return error(format!("its answer is not a JSON object: {}", shown()));
        };
        match said.get("answer").and_then(Value::as_str) {
            Some("ok") => Self::Ok,
            Some("fail") => {
                let reason = said.get("reason").and_then(Value::as_str).unwrap_or("it gives no reason");
                Self::Fail { reason: clean::cut(reason, MOST_SHOWN) }
            }
            Some("wait") => match said.get("seconds").and_then(Value::as_u64).filter(|seconds| *seconds > 0) {
                Some(seconds) => {
                    Self::Wait { seconds: u32::try_from(seconds).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT) }
                }
                None => error(format!("its answer is \"wait\" without a whole number of seconds from 1: {}", shown())),
            },
            Some(_) | None => error(format!("its answer is none of \"ok\", \"wait\" and \"fail\": {}", shown())),
        }
    }
}

impl fmt::Display for HookAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("said ok"),
            Self::Wait { seconds } => write!(f, "asked for a wait of {seconds} s"),
            Self::Fail { reason } => write!(f, "said no: {reason}"),
            Self::Error { detail } => write!(f, "failed: {detail}"),
            Self::Refused { detail } => write!(f, "could not be called: {detail}"),
            Self::Silent => f.write_str("did not answer"),
            Self::NotAsked { detail } => write!(f, "could not be reached: {detail}"),
        }
    }
}

/// What this run knows of the hook that it has asked last, about an instance or about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub subject: Subject,
    /// When it was first asked about this.
    pub since: Timestamp,
    /// When it was asked last.
    pub at: Timestamp,
    /// Until when all askings of this step may take.
    pub deadline: Timestamp,
    /// What came of it and when; `None` while it is under way.
    pub answer: Option<(Timestamp, HookAnswer)>,
    /// How often in a row AWS has not called it.
    pub not_asked: u32,
    /// When AWS first refused to call it, and has not called it since.
    #[serde(default)]
    pub refused_since: Option<Timestamp>,
}

impl Asked {
    /// Returns what is known once a function is asked, after what was known before it.
    pub fn begin(ask: &Ask, before: Option<&Self>, now: Timestamp) -> Self {
        let goes_on = before.filter(|before| before.subject == ask.subject && before.since == ask.since);
        Self {
            subject: ask.subject.clone(),
            since: ask.since,
            at: now,
            deadline: ask.deadline,
            answer: None,
            not_asked: goes_on.map_or(0, |before| before.not_asked),
            refused_since: goes_on.and_then(|before| before.refused_since),
        }
    }

    /// Records what came of it.
    pub fn end(&mut self, answer: HookAnswer, now: Timestamp) {
        let is_refused = matches!(answer, HookAnswer::Refused { .. });
        let is_not_asked = is_refused || matches!(answer, HookAnswer::NotAsked { .. });
        self.not_asked = if is_not_asked { self.not_asked.saturating_add(1) } else { 0 };
        self.refused_since = self.refused_since.filter(|_| is_not_asked).or(is_refused.then_some(now));
        self.answer = Some((now, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_says() {
        let wait = |seconds| HookAnswer::Wait { seconds };
        let fail = |reason: &str| HookAnswer::Fail { reason: reason.to_owned() };
        let table = [
            (r#"{"answer": "ok"}"#, Some(HookAnswer::Ok)),
            (r#"{"answer": "ok", "more": [1]}"#, Some(HookAnswer::Ok)),
            (r#"{"answer": "wait", "seconds": 30}"#, Some(wait(30))),
            (r#"{"answer": "wait", "seconds": 99999999999}"#, Some(wait(3_600))),
            (r#"{"answer": "fail", "reason": "no quorum"}"#, Some(fail("no quorum"))),
            (r#"{"answer": "fail"}"#, Some(fail("it gives no reason"))),
            (r#"{"answer": "wait"}"#, None),
            (r#"{"answer": "wait", "seconds": 0}"#, None),
            (r#"{"answer": "wait", "seconds": -1}"#, None),
            (r#"{"answer": "wait", "seconds": "30"}"#, None),
            (r#"{"answer": "OK"}"#, None),
            (r#"{"answer": true}"#, None),
            (r#"{"statusCode": 200, "body": "{\"answer\": \"ok\"}"}"#, None),
            (r#""ok""#, None),
            ("null", None),
            ("", None),
            ("{\"answer\": \"ok\"", None),
            ("\u{fffd}\u{0}", None),
        ];
        for (body, expected) in table {
            let read = HookAnswer::read(body.as_bytes());
            match expected {
                Some(expected) => assert_eq!(read, expected, "{body}"),
                None => assert!(matches!(read, HookAnswer::Error { .. }), "{body}: {read:?}"),
            }
        }
        let long = format!("{{\"answer\": \"ok\", \"more\": \"{}\"}}", "x".repeat(LONGEST_ANSWER));
        assert!(matches!(HookAnswer::read(long.as_bytes()), HookAnswer::Error { .. }));
        let HookAnswer::Fail { reason } = HookAnswer::read(b"{\"answer\": \"fail\", \"reason\": \"a\\u001b[31mb\"}")
        else {
            panic!("no reason")
        };
        assert!(!reason.contains('\u{1b}'), "{reason:?}");
    }

    #[test]
    fn one_step_has_one_key() {
        let at: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let function: FunctionArn = "arn:aws:lambda:eu-central-1:111122223333:function:ready".parse().unwrap();
        let (run, cluster): (RunId, ClusterName) = ("01KAQ3X9ZC8W5N3M2T7R6V4B1D".into(), "web".into());
        let key = |subject: Subject| {
            let ask = Ask { function: function.clone(), subject, since: at, deadline: at, outcome: None };
            Request::new(&ask, &run, &cluster, None).key
        };
        let (from, to) = (Some(Version::new(1, 26, 1)), Some(Version::new(1, 27, 0)));
        let subject = Subject { step: HookStep::BeforeDrain, host: Some("i-1".into()), from, to };
        assert_eq!(key(subject), "web/i-1/1.26.1/1.27.0/before_drain");
        assert_eq!(key(Subject::of_run(HookStep::AfterRun)), "web/01KAQ3X9ZC8W5N3M2T7R6V4B1D/after_run");
    }
}
