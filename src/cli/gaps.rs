//! `chatfold gaps`: what is known to be missing.

use super::{app, table};
use crate::clock;
use crate::config::Config;
use crate::ids::Time;
use crate::store::sqlite::read::explain::apps;
use crate::store::sqlite::read::gaps::{self, Hole, Holes, NotApplied, Outage};
use crate::store::sqlite::read::silence::{Silence, silences};
use crate::store::sqlite::{Connection, begin_read, inspect};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Of each kind and app, at most so many are listed: the newest.
const MOST: usize = 200;

/// Which gaps, and how to print them.
#[derive(Debug, Args)]
pub struct GapsArgs {
    /// List only gaps of this app, and times without a server
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Lists gaps. Reads only, so a server may be running.
pub fn run(config: &Config, args: &GapsArgs) -> anyhow::Result<ExitCode> {
    let conn = inspect::open_file(&config.db)?;
    begin_read(&conn)?;
    let mut apps = apps(&conn)?;
    if let Some(named) = &args.app {
        app::check(config, named, &apps)?;
        apps.retain(|app| app == named);
    }
    let found = read(&conn, &apps)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        found.iter().try_for_each(|gap| writeln!(out, "{}", gap.to_json()))?;
    } else if !found.is_empty() {
        table::print(&mut out, &["gap", "app", "from", "until", "what"], found.iter().map(Gap::cells))?;
    }
    out.flush()?;
    match found.len() {
        0 => eprintln!("no gaps are known"),
        1 => eprintln!("1 gap is known"),
        many => eprintln!("{many} gaps are known"),
    }
    if found.iter().any(|gap| matches!(gap, Gap::Ids(..))) {
        eprintln!(
            "missing message ids are only a hint: CometChat also gives ids to messages whose trigger is not ticked in the webhook"
        );
    }
    Ok(ExitCode::SUCCESS)
}

enum Gap {
    Outage(Time, Option<Time>),
    Silent(String, Silence),
    NotApplied(String, NotApplied),
    Ids(String, Hole),
}

fn read(conn: &Connection, apps: &[String]) -> anyhow::Result<Vec<Gap>> {
    let now = clock::now();
    let mut found = Vec::new();
    found.extend(gaps::no_server_since(conn, now)?.map(|since| Gap::Outage(since, None)));
    let outages = gaps::outages(conn, MOST)?.into_iter();
    found.extend(outages.map(|Outage { from, until }| Gap::Outage(from, Some(until))));
    for app in apps {
        found.extend(silences(conn, app, now)?.into_iter().map(|it| Gap::Silent(app.clone(), it)));
        found.extend(gaps::not_applied(conn, app, MOST)?.into_iter().map(|it| Gap::NotApplied(app.clone(), it)));
        let Holes { newest, holes, ids, .. } = gaps::holes(conn, app, MOST)?;
        if holes > newest.len() as u64 {
            eprintln!(
                "{app}: {ids} message ids are missing, in {holes} ranges. The newest {} are listed",
                newest.len()
            );
        }
        found.extend(newest.into_iter().map(|hole| Gap::Ids(app.clone(), hole)));
    }
    Ok(found)
}

impl Gap {
    fn to_json(&self) -> Value {
        match self {
            Self::Outage(from, until) => {
                json!({ "gap": "NO_SERVER", "from": from.to_string(), "until": until.map(|it| it.to_string()) })
            }
            Self::Silent(app, Silence { trigger, since, missed }) => json!({
                "gap": "SILENT", "appId": app, "trigger": trigger, "from": since.to_string(), "missed": missed,
            }),
            Self::NotApplied(app, event) => json!({
                "gap": "NOT_APPLIED",
                "appId": app,
                "seq": event.seq,
                "trigger": event.trigger,
                "outcome": event.outcome.as_str(),
                "occurredAt": event.occurred_at.to_string(),
                "receivedAt": event.received_at.to_string(),
                "reason": event.reason,
                "about": event.entities.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
            Self::Ids(app, hole) => {
                json!({ "gap": "MESSAGE_IDS", "appId": app, "first": hole.first, "last": hole.last, "count": hole.count() })
            }
        }
    }

    fn cells(&self) -> Vec<String> {
        let cells = |kind: &str, app: &str, from: String, until: String, what: String| {
            vec![kind.to_owned(), app.to_owned(), from, until, what]
        };
        match self {
            Self::Outage(from, until) => {
                let until = until.map_or_else(|| "now".to_owned(), |until| until.to_string());
                cells("no server", "", from.to_string(), until, "deliveries of this time may be lost".into())
            }
            Self::Silent(app, Silence { trigger: None, since, .. }) => {
                cells("silent", app, since.to_string(), "now".into(), "no delivery at all for unusually long".into())
            }
            Self::Silent(app, Silence { trigger: Some(trigger), since, missed }) => {
                let missed = missed.unwrap_or_default();
                let what = format!("{trigger}: about {missed} more would have come");
                cells("silent", app, since.to_string(), "now".into(), what)
            }
            Self::NotApplied(app, event) => {
                let about: Vec<String> = event.entities.iter().map(ToString::to_string).collect();
                let what = format!(
                    "#{} {}, {}, about {}: {}",
                    event.seq,
                    event.trigger,
                    event.outcome.as_str(),
                    about.join(", "),
                    event.reason.as_deref().unwrap_or("no reason given")
                );
                cells("not applied", app, event.occurred_at.to_string(), String::new(), what)
            }
            Self::Ids(app, hole) => {
                let ids = hole.count();
                let what = format!("{ids} {} that no event names", if ids == 1 { "id" } else { "ids" });
                cells("message ids", app, hole.first.to_string(), hole.last.to_string(), what)
            }
        }
    }
}
