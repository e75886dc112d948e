//! `chatfold export`: the views as files for analysts.

use super::app;
use crate::config::{Config, ConfigError};
use crate::csv;
use crate::store::sqlite::{Connection, begin_read, export, inspect};
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

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
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }
}

/// Exports views of one snapshot. Reads only, so a server may be running.
pub fn run(config: &Config, args: &ExportArgs) -> anyhow::Result<ExitCode> {
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
        let mut out = BufWriter::new(io::stdout().lock());
        write(&conn, view, args, &mut out)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for view in views {
        let path = folder.join(format!("{view}.{}", args.format.ending()));
        let failed = || format!("cannot write {}", path.display());
        // Chats are in it: made new, for its owner alone.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).with_context(failed)?;
        let mut out = BufWriter::new(file);
        let rows = write(&conn, view, args, &mut out).with_context(failed)?;
        out.flush().with_context(failed)?;
        eprintln!("{rows} rows in {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn write(conn: &Connection, view: &str, args: &ExportArgs, out: &mut impl Write) -> anyhow::Result<u64> {
    if args.format == Format::Csv {
        out.write_all(csv::line(export::columns(conn, view)?.iter().map(String::as_str)).as_bytes())?;
    }
    export::view(conn, view, args.app.as_deref(), &mut |columns, values| {
        match args.format {
            Format::Ndjson => {
                let row: Map<String, Value> = columns.iter().cloned().zip(values).collect();
                writeln!(out, "{}", Value::Object(row))?;
            }
            Format::Csv => {
                let cells: Vec<String> = values.into_iter().map(text).collect();
                out.write_all(csv::line(cells.iter().map(String::as_str)).as_bytes())?;
            }
        }
        Ok(())
    })
}

fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
