//! The commands that a person is told to type. Whatever stands in them is one word to a shell.

use std::borrow::Cow;

use models::ids::{AccountId, ClusterName, ContainerInstanceArn, HostId};

/// What was given on the command line of `status` and belongs on that of the next command too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// As in `--config`.
    pub config: Option<String>,
    /// As in `--lease-table`.
    pub lease_table: Option<String>,
    /// As in `--region`.
    pub region: Option<String>,
    /// As in `--profile`.
    pub profile: Option<String>,
    /// As in `--expect-account`.
    pub expect_account: Option<AccountId>,
    /// The settings, by their flags.
    pub settings: Vec<(String, String)>,
}

impl Typed {
    /// Returns a command of this program, for one cluster.
    pub(crate) fn ours(&self, command: &str, cluster: &ClusterName) -> String {
        let given = [
            ("--cluster", Some(cluster.as_str())),
            ("--config", self.config.as_deref()),
            ("--lease-table", self.lease_table.as_deref()),
            ("--region", self.region.as_deref()),
            ("--profile", self.profile.as_deref()),
            ("--expect-account", self.expect_account.as_ref().map(AccountId::as_str)),
        ];
        let settings = self.settings.iter().map(|(flag, value)| format!(" --{flag}={}", word(value)));
        format!("ecs-updater {command}{}{}", flags(&given), settings.collect::<String>())
    }

    /// Returns a command of the AWS CLI.
    pub(crate) fn aws(&self, command: &str, given: &[(&str, &str)]) -> String {
        let given = given.iter().map(|(flag, value)| (*flag, Some(*value)));
        let ours = [("--region", self.region.as_deref()), ("--profile", self.profile.as_deref())];
        format!("aws {command}{}", flags(&given.chain(ours).collect::<Vec<_>>()))
    }

    /// Returns the command that puts an instance back into service which somebody else has drained.
    pub(crate) fn activate(&self, cluster: &ClusterName, instance: &ContainerInstanceArn) -> String {
        self.aws(
            "ecs update-container-instances-state --status ACTIVE",
            &[("--cluster", cluster.as_str()), ("--container-instances", instance.as_str())],
        )
    }

    /// Returns the command that shows the tags of this program on an instance.
    pub(crate) fn tags(&self, host: &HostId) -> String {
        let filter = format!("Name=resource-id,Values={host}");
        self.aws("ec2 describe-tags", &[("--filters", &filter)])
    }
}

fn flags(given: &[(&str, Option<&str>)]) -> String {
    let given = given.iter().filter_map(|(flag, value)| Some((flag, (*value)?)));
    given.map(|(flag, value)| format!(" {flag} {}", word(value))).collect()
}

/// Returns a text as one word of a POSIX shell.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-./:=@%+,".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_command_is_one_word() {
        let table = [
            ("web", "web"),
            ("arn:aws:ecs:eu-west-1:123456789012:cluster/web", "arn:aws:ecs:eu-west-1:123456789012:cluster/web"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("x'; rm -rf /; '", r"'x'\''; rm -rf /; '\'''"),
            ("é", "'é'"),
        ];
        for (text, one_word) in table {
            assert_eq!(word(text), one_word);
        }
    }

    #[test]
    fn what_was_given_is_given_again() {
        let typed = Typed {
            config: Some("my fleet.toml".to_owned()),
            lease_table: Some("leases".to_owned()),
            region: Some("eu-west-1".to_owned()),
            profile: None,
            expect_account: Some("123456789012".into()),
            settings: vec![("max-unavailable".to_owned(), "10%".to_owned())],
        };
        assert_eq!(
            typed.ours("run", &"web".into()),
            "ecs-updater run --cluster web --config 'my fleet.toml' --lease-table leases --region eu-west-1 \
             --expect-account 123456789012 --max-unavailable=10%"
        );
        assert_eq!(Typed::default().ours("run", &"web".into()), "ecs-updater run --cluster web");
        assert_eq!(
            typed.tags(&"i-1".into()),
            "aws ec2 describe-tags --filters Name=resource-id,Values=i-1 --region eu-west-1"
        );
    }
}
