//! `chatfold drift`: the groups whose number of members differs from what CometChat says.

use super::{app, table};
use crate::config::Config;
use crate::ids::Time;
use crate::store::sqlite::read::drift::{self, Drifted};
use crate::store::sqlite::read::explain::apps;
use crate::store::sqlite::{begin_read, inspect};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// Which groups, and how to print them.
#[derive(Debug, Args)]
pub struct DriftArgs {
    /// List only groups of this app
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Lists the groups with drift. Reads only, so a server may be running. Exit code 1 if there are any.
pub fn run(config: &Config, args: &DriftArgs) -> anyhow::Result<ExitCode> {
    let conn = inspect::open_file(&config.db)?;
    begin_read(&conn)?;
    if let Some(named) = &args.app {
        app::check(config, named, &apps(&conn)?)?;
    }
    let mut groups = Vec::new();
    drift::each(&conn, args.app.as_deref(), |group| groups.push(group))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        groups.iter().try_for_each(|group| writeln!(out, "{}", to_json(group)))?;
    } else if !groups.is_empty() {
        let header = ["app", "group", "name", "CometChat says", "counted", "since"];
        table::print(&mut out, &header, groups.iter().map(cells))?;
    }
    out.flush()?;
    match groups.len() {
        0 => eprintln!("no drift: every number of members agrees with the newest that CometChat sent"),
        1 => eprintln!("1 group has drift: events about its members are missing"),
        many => eprintln!("{many} groups have drift: events about their members are missing"),
    }
    Ok(if groups.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn to_json(Drifted { app_id, guid, name, drift }: &Drifted) -> serde_json::Value {
    json!({
        "appId": app_id,
        "guid": guid,
        "name": name,
        "expected": drift.expected,
        "counted": drift.counted,
        "since": Time(drift.since).to_string(),
    })
}

fn cells(Drifted { app_id, guid, name, drift }: &Drifted) -> Vec<String> {
    vec![
        app_id.clone(),
        guid.clone(),
        name.clone().unwrap_or_default(),
        drift.expected.to_string(),
        drift.counted.to_string(),
        Time(drift.since).to_string(),
    ]
}
