//! The instances that a person names for one run: the only ones to begin, and those to leave alone.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::ids::{ContainerInstanceArn, HostId};

/// An instance as a person names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceName {
    /// By the id of the machine.
    Host(HostId),
    /// By the ARN of the container instance.
    Arn(ContainerInstanceArn),
    /// By the last part of that ARN.
    Short(String),
}

/// What the flags name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Only these are begun; none: all.
    pub only: Vec<InstanceName>,
    /// These are not begun.
    pub skip: Vec<InstanceName>,
}

/// The machines that are named, once it is known which they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these are begun; `None`: all.
    pub only: Option<BTreeSet<HostId>>,
    /// These are not begun.
    pub skip: BTreeSet<HostId>,
}

impl Named {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.only.is_empty() && self.skip.is_empty()
    }
}

impl InstanceName {
    /// The id of the machine, where it is named by that.
    pub fn host(&self) -> Option<&HostId> {
        match self {
            Self::Host(host) => Some(host),
            Self::Arn(_) | Self::Short(_) => None,
        }
    }

    /// Whether the container instance itself has this name.
    pub fn is_of(&self, arn: &ContainerInstanceArn) -> bool {
        match self {
            Self::Host(_) => false,
            Self::Arn(name) => name == arn,
            Self::Short(name) => name == arn.short(),
        }
    }

    /// Whether this container instance, or its machine, has this name.
    pub fn is(&self, arn: &ContainerInstanceArn, host: &HostId) -> bool {
        self.is_of(arn) || self.host() == Some(host)
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => name.fmt(f),
            Self::Arn(name) => name.fmt(f),
            Self::Short(name) => f.write_str(name),
        }
    }
}

impl FromStr for InstanceName {
    type Err = String;

    /// Takes an id of EC2 (8 or 17 hexadecimal digits), one of a managed node, an ARN of ECS, or the last part of one
    /// (32 hexadecimal digits, or a UUID).
    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let of_machine = |digits: &str| matches!(digits.len(), 8 | 17) && is_hex(digits);
        let machine = text.strip_prefix("i-").or_else(|| text.strip_prefix("mi-"));
        let is_short = |text: &str| text.replace('-', "").len() == 32 && is_hex(&text.replace('-', ""));
        if machine.is_some_and(of_machine) {
            return Ok(Self::Host(text.into()));
        }
        if is_short(text) {
            return Ok(Self::Short(text.to_owned()));
        }
        let resource = text.strip_prefix("arn:").and_then(|arn| arn.split_once(":container-instance/"));
        if resource.is_some_and(|(_, id)| is_short(id.rsplit('/').next().unwrap_or(id))) {
            return Ok(Self::Arn(text.into()));
        }
        Err("it is neither the id of an EC2 instance, such as i-0123456789abcdef0, nor the ARN or id of a container \
             instance"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:container-instance/web/0123456789abcdef0123456789abcdef";
        let old = "arn:aws:ecs:eu-west-1:123456789012:container-instance/01234567-89ab-cdef-0123-456789abcdef";
        let host = HostId::from("i-0123456789abcdef0");
        for (text, is_it) in [
            ("i-0123456789abcdef0", true),
            ("i-0123456789abcdef1", false),
            ("i-01234567", false),
            ("mi-0123456789abcdef0", false),
            (arn, true),
            (old, false),
            ("0123456789abcdef0123456789abcdef", true),
            ("0123456789abcdef0123456789abcdee", false),
            ("01234567-89ab-cdef-0123-456789abcdef", false),
        ] {
            let name: InstanceName = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(name.is(&arn.into(), &host), is_it, "{text}");
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "web-1",
            "i-",
            "i-012345",
            "I-0123456789abcdef0",
            "i-0123456789abcdeg0",
            "i-0123456789abcdef0 ",
            "i-01234567,i-89abcdef",
            "arn:aws:ecs:eu-west-1:1:task/web/0123456789abcdef0123456789abcdef",
            "arn:aws:ecs:eu-west-1:1:container-instance/web/7",
        ] {
            assert!(text.parse::<InstanceName>().is_err(), "{text}");
        }
    }
}
