//! The report again, and the report as a page.

use std::path::PathBuf;

use clap::Args;

/// The page for a browser.
#[derive(Debug, Clone, Default, Args)]
pub struct PageArgs {
    /// Write the report as a page for a browser to this file too
    ///
    /// One file that needs no network. It shows what needs attention first, then each instance over time, and how many
    /// were out of service.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
}

/// What `report` takes.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The saved report; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The page for a browser.
    #[command(flatten)]
    pub page: PageArgs,
}
