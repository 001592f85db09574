//! `doctor`: read, and shown.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use models::doctor::DoctorReport;
use models::report::{ClusterError, ClusterErrorKind};
use tokio::sync::watch;

use super::error::CliError;
use super::resolved::gathered;
use super::signals::{Manners, heard};
use super::status::typed;
use crate::args::{Cli, Output, SettingArgs};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::cluster_settings::{self, Resolved};
use crate::config::{self, Environment, Settings};
use crate::doctor::{Asked, doctor};
use crate::exit::ExitStatus;
use crate::render::live::{Live, Manner};
use crate::render::{json, stdout_width};
use crate::telemetry;

/// Examines the clusters, with a runtime of its own.
pub(super) fn execute(cli: &Cli, args: &SettingArgs) -> Result<ExitStatus, CliError> {
    let environment = config::environment();
    telemetry::init(&cli.global, &environment, &Live::new(Manner::Hidden))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(heard(Manners::of(false), |signals| show(cli, args, &environment, signals.stop)))
}

async fn show(
    cli: &Cli,
    args: &SettingArgs,
    environment: &Environment,
    mut stop: watch::Receiver<bool>,
) -> Result<ExitStatus, CliError> {
    let asked = stop.clone();
    let examined = async {
        let (config, inputs) = gathered(cli, environment).await?;
        let Settings { lease_table, api_share, clusters } = inputs.settings()?;
        let names: Vec<_> = clusters.iter().map(|cluster| cluster.name.clone()).collect();
        let untagged: BTreeMap<_, _> =
            clusters.into_iter().filter_map(|cluster| Some((cluster.name, cluster.policy.ok()?))).collect();
        // Where the tags of each cluster are wrong, all else is checked all the same.
        let resolved = match cluster_settings::resolve(&Aws::reading(&config), inputs, &asked).await {
            Ok(resolved) => resolved,
            Err(error) => {
                let refused = ClusterError { kind: ClusterErrorKind::Configuration, message: error.to_string() };
                let clusters = names.into_iter().map(|name| (name, Err(refused.clone()))).collect();
                Resolved { lease_table, api_share, clusters, locations: BTreeMap::new() }
            }
        };
        let (expect_account, typed) = (cli.global.expect_account.as_ref(), typed(cli, args));
        let asked = Asked { resolved: &resolved, untagged: &untagged, expect_account, typed: &typed };
        Ok::<_, CliError>(doctor(&config, &Clock::system(), &asked).await)
    };
    let report = tokio::select! {
        biased;
        report = examined => report?,
        _ = stop.wait_for(|stopped| *stopped) => return Ok(ExitStatus::Interrupted),
    };
    print(cli.global.output, &report).map_err(CliError::Doctor)?;
    Ok(ExitStatus::of_doctor(&report))
}

fn print(output: Output, report: &DoctorReport) -> io::Result<()> {
    let text = match output {
        Output::Json => json::render(report, json::Layout::Pretty)?,
        Output::Table => crate::render::doctor::render(report, stdout_width()),
    };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Its reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
