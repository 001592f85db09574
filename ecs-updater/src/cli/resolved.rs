//! What to work by, which AWS may have to be asked for.

use tokio::sync::watch;

use super::error::CliError;
use crate::args::Cli;
use crate::aws::{self, Access, Aws, SdkConfig};
use crate::cluster_settings::{self, Resolved};
use crate::config::{self, Environment, Inputs};

/// The SDK's configuration and what to work by, which AWS may have to be asked for; all in the account that is expected.
pub(super) async fn resolved(
    cli: &Cli,
    environment: &Environment,
    stop: &watch::Receiver<bool>,
) -> Result<(SdkConfig, Resolved), CliError> {
    let (config, inputs) = gathered(cli, environment).await?;
    let resolved = cluster_settings::resolve(&Aws::reading(&config), inputs, stop).await?;
    if let Some(expected) = &cli.global.expect_account {
        let whatever = cli.command.order().is_some_and(|order| order.needs_no_settings());
        resolved.expect_account(expected, whatever)?;
    }
    Ok((config, resolved))
}

/// The SDK's configuration, and what is said in all places but the clusters' tags.
pub(super) async fn gathered(cli: &Cli, environment: &Environment) -> Result<(SdkConfig, Inputs), CliError> {
    let (args, given) = (&cli.global, cli.command.given());
    let access =
        Access { region: args.region.clone(), profile: args.profile.clone(), endpoint_url: args.endpoint_url.clone() };
    // What is wrong without asking AWS is told without asking AWS.
    match config::parameter(&given, environment)? {
        None => {
            let inputs = Inputs::gather(&given, environment, None)?;
            inputs.settings()?;
            Ok((aws::load(&access).await?, inputs))
        }
        Some(name) => {
            let config = aws::load(&access).await?;
            let text = cluster_settings::parameter(&Aws::reading(&config), &name).await;
            let text = text.map_err(|source| CliError::Parameter { name, source })?;
            let inputs = Inputs::gather(&given, environment, text.as_deref())?;
            Ok((config, inputs))
        }
    }
}
