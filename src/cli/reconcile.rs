//! `chatfold reconcile`: reads from CometChat's API where the tables may be wrong. If a server runs on the file, its events
//! go through the server.

use super::{app, table};
use crate::backfill::hand::Hand;
use crate::config::{Config, ConfigError};
use crate::reconcile::{self, Change, Plan, Report};
use crate::rest::Client;
use crate::store::sqlite;
use anyhow::Context;
use clap::Args;
use indicatif::HumanCount;
use std::io::Write;
use std::process::ExitCode;

/// Changes that are printed for people.
const PRINTED: usize = 50;

/// Which app, and how to print the report.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// The app [default: each app that has an API key in the settings]
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Print one JSON object a line, for each app
    #[arg(long)]
    pub json: bool,
}

/// Reads, and prints what came of it. Exit code 1 if something could not be read.
pub fn run(config: &Config, args: &ReconcileArgs) -> anyhow::Result<ExitCode> {
    let apps: Vec<String> = match &args.app {
        Some(app) => vec![app.clone()],
        None => config.api.apps().map(str::to_owned).collect(),
    };
    if apps.is_empty() {
        return Err(ConfigError("name the app with --app, or set api_app and a key of its API".into()).into());
    }
    anyhow::ensure!(
        config.db.exists(),
        "there is no file {}. Name the file with --db. `chatfold backfill` makes a file and reads an app",
        config.db.display()
    );
    let mut hand = Hand::to(&config.db, config.row_cache)?;
    let conn = sqlite::open_reader(&config.db).with_context(|| format!("opening {}", config.db.display()))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut is_whole = true;
    for app_id in apps {
        let (access, region) = app::access(config, &app_id, None)?;
        let plan = Plan { app_id, region, requests: config.api.requests };
        let report = reconcile::run(&Client::new(access), &conn, &mut hand, &plan, &|| false)
            .with_context(|| format!("reconciling the app {}", plan.app_id))?;
        is_whole &= report.sums().2 == 0;
        if args.json {
            writeln!(out, "{}", json(&plan, &report))?;
        } else {
            print(&plan, &report, &mut out)?;
        }
        out.flush()?;
        sum_up(&plan, &report);
    }
    hand.finish();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(plan: &Plan, report: &Report) -> serde_json::Value {
    let steps = report.steps.iter().map(|(step, tally)| (step.name().to_owned(), serde_json::json!(tally)));
    serde_json::json!({
        "appId": plan.app_id,
        "steps": steps.collect::<serde_json::Map<_, _>>(),
        "changes": report.changes,
        "requests": report.requests,
        "retries": report.retries,
        "groupsLeft": report.groups_left,
    })
}

fn print(plan: &Plan, report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    let rows = report.steps.iter().map(|(step, tally)| {
        let numbers = [tally.read, tally.new, tally.changed, tally.unchanged, tally.unreachable];
        let numbers = numbers.map(|number| HumanCount(number).to_string());
        let note = table::printable(tally.note.as_deref().unwrap_or_default());
        [plan.app_id.clone(), step.name().to_owned()].into_iter().chain(numbers).chain([note]).collect()
    });
    table::print(out, &["app", "step", "read", "new", "changed", "unchanged", "unreachable", ""], rows)?;
    if report.changes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let rows = report.changes.iter().take(PRINTED).map(|Change { what, step, new, changed }| {
        vec![table::printable(what), step.name().to_owned(), new.to_string(), changed.to_string()]
    });
    table::print(out, &["what changed", "step", "new", "changed"], rows)
}

fn sum_up(plan: &Plan, report: &Report) {
    let (read, changes, _) = report.sums();
    eprintln!(
        "{}: {} requests, {} of them sent again. {} read, {} new or changed",
        plan.app_id,
        HumanCount(report.requests),
        HumanCount(report.retries),
        HumanCount(read),
        HumanCount(changes)
    );
    if report.changes.len() > PRINTED {
        eprintln!("the first {PRINTED} changes are listed. `chatfold events` lists all events");
    }
    if report.groups_left > 0 {
        eprintln!(
            "{} groups were not read: the run may send {} requests. The next run goes on there",
            HumanCount(report.groups_left),
            HumanCount(plan.requests)
        );
    }
}
