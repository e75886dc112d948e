//! `chatfold events`: the log, newest first, or as it grows.

use super::{app, past, table};
use crate::clock;
use crate::config::Config;
use crate::entity::Entity;
use crate::envelope;
use crate::ids::{Outcome, Time};
use crate::json;
use crate::store::sqlite::inspect::{self, Filter, Inspector, LoggedRow, RefusedRow};
use clap::{Args, builder::PossibleValuesParser};
use serde_json::json;
use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use table::Colour;

/// The pause between two reads of a log that is followed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// Which events, and how to print them.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only events of this app
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Only events about this entity: group:GUID, membership:GUID/UID, message:ID, user:UID or call:SESSION
    #[arg(long, value_name = "ENTITY", value_parser = entity)]
    pub about: Option<Entity>,
    /// Only the event at this log position
    #[arg(long, value_name = "SEQ")]
    pub seq: Option<i64>,
    /// Only events of this trigger. Repeat --trigger for more
    #[arg(long, value_name = "TRIGGER")]
    pub trigger: Vec<String>,
    /// Only events with this outcome. Repeat --outcome for more
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(Outcome::ALL.iter().map(|it| it.as_str())))]
    pub outcome: Vec<String>,
    /// Only events received since: 2d, 12h, 30m, today, yesterday, 2026-01-05 or 2026-01-05T08:00:00Z (days in UTC)
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub since: Option<Time>,
    /// Only events received before this time, written as for --since
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub until: Option<Time>,
    /// List at most so many events, the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// List the events oldest first, then new events as they arrive, until Ctrl-C
    #[arg(long, conflicts_with_all = ["until", "refused", "seq"])]
    pub follow: bool,
    /// List refused deliveries instead. They were answered 400, are kept outside the log, and change no table
    #[arg(long, conflicts_with_all = ["app", "about", "seq", "trigger", "outcome"])]
    pub refused: bool,
    /// With --refused: also print the bytes received. Secrets in them are not removed
    #[arg(long, requires = "refused")]
    pub bytes: bool,
    /// Print one JSON object a line, with the body. Secrets in the body are removed
    #[arg(long)]
    pub json: bool,
}

fn when(text: &str) -> Result<Time, String> {
    past::parse(text, clock::now())
}

fn entity(text: &str) -> Result<Entity, String> {
    Entity::named(text)
        .ok_or_else(|| "expected group:GUID, membership:GUID/UID, message:ID, user:UID or call:SESSION".into())
}

/// Columns of a terminal that has room for an event on one line.
const WIDE: u16 = 120;

/// Lists events. Reads only; a server may be running.
pub fn run(config: &Config, args: &EventsArgs) -> anyhow::Result<ExitCode> {
    let file = inspect::open(&config.db)?;
    let apps = file.apps()?;
    if let Some(named) = &args.app {
        app::check(config, named, &apps)?;
    }
    let filter = Filter {
        app: args.app.clone(),
        triggers: args.trigger.clone(),
        outcomes: args.outcome.clone(),
        since: args.since,
        until: args.until,
        about: args.about.as_ref().map(Entity::reference),
        seq: args.seq,
        after: None,
        limit: args.limit,
    };
    let several_apps = args.app.is_none() && apps.len() > 1;
    let view = View { json: args.json, several_apps, is_narrow: table::width().is_some_and(|width| width < WIDE) };
    if args.follow {
        return follow(&file, filter, &view);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match (args.refused, args.json) {
        (true, _) => refused(&file, &filter, args, &mut out)?,
        (false, true) => file.events(&filter, &mut |row| Ok(writeln!(out, "{}", line(&row))?))?,
        (false, false) if view.is_narrow => {
            let header: Vec<String> = view.header().into_iter().map(str::to_owned).collect();
            writeln!(out, "{}", view.in_two_lines(&header))?;
            file.events(&filter, &mut |row| Ok(writeln!(out, "{}", view.row(&row))?))?;
        }
        (false, false) => {
            let mut rows = Vec::new();
            file.events(&filter, &mut |row| {
                rows.push((view.cells(&row), colour(&row.outcome)));
                Ok(())
            })?;
            table::print_coloured(&mut out, &view.header(), rows)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// How events are printed.
struct View {
    json: bool,
    several_apps: bool,
    /// The terminal has no room for an event on one line.
    is_narrow: bool,
}

impl View {
    fn header(&self) -> Vec<&'static str> {
        let app: &[_] = if self.several_apps { &["app"] } else { &[] };
        [&["seq", "happened"], app, &["trigger", "about", "outcome"]].concat()
    }

    fn cells(&self, row: &LoggedRow) -> Vec<String> {
        let times = if row.deliveries > 1 { format!(" ×{}", row.deliveries) } else { String::new() };
        let reason = row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let app = self.several_apps.then(|| row.app_id.clone());
        [row.seq.to_string(), row.occurred_at.to_string()]
            .into_iter()
            .chain(app)
            .chain([row.trigger.clone(), about(&row.trigger, &row.body), format!("{}{times}{reason}", row.outcome)])
            .collect()
    }

    fn row(&self, row: &LoggedRow) -> String {
        if self.json {
            return line(row);
        }
        let mut cells = self.cells(row);
        if self.is_narrow {
            return table::coloured(&self.in_two_lines(&cells), colour(&row.outcome));
        }
        let widths = if self.several_apps { &[7, 24, 16, 30, 40][..] } else { &[7, 24, 30, 40] };
        for (cell, width) in cells.iter_mut().zip(widths) {
            *cell = format!("{:width$}", table::printable(cell));
        }
        table::coloured(&cells.join("  "), colour(&row.outcome))
    }

    /// What happened, and below it in which app and about what.
    fn in_two_lines(&self, cells: &[String]) -> String {
        let mut cells = cells.iter().map(|cell| table::printable(cell));
        let mut next = || cells.next().unwrap_or_default();
        let (seq, happened) = (next(), next());
        let app = self.several_apps.then(|| format!("{}  ", next()));
        let (trigger, about, outcome) = (next(), next(), next());
        let first = format!("{seq:7}  {happened:24}  {trigger:30}  {outcome}");
        let second = format!("{:9}{}{about}", "", app.unwrap_or_default());
        format!("{first}\n{}", second.trim_end())
    }
}

/// Rows that need attention stand out.
fn colour(outcome: &str) -> Colour {
    match outcome {
        "rejected" => Colour::Red,
        "anomaly" => Colour::Yellow,
        "ignored" => Colour::Faint,
        _ => Colour::Plain,
    }
}

/// The entity that an event is about, and how many more of its kind.
fn about(trigger: &str, body: &str) -> String {
    let refs = envelope::payload(body).map(|payload| payload.refs()).unwrap_or_default();
    let of = |kind: &str| refs.iter().filter(|it| it.kind == kind).filter_map(Entity::of).collect::<Vec<_>>();
    let member = trigger.starts_with("group_member").then_some("membership");
    let kinds = member.into_iter().chain(["message", "call", "group", "membership", "user"]);
    let named = kinds.map(of).find(|named| !named.is_empty()).unwrap_or_default();
    let Some(first) = named.first() else { return String::new() };
    let others = named.iter().collect::<HashSet<_>>().len() - 1;
    if others > 0 { format!("{first} +{others}") } else { first.to_string() }
}

/// Prints the newest events, oldest first, then new ones as they arrive. Ends when its output is closed.
fn follow(file: &Inspector, mut filter: Filter, view: &View) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    loop {
        let mut rows = Vec::new();
        file.events(&filter, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        filter.after = rows.first().map(|row| row.seq).or(filter.after);
        filter.limit = u32::MAX;
        for row in rows.iter().rev() {
            writeln!(out, "{}", view.row(row))?;
        }
        out.flush()?;
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn refused(file: &Inspector, filter: &Filter, args: &EventsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if args.json {
        return file.refused(filter, args.bytes, &mut |row| Ok(writeln!(out, "{}", refused_line(&row, args.bytes))?));
    }
    let mut rows = Vec::new();
    file.refused(filter, args.bytes, &mut |row| {
        let mut cells = vec![row.id.to_string(), row.received_at.to_string(), row.bytes.to_string(), row.problem];
        cells.extend(args.bytes.then(|| String::from_utf8_lossy(&row.body).into_owned()));
        rows.push(cells);
        Ok(())
    })?;
    let header = ["id", "received", "bytes", "problem", "what was received"];
    Ok(table::print(out, &header[..if args.bytes { 5 } else { 4 }], rows)?)
}

fn line(row: &LoggedRow) -> String {
    let mut line = json!({
        "seq": row.seq,
        "appId": row.app_id,
        "region": row.region,
        "webhookId": row.webhook_id,
        "trigger": row.trigger,
        "receivedAt": row.received_at.to_string(),
        "occurredAt": row.occurred_at.to_string(),
        "occurredFrom": row.occurred_from,
        "deliveries": row.deliveries,
        "lastReceivedAt": row.last_received_at.to_string(),
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

fn refused_line(row: &RefusedRow, with_body: bool) -> String {
    let mut line = json!({
        "id": row.id,
        "receivedAt": row.received_at.to_string(),
        "problem": row.problem,
        "bytes": row.bytes,
    });
    if with_body {
        line["body"] = String::from_utf8_lossy(&row.body).into();
    }
    line.to_string()
}
