//! The only wiring: the command line in, an exit code out.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    chatfold::cli::run(chatfold::cli::Cli::parse())
}
