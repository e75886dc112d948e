//! `chatfold log`: the log that several nodes share.

use super::counted;
use crate::cluster;
use crate::config::{Config, ConfigError, KEEP, SharedLog};
use crate::store::postgres::{Link, Made, Trimmed};
use clap::{Args, Subcommand};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What to do with the log.
#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(subcommand)]
    pub command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Make its tables in an empty database. Where they are there already, nothing changes
    Init {
        /// Go on with this file, which becomes the first node. No server may be running on the file
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// The file is a node of a log that is lost for good: it goes on with a new log
        #[arg(long, requires = "from")]
        lost_log: bool,
        /// Print one JSON object: logId, position, isNew
        #[arg(long)]
        json: bool,
    },
    /// Remove old deliveries that every live node has. Nodes do the same by themselves, once an hour
    Trim {
        /// Keep deliveries of so many days, 1 to 3650 [default: the setting log_keep_days]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(KEEP))]
        days: Option<u64>,
        /// Print one JSON object: deliveries, oldest
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub fn run(config: &Config, args: &LogArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        LogCommand::Init { from, lost_log, json } => {
            init(shared(config, "log init")?, from.as_deref(), *lost_log, *json)
        }
        LogCommand::Trim { days, json } => trim(shared(config, "log trim")?, *days, *json),
    }
}

fn trim(log: &SharedLog, days: Option<u64>, as_json: bool) -> anyhow::Result<ExitCode> {
    let address = &log.address;
    let keep = days.map_or(log.keep, |days| Duration::from_secs(days * 86_400));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let trimmed = runtime
        .block_on(async { Link::open(address).await?.trim(cluster::ms(keep), cluster::ms(cluster::LIVE)).await });
    let Trimmed { deliveries, oldest } = trimmed.map_err(|error| anyhow::anyhow!("{}: {error}", address.shown()))?;
    match oldest {
        Some(oldest) => {
            let removed = counted(deliveries, "delivery", "deliveries");
            eprintln!("removed {removed}: the log begins at position {oldest}");
        }
        None => eprintln!("the log has no deliveries"),
    }
    if as_json {
        let oldest = oldest.map(|oldest| oldest.to_string());
        writeln!(std::io::stdout(), "{}", json!({ "deliveries": deliveries, "oldest": oldest }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The log of the settings, for a command that needs it.
pub(super) fn shared<'a>(config: &'a Config, command: &str) -> Result<&'a SharedLog, ConfigError> {
    let missing = || ConfigError(format!("`chatfold {command}` needs the address of the log: --log postgres://…"));
    config.shared_log.as_ref().ok_or_else(missing)
}

fn init(log: &SharedLog, from: Option<&Path>, is_lost: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    let address = &log.address;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let log_id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Made { head, is_new } = match from {
        Some(file) => cluster::found(file, address, &log_id, is_lost, &runtime)?,
        None => {
            let made = runtime.block_on(Link::init(address, &log_id));
            made.map_err(|error| anyhow::anyhow!("{}: {error}", address.shown()))?
        }
    };
    match (from, is_new) {
        (None, true) => eprintln!("made the log in {}", address.shown()),
        (None, false) => eprintln!("the log is in {} already, up to position {}", address.shown(), head.position),
        (Some(file), _) => eprintln!(
            "{} is a node of the log in {}, which is at position {}. Other nodes begin with `chatfold join`: the log holds \
             no deliveries of the time before it",
            file.display(),
            address.shown(),
            head.position
        ),
    }
    if as_json {
        let told = json!({ "logId": head.log_id, "position": head.position.to_string(), "isNew": is_new });
        writeln!(std::io::stdout(), "{told}")?;
    }
    Ok(ExitCode::SUCCESS)
}
