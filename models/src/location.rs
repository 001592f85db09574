//! The AWS account and the Region that something is in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, RegionName};

/// An account and a Region, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    pub account: Option<AccountId>,
    pub region: Option<RegionName>,
}

impl Location {
    /// Reads both from an ARN such as `arn:aws:ecs:eu-central-1:123456789012:cluster/web`; `None` where one of them is
    /// missing or is not written as AWS writes it.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.strip_prefix("arn:")?.splitn(5, ':').skip(2);
        let region = parts.next().filter(|region| is_region(region))?;
        let account = parts.next().filter(|account| is_account(account))?;
        Some(Self { account: Some(account.into()), region: Some(region.into()) })
    }

    /// Returns whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        self.account.is_none() && self.region.is_none()
    }
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-')
}

/// Whether a text is written as AWS writes the id of an account.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|char| char.is_ascii_digit())
}

/// `eu-central-1, account 123456789012`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{region}, ")?,
            None => f.write_str("Region not known, ")?,
        }
        match &self.account {
            Some(account) => write!(f, "account {account}"),
            None => f.write_str("account not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_where_it_is() {
        let cases = [
            ("arn:aws:ecs:eu-central-1:123456789012:cluster/web", "eu-central-1, account 123456789012"),
            ("arn:aws-cn:ecs:cn-north-1:123456789012:cluster/web", "cn-north-1, account 123456789012"),
            ("arn:aws:ecs:eu-west-1:123456789012:container-instance/a:b/c", "eu-west-1, account 123456789012"),
        ];
        for (arn, expected) in cases {
            assert_eq!(Location::of_arn(arn).map(|location| location.to_string()).as_deref(), Some(expected), "{arn}");
        }
        for arn in [
            "web",
            "arn:aws:ecs",
            "arn:aws:iam::123456789012:role/updater",
            "arn:aws:ecs:eu-central-1::cluster/web",
            "arn:aws:ecs:eu-central-1:12345678901\u{1b}:cluster/web",
            "arn:aws:ecs:eu central 1:123456789012:cluster/web",
        ] {
            assert_eq!(Location::of_arn(arn), None, "{arn}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let region = Some(RegionName::from("eu-central-1"));
        assert_eq!(Location { account: None, region }.to_string(), "eu-central-1, account not known");
        assert_eq!(Location::default().to_string(), "Region not known, account not known");
    }
}
