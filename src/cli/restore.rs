//! `chatfold restore`: puts a copy in the place of the file.

use super::{progress, stopping};
use crate::backup::{self, Restored};
use crate::config::Config;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to put in place.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The copy. It stays as it is
    #[arg(value_name = "COPY")]
    pub from: PathBuf,
    /// Move a file that is in place aside, with its WAL. Both are kept under a name that is printed
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Does it, while no server holds the file.
pub fn run(config: &Config, args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let stop = stopping::on_signal()?;
    let mut bar = progress::Bar::new();
    let restored = backup::restore(&args.from, &config.db, args.force, &stop, &mut |at| bar.show_backup(at));
    bar.finish();
    let Restored { at, state, kept } = restored?;
    if args.json {
        let line = json!({
            "file": config.db.display().to_string(),
            "at": at.map(|at| at.to_string()),
            "state": state.as_ref().map(backup::State::to_json),
            "kept": kept.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        });
        writeln!(std::io::stdout(), "{line}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(std::io::stdout(), "{}", config.db.display())?;
    for path in kept {
        eprintln!("what was in place is kept as {}", path.display());
    }
    match state {
        Some(state) => eprintln!("restored up to log position {}, state hash {}", state.seq, state.total),
        None => eprintln!("restored. The copy is of an earlier edition: the next `chatfold serve` updates it"),
    }
    match at {
        Some(at) => eprintln!(
            "deliveries that came after {at} are not in it: `chatfold ingest` reads them, if you have their bodies"
        ),
        None => eprintln!("the copy does not say when it was made, so only its structure was checked"),
    }
    Ok(ExitCode::SUCCESS)
}
