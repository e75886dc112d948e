//! `chatfold join`: makes this machine a node of the shared log, with a copy of a node that runs.

use super::{log, progress};
use crate::backup::{self, Fetched};
use crate::cluster;
use crate::config::{Config, SourceArgs};
use crate::fold::FOLD_VERSION;
use crate::store::postgres::Link;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// Where the copy comes from.
#[derive(Debug, Args)]
pub struct JoinArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Move a file that is in place aside, with its WAL. Both are kept under a name that is printed
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object: file, logId, position, kept
    #[arg(long)]
    pub json: bool,
}

/// Does it, while no server holds the file.
pub fn run(config: &Config, args: &JoinArgs) -> anyhow::Result<ExitCode> {
    let address = &log::shared(config, "join")?.address;
    let source = args.source.source()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Before a copy is made for nothing.
    let head = runtime.block_on(async { Link::open(address).await?.head().await });
    let log_id = head.map_err(|error| anyhow::anyhow!("{}: {error}", address.shown()))?.log_id;
    if is_open(&source.url) && source.token.is_some() {
        eprintln!("the token and the copy travel without TLS: everybody on the way can read them");
    }
    let mut bar = progress::Bar::new();
    let fits = |joined: &_| {
        runtime.block_on(async {
            let link = Link::open(address).await.map_err(|error| format!("{}: {error}", address.shown()))?;
            cluster::fits(&link, joined).await
        })
    };
    let fetched = backup::fetch(&source, &config.db, args.force, fits, &mut |at| bar.show_backup(at));
    bar.finish();
    let Fetched { joined, fold_version, kept } = fetched?;
    for path in &kept {
        eprintln!("what was in place is kept as {}", path.display());
    }
    eprintln!(
        "{} is a node of the log in {}, at position {}. `{}` with the same --log goes on from there",
        config.db.display(),
        address.shown(),
        joined.position,
        config.command("serve")
    );
    if fold_version != FOLD_VERSION {
        eprintln!(
            "its tables are of edition {fold_version}: the next `chatfold serve` makes them anew, edition {FOLD_VERSION}"
        );
    }
    if args.json {
        let told = json!({
            "file": config.db.display().to_string(),
            "logId": log_id,
            "position": joined.position.to_string(),
            "kept": kept.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        });
        writeln!(std::io::stdout(), "{told}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether whoever stands between the two can read what travels.
fn is_open(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| !host.starts_with("127.") && host != "localhost" && host != "[")
}
