//! Lambda functions, by their ARNs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The ARN of a Lambda function, with a version or an alias where it names one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionArn(String);

/// The text is not the ARN of a Lambda function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the ARN of a Lambda function")]
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
