//! `chatfold inspect`: what is in this file.

use super::table;
use crate::config::Config;
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use crate::store::sqlite::inspect::{self, Summary};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// How to print it.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Counts what is in the file, in one snapshot. Reads only, so a server may be running.
pub fn run(config: &Config, args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let summary = inspect::open(&config.db)?.summary()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{}", to_json(config, &summary))?;
    } else {
        print(config, &summary, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn to_json(config: &Config, summary: &Summary) -> serde_json::Value {
    let time = |time: Option<Time>| time.map(|it| it.to_string());
    let counts =
        |all: &[(String, i64)]| all.iter().map(|(name, n)| (name.clone(), json!(n))).collect::<serde_json::Map<_, _>>();
    let apps = summary.apps.iter().map(|app| {
        json!({
            "appId": app.app_id,
            "region": app.region,
            "firstSeenAt": app.first_seen_at.to_string(),
            "lastEventAt": app.last_event_at.to_string(),
            "eventsCount": app.events_count,
        })
    });
    let horizons = summary
        .horizons
        .iter()
        .map(|it| json!({ "appId": it.app_id, "family": it.family, "before": it.before.to_string() }));
    json!({
        "file": config.db.display().to_string(),
        "bytes": summary.bytes,
        "seq": summary.seq,
        "events": events(summary),
        "firstReceivedAt": time(summary.first_received_at),
        "lastReceivedAt": time(summary.last_received_at),
        "firstOccurredAt": time(summary.first_occurred_at),
        "lastOccurredAt": time(summary.last_occurred_at),
        "apps": apps.collect::<Vec<_>>(),
        "outcomes": counts(&summary.outcomes),
        "triggers": counts(&summary.triggers),
        "refused": summary.refused,
        "horizons": horizons.collect::<Vec<_>>(),
        "foldVersion": summary.fold_version,
        "state": summary.state.to_json(),
    })
}

fn events(summary: &Summary) -> i64 {
    summary.outcomes.iter().map(|(_, n)| n).sum()
}

fn print(config: &Config, summary: &Summary, out: &mut impl Write) -> std::io::Result<()> {
    let span = |from: Option<Time>, to: Option<Time>| match (from, to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        _ => "nothing yet".to_owned(),
    };
    writeln!(out, "file      {}, {} bytes", config.db.display(), summary.bytes)?;
    writeln!(out, "log       {} events, and {} refused deliveries outside the log", events(summary), summary.refused)?;
    if summary.fold_version == FOLD_VERSION {
        writeln!(out, "tables    made by edition {FOLD_VERSION}")?;
    } else {
        let made = summary.fold_version;
        writeln!(
            out,
            "tables    made by edition {made}, but this chatfold has edition {FOLD_VERSION}. Run `{}`",
            config.command("rebuild")
        )?;
    }
    writeln!(out, "received  {}", span(summary.first_received_at, summary.last_received_at))?;
    writeln!(out, "occurred  {}", span(summary.first_occurred_at, summary.last_occurred_at))?;
    let apps = summary.apps.iter().map(|app| {
        let region = app.region.clone().unwrap_or_default();
        vec![
            app.app_id.clone(),
            region,
            app.first_seen_at.to_string(),
            app.last_event_at.to_string(),
            app.events_count.to_string(),
        ]
    });
    writeln!(out)?;
    table::print(out, &["app", "region", "first seen", "last event", "events"], apps)?;
    if !summary.horizons.is_empty() {
        let cells = summary.horizons.iter();
        let cells = cells.map(|it| vec![it.app_id.clone(), it.family.clone(), it.before.to_string()]);
        writeln!(out)?;
        table::print(out, &["app", "events cut", "before"], cells)?;
    }
    for (what, all) in [("outcome", &summary.outcomes), ("trigger", &summary.triggers)] {
        writeln!(out)?;
        table::print(out, &[what, "events"], all.iter().map(|(name, n)| vec![name.clone(), n.to_string()]))?;
    }
    writeln!(out)?;
    table::print_state(out, &summary.state)
}
