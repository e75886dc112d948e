//! `chatfold serve`.

use crate::config::Config;
use std::process::ExitCode;

/// Runs the server until SIGTERM or SIGINT.
pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    crate::http::serve(config)
}
