//! The cluster query language (ECS developer guide, "Cluster query language"), for `filter` of
//! `ListContainerInstances` and for placement constraints.
//!
//! The guide does not say what a comparison with an attribute means that is not there. Observed: it is false, and so is
//! `!=` ([containers-roadmap #486](https://github.com/aws/containers-roadmap/issues/486)); what `not (…)` makes of that is
//! not known, and is the contrary here.

mod expression;
mod parser;

use std::collections::BTreeMap;
use std::str::FromStr;

use expression::Node;
pub use expression::{Extra, Subject};
pub use parser::FilterError;
use parser::Parser;

/// An expression.
#[derive(Debug, Clone)]
pub struct Filter(Node);

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`FilterError`] where the text is no expression.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Parser::whole(text).map(Self)
    }

    /// Reads an expression of the updater's `select`, which can ask for EC2 tags and capacity providers too.
    ///
    /// # Errors
    /// [`FilterError`] where the text is no expression.
    pub fn parse_select(text: &str) -> Result<Self, FilterError> {
        Parser::whole_select(text).map(Self)
    }

    /// Whether the instance is one of those that the expression speaks of.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.0.holds(subject, &Extra { tags: &BTreeMap::new(), provider: None })
    }

    /// The same of an expression of `select`.
    pub fn matches_with(&self, subject: &Subject<'_>, extra: &Extra<'_>) -> bool {
        self.0.holds(subject, extra)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expression: &str) -> bool {
        let attributes: BTreeMap<String, Option<String>> = [
            ("bottlerocket.variant", Some("aws-ecs-2")),
            ("ecs.instance-type", Some("m6i.large")),
            ("ecs.capability.task-eni", None),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        .collect();
        let subject = Subject {
            attributes: &attributes,
            agent_connected: true,
            agent_version: "1.98.0",
            ec2_instance_id: "i-1",
            registered_at: "2026-11-22T03:00:00Z".parse().unwrap(),
            task_groups: vec!["service:shop", "family:batch"],
            running_tasks: 10,
        };
        Filter::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).matches(&subject)
    }

    #[test]
    fn expressions() {
        for expression in [
            "attribute:bottlerocket.variant exists",
            "attribute:bottlerocket.variant == aws-ecs-2",
            "attribute:bottlerocket.variant in [aws-ecs-1, aws-ecs-2]",
            "attribute:bottlerocket.variant in ['aws-ecs-1','aws-ecs-2']",
            "attribute:bottlerocket.variant =~ ^aws-ecs-.*",
            "attribute:bottlerocket.variant=~aws-ecs.*",
            "attribute:bottlerocket.variant != aws-ecs-1",
            "attribute:nothing !exists",
            "attribute:nothing not_exists",
            "not (attribute:nothing == x)",
            "attribute:ecs.capability.task-eni exists",
            "attribute:ecs.instance-type !in [t3.micro]",
            "agentConnected == true",
            "agentConnected and not runningTasksCount == 0",
            "runningTasksCount > 9",
            "(runningTasksCount < 3 or agentVersion >= 1.9.0) && ec2InstanceId in [i-1]",
            "!(ec2InstanceId == i-2)",
            "registeredAt < 2026-11-23T00:00:00Z",
            "task:group == service:shop",
            "task:group in [service:other, family:batch]",
            "task:group =~ family:.*",
            "task:group != service:other",
            "task:group exists",
            "attribute:ecs.instance-type equals \"m6i.large\"",
        ] {
            assert!(holds(expression), "{expression}");
        }
        for expression in [
            "attribute:nothing exists",
            "attribute:nothing == x",
            "attribute:nothing != x",
            "attribute:nothing !in [x]",
            "attribute:bottlerocket.variant !exists",
            "attribute:bottlerocket.variant !~ aws.*",
            "agentConnected == false",
            "task:group == service:other",
            "task:group != service:shop",
            "runningTasksCount < 9",
            "agentConnected == true and ec2InstanceId == i-2 or runningTasksCount == 9",
        ] {
            assert!(!holds(expression), "{expression}");
        }
    }

    #[test]
    fn malformed_expressions_are_refused() {
        for expression in [
            "",
            "attribute:",
            "attribute:x",
            "attribute:x ==",
            "nonsense == 1",
            "attribute:x in []",
            "attribute:x in [a",
            "(agentConnected == true",
            "agentConnected == true extra",
            "attribute:x == 'open",
            "attribute:x =~ '('",
        ] {
            assert!(Filter::parse(expression).is_err(), "{expression}");
        }
    }
}
