//! A setting of a cluster: its names in each place, and what its value may be. Everything comes from its row in
//! [`ROWS`].

use std::fmt;

use models::claim::TAG_PREFIX;
use models::policy::Policy;

use super::names::{NEVER_OPENED, VARIABLE_PREFIX};
use super::rows::{ROWS, Row};
use super::syntax::NotAllowed;
use super::tag_rule::Tag;
use super::value::Value;

/// A setting, by the number of its row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(usize);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl Key {
    /// Returns all keys, in the order of the documents.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        (0..ROWS.len()).map(Self)
    }

    /// Finds the key that stands at `path` in `[defaults]`.
    pub fn find(path: &str) -> Option<Self> {
        Self::all().find(|key| key.path() == path)
    }

    fn row(self) -> &'static Row {
        &ROWS[self.0]
    }

    /// Returns the path in `[defaults]` and `[[cluster]]`, such as `timeouts.drain`.
    pub fn path(self) -> &'static str {
        self.row().path
    }

    /// Returns the table that the key stands in, if it is not `[defaults]` itself.
    pub fn table(self) -> Option<&'static str> {
        self.path().split_once('.').map(|(table, _)| table)
    }

    /// Returns the flag without its dashes: the path, and for one in a table its last part in front, as in
    /// `drain-timeout`.
    pub fn flag(self) -> String {
        let name = match self.path().split_once('.') {
            Some((table, name)) => format!("{name}_{}", table.strip_suffix('s').unwrap_or(table)),
            None => self.path().to_owned(),
        };
        name.replace('_', "-")
    }

    /// Returns the environment variable: the flag's name in capitals behind [`VARIABLE_PREFIX`].
    pub fn variable(self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.flag().to_uppercase().replace('-', "_"))
    }

    /// Returns the tag on an ECS cluster: the flag's name behind [`TAG_PREFIX`].
    pub fn tag(self) -> String {
        format!("{TAG_PREFIX}{}", self.flag())
    }

    /// Names what a tag may do to the key where it is not opened: `never`, `stricter` or `any`.
    pub fn tag_may(self) -> &'static str {
        self.row().tag.name()
    }

    /// Whether a group of a cluster's instances may have a value of its own.
    pub fn may_stand_in_group(self) -> bool {
        self.row().in_group
    }

    /// What a tag may do to the key where it is not opened.
    pub(super) fn tag_rule(self) -> Tag {
        self.row().tag
    }

    /// Whether `tags` can open the key.
    pub fn can_be_opened(self) -> bool {
        !NEVER_OPENED.contains(&self.path())
    }

    /// Returns the value of the key as it would stand in TOML.
    pub(super) fn value(self, policy: &Policy) -> String {
        self.row().setting.write(policy)
    }

    /// Describes what the value may be, to follow "must be".
    pub fn allowed(self) -> String {
        self.row().setting.allowed()
    }

    /// As [`Key::allowed`], with what is wrong with this value.
    pub(super) fn allowed_for(self, value: &Value) -> String {
        match self.row().setting.fault(value) {
            Some(fault) => format!("{}: {fault}", self.allowed()),
            None => self.allowed(),
        }
    }

    /// As [`Key::allowed_for`], in the characters that ECS takes in a tag (ECS API reference, `Tag`): no `%`.
    pub(super) fn allowed_in_tag(self, value: &Value) -> String {
        self.allowed_for(value).replace('%', " percent")
    }

    /// Returns the built-in default, as it would stand in TOML.
    pub fn default_value(self) -> String {
        self.row().setting.write(&Policy::default())
    }

    /// Returns the sentence of the help, which ends with the default.
    pub fn help(self) -> String {
        format!("{} [default: {}]", self.row().help, self.default_value().replace('"', ""))
    }

    /// Names the value in the help, such as `COUNT|PERCENT`.
    pub fn placeholder(self) -> String {
        self.row().setting.placeholder()
    }

    /// Returns what the bare flag means, where it may stand without a value.
    pub fn bare(self) -> Option<&'static str> {
        self.row().setting.bare()
    }

    pub(super) fn set(self, policy: &mut Policy, value: &Value) -> Result<(), NotAllowed> {
        self.row().setting.set(policy, value)
    }

    pub(super) fn copy(self, from: &Policy, to: &mut Policy) {
        self.row().setting.copy(from, to);
    }
}
