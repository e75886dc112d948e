//! `chatfold nodes`: the nodes of the shared log.

use super::{log, table};
use crate::cluster::{LIVE, Verdict, ms, verdict};
use crate::config::Config;
use crate::ids::Time;
use crate::store::postgres::{Hashed, Head, Link, LogError, Seen};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

/// How to print them.
#[derive(Debug, Args)]
pub struct NodesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What PostgreSQL knows.
struct Known {
    head: Head,
    nodes: Vec<Seen>,
    /// Of live nodes.
    hashes: Vec<Hashed>,
    /// One for each edition.
    verdicts: Vec<(String, Verdict)>,
}

impl Known {
    async fn read(link: &Link) -> Result<Self, LogError> {
        let (head, nodes, hashes) = (link.head().await?, link.nodes().await?, link.hashes(ms(LIVE)).await?);
        let editions: BTreeSet<&str> = hashes.iter().map(|it| it.edition.as_str()).collect();
        let of = |edition: &str| {
            verdict(hashes.iter().filter(|it| it.edition == edition)).map(|told| (edition.to_owned(), told))
        };
        let verdicts = editions.into_iter().filter_map(of).collect();
        Ok(Self { head, nodes, hashes, verdicts })
    }

    /// The state hash of a node at the position where its edition is compared: position, hash, and whether it differs
    /// from that of most nodes.
    fn compared(&self, id: &str) -> Option<(i64, &str, bool)> {
        self.verdicts.iter().find_map(|(edition, told)| {
            let its = |it: &&Hashed| it.node == id && it.edition == *edition && it.position == told.position;
            let hashed = self.hashes.iter().find(its)?;
            Some((told.position, hashed.hash.as_str(), hashed.hash != told.hash))
        })
    }

    fn differ(&self) -> bool {
        self.verdicts.iter().any(|(_, told)| !told.others.is_empty())
    }
}

/// Lists them.
pub fn run(config: &Config, args: &NodesArgs) -> anyhow::Result<ExitCode> {
    let address = &log::shared(config, "nodes")?.address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let known = runtime.block_on(async { Known::read(&Link::open(address).await?).await });
    let known = known.map_err(|error| anyhow::anyhow!("{}: {error}", address.shown()))?;
    let mut out = std::io::stdout();
    match args.json {
        true => writeln!(out, "{}", to_json(&known))?,
        false => print(&known, &mut out)?,
    }
    if known.differ() {
        eprintln!("nodes of one edition differ: `chatfold rebuild` or `chatfold join --force` on those marked");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn is_live(it: &Seen) -> bool {
    it.ago <= ms(LIVE)
}

fn edition(it: &Seen) -> String {
    format!("{}/{}", it.node.fold_version, it.node.version)
}

fn to_json(known: &Known) -> Value {
    let node = |it: &Seen| {
        let compared = known.compared(&it.node.id);
        json!({
            "id": it.node.id,
            "name": it.node.name,
            "version": it.node.version,
            "foldVersion": it.node.fold_version,
            "position": it.node.position.to_string(),
            "seenAt": Time(it.seen_at).rfc3339(),
            "live": is_live(it),
            "comparedAt": compared.map(|it| it.0.to_string()),
            "stateHash": compared.map(|it| it.1),
            "differs": compared.is_some_and(|it| it.2),
        })
    };
    json!({
        "logId": known.head.log_id,
        "position": known.head.position.to_string(),
        "differ": known.differ(),
        "nodes": known.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn print(known: &Known, out: &mut impl Write) -> std::io::Result<()> {
    let row = |it: &Seen| {
        let (at, hash) = match known.compared(&it.node.id) {
            None => (String::new(), "none yet".to_owned()),
            Some((at, hash, differs)) => {
                let mark = if differs { " DIFFERS" } else { "" };
                (at.to_string(), format!("{}{mark}", hash.get(..12).unwrap_or(hash)))
            }
        };
        let seen = if is_live(it) { ago(it.ago) } else { format!("{}, gone", ago(it.ago)) };
        let id = it.node.id.get(..6).unwrap_or(&it.node.id);
        let behind = (known.head.position - it.node.position).max(0);
        let position = it.node.position.to_string();
        vec![format!("{} {id}", it.node.name), seen, position, behind.to_string(), edition(it), hash, at]
    };
    let header = ["node", "seen", "position", "behind", "edition", "state hash", "at position"];
    table::print(out, &header, known.nodes.iter().map(row))
}

/// `3 s ago`.
fn ago(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        seconds @ 0..=119 => format!("{seconds} s ago"),
        seconds @ 120..=7_199 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}
