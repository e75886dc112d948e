//! `chatfold export-user`: all that the file holds about a person.

use super::app;
use crate::clock;
use crate::config::Config;
use crate::erase;
use crate::json;
use crate::store::sqlite::read::explain::apps;
use crate::store::sqlite::{begin_read, export, inspect};
use clap::Args;
use serde_json::{Map, Value, json};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Whom to export.
#[derive(Debug, Args)]
pub struct ExportUserArgs {
    /// CometChat's id of the person
    #[arg(long, value_name = "UID")]
    pub uid: String,
    /// Id of the app [default: the setting default_app, or the file's only app]
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
}

/// Prints one JSON object, row by row, of one snapshot. Reads only, so a server may be running. Exit code 1 if the file
/// knows no such person.
pub fn run(config: &Config, args: &ExportUserArgs) -> anyhow::Result<ExitCode> {
    let conn = inspect::open_file(&config.db)?;
    begin_read(&conn)?;
    let app_id = app::only(config, args.app.as_deref(), &apps(&conn)?)?;
    let uid = args.uid.as_str();
    let unknown =
        || anyhow::anyhow!("{} holds nothing about the person {uid} of the app {app_id}", config.db.display());
    let Some(person) = erase::find(&conn, &app_id, uid)? else { return Err(unknown()) };
    let mut out = BufWriter::new(io::stdout().lock());
    let head =
        json!({ "app_id": app_id, "uid": uid, "exported_at": clock::now().rfc3339(), "seq": export::newest(&conn)? });
    write!(out, "{}", head.to_string().trim_end_matches('}'))?;
    for table in export::tables() {
        write!(out, ",\n\"{table}\":[")?;
        let mut before = "\n";
        export::about(&conn, table, &app_id, uid, &mut |columns, values| {
            let row: Map<String, Value> = columns.iter().cloned().zip(values).collect();
            write!(out, "{before}{}", Value::Object(row))?;
            before = ",\n";
            Ok(())
        })?;
        write!(out, "]")?;
    }
    write!(out, ",\n\"events\":[")?;
    let mut before = "\n";
    person.events(&conn, &mut |seq, body| {
        let row: Map<String, Value> =
            export::event(&conn, seq)?.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // The body may be JSON beyond what a parser takes: it is set in as text.
        let body = json::redact_text(body).replace(['\n', '\r'], " ");
        write!(out, "{before}{},\"body\":{body}}}", Value::Object(row).to_string().trim_end_matches('}'))?;
        before = ",\n";
        Ok::<_, anyhow::Error>(())
    })?;
    writeln!(out, "]}}")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
