//! Placement constraints of the kind `memberOf`: expressions in the cluster query language (ECS developer guide,
//! `cluster-query-language`), as far as they speak of what does not change while an instance runs: its attributes and
//! its EC2 id.
//!
//! What this cannot read, or cannot know (tasks, agents, patterns), is neither true nor false: then placement is ECS's
//! to decide, and the drain's time-out is the net below.

use models::fleet::Instance;

/// Whether the instance meets the expression; `None` where that cannot be told.
pub(crate) fn meets(expression: &str, instance: &Instance) -> Option<bool> {
    let words = words(expression)?;
    let mut parser = Parser { words: &words, instance };
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
    instance: &'a Instance,
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
        let own = if let Some(name) = subject.strip_prefix("attribute:") {
            Some(self.instance.attributes.get(name))
        } else if subject == "ec2InstanceId" {
            Some(Some(self.instance.host.as_str()))
        } else {
            // agentConnected, runningTasksCount, task:group and the like change.
            None
        };
        let values = match operator {
            "exists" | "!exists" | "not_exists" => Vec::new(),
            "in" | "!in" | "not_in" => self.list()?,
            _ => vec![self.text()?],
        };
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
    use super::meets;
    use crate::planner::fixtures::{at, attributes, instance};

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
}
