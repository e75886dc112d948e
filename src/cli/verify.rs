//! `chatfold verify`: are the tables what the log says?

use super::{progress, table};
use crate::config::Config;
use crate::fold::FOLD_VERSION;
use crate::rebuild::{self, Verified};
use crate::store::sqlite::inspect;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How to print it, and where to fold.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Folder for the file into which the log is folded, about as large as the tables [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    pub temp_dir: Option<PathBuf>,
}

/// Folds the log into a temporary file and compares all tables. Exit code 1 where anything differs.
pub fn run(config: &Config, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let file = inspect::open_file(&config.db)?;
    let folder = args.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
    let temporary = folder.join(format!("chatfold-verify-{}.db", std::process::id()));
    let mut bar = progress::Bar::new();
    let verified = rebuild::verify(&file, &temporary, &mut |progress| bar.show(progress))
        .with_context(|| format!("verifying {}", config.db.display()))?;
    bar.finish();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{}", to_json(&verified))?;
    } else {
        print(config, &verified, &mut out)?;
    }
    out.flush()?;
    Ok(if verified.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn to_json(verified: &Verified) -> serde_json::Value {
    let differences =
        verified.differences.iter().map(|it| json!({ "table": it.table, "rows": it.rows, "first": it.words }));
    json!({
        "clean": verified.is_clean(),
        "seq": verified.live.seq,
        "foldVersion": verified.fold_version,
        "state": verified.live.to_json(),
        "folded": verified.folded.to_json(),
        "differences": differences.collect::<Vec<_>>(),
        "damaged": verified.damaged,
        "markedOtherwise": verified.marked_otherwise,
        "integrity": verified.integrity,
    })
}

/// What is secret is told apart by one rule for all rows only after a rebuild.
fn print_marks(config: &Config, verified: &Verified, out: &mut impl Write) -> std::io::Result<()> {
    let events = match verified.marked_otherwise {
        0 => return Ok(()),
        1 => "1 event is".to_owned(),
        count => format!("{count} events are"),
    };
    writeln!(
        out,
        "{events} marked by an older rule of what is secret, which v_events goes by: `chatfold rebuild --db {}` marks anew",
        config.db.display()
    )
}

fn print(config: &Config, verified: &Verified, out: &mut impl Write) -> std::io::Result<()> {
    table::print_state(out, &verified.live)?;
    writeln!(out)?;
    if verified.is_clean() {
        let seq = verified.live.seq;
        writeln!(out, "clean: {seq} events folded again give the same tables, byte for byte")?;
        return print_marks(config, verified, out);
    }
    for line in &verified.integrity {
        writeln!(out, "file: {}", table::printable(line))?;
    }
    for line in &verified.damaged {
        writeln!(out, "{}", table::printable(line))?;
    }
    for difference in &verified.differences {
        writeln!(out, "{}: {} rows are not what the log says", difference.table, difference.rows)?;
        for words in &difference.words {
            writeln!(out, "  {}", table::printable(words))?;
        }
    }
    if verified.fold_version != FOLD_VERSION {
        writeln!(
            out,
            "The tables were made by edition {} of the fold, this chatfold has edition {FOLD_VERSION}: differences are to be expected.",
            verified.fold_version
        )?;
    }
    writeln!(out, "`chatfold rebuild --db {}` makes the tables anew from the log", config.db.display())
}
