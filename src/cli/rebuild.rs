//! `chatfold rebuild`: makes the tables again from the log. If a server runs on the file, the server does it.

use super::{progress, table};
use crate::config::Config;
use crate::http;
use crate::large;
use crate::lock::{Lock, LockError};
use crate::rebuild::{self, Host};
use crate::store::sqlite;
use anyhow::Context;
use clap::Args;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// How to print the result.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Of several nodes with one log: tell every node of this edition to do so, and do not wait
    #[cfg(feature = "postgres")]
    #[arg(long, conflicts_with = "json")]
    pub all_nodes: bool,
}

/// Rebuilds, and prints rows and hashes of the tables before and after. Exit code 1 if the log is damaged.
pub fn run(config: &Config, args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    super::is_there(&config.db)?;
    #[cfg(feature = "postgres")]
    if args.all_nodes {
        return tell_all(config);
    }
    let begun = Instant::now();
    let mut bar = progress::Bar::new();
    let rebuilt = match Lock::acquire(&config.db) {
        Ok(_lock) => {
            let conn = sqlite::open_writer(&config.db).with_context(|| format!("opening {}", config.db.display()))?;
            large::finish_all(&conn).with_context(|| format!("opening {}", config.db.display()))?;
            let host = Host::alone(conn);
            // The process ends where it is interrupted; what it leaves is swept by the next rebuild or start.
            let never = AtomicBool::new(false);
            let rebuilt = rebuild::rebuild(&config.db, &host, &never, &mut |progress| bar.show(progress))?;
            host.finish()?;
            rebuilt.to_json()
        }
        Err(error @ LockError::Held { .. }) => {
            let told = http::ask_rebuild(&config.db, &mut |progress| bar.show(progress))?;
            told.ok_or_else(|| {
                anyhow::anyhow!("{error}. That process cannot rebuild. If it is an ingest, wait until it ends")
            })?
        }
        Err(error) => return Err(error.into()),
    };
    bar.finish();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{rebuilt}")?;
    } else {
        print(&rebuilt, &mut out)?;
    }
    out.flush()?;
    let seconds = begun.elapsed().as_secs_f64();
    let events = rebuilt["events"].as_u64().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = events as f64 / seconds;
    eprintln!("{events} events in {seconds:.1} s, {rate:.0} events/s");
    let damaged = rebuilt["damaged"].as_array().is_some_and(|damaged| !damaged.is_empty());
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tells every node through the shared log.
#[cfg(feature = "postgres")]
fn tell_all(config: &Config) -> anyhow::Result<ExitCode> {
    use crate::cluster::post::Post;
    use crate::fold::FOLD_VERSION;
    use crate::writer::orders::{Order, RebuildAsked};
    let alone = || {
        let db = config.db.display();
        anyhow::anyhow!("{db} has a log of its own: leave out --all-nodes")
    };
    let post = Post::of(config, &sqlite::open_reader(&config.db)?)?.ok_or_else(alone)?;
    let position = post.append(&Order::Rebuild(RebuildAsked { edition: FOLD_VERSION }), None)?;
    eprintln!(
        "every node of edition {FOLD_VERSION} makes its tables again once it has read position {position} of the log. A node \
         of another edition does so when it is upgraded"
    );
    Ok(ExitCode::SUCCESS)
}

fn print(rebuilt: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tables = |state: &str| rebuilt[state]["tables"].as_object().cloned().unwrap_or_default();
    let before = tables("before");
    let rows = tables("after").into_iter().map(|(name, now)| {
        let then = &before[&name];
        let same = if then["hash"] == now["hash"] { "same" } else { "changed" };
        vec![name, then["rows"].to_string(), now["rows"].to_string(), text(&now["hash"]), same.to_owned()]
    });
    table::print(out, &["table", "rows before", "rows now", "state hash now", ""], rows)?;
    writeln!(out)?;
    for damaged in rebuilt["damaged"].as_array().into_iter().flatten() {
        writeln!(out, "the log is damaged: {}", table::printable(&text(damaged)))?;
    }
    if rebuilt["retried"] != 0 {
        writeln!(out, "{} events have another outcome now. `chatfold events` lists them", rebuilt["retried"])?;
    }
    writeln!(out, "state hash before {}", text(&rebuilt["before"]["hash"]))?;
    writeln!(out, "state hash now    {}", text(&rebuilt["after"]["hash"]))
}
