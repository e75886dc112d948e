//! `chatfold retention`: what the settings would cut from the log, and cutting it. If a server runs on the file, the server
//! cuts, by its own settings.

use super::table;
use crate::clock;
use crate::config::Config;
use crate::http;
use crate::ids::Time;
use crate::large;
use crate::lock::{Lock, LockError};
use crate::rebuild::Host;
use crate::retention::{self, Rules};
use crate::store::sqlite;
use crate::store::sqlite::inspect;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// What to do.
#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// Cut what is old. Without this flag nothing is changed, and the report says what would be cut
    #[arg(long)]
    pub apply: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Reports what the settings would cut, or cuts it.
pub fn run(config: &Config, args: &RetentionArgs) -> anyhow::Result<ExitCode> {
    let rules = http::rules(config);
    let report = if args.apply { apply(config, rules)? } else { Some(dry(config, rules)?) };
    let Some(report) = report else { return Ok(ExitCode::SUCCESS) };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{report}")?;
    } else {
        print(&report, args.apply, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn dry(config: &Config, rules: Rules) -> anyhow::Result<Value> {
    needs(&rules)?;
    let log = inspect::open_file(&config.db)?;
    sqlite::shared_log::refuse(&log, &config.db)?;
    let lines = retention::survey(&log, rules, clock::now())?;
    Ok(json!({ "lines": lines }))
}

fn needs(rules: &Rules) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rules.is_empty(),
        "no setting says how old events may get, so all stay. Set retention.presence, \
         retention.ignored, retention.message or retention.call, for example with --retention-presence 90d"
    );
    Ok(())
}

fn apply(config: &Config, rules: Rules) -> anyhow::Result<Option<Value>> {
    super::is_there(&config.db)?;
    match Lock::acquire(&config.db) {
        Ok(_lock) => {
            needs(&rules)?;
            let opening = || format!("opening {}", config.db.display());
            let conn = sqlite::open_writer(&config.db).with_context(opening)?;
            sqlite::shared_log::refuse(&conn, &config.db)?;
            large::finish_all(&conn).with_context(opening)?;
            // The first reader of the file checks its schema.
            drop(sqlite::open_reader(&config.db)?);
            let host = Host::alone(conn);
            let never = AtomicBool::new(false);
            let report = retention::cut(&config.db, &host, rules, clock::now(), &never, &mut |_| {})?;
            host.finish()?;
            Ok(Some(serde_json::to_value(report)?))
        }
        Err(error @ LockError::Held { .. }) => {
            let told = http::ask_retention(&config.db)?;
            let told = told.ok_or_else(|| {
                anyhow::anyhow!("{error}. That process cannot cut. If it is an ingest, wait until it ends")
            })?;
            Ok(Some(told))
        }
        Err(error) => Err(error.into()),
    }
}

fn print(report: &Value, done: bool, out: &mut impl Write) -> std::io::Result<()> {
    let text = |value: &Value| table::printable(value.as_str().unwrap_or_default());
    let lines = report["lines"].as_array().cloned().unwrap_or_default();
    if lines.is_empty() {
        writeln!(out, "nothing is old enough")?;
    } else {
        let cells = lines.iter().map(|line| {
            let numbers =
                ["events", "bytes", "messages", "connections", "sessions", "kept"].map(|name| line[name].to_string());
            let before = line["before"].as_str().and_then(Time::parse);
            let before = before.map_or_else(|| text(&line["before"]), |at| at.to_string());
            [vec![text(&line["appId"]), text(&line["family"]), before], numbers.to_vec()].concat()
        });
        let events = if done { "events cut" } else { "events to cut" };
        table::print(
            out,
            &[
                "app",
                "family",
                "before",
                events,
                "bytes of bodies",
                "messages",
                "connections",
                "sessions",
                "still needed",
            ],
            cells,
        )?;
    }
    writeln!(out)?;
    if !done {
        return writeln!(out, "nothing was changed. --apply cuts");
    }
    let bytes = |name: &str| report[name].as_i64().unwrap_or_default();
    let (before, after) = (bytes("bytesBefore"), bytes("bytesAfter"));
    writeln!(out, "the file had {before} bytes and has {after}: {} bytes were given back", before - after)?;
    if report["walIsEmpty"] == json!(false) {
        writeln!(
            out,
            "the WAL could not be emptied, because it is read. It may hold what was cut until it is written over"
        )?;
    }
    Ok(())
}
