//! DynamoDB's tables. What an update does to an item is decided on the wire's side; here it is only kept, so that it
//! happens in one step.

use super::World;
use super::log::Event;
use super::table::{Item, Table};

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
