//! What to work by, which AWS may have to be asked for.

use tokio::sync::watch;

use super::error::CliError;
use crate::args::Cli;
use crate::aws::{self, Access, Aws, SdkConfig};
use crate::cluster_settings::{self, Resolved};
use crate::config::{self, Environment, Inputs};

/// The SDK's configuration and what to work by, which AWS may have to be asked for.
pub(super) async fn resolved(
    cli: &Cli,
    environment: &Environment,
    stop: &watch::Receiver<bool>,
) -> Result<(SdkConfig, Resolved), CliError> {
    let (args, given) = (&cli.global, cli.command.given());
    let access =
        Access { region: args.region.clone(), profile: args.profile.clone(), endpoint_url: args.endpoint_url.clone() };
    // What is wrong without asking AWS is told without asking AWS.
    let (config, inputs) = match config::parameter(&given, environment)? {
        None => {
            let inputs = Inputs::gather(&given, environment, None)?;
            inputs.settings()?;
            (aws::load(&access).await?, inputs)
        }
        Some(name) => {
            let config = aws::load(&access).await?;
            let text = cluster_settings::parameter(&Aws::reading(&config), &name).await;
            let text = text.map_err(|source| CliError::Parameter { name, source })?;
            (config, Inputs::gather(&given, environment, text.as_deref())?)
        }
    };
    let resolved = cluster_settings::resolve(&Aws::reading(&config), inputs, stop).await?;
    if let Some(expected) = &args.expect_account {
        let whatever = cli.command.order().is_some_and(|order| order.needs_no_settings());
        resolved.expect_account(expected, whatever)?;
    }
    Ok((config, resolved))
}
