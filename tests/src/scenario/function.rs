//! `[[function]]`: a Lambda function, and what it answers.

use jiff::SignedDuration;
use serde::Deserialize;

/// A Lambda function. Several with one ARN answer for one function: the first that fits a request does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSpec {
    pub arn: String,
    /// Answers only requests about this step.
    pub step: Option<String>,
    /// Answers only requests about this host.
    pub host: Option<usize>,
    /// The answers, one after the other; the last one again and again.
    #[serde(default = "ok")]
    pub answers: Vec<FunctionAnswer>,
    /// So long after the start and later it says ok.
    pub until: Option<SignedDuration>,
    /// How long it takes.
    #[serde(default = "a_moment")]
    pub takes: SignedDuration,
    /// Its own time limit, after which Lambda ends it with an error.
    #[serde(default = "longest")]
    pub timeout: SignedDuration,
}

/// What a function does with one request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum FunctionAnswer {
    /// `ok`.
    Ok,
    /// `wait SECONDS`.
    Wait(u32),
    /// `fail REASON`.
    Fail(String),
    /// `error`: it ends with an exception of its own.
    Error,
    /// `hang`: it runs until Lambda ends it.
    Hang,
    /// `garbage`: it returns what is none of the answers.
    Garbage,
    /// `huge`: it returns as much as Lambda takes.
    Huge,
}

impl TryFrom<String> for FunctionAnswer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        match (word, rest) {
            ("ok", "") => Ok(Self::Ok),
            ("wait", seconds) => seconds.parse().map(Self::Wait).map_err(|_| format!("{text:?} names no seconds")),
            ("fail", reason) => Ok(Self::Fail(reason.to_owned())),
            ("error", "") => Ok(Self::Error),
            ("hang", "") => Ok(Self::Hang),
            ("garbage", "") => Ok(Self::Garbage),
            ("huge", "") => Ok(Self::Huge),
            _ => Err(format!("{text:?} is none of ok, wait SECONDS, fail REASON, error, hang, garbage, huge")),
        }
    }
}

fn ok() -> Vec<FunctionAnswer> {
    vec![FunctionAnswer::Ok]
}

fn a_moment() -> SignedDuration {
    SignedDuration::from_millis(300)
}

fn longest() -> SignedDuration {
    SignedDuration::from_mins(15)
}
