//! What a run is told from outside while it works.

use tokio::sync::watch;

/// What a run is told from outside while it works.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Becomes true when the run is to stop now.
    pub stop: watch::Receiver<bool>,
    /// Becomes true when the run is to begin nothing more, and to end what was begun.
    pub finish: watch::Receiver<bool>,
}

impl From<watch::Receiver<bool>> for Signals {
    fn from(stop: watch::Receiver<bool>) -> Self {
        let (_, finish) = watch::channel(false);
        Self { stop, finish }
    }
}
