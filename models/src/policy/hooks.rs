//! The user's own functions that are asked in the middle of a run.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::hook::HookStep;

/// Which Lambda function is asked at which step, and what follows where it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before anything is begun in the cluster.
    pub before_run: Option<FunctionArn>,
    /// Before an instance is claimed and drained.
    pub before_drain: Option<FunctionArn>,
    /// Once an instance is drained, before its reboot.
    pub before_reboot: Option<FunctionArn>,
    /// Once an instance is healthy on its new version, before it is set ACTIVE.
    pub before_active: Option<FunctionArn>,
    /// Once the update of an instance has ended.
    pub after_instance: Option<FunctionArn>,
    /// At the end of a run that has updated something, or tried to.
    pub after_run: Option<FunctionArn>,
    /// How long all askings of one step may take together.
    pub timeout: SignedDuration,
    /// What an error of a function means.
    pub on_error: OnHookError,
}

impl Hooks {
    /// Returns the function of a step, where it has one.
    pub fn of(&self, step: HookStep) -> Option<&FunctionArn> {
        match step {
            HookStep::BeforeRun => self.before_run.as_ref(),
            HookStep::BeforeDrain => self.before_drain.as_ref(),
            HookStep::BeforeReboot => self.before_reboot.as_ref(),
            HookStep::BeforeActive => self.before_active.as_ref(),
            HookStep::AfterInstance => self.after_instance.as_ref(),
            HookStep::AfterRun => self.after_run.as_ref(),
        }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            before_run: None,
            before_drain: None,
            before_reboot: None,
            before_active: None,
            after_instance: None,
            after_run: None,
            timeout: SignedDuration::from_mins(15),
            on_error: OnHookError::Hold,
        }
    }
}

/// What an error of a function means; the stricter comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnHookError {
    /// That the update does not go on.
    #[default]
    Hold,
    /// The same as `ok`.
    Continue,
}

impl OnHookError {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Continue => "continue",
        }
    }
}

impl FromStr for OnHookError {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Hold, Self::Continue]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither \"hold\" nor \"continue\""))
    }
}

/// The ARN of a Lambda function, with a version or an alias where it names one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionArn(String);

/// The text is no ARN of a Lambda function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no ARN of a Lambda function")]
pub struct NoFunction;

impl FunctionArn {
    /// Returns the Region of the function.
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

impl FromStr for FunctionArn {
    type Err = NoFunction;

    /// The characters are those of the Lambda API reference (`Invoke`, `FunctionName`): none that a log or a path cannot
    /// have.
    fn from_str(text: &str) -> Result<Self, NoFunction> {
        let parts: Vec<&str> = text.split(':').collect();
        let (head, rest) = parts.split_at_checked(7).ok_or(NoFunction)?;
        let [arn, partition, service, region, account, kind, name] = head else { return Err(NoFunction) };
        let of_region = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        let of_name = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
        let is_name = |text: &&str, most: usize| !text.is_empty() && text.len() <= most && text.chars().all(of_name);
        let qualifier_is_one = match rest {
            [] => true,
            [qualifier] => *qualifier == "$LATEST" || is_name(qualifier, 128),
            _ => false,
        };
        let is_arn = *arn == "arn"
            && partition.starts_with("aws")
            && partition.chars().all(of_region)
            && (*service, *kind) == ("lambda", "function")
            && region.contains('-')
            && region.chars().all(of_region)
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_name(name, 64)
            && qualifier_is_one;
        if is_arn { Ok(Self(text.to_owned())) } else { Err(NoFunction) }
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FunctionArn {
    type Error = NoFunction;

    fn try_from(text: String) -> Result<Self, NoFunction> {
        text.parse()
    }
}

impl From<FunctionArn> for String {
    fn from(arn: FunctionArn) -> Self {
        arn.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arns_of_functions_are_taken() {
        const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111122223333:function:ready";
        let long = format!("{FUNCTION}{}", "x".repeat(60));
        let table = [
            (FUNCTION, true),
            ("arn:aws:lambda:eu-central-1:111122223333:function:ready:live", true),
            ("arn:aws:lambda:eu-central-1:111122223333:function:ready:$LATEST", true),
            ("arn:aws-cn:lambda:cn-north-1:111122223333:function:my_hook-1:7", true),
            ("", false),
            ("ready", false),
            ("arn:aws:lambda:eu-central-1:111122223333:function", false),
            ("arn:aws:lambda:eu-central-1:111122223333:function:", false),
            ("arn:aws:lambda:eu-central-1:111122223333:function:ready:", false),
            ("arn:aws:lambda:eu-central-1:111122223333:function:ready:live:x", false),
            ("arn:aws:lambda:eu-central-1:111122223333:function:*", false),
            ("arn:aws:lambda:eu-central-1:111122223333:layer:ready", false),
            ("arn:aws:sqs:eu-central-1:111122223333:function:ready", false),
            ("arn:aws:lambda::111122223333:function:ready", false),
            ("arn:aws:lambda:eu-central-1:1111:function:ready", false),
            ("arn:aws:lambda:eu-central-1:111122223333:function:a/b", false),
            (long.as_str(), false),
        ];
        for (text, is_one) in table {
            assert_eq!(text.parse::<FunctionArn>().map(|arn| arn.to_string()).is_ok(), is_one, "{text}");
        }
        assert_eq!(FUNCTION.parse::<FunctionArn>().unwrap().region(), "eu-central-1");
    }
}
