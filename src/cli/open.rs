//! `chatfold open`: the console over a file.

use crate::config::Config;
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which file.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// The SQLite file, for example a copy. A file FILE-wal beside it is a part of it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only print the address, and open no browser
    #[arg(long)]
    pub no_browser: bool,
}

/// Shows the file until Ctrl-C. It is never written; a server may be writing it.
pub fn run(config: Config, args: OpenArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.file.is_file(), "there is no file {}", args.file.display());
    let browse = !args.no_browser && std::io::stderr().is_terminal() && has_display();
    crate::http::open(config.to_open(args.file)?, browse)
}

/// Whether a browser would be seen: on Linux, only beside a desktop.
fn has_display() -> bool {
    cfg!(not(target_os = "linux")) || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}
