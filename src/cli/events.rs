//! `chatfold events`: the log, newest first, or as it grows.

use super::table;
use crate::config::{Config, ConfigError};
use crate::ids::{Outcome, Time};
use crate::json;
use crate::store::sqlite::inspect::{self, Filter, Inspector, LoggedRow, RefusedRow};
use clap::{Args, builder::PossibleValuesParser};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks at a log that is followed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// Which events, and how to print them.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only of this app
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Only of this trigger; may be repeated
    #[arg(long, value_name = "TRIGGER")]
    pub trigger: Vec<String>,
    /// Only with this outcome; may be repeated
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(Outcome::ALL.iter().map(|it| it.as_str())))]
    pub outcome: Vec<String>,
    /// Only received at this time or later (RFC 3339, 2026-01-05T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Time>,
    /// Only received before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Time>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Oldest first, and then those that come, until Ctrl-C
    #[arg(long, conflicts_with_all = ["until", "refused"])]
    pub follow: bool,
    /// The deliveries answered 400 instead: kept outside the log, never folded (their bytes: table `refused`)
    #[arg(long)]
    pub refused: bool,
    /// One JSON object a line, with the body (its secrets removed)
    #[arg(long)]
    pub json: bool,
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "not a time as in 2026-01-05T08:00:00Z or 2026-01-05T09:00:00+01:00".into())
}

/// Lists events. Reads only; a server may be running.
pub fn run(config: &Config, args: &EventsArgs) -> anyhow::Result<ExitCode> {
    if args.refused && (args.app.is_some() || !args.trigger.is_empty() || !args.outcome.is_empty()) {
        return Err(ConfigError(
            "--refused lists what names no app, trigger or outcome: leave these filters out".into(),
        )
        .into());
    }
    let file = inspect::open(&config.db)?;
    let filter = Filter {
        app: args.app.clone(),
        triggers: args.trigger.clone(),
        outcomes: args.outcome.clone(),
        since: args.since,
        until: args.until,
        after: None,
        limit: args.limit,
    };
    if args.follow {
        return follow(&file, filter, args.json);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match (args.refused, args.json) {
        (true, true) => file.refused(&filter, &mut |row| Ok(writeln!(out, "{}", refused_line(&row))?))?,
        (true, false) => {
            let mut rows = Vec::new();
            file.refused(&filter, &mut |row| {
                rows.push(vec![row.id.to_string(), row.received_at.rfc3339(), row.bytes.to_string(), row.problem]);
                Ok(())
            })?;
            table::print(&mut out, &["id", "received", "bytes", "problem"], rows)?;
        }
        (false, true) => file.events(&filter, true, &mut |row| Ok(writeln!(out, "{}", line(&row))?))?,
        (false, false) => {
            let mut rows = Vec::new();
            file.events(&filter, false, &mut |row| {
                rows.push(cells(row));
                Ok(())
            })?;
            table::print(&mut out, &["seq", "received", "app", "trigger", "outcome", "times", "reason"], rows)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The newest events, oldest first, then whatever comes. Ends with its reader.
fn follow(file: &Inspector, mut filter: Filter, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    loop {
        let mut rows = Vec::new();
        file.events(&filter, json, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        filter.after = rows.first().map(|row| row.seq).or(filter.after);
        filter.limit = u32::MAX;
        for row in rows.into_iter().rev() {
            match json {
                true => writeln!(out, "{}", line(&row))?,
                false => writeln!(out, "{}", table::plain(&cells(row)))?,
            }
        }
        out.flush()?;
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn cells(row: LoggedRow) -> Vec<String> {
    vec![
        row.seq.to_string(),
        row.received_at.rfc3339(),
        row.app_id,
        row.trigger,
        row.outcome,
        row.deliveries.to_string(),
        row.reason.unwrap_or_default(),
    ]
}

fn line(row: &LoggedRow) -> String {
    let mut line = json!({
        "seq": row.seq,
        "appId": row.app_id,
        "region": row.region,
        "webhookId": row.webhook_id,
        "trigger": row.trigger,
        "receivedAt": row.received_at.rfc3339(),
        "occurredAt": row.occurred_at.rfc3339(),
        "occurredFrom": row.occurred_from,
        "deliveries": row.deliveries,
        "lastReceivedAt": row.last_received_at.rfc3339(),
        "outcome": row.outcome,
        "reason": row.reason,
    })
    .to_string();
    // The body is JSON by the grammar, but maybe beyond what a parser takes (depth, lone surrogates): it is set in as
    // text. JSON has line breaks between its tokens only.
    let body = json::redact_text(&row.body).replace(['\n', '\r'], " ");
    line.truncate(line.len() - 1);
    line + ",\"body\":" + &body + "}"
}

fn refused_line(row: &RefusedRow) -> String {
    // Not the body: it is no JSON that secrets could be taken out of.
    json!({ "id": row.id, "receivedAt": row.received_at.rfc3339(), "problem": row.problem, "bytes": row.bytes })
        .to_string()
}
