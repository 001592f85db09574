//! Who does what happens.

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The program under test: everything that comes over the wire.
    Updater,
    /// A person, or another program of theirs: the scenario's events.
    Person,
    /// AWS, or the course of things.
    World,
}
