//! The command line: one file per command. Data goes to stdout, words for people to stderr.

mod app;
pub mod backup;
pub mod backfill;
pub mod config;
pub mod doctor;
pub mod drift;
pub mod erase_user;
pub mod events;
pub mod explain;
pub mod export;
pub mod export_user;
pub mod gaps;
mod help;
pub mod ingest;
pub mod inspect;
#[cfg(feature = "postgres")]
pub mod join;
#[cfg(feature = "postgres")]
pub mod log;
#[cfg(feature = "postgres")]
pub mod nodes;
pub mod open;
pub mod package;
mod past;
mod progress;
pub mod rebuild;
pub mod reconcile;
pub mod restore;
pub mod retention;
pub mod schema;
pub mod send;
pub mod serve;
mod stopping;
mod table;
pub mod token;
#[cfg(feature = "otel")]
mod traces;
pub mod verify;

use crate::config::{Config, ConfigError, Flags, Given, LogFormat, unknown_variables};
use anyhow::Context;
use clap::{FromArgMatches, Parser, Subcommand};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

#[cfg(not(feature = "otel"))]
const WITHOUT_TRACES: &str = "OTEL_EXPORTER_OTLP_ENDPOINT names a collector, but this chatfold is built without traces. Build \
    chatfold with `cargo build --release --features otel`";

/// Takes CometChat webhooks, keeps every one in an append-only log, folds them into SQLite tables and answers GraphQL
/// over them
#[derive(Debug, Parser)]
#[command(name = "chatfold", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub flags: Flags,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: it takes deliveries and answers GraphQL
    Serve,
    /// Show a file in the browser, for example a copy. It only reads, on a free port of this machine
    Open(open::OpenArgs),
    /// Read deliveries from files into the log
    Ingest(ingest::IngestArgs),
    /// Read an app from CometChat's API: what was there before chatfold, or was missed. A server may be running
    Backfill(backfill::BackfillArgs),
    /// Read from CometChat's API where the tables may be wrong: drift first, then what was read longest ago
    Reconcile(reconcile::ReconcileArgs),
    /// List the events in the log, newest first
    Events(events::EventsArgs),
    /// Explain why the tables hold these values for one group, membership, message, user or call
    Explain(explain::ExplainArgs),
    /// List the groups whose number of members differs from what CometChat says. Exit code 1 if there are any
    Drift(drift::DriftArgs),
    /// List what is known to be missing: times without a server, silent feeds, events not applied, missing message ids
    Gaps(gaps::GapsArgs),
    /// Count what is in the file: apps, rows, triggers, outcomes, time span
    Inspect(inspect::InspectArgs),
    /// Make the tables again from the log, and try dead letters again. The old tables stay until then
    Rebuild(rebuild::RebuildArgs),
    /// Make the tables again in a temporary file, and compare. Exit code 1 if they differ
    Verify(verify::VerifyArgs),
    /// Copy the file while a server may be running, and check the copy
    Backup(backup::BackupArgs),
    /// Put a copy in the place of the file, while no server runs
    Restore(restore::RestoreArgs),
    /// Write views as files for analysts: one JSON object a line, CSV or Parquet
    Export(export::ExportArgs),
    /// Print all that the file holds about one person, as JSON
    ExportUser(export_user::ExportUserArgs),
    /// Take a person out of the log, the tables and the bytes of the file, for good. No server may be running
    EraseUser(erase_user::EraseUserArgs),
    /// Report which old events the settings cut from the log, or cut them. A server may be running
    Retention(retention::RetentionArgs),
    /// Make, list and revoke the tokens that readers need. A server may be running
    Token(token::TokenArgs),
    /// Play a demo, a story or an export to an address, as CometChat sends deliveries
    Send(send::SendArgs),
    /// Check settings, file, machine and apps, and say what to do. Exit code 1 if something is bad
    Doctor(doctor::DoctorArgs),
    /// Print every setting in force, and where it comes from. Passwords are hidden
    Config(config::ConfigArgs),
    /// Make the log that several nodes share, in PostgreSQL, and remove what is old
    #[cfg(feature = "postgres")]
    Log(log::LogArgs),
    /// Make this machine a node of the shared log: fetch a copy from a node that runs, check it and put it in place
    #[cfg(feature = "postgres")]
    Join(join::JoinArgs),
    /// List the nodes of the shared log: when each was seen, its position, its state hash. Exit code 1 if they differ
    #[cfg(feature = "postgres")]
    Nodes(nodes::NodesArgs),
    /// Print the GraphQL schema (SDL)
    Schema,
    /// Print a script that completes commands and flags in a shell
    Completions(package::CompletionsArgs),
    /// Write manual pages, one for each command
    Man(package::ManArgs),
}

/// Does what the command line of the process says; the exit code is the answer.
pub fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.flags.given = Given::of(&matches);
    match dispatch(cli) {
        Ok(code) => code,
        // A closed pipe (`| head`) is not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chatfold: {}", words(&error));
            if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(done) = without_settings(&cli.command) {
        return done;
    }
    let config = Config::load(cli.flags)?;
    #[cfg(feature = "otel")]
    let traced = if matches!(cli.command, Command::Serve) { traces::layer()? } else { None };
    #[cfg(feature = "otel")]
    let (traces, _at_the_end) = traced.unzip();
    #[cfg(not(feature = "otel"))]
    let traces = None::<tracing_subscriber::layer::Identity>;
    start_log(&config, traces)?;
    #[cfg(not(feature = "otel"))]
    if matches!(cli.command, Command::Serve) && std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
        tracing::warn!("{WITHOUT_TRACES}");
    }
    for unknown in unknown_variables(&help::variables()) {
        tracing::warn!("{unknown}");
    }
    match cli.command {
        Command::Serve => serve::run(config),
        Command::Open(args) => open::run(config, args),
        Command::Ingest(args) => ingest::run(&config, &args),
        Command::Backfill(args) => backfill::run(&config, &args),
        Command::Reconcile(args) => reconcile::run(&config, &args),
        Command::Events(args) => events::run(&config, &args),
        Command::Explain(args) => explain::run(&config, &args),
        Command::Drift(args) => drift::run(&config, &args),
        Command::Gaps(args) => gaps::run(&config, &args),
        Command::Inspect(args) => inspect::run(&config, &args),
        Command::Rebuild(args) => rebuild::run(&config, &args),
        Command::Verify(args) => verify::run(&config, &args),
        Command::Backup(args) => backup::run(&config, &args),
        Command::Restore(args) => restore::run(&config, &args),
        Command::Export(args) => export::run(&config, &args),
        Command::ExportUser(args) => export_user::run(&config, &args),
        Command::EraseUser(args) => erase_user::run(&config, &args),
        Command::Retention(args) => retention::run(&config, &args),
        Command::Token(args) => token::run(&config, &args),
        Command::Send(args) => send::run(&config, &args),
        Command::Doctor(args) => doctor::run(&config, &args),
        Command::Config(args) => config::run(&config, &args),
        #[cfg(feature = "postgres")]
        Command::Log(args) => log::run(&config, &args),
        #[cfg(feature = "postgres")]
        Command::Join(args) => join::run(&config, &args),
        #[cfg(feature = "postgres")]
        Command::Nodes(args) => nodes::run(&config, &args),
        // They ran above.
        Command::Schema | Command::Completions(_) | Command::Man(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Runs a command that is about chatfold itself; wrong settings must not keep it from its work. `None`: another command.
fn without_settings(command: &Command) -> Option<anyhow::Result<ExitCode>> {
    match command {
        Command::Schema => Some(schema::run()),
        Command::Completions(args) => Some(package::completions(args)),
        Command::Man(args) => Some(package::man(args)),
        _ => None,
    }
}

fn start_log(config: &Config, traces: Option<impl Layer<Registry> + Send + Sync>) -> anyhow::Result<()> {
    // At `trace` ureq writes the bytes of its requests, and so the API key.
    let holds_no_key = |line: &Metadata<'_>| !(line.target().starts_with("ureq") && *line.level() > Level::DEBUG);
    let filter = EnvFilter::try_new(&config.log_filter)?.and(filter_fn(holds_no_key));
    // The line at the end of a span tells how long it took.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(traces).with(lines.with_filter(filter)).init();
    crate::panics::tell_in_the_log();
    Ok(())
}

/// A number and what there is so many of: `1 delivery`, `2 deliveries`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Fails where there is no file, and where nothing may be looked for.
fn is_there(db: &Path) -> anyhow::Result<()> {
    let looking = || format!("looking for the file {}", db.display());
    anyhow::ensure!(
        db.try_exists().with_context(looking)?,
        "there is no file {}. Name the file with --db",
        db.display()
    );
    Ok(())
}

/// The error and its causes. A cause that the words before it tell already is left out.
fn words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.is_empty() {
        true => cause,
        false if told.contains(&cause) => told,
        false => format!("{told}: {cause}"),
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cause_is_told_twice() {
        let disk = std::io::Error::other("the disk is gone");
        let error =
            anyhow::Error::new(disk).context("cannot read a.json: the disk is gone").context("reading the input");
        assert_eq!(words(&error), "reading the input: cannot read a.json: the disk is gone");
    }

    #[test]
    fn a_flag_behind_the_command_is_known_to_come_from_the_command_line() {
        for words in [["chatfold", "serve", "--db", "a.db"], ["chatfold", "--db", "a.db", "serve"]] {
            let matches = help::command().get_matches_from(words);
            let mut flags = Cli::from_arg_matches(&matches).unwrap().flags;
            flags.given = Given::of(&matches);
            let config = Config::load(flags).unwrap();
            let db = config.settings().iter().find(|it| it.key == "db").unwrap();
            assert_eq!((db.text().as_deref(), db.origin), (Some("a.db"), crate::config::Origin::Flag), "{words:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        help::command().debug_assert();
    }
}
