//! What a command of the updater that is no run says, and how it ends. It agrees to everything.

use std::cell::{Cell, RefCell};
use std::pin::Pin;

use ecs_updater::exit::ExitStatus;
use ecs_updater::steer::{Answer, Voice};

/// What came of it besides its report.
#[derive(Debug, Default)]
pub(crate) struct Steered {
    /// With which status it ended.
    pub(crate) exit: Cell<Option<ExitStatus>>,
    /// What it said.
    pub(crate) said: RefCell<Vec<String>>,
}

impl Voice for Steered {
    fn say(&self, line: &str) {
        self.said.borrow_mut().push(line.to_owned());
    }

    fn ask(&self) -> Pin<Box<dyn Future<Output = Answer> + '_>> {
        Box::pin(std::future::ready(Answer::Yes))
    }
}
