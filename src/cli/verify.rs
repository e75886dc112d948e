//! `chatfold verify`: whether the log still gives the tables that the file has.

use super::{counted, progress, table};
use crate::config::Config;
use crate::fold::FOLD_VERSION;
use crate::rebuild::{self, Verified};
use crate::store::sqlite::inspect;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How to print it, and where to fold.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Folder for the temporary file, which gets about as large as the tables [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    pub temp_dir: Option<PathBuf>,
}

/// Folds the log into a temporary file and compares all tables. Exit code 1 where anything differs.
pub fn run(config: &Config, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let file = inspect::open_file(&config.db)?;
    let folder = args.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
    let private = private(&folder).with_context(|| format!("cannot make a folder in {}", folder.display()))?;
    let temporary = private.path().join("folded.db");
    let mut bar = progress::Bar::new();
    let verified = rebuild::verify(&config.db, &file, &temporary, &mut |progress| bar.show(progress))
        .with_context(|| format!("verifying {}", config.db.display()))?;
    bar.finish();
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", to_json(&verified))?;
    } else {
        print(config, &verified, &mut out)?;
    }
    out.flush()?;
    Ok(if verified.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder for its owner alone, under a name that nobody can take before.
fn private(folder: &Path) -> io::Result<tempfile::TempDir> {
    let owner_alone = Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("chatfold-verify-").permissions(owner_alone).tempdir_in(folder)
}

fn to_json(verified: &Verified) -> serde_json::Value {
    let differences =
        verified.differences.iter().map(|it| json!({ "table": it.table, "rows": it.rows, "first": it.words }));
    json!({
        "clean": verified.is_clean(),
        "seq": verified.live.seq,
        "events": verified.events,
        "foldVersion": verified.fold_version,
        "state": verified.live.to_json(),
        "folded": verified.folded.to_json(),
        "differences": differences.collect::<Vec<_>>(),
        "damaged": verified.damaged,
        "markedOtherwise": verified.marked_otherwise,
        "integrity": verified.integrity,
    })
}

/// Only a rebuild marks the secrets of all rows by one rule.
fn print_marks(config: &Config, verified: &Verified, out: &mut impl Write) -> io::Result<()> {
    let events = match verified.marked_otherwise {
        0 => return Ok(()),
        1 => "1 event is".to_owned(),
        count => format!("{count} events are"),
    };
    writeln!(
        out,
        "{events} marked by an older rule for secrets, and the view v_events uses these marks. Run `{}` to mark again",
        config.command("rebuild")
    )
}

fn print(config: &Config, verified: &Verified, out: &mut impl Write) -> io::Result<()> {
    table::print_state(out, &verified.live)?;
    writeln!(out)?;
    if verified.is_clean() {
        let events = verified.events;
        writeln!(out, "clean: {events} events folded again give the same tables, byte for byte")?;
        return print_marks(config, verified, out);
    }
    for line in &verified.integrity {
        writeln!(out, "file: {}", table::printable(line))?;
    }
    for line in &verified.damaged {
        writeln!(out, "{}", table::printable(line))?;
    }
    for difference in &verified.differences {
        let rows = counted(difference.rows, "row differs", "rows differ");
        writeln!(out, "{}: {rows} from what the log gives", difference.table)?;
        for words in &difference.words {
            writeln!(out, "  {}", table::printable(words))?;
        }
    }
    if verified.fold_version != FOLD_VERSION {
        writeln!(
            out,
            "The tables were made by edition {}, but this chatfold has edition {FOLD_VERSION}, so differences are normal.",
            verified.fold_version
        )?;
    }
    writeln!(out, "`{}` makes the tables again from the log", config.command("rebuild"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_verify_folds_is_for_its_owner_alone_under_a_name_of_its_own() {
        let shared = tempfile::tempdir().unwrap();
        let folders = [private(shared.path()).unwrap(), private(shared.path()).unwrap()];
        assert_ne!(folders[0].path(), folders[1].path());
        for folder in folders {
            assert_eq!(folder.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
