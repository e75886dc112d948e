//! `chatfold token`: the tokens that readers need. This command may write their small table while a server runs.

#[cfg(feature = "postgres")]
mod shared;

use super::table;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::ids::{Time, TokenScope};
use crate::store::sqlite::inspect::open_file;
use crate::store::sqlite::tokens::{self, NewToken, Token};
use crate::store::sqlite::{Connection, open_beside, shared_log};
use crate::token;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// What to do with tokens.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, in a file that exists. Its text is printed once and kept nowhere. As soon as the file has a token,
    /// every reader needs one
    Create(CreateArgs),
    /// List the tokens, without their texts
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token. A running server refuses it at once
    Revoke {
        /// Name or id of the token
        #[arg(value_name = "NAME|ID")]
        which: String,
    },
}

/// What a token is for.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the token in lists
    #[arg(long)]
    pub name: String,
    /// Id of an app that the token may read. Repeat --app for more apps [default: all apps]
    #[arg(long, value_name = "APP_ID")]
    pub app: Vec<String>,
    /// What the token shows: metadata (who, when, how many), content (also texts and custom data), admin (also the bodies
    /// of events) [default: content]
    #[arg(long, value_parser = PossibleValuesParser::new(TokenScope::ALL.iter().map(|it| it.as_str())))]
    pub scope: Option<String>,
    /// When the token ends: 90d, 12h, a day (2027-01-31) or an RFC 3339 time [default: never]
    #[arg(long, value_name = "SPAN|DATE")]
    pub expires: Option<String>,
}

/// Does it.
pub fn run(config: &Config, args: &TokenArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        TokenCommand::Create(args) => create(config, args),
        TokenCommand::List { json } => list(&config.db, *json),
        TokenCommand::Revoke { which } => revoke(config, which),
    }
}

fn create(config: &Config, args: &CreateArgs) -> anyhow::Result<ExitCode> {
    let now = clock::now();
    token::check_name(&args.name).map_err(ConfigError)?;
    let end = args.expires.as_deref().map(|text| token::expiry(text, now));
    let expires_at = end.transpose().map_err(|problem| ConfigError(format!("--expires: {problem}")))?;
    if args.app.iter().any(String::is_empty) {
        return Err(ConfigError("--app: expected the id of an app, not an empty text".into()).into());
    }
    let secret = token::generate()?;
    let new = NewToken {
        name: &args.name,
        hash: token::hash(&secret),
        scope: args.scope.as_deref().and_then(TokenScope::from_word).unwrap_or(TokenScope::Content),
        apps: (!args.app.is_empty()).then_some(args.app.as_slice()),
        created_at: now,
        expires_at,
    };
    let conn = open(&config.db)?;
    let first = tokens::all(&conn)?.is_empty();
    let (id, note) = match make(config, &conn, &new)? {
        Made::Here { id, note } => (Some(id), note),
        #[cfg(feature = "postgres")]
        Made::Later => (None, Some("every node takes the token once it has read the log; this node has not yet")),
        Made::Taken => {
            eprintln!("there is already a token with the name {:?}. Choose another name", args.name);
            return Ok(ExitCode::FAILURE);
        }
    };
    writeln!(std::io::stdout(), "{secret}")?;
    let (which, id) = match id {
        Some(id) => (id.to_string(), format!(" {id}")),
        None => (format!("{:?}", args.name), String::new()),
    };
    eprintln!("this is token{id} ({}). Keep it now: it is not shown again", table::printable(&args.name));
    for line in grant(config, &which, &new, args) {
        eprintln!("  {}", table::printable(&line));
    }
    note.into_iter().for_each(|note| eprintln!("{note}"));
    if first {
        eprintln!("from now on every reader needs a token, on this machine too");
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of a token.
enum Made {
    /// The file has it, under this id.
    Here { id: i64, note: Option<&'static str> },
    /// The file gets it from the shared log.
    #[cfg(feature = "postgres")]
    Later,
    /// Another token has the name.
    Taken,
}

/// Makes a token in the file, or in the log that the file follows.
fn make(config: &Config, conn: &Connection, new: &NewToken<'_>) -> anyhow::Result<Made> {
    #[cfg(feature = "postgres")]
    if let Some(post) = crate::cluster::post::Post::of(config, conn)? {
        let note = Some("every other node takes the token once it has read the log");
        return Ok(match shared::create(&post, config, conn, new)? {
            shared::Made::Here(id) => Made::Here { id, note },
            shared::Made::Later => Made::Later,
            shared::Made::Taken => Made::Taken,
        });
    }
    shared_log::refuse(conn, &config.db)?;
    Ok(tokens::create(conn, new)?.map_or(Made::Taken, |id| Made::Here { id, note: None }))
}

/// Revokes a token in the file, or in the log that the file follows: its name.
fn end(config: &Config, conn: &Connection, which: &str) -> anyhow::Result<Option<String>> {
    #[cfg(feature = "postgres")]
    if let Some(post) = crate::cluster::post::Post::of(config, conn)? {
        return shared::revoke(&post, config, conn, which);
    }
    shared_log::refuse(conn, &config.db)?;
    Ok(tokens::revoke(conn, which, clock::now())?)
}

/// The file, to write its small table. It is never made here: a mistyped name would get a token that no server asks for.
fn open(db: &Path) -> anyhow::Result<Connection> {
    anyhow::ensure!(
        db.exists(),
        "there is no file {}. `chatfold serve` makes the file when it starts. Name another file with --db",
        db.display()
    );
    Ok(open_beside(db)?)
}

/// What a token opens, with the flag that narrows what was left out.
fn grant(config: &Config, which: &str, new: &NewToken<'_>, args: &CreateArgs) -> [String; 3] {
    let apps = match new.apps {
        Some(apps) => format!("reads the apps {}", apps.join(", ")),
        None => "reads all apps, also apps that come later; --app limits a token to some apps".into(),
    };
    let scope = match new.scope {
        TokenScope::Metadata => "shows who, when and how many, but no texts",
        TokenScope::Content => "shows who, when and how many, and the texts",
        TokenScope::Admin => "shows everything, also the bodies of events",
    };
    let narrower = if args.scope.is_none() { "; --scope metadata hides the texts" } else { "" };
    let end = match new.expires_at {
        Some(at) => format!("ends at {at}"),
        None => {
            let revoke = config.command(&format!("token revoke {which}"));
            format!("does not end until you run `{revoke}`; --expires 90d sets an end")
        }
    };
    [apps, format!("{scope} (scope {}){narrower}", new.scope.as_str()), end]
}

fn list(db: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let all = tokens::all(&open_file(db)?)?;
    let now = clock::now();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if as_json {
        for token in &all {
            writeln!(out, "{}", line(token, now))?;
        }
    } else {
        let header = ["id", "name", "state", "scope", "apps", "created", "expires", "last used"];
        table::print(&mut out, &header, all.iter().map(|token| cells(token, now)))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn state(token: &Token, now: Time) -> &'static str {
    match token.revoked_at {
        Some(_) => "revoked",
        None if token.is_valid(now) => "valid",
        None => "expired",
    }
}

fn cells(token: &Token, now: Time) -> Vec<String> {
    let time = |at: Option<Time>, without: &str| at.map_or(without.to_owned(), |it| it.to_string());
    vec![
        token.id.to_string(),
        token.name.clone(),
        state(token, now).to_owned(),
        token.scope.as_str().to_owned(),
        token.apps.as_ref().map_or("all".to_owned(), |apps| apps.join(", ")),
        token.created_at.to_string(),
        time(token.expires_at, "never"),
        time(token.last_used_at, "never"),
    ]
}

fn line(token: &Token, now: Time) -> String {
    let time = |at: Option<Time>| at.map(|it| it.to_string());
    json!({
        "id": token.id,
        "name": token.name,
        "state": state(token, now),
        "scope": token.scope.as_str(),
        "apps": token.apps,
        "createdAt": token.created_at.to_string(),
        "expiresAt": time(token.expires_at),
        "lastUsedAt": time(token.last_used_at),
        "revokedAt": time(token.revoked_at),
    })
    .to_string()
}

fn revoke(config: &Config, which: &str) -> anyhow::Result<ExitCode> {
    Ok(match end(config, &open(&config.db)?, which)? {
        Some(name) => {
            eprintln!("token {name:?} is revoked");
            ExitCode::SUCCESS
        }
        None => {
            let list = config.command("token list");
            eprintln!("there is no token with the name or id {which:?}. `{list}` lists all tokens");
            ExitCode::FAILURE
        }
    })
}
