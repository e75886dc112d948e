//! `chatfold ingest`.

use super::lock::Lock;
use crate::config::Config;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to read.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// JSON or NDJSON files, folders of such, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Reads deliveries into the log while no server holds the file.
pub fn run(config: &Config, args: &IngestArgs) -> anyhow::Result<ExitCode> {
    let _lock = Lock::acquire(&config.db).map_err(|error| error.for_command("ingest"))?;
    anyhow::bail!("ingest is not in this build ({} paths)", args.paths.len())
}
