//! A table of DynamoDB: items by their partition key.

use std::collections::BTreeMap;

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Name of the partition key, a text.
    pub key: String,
    /// Items by the value of their key.
    pub items: BTreeMap<String, Item>,
}

/// The attributes of an item, its key among them.
pub type Item = BTreeMap<String, Attribute>;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text, `S`.
    Text(String),
    /// A number, `N`; only whole numbers are modelled.
    Number(i128),
}
