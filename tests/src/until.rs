//! How long a server of the command line runs.

use std::future::Future;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::signal::unix::{SignalKind, signal};

/// Reads a duration such as `30m` that is longer than nothing.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err("must be longer than nothing".to_owned()),
    }
}

/// Ready when the time is over, or at SIGTERM or SIGINT.
pub(crate) fn stopped(after: Duration) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(after) => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_more_than_nothing() {
        assert_eq!(positive_duration("90s"), Ok(Duration::from_secs(90)));
        assert!(positive_duration("0s").is_err());
        assert!(positive_duration("-1m").is_err());
        assert!(positive_duration("soon").is_err());
    }
}
