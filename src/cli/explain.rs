//! `chatfold explain`: why the tables hold these values for one entity.

use super::app;
use crate::config::{Config, ConfigError};
use crate::entity::Entity;
use crate::explain::{self, ExplainError};
use crate::store::sqlite::read::explain::apps;
use crate::store::sqlite::{begin_read, inspect};
use clap::Args;
use std::io::Write;
use std::process::ExitCode;

/// What to explain, and how to print it.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What to explain: group:GUID, membership:GUID/UID, message:ID, user:UID or call:SESSION
    #[arg(value_name = "ENTITY")]
    pub entity: String,
    /// Id of the app [default: the setting default_app, or the file's only app]
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Read the whole log of the app. Also list deliveries whose copy of the entity decided nothing
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Explains, in one snapshot. Reads only, so a server may be running. Exit code 1 if the file knows no such entity.
pub fn run(config: &Config, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let conn = inspect::open_file(&config.db)?;
    begin_read(&conn)?;
    let app_id = app::only(config, args.app.as_deref(), &apps(&conn)?)?;
    let reach = if args.all { explain::Reach::All } else { explain::Reach::Needed };
    let found = match explain::explain_named(&conn, &app_id, &args.entity, reach, None) {
        Ok(found) => found,
        Err(ExplainError::Entity(error)) => return Err(ConfigError(error.to_string()).into()),
        Err(error) => return Err(error.into()),
    };
    let Some(explanation) = found else {
        let cut = Entity::named(&args.entity).map(|entity| explain::cut(&conn, &app_id, &entity)).transpose()?;
        let cut = cut.flatten().map(|words| format!(". {words}")).unwrap_or_default();
        anyhow::bail!("{} holds nothing about {} of the app {app_id}{cut}", config.db.display(), args.entity);
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        serde_json::to_writer(&mut out, &explanation)?;
        writeln!(out)?;
    } else {
        explain::write(&explanation, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
