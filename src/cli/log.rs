//! `chatfold log`: the log that several nodes share.

use crate::config::{Config, ConfigError};
use crate::store::postgres::{Link, Made};
use clap::{Args, Subcommand};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

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
        /// Print one JSON object: logId, position, isNew
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub fn run(config: &Config, args: &LogArgs) -> anyhow::Result<ExitCode> {
    let LogCommand::Init { json } = args.command;
    let missing = || ConfigError("`chatfold log init` needs the address of the log: --log postgres://…".to_owned());
    let address = &config.shared_log.as_ref().ok_or_else(missing)?.address;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let log_id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(Link::init(address, &log_id));
    let Made { head, is_new } = made.map_err(|error| anyhow::anyhow!("{}: {error}", address.shown()))?;
    match is_new {
        true => eprintln!("made the log in {}", address.shown()),
        false => eprintln!("the log is in {} already, up to position {}", address.shown(), head.position),
    }
    if json {
        let told = json!({ "logId": head.log_id, "position": head.position.to_string(), "isNew": is_new });
        writeln!(std::io::stdout(), "{told}")?;
    }
    Ok(ExitCode::SUCCESS)
}
