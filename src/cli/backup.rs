//! `chatfold backup`: a checked copy of the file, once or again and again.

use super::{progress, stopping};
use crate::backup::{self, BackupError, Schedule, Stop, Taken};
use crate::config::{Config, ConfigError, span};
use crate::http;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Where to, and how often.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to make, or a folder. In a folder the backup is named after the file and the time (UTC)
    #[arg(value_name = "FILE|FOLDER")]
    pub to: PathBuf,
    /// Replace a file that has this name
    #[arg(long)]
    pub force: bool,
    /// Make a backup again and again, until Ctrl-C: every 6h, 30m or 1d. Needs a folder
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub every: Option<Duration>,
    /// Keep only the newest backups, 1 to 10000. Only files that are named as these backups are removed. Needs a folder
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub keep: Option<u16>,
    /// Print one JSON object for each backup
    #[arg(long)]
    pub json: bool,
}

/// Makes it. Reads the file only, so a server may be running.
pub fn run(config: &Config, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    super::is_there(&config.db)?;
    let is_folder = args.to.is_dir();
    if !is_folder && (args.every.is_some() || args.keep.is_some()) {
        let problem = format!("{} is no folder. --every and --keep need a folder", args.to.display());
        return Err(ConfigError(problem).into());
    }
    let stop = stopping::on_signal()?;
    let mut bar = progress::Bar::new();
    let folder = |every| Schedule { folder: args.to.clone(), every, keep: args.keep.map(usize::from) };
    if let Some(every) = args.every {
        return again(config, &folder(every), &stop, &mut bar, args.json);
    }
    let mut show = |at| bar.show_backup(at);
    let taken = match is_folder {
        true => folder(Duration::ZERO).once(&config.db, &stop, &mut show),
        false => backup::take(&config.db, &args.to, args.force, &stop, &mut show),
    };
    bar.finish();
    made(config, &taken?, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Until a signal comes. A backup that failed is told, and tried again later.
fn again(
    config: &Config,
    schedule: &Schedule,
    stop: &Stop,
    bar: &mut progress::Bar,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut broken = None;
    let mut tell = |taken: Result<Taken, BackupError>| {
        let told = taken.map_err(anyhow::Error::from).and_then(|taken| made(config, &taken, as_json));
        match told {
            Err(error) if super::is_broken_pipe(&error) => {
                broken = Some(error);
                stop.ask();
            }
            Err(error) => eprintln!("chatfold: no backup: {error}"),
            Ok(()) => {}
        }
    };
    schedule.run(&config.db, stop, &mut |at| bar.show_backup(at), &mut tell);
    broken.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Tells of a backup: the reader, and the server that writes the file, if there is one.
fn made(config: &Config, taken: &Taken, as_json: bool) -> anyhow::Result<()> {
    http::tell_backup(&config.db, taken);
    let Taken { file, bytes, at, state } = taken;
    if as_json {
        let line = json!({
            "file": file.display().to_string(), "bytes": bytes, "at": at.to_string(), "state": state.to_json(),
        });
        writeln!(std::io::stdout(), "{line}")?;
        return Ok(());
    }
    writeln!(std::io::stdout(), "{}", file.display())?;
    eprintln!("{bytes} bytes, log position {}, of {at}", state.seq);
    eprintln!("checked: its structure is sound, and its state hash is that of the file, {}", state.total);
    Ok(())
}
