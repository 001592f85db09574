//! What is said and asked while a person's wish is carried out.

use std::pin::Pin;

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// There is no terminal, and nobody has said yes beforehand.
    NobodyThere,
}

/// Says what is done, and asks before it is.
pub trait Voice {
    /// Says a line.
    fn say(&self, line: &str);

    /// Asks whether to do what was said.
    fn ask(&self) -> Pin<Box<dyn Future<Output = Answer> + '_>>;
}
