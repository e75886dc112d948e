//! `chatfold open`: the console over a file.

use crate::config::Config;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which file.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// The SQLite file, such as a copy; a `-wal` beside it belongs to it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Shows the file until Ctrl-C. It is never written; a server may be writing it.
pub fn run(config: Config, args: OpenArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.file.is_file(), "there is no file {}", args.file.display());
    crate::http::open(config.to_open(args.file)?)
}
