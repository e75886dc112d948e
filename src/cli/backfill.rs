//! `chatfold backfill`: reads an app from CometChat's API. If a server runs on the file, its events go through the server.

use super::{app, table};
use crate::backfill::hand::Hand;
use crate::backfill::{self, Plan, Progress, Report, Stage};
use crate::config::Config;
use crate::ids::Time;
use crate::rest::Client;
use crate::store::sqlite;
use anyhow::Context;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// What to read.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// Id of the app
    #[arg(long, value_name = "APP_ID")]
    pub app: String,
    /// The region of the app: us, eu or in [default: the setting api_region, or as the deliveries of the app say]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Read only these stages, separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STAGES")]
    pub only: Vec<Stage>,
    /// Leave out messages that were sent before this time, such as 2026-01-05T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Time>,
    /// Read and compare, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "expected a time such as 2026-01-05T00:00:00Z".into())
}

/// Reads, and prints what came of it. Exit code 1 if something could not be read.
pub fn run(config: &Config, args: &BackfillArgs) -> anyhow::Result<ExitCode> {
    let (access, region) = app::access(config, &args.app, args.region.as_deref())?;
    let opening = || format!("opening {}", config.db.display());
    anyhow::ensure!(
        !args.dry_run || config.db.exists(),
        "there is no file {} to compare with. Name the file with --db, or leave out --dry-run",
        config.db.display()
    );
    let mut hand = if args.dry_run { Hand::dry() } else { Hand::to(&config.db, config.row_cache)? };
    let conn = sqlite::open_reader(&config.db).with_context(opening)?;
    let plan = Plan {
        app_id: args.app.clone(),
        region,
        stages: if args.only.is_empty() { Stage::ALL.to_vec() } else { args.only.clone() },
        since: args.since.map(|since| since.0 / 1_000),
        dry_run: args.dry_run,
    };
    let client = Client::new(access);
    let (begun, mut bar) = (Instant::now(), Bar::new());
    let report = backfill::run(&client, &conn, &mut hand, &plan, &mut |progress| bar.show(progress));
    bar.finish();
    let report = match report {
        Ok(report) => report,
        Err(error) if args.dry_run => return Err(error.into()),
        Err(error) => {
            return Err(
                anyhow::Error::new(error).context("the backfill did not end. The same command goes on from there")
            );
        }
    };
    hand.finish();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{}", json(&report))?;
    } else {
        print(&report, &mut out)?;
    }
    out.flush()?;
    eprintln!(
        "{} requests in {:.1} s, {} of them sent again{}",
        HumanCount(report.requests),
        begun.elapsed().as_secs_f64(),
        HumanCount(report.retries),
        if args.dry_run { ". Nothing was written" } else { "" }
    );
    let missed = report.stages.iter().any(|(_, tally)| tally.unreachable > 0);
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn json(report: &Report) -> serde_json::Value {
    let stages = report.stages.iter().map(|(stage, tally)| (stage.name().to_owned(), serde_json::json!(tally)));
    serde_json::json!({
        "stages": stages.collect::<serde_json::Map<_, _>>(),
        "requests": report.requests,
        "retries": report.retries,
    })
}

fn print(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    let rows = report.stages.iter().map(|(stage, tally)| {
        let numbers = [tally.read, tally.new, tally.changed, tally.unchanged, tally.unreachable];
        let numbers = numbers.map(|number| HumanCount(number).to_string());
        let note = table::printable(tally.note.as_deref().unwrap_or_default());
        [stage.name().to_owned()].into_iter().chain(numbers).chain([note]).collect()
    });
    table::print(out, &["stage", "read", "new", "changed", "unchanged", "unreachable", ""], rows)
}

/// The progress of the stage at hand: a bar on a terminal, elsewhere a line every 10 seconds.
struct Bar {
    bar: Option<ProgressBar>,
    stage: Option<Stage>,
    told: Instant,
}

impl Bar {
    fn new() -> Self {
        Self { bar: None, stage: None, told: Instant::now() }
    }

    fn show(&mut self, Progress { stage, done, total }: Progress) {
        let new = self.stage.replace(stage) != Some(stage);
        if !std::io::stderr().is_terminal() {
            if new || self.told.elapsed() >= LINES {
                self.told = Instant::now();
                match total {
                    0 => eprintln!("{}: {}", stage.name(), HumanCount(done)),
                    _ => eprintln!("{}: {} of {}", stage.name(), HumanCount(done), HumanCount(total)),
                }
            }
            return;
        }
        if new {
            self.finish();
            let style =
                ProgressStyle::with_template("{msg:9} {bar:40} {human_pos} of {human_len}, {per_sec}, {eta} left");
            let bar = ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar = Some(bar.with_message(stage.name()));
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total.max(done));
            bar.set_position(done);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
