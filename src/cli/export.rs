//! `chatfold export`: the views as files for analysts.

#[cfg(feature = "parquet")]
mod parquet;

use super::{app, counted};
use crate::config::{Config, ConfigError};
use crate::csv;
use crate::store::sqlite::{Connection, begin_read, export, inspect};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(not(feature = "parquet"))]
const WITHOUT_PARQUET: &str = "this chatfold is built without Parquet: build chatfold with `cargo build --release \
    --features parquet`, or export ndjson, which DuckDB turns into Parquet";

/// What to export, and where to.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Name of a view, such as v_messages. Repeat --view for more [default: all views]
    #[arg(long, value_name = "VIEW")]
    pub view: Vec<String>,
    /// How rows are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "ndjson")]
    pub format: Format,
    /// Folder for a file of each view, such as v_messages.csv. Files that are there stay [default: stdout, for one view]
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
    /// Only rows of this app
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object a line
    Ndjson,
    /// A header, and a line for each row
    Csv,
    /// Typed columns, for data frames and warehouses. Needs a build with the feature `parquet`
    Parquet,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Exports views of one snapshot. Reads only, so a server may be running.
pub fn run(config: &Config, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    #[cfg(not(feature = "parquet"))]
    if args.format == Format::Parquet {
        return Err(ConfigError(WITHOUT_PARQUET.into()).into());
    }
    let conn = inspect::open_file(&config.db)?;
    begin_read(&conn)?;
    let all = export::views(&conn)?;
    let known = |view: &&String| all.contains(view);
    if let Some(unknown) = args.view.iter().find(|view| !known(view)) {
        return Err(ConfigError(format!("there is no view {unknown}: there are {}", all.join(", "))).into());
    }
    if let Some(named) = &args.app {
        app::check(config, named, &inspect::open(&config.db)?.apps()?)?;
    }
    let views = if args.view.is_empty() { &all } else { &args.view };
    let Some(folder) = &args.to else {
        let [view] = views.as_slice() else {
            return Err(ConfigError("name one view with --view, or a folder for several with --to".into()).into());
        };
        if args.format == Format::Parquet && io::stdout().is_terminal() {
            return Err(
                ConfigError("Parquet is no text: name a folder with --to, or send stdout to a file".into()).into()
            );
        }
        write(&conn, view, args, io::stdout())?;
        return Ok(ExitCode::SUCCESS);
    };
    let path = |view: &String| folder.join(format!("{view}.{}", args.format.ending()));
    if let Some(there) = views.iter().map(path).find(|path| path.symlink_metadata().is_ok()) {
        bail!("{} is there already: an export replaces no file", there.display());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for view in views {
        let path = path(view);
        let rows =
            write_file(&conn, view, args, folder, &path).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("{} in {}", counted(rows, "row", "rows"), path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that gets its name when it is whole.
fn write_file(conn: &Connection, view: &str, args: &ExportArgs, folder: &Path, path: &Path) -> anyhow::Result<u64> {
    // Chats are in it: a file of `tempfile` is for its owner alone.
    let part = tempfile::Builder::new().prefix(".export-").tempfile_in(folder)?;
    let rows = write(conn, view, args, part.as_file())?;
    part.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(rows)
}

fn write(conn: &Connection, view: &str, args: &ExportArgs, out: impl Write + Send) -> anyhow::Result<u64> {
    #[cfg(feature = "parquet")]
    if args.format == Format::Parquet {
        return parquet::write(conn, view, args.app.as_deref(), out);
    }
    let (mut out, is_csv) = (BufWriter::new(out), args.format == Format::Csv);
    if is_csv {
        let columns = export::columns(conn, view)?;
        out.write_all(csv::line(columns.iter().map(|column| column.name.as_str())).as_bytes())?;
    }
    let rows = export::view(conn, view, args.app.as_deref(), &mut |columns, values| {
        if is_csv {
            let cells: Vec<String> = values.into_iter().map(text).collect();
            out.write_all(csv::line(cells.iter().map(String::as_str)).as_bytes())?;
        } else {
            let row: Map<String, Value> = columns.iter().cloned().zip(values).collect();
            writeln!(out, "{}", Value::Object(row))?;
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(rows)
}

fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
