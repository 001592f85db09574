//! DynamoDB's tables: items by their partition key. What an update does to an item is decided on the wire's side; here
//! it is only kept, so that it happens in one step.

use std::collections::BTreeMap;

use super::World;
use super::log::Event;

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
    /// `S`.
    Text(String),
    /// `N`; only whole numbers are modelled.
    Number(i128),
}

impl World {
    /// A table by its name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Writes an item; what is under this key is replaced.
    pub(crate) fn store(&mut self, table: &str, key: &str, item: Item) {
        if let Some(known) = self.tables.get_mut(table) {
            known.items.insert(key.to_owned(), item.clone());
            self.record(Event::Stored { table: table.to_owned(), key: key.to_owned(), item, caller: self.caller });
        }
    }
}
