//! `chatfold ingest`: deliveries from files into the log.

use super::counted;
use crate::clock;
use crate::config::Config;
use crate::ingest::{Ingest, inputs};
use crate::lock::Lock;
use crate::store::sqlite::beside;
use crate::store::sqlite::log_file::LogFile;
use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to read.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// JSON or NDJSON files, folders of such files, other chatfold files (their log is read), or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Go on if the first 20 lines are not deliveries, and keep such lines as refused
    #[arg(long)]
    pub keep_refused: bool,
}

/// Reads deliveries into the log while no server holds the file. Exit code 1 if a line is not a delivery.
pub fn run(config: &Config, args: &IngestArgs) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in args.paths.iter().filter(|path| !is_stdin(path)) {
        path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        let found = inputs(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(
            !found.is_empty(),
            "the folder {} holds no deliveries. Only files that end in .json, .ndjson or .jsonl are read",
            path.display()
        );
        files.extend(found);
    }
    // Reading it beside SQLite would drop SQLite's locks.
    let ours = ["", "-wal", "-shm"].map(|end| beside(&config.db, end).canonicalize().ok());
    if let Some(path) = files.iter().find(|path| path.canonicalize().is_ok_and(|path| ours.contains(&Some(path)))) {
        anyhow::bail!("{} is the database itself. Name files with deliveries", path.display());
    }
    let lock = Lock::acquire(&config.db).map_err(|error| error.for_command("ingest"))?;
    let mut is_kept = false;
    let taken = take(config, args, &files, &mut is_kept);
    if !is_kept {
        // An empty file would say that chatfold has listened here.
        lock.unmake().with_context(|| format!("removing {}, which holds nothing", config.db.display()))?;
    }
    let (counts, problems) = taken?;
    for problem in &problems {
        eprintln!("not a delivery: {problem}");
    }
    let told: Vec<String> = counts.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
    eprintln!(
        "{} into {}: {}",
        counted(counts.values().sum(), "delivery", "deliveries"),
        config.db.display(),
        if told.is_empty() { "none".into() } else { told.join(", ") }
    );
    if counts.contains_key("rejected") {
        eprintln!("`{}` lists the rejected deliveries and the reasons", config.command("events --outcome rejected"));
    }
    if counts.contains_key("refused") {
        eprintln!("`{}` lists what is not a delivery", config.command("events --refused"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Deliveries by what became of them, and the first lines that are none.
type Taken = (BTreeMap<&'static str, u64>, Vec<String>);

/// Takes all deliveries into the log, and closes the file. `is_kept`: whether the file may hold any of them, also after an
/// error.
fn take(config: &Config, args: &IngestArgs, files: &[PathBuf], is_kept: &mut bool) -> anyhow::Result<Taken> {
    let mut ingest = Ingest::open(&config.db, config.row_cache, clock::now)
        .with_context(|| format!("opening {}", config.db.display()))?;
    ingest.keep_refused = args.keep_refused;
    let read = read(&mut ingest, args, files);
    *is_kept = !ingest.counts.is_empty();
    read?;
    Ok(ingest.finish()?)
}

fn read(ingest: &mut Ingest, args: &IngestArgs, files: &[PathBuf]) -> anyhow::Result<()> {
    let bytes: u64 = files.iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum();
    let bar = bar(bytes);
    for path in files {
        let name = path.display().to_string();
        if is_database(path).with_context(|| format!("cannot open {name}"))? {
            let log = LogFile::open(path)?;
            ingest.read_log(&name, log, |bytes| bar.inc(bytes))?;
            continue;
        }
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        ingest.read(&name, BufReader::new(file), |bytes| bar.inc(bytes))?;
    }
    if args.paths.iter().any(|path| is_stdin(path)) {
        ingest.read("-", BufReader::new(io::stdin()), |bytes| bar.inc(bytes))?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// The first bytes of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";

fn is_database(path: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(MAGIC.len());
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == MAGIC)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A bar on a terminal, nothing elsewhere.
fn bar(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
