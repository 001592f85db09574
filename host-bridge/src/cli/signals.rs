//! The signals that end the program.

use tokio::signal::unix::{SignalKind, signal};

/// Ends with the first SIGINT or SIGTERM.
pub(super) async fn stopped() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Then the signals end the process as they always do.
        _ => std::future::pending().await,
    }
}
