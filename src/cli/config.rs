//! `chatfold config`: every setting in force, and where it comes from.

use super::table;
use crate::config::Config;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// How to print it.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print one JSON array of objects with key, value and origin
    #[arg(long)]
    pub json: bool,
}

/// Prints the settings. Passwords are hidden.
pub fn run(config: &Config, args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let settings = config.settings();
    if args.json {
        let all =
            settings.iter().map(|it| json!({ "key": it.key, "value": it.value, "origin": it.origin.to_string() }));
        writeln!(out, "{}", serde_json::Value::Array(all.collect()))?;
    } else {
        let rows = settings.iter().map(|it| {
            let value = it.text().unwrap_or_else(|| "not set".into());
            vec![it.key.to_owned(), value, it.origin.to_string()]
        });
        table::print(&mut out, &["setting", "value", "from"], rows)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
