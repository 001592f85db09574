//! Placement constraints of the kind `memberOf`: expressions in the cluster query language (ECS developer guide,
//! `cluster-query-language`), as far as they speak of an instance's attributes, its EC2 id, and the groups of its tasks.
//!
//! What this cannot read, or cannot know (agents, counts, patterns, the groups where nobody has looked at the tasks), is
//! neither true nor false: then placement is ECS's to decide, and the drain's time-out is the net below.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::fleet::Instance;
use models::ids::ServiceName;

/// What an expression is asked of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) groups: &'a Groups,
    /// Services whose tasks are to come.
    pub(crate) promised: &'a [&'a ServiceName],
}

/// The groups of the tasks on an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    /// As ECS writes them.
    present: BTreeSet<String>,
    /// Whether there are no others.
    is_complete: bool,
}

/// What was seen on an instance this long ago may have moved since.
const GROUPS_KNOWN_FOR: SignedDuration = SignedDuration::from_mins(5);

impl Groups {
    /// Returns what is known of an instance's groups. A task that stops may be there or not. There are no others only where
    /// ECS counts as many tasks now as were seen then: an instance that is back in service has none yet, and will.
    pub(crate) fn of(instance: &Instance, now: Timestamp) -> Self {
        let Some(seen) = instance.tasks.as_ref().filter(|seen| now.duration_since(seen.at) <= GROUPS_KNOWN_FOR) else {
            return Self::default();
        };
        let stay = |task: &&models::fleet::Task| !task.stopping && !task.undescribed;
        let (running, pending) = (instance.running_tasks as usize, instance.pending_tasks as usize);
        let is_the_count = [running, running + pending].contains(&seen.tasks.len());
        Self {
            present: seen.tasks.iter().filter(stay).map(|task| task.group.to_string()).collect(),
            is_complete: is_the_count && !seen.tasks.is_empty() && seen.tasks.iter().all(|task| stay(&task)),
        }
    }
}

/// Whether an expression asks for the groups of tasks.
pub(crate) fn asks_for_groups(expression: &str) -> bool {
    expression.contains(TASK_GROUP)
}

const TASK_GROUP: &str = "task:group";

/// Whether the subject meets the expression; `None` where that cannot be told.
pub(crate) fn meets(expression: &str, subject: Subject<'_>) -> Option<bool> {
    let words = words(expression)?;
    let mut parser = Parser { words: &words, subject };
    let value = parser.any()?;
    parser.words.is_empty().then_some(value).flatten()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    /// `!` before an expression.
    Bang,
    Text(String),
}

fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let word = match char {
            ' ' | '\t' | '\n' => continue,
            '(' => Word::Open,
            ')' => Word::Close,
            '[' => Word::OpenList,
            ']' => Word::CloseList,
            ',' => Word::Comma,
            '"' | '\'' => {
                let mut quoted = String::new();
                loop {
                    match chars.next()? {
                        end if end == char => break Word::Text(quoted),
                        other => quoted.push(other),
                    }
                }
            }
            '=' | '!' | '<' | '>' | '&' | '|' => {
                let mut sign = char.to_string();
                while let Some(next) = chars.next_if(|next| "=~&|".contains(*next)) {
                    sign.push(next);
                }
                let follows = chars.peek().copied();
                match (sign.as_str(), follows) {
                    // `!exists`, `!in`: an operator that begins with the sign.
                    ("!", Some(next)) if next.is_ascii_lowercase() => {
                        while let Some(next) = chars.next_if(char::is_ascii_lowercase) {
                            sign.push(next);
                        }
                        Word::Text(sign)
                    }
                    ("!", _) => Word::Bang,
                    _ => Word::Text(sign),
                }
            }
            other => {
                let mut bare = other.to_string();
                while let Some(next) = chars.next_if(|next| !" \t\n()[],=!<>&|\"'".contains(*next)) {
                    bare.push(next);
                }
                Word::Text(bare)
            }
        };
        words.push(word);
    }
    Some(words)
}

/// Reads and decides at once. The outer `Option` of its answers is `None` where the expression cannot be read.
struct Parser<'a> {
    words: &'a [Word],
    subject: Subject<'a>,
}

/// Whether an expression holds; `None` where that cannot be told.
type Known = Option<bool>;

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Word> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn takes(&mut self, wanted: &[&str]) -> bool {
        let found = matches!(self.words.first(), Some(Word::Text(text)) if wanted.contains(&text.as_str()));
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn any(&mut self) -> Option<Known> {
        let mut value = self.all()?;
        while self.takes(&["or", "||"]) {
            let other = self.all()?;
            let decides = value == Some(true) || other == Some(true);
            value = if decides { Some(true) } else { value.and(other) };
        }
        Some(value)
    }

    fn all(&mut self) -> Option<Known> {
        let mut value = self.one()?;
        while self.takes(&["and", "&&"]) {
            let other = self.one()?;
            let decides = value == Some(false) || other == Some(false);
            value = if decides { Some(false) } else { value.and(other) };
        }
        Some(value)
    }

    fn one(&mut self) -> Option<Known> {
        if self.words.first() == Some(&Word::Bang) || self.words.first() == Some(&Word::Text("not".to_owned())) {
            self.next();
            return Some(self.one()?.map(|value| !value));
        }
        if self.words.first() == Some(&Word::Open) {
            self.next();
            let value = self.any()?;
            return (self.next()? == &Word::Close).then_some(value);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Option<Known> {
        let subject = self.text()?;
        let operator = self.text()?;
        let instance = self.subject.instance;
        let own = if let Some(name) = subject.strip_prefix("attribute:") {
            Some(instance.attributes.get(name))
        } else if subject == "ec2InstanceId" {
            Some(Some(instance.host.as_str()))
        } else {
            // agentConnected, runningTasksCount and the like change.
            None
        };
        let values = match operator {
            "exists" | "!exists" | "not_exists" => Vec::new(),
            "in" | "!in" | "not_in" => self.list()?,
            _ => vec![self.text()?],
        };
        if subject == TASK_GROUP {
            return Some(self.of_groups(operator, &values));
        }
        let Some(own) = own else { return Some(None) };
        let among = own.is_some_and(|own| values.contains(&own));
        Some(match operator {
            "exists" => Some(own.is_some()),
            "!exists" | "not_exists" => Some(own.is_none()),
            "==" | "equals" | "in" => Some(among),
            // An attribute that is not there differs from every value.
            "!=" | "not_equals" | "!in" | "not_in" => Some(!among),
            _ => None,
        })
    }

    /// A test holds where one of the groups passes it.
    fn of_groups(&self, operator: &str, values: &[&str]) -> Known {
        let Subject { groups, promised, .. } = self.subject;
        let promised = promised.iter().map(|service| format!("service:{service}"));
        let mut known = groups.present.iter().cloned().chain(promised);
        let is_there = |found: bool| (found || groups.is_complete).then_some(found);
        match operator {
            "exists" => is_there(known.next().is_some()),
            "!exists" | "not_exists" => is_there(known.next().is_some()).map(|found| !found),
            "==" | "equals" | "in" => is_there(known.any(|group| values.contains(&group.as_str()))),
            "!=" | "not_equals" | "!in" | "not_in" => {
                is_there(known.any(|group| values.contains(&group.as_str()))).map(|found| !found)
            }
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        match self.next()? {
            Word::Text(text) => Some(text),
            Word::Open | Word::Close | Word::OpenList | Word::CloseList | Word::Comma | Word::Bang => None,
        }
    }

    fn list(&mut self) -> Option<Vec<&'a str>> {
        let mut values = Vec::new();
        if self.next()? != &Word::OpenList {
            return None;
        }
        loop {
            values.push(self.text()?);
            match self.next()? {
                Word::Comma => {}
                Word::CloseList => return Some(values),
                Word::Open | Word::Close | Word::OpenList | Word::Bang | Word::Text(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use models::fleet::{Instance, SeenTasks, Task};

    use super::{Groups, Subject};
    use crate::planner::fixtures::{at, attributes, instance, task};

    fn meets(expression: &str, instance: &Instance) -> Option<bool> {
        super::meets(expression, Subject { instance, groups: &Groups::default(), promised: &[] })
    }

    #[test]
    fn expressions_of_the_guide() {
        let mut host = instance(1, None, at(0));
        host.attributes = attributes(&[
            ("ecs.instance-type", "g2.2xlarge"),
            ("ecs.availability-zone", "us-east-1a"),
            ("stack", "prod"),
        ]);
        let table = [
            ("attribute:ecs.instance-type == g2.2xlarge", Some(true)),
            ("attribute:ecs.instance-type != g2.2xlarge", Some(false)),
            ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", Some(true)),
            ("attribute:ecs.availability-zone not_in [us-east-1a]", Some(false)),
            ("attribute:ecs.availability-zone !in ['us-east-1d']", Some(true)),
            ("attribute:stack exists", Some(true)),
            ("attribute:stack !exists", Some(false)),
            ("attribute:gpu exists", Some(false)),
            ("attribute:gpu == yes", Some(false)),
            ("not (attribute:stack == prod)", Some(false)),
            ("!(attribute:stack == \"test\")", Some(true)),
            ("attribute:stack == prod and attribute:ecs.availability-zone == us-east-1b", Some(false)),
            ("attribute:stack == test or attribute:ecs.availability-zone == us-east-1a", Some(true)),
            ("(attribute:stack == prod && attribute:gpu exists) || ec2InstanceId == i-1", Some(true)),
            ("ec2InstanceId in ['i-2', 'i-3']", Some(false)),
            // What cannot be known decides nothing, unless the rest decides by itself.
            ("attribute:ecs.instance-type =~ g2.*", None),
            ("task:group == service:production", None),
            ("runningTasksCount > 1 and attribute:stack == test", Some(false)),
            ("runningTasksCount > 1 or attribute:stack == prod", Some(true)),
            ("runningTasksCount > 1 and attribute:stack == prod", None),
            ("attribute:stack ==", None),
            ("attribute:stack == prod)", None),
            ("attribute:stack in [prod", None),
            ("", None),
        ];
        for (expression, wanted) in table {
            assert_eq!(meets(expression, &host), wanted, "{expression}");
        }
    }

    #[test]
    fn groups_of_tasks() {
        let now = at(10);
        let mut host = instance(1, None, now);
        host.running_tasks = 2;
        let stopping = Task { stopping: true, ..task(3, Some("db")) };
        let on = |tasks: Vec<Task>, seen| Some(SeenTasks { at: seen, tasks });
        let shop = || vec![task(0, Some("shop")), task(1, None)];
        let with_stopping = || vec![task(0, Some("shop")), stopping.clone()];
        let web = "web".into();
        for (tasks, promised, expression, wanted) in [
            (on(shop(), now), false, "task:group == service:shop", Some(true)),
            (on(shop(), now), false, "task:group == service:db", Some(false)),
            (on(shop(), now), false, "task:group != service:shop", Some(false)),
            (on(shop(), now), false, "task:group != service:db", Some(true)),
            (on(shop(), now), false, "not(task:group == service:db)", Some(true)),
            (on(shop(), now), false, "task:group in [service:db, family:batch]", Some(true)),
            (on(shop(), now), false, "task:group not_in [service:db]", Some(true)),
            (on(shop(), now), false, "task:group exists", Some(true)),
            // An instance that has just come back has no tasks yet.
            (on(vec![], now), false, "task:group == service:db", None),
            // ECS counts two now.
            (on(shop()[..1].to_vec(), now), false, "task:group == service:db", None),
            (on(shop()[..1].to_vec(), now), false, "task:group == service:shop", Some(true)),
            (on(shop(), now), false, "task:group =~ service:.*", None),
            // What is promised is as good as there.
            (on(shop(), now), true, "task:group == service:web", Some(true)),
            (None, true, "task:group == service:web", Some(true)),
            // What stops may be there or not; what is there is there.
            (on(with_stopping(), now), false, "task:group == service:db", None),
            (on(with_stopping(), now), false, "task:group == service:shop", Some(true)),
            (None, false, "task:group == service:shop", None),
            (on(shop(), at(4)), false, "task:group == service:shop", None),
        ] {
            host.tasks = tasks;
            let promised: &[_] = if promised { &[&web] } else { &[] };
            let subject = Subject { instance: &host, groups: &Groups::of(&host, now), promised };
            assert_eq!(super::meets(expression, subject), wanted, "{expression}: {:?}", host.tasks);
        }
    }
}
