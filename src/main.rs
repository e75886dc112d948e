//! The only wiring: the command line in, an exit code out.

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chatfold::cli::run(chatfold::cli::Cli::parse())
}
