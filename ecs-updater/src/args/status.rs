//! The flags of `status`.

use std::str::FromStr as _;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::SettingArgs;

/// What `status` takes.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Look again every ten seconds, or as often as this says, until a signal comes
    ///
    /// At least a second. Each look costs some five calls, and two more for each hundred instances. On a terminal it is
    /// drawn over the last one; else it is printed again, in JSON as one line.
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = pace
    )]
    pub watch: Option<Duration>,
    /// The flags that `plan` takes too.
    #[command(flatten)]
    pub settings: SettingArgs,
}

fn pace(text: &str) -> Result<Duration, String> {
    let read = SignedDuration::from_str(text).ok().and_then(|pace| Duration::try_from(pace).ok());
    read.filter(|pace| *pace >= Duration::from_secs(1))
        .ok_or_else(|| "a time of a second or more, such as 30s".to_owned())
}
