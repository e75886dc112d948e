//! `chatfold doctor`: what is well, what deserves a look, what is broken, and what to do about it.

mod address;
mod apps;
mod machine;
#[cfg(feature = "postgres")]
mod shared_log;

use super::table::{self, Colour};
use crate::config::Config;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// What to check, and how to print it.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also check this address from here: the name, TLS, the proxy, and the webhook credentials. Nothing is stored there
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Bad,
}

/// One line of the answer.
#[derive(Debug)]
struct Finding {
    level: Level,
    /// What was checked.
    subject: &'static str,
    app: Option<String>,
    words: String,
    /// What to do.
    advice: Option<String>,
}

impl Finding {
    fn new(level: Level, subject: &'static str, words: impl Into<String>, advice: Option<String>) -> Self {
        Self { level, subject, app: None, words: words.into(), advice }
    }

    fn ok(subject: &'static str, words: impl Into<String>) -> Self {
        Self::new(Level::Ok, subject, words, None)
    }

    fn warn(subject: &'static str, words: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Level::Warn, subject, words, Some(advice.into()))
    }

    fn bad(subject: &'static str, words: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Level::Bad, subject, words, Some(advice.into()))
    }

    fn of(self, app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..self }
    }
}

/// Runs all checks. Reads only; a server may be running. Exit code 1 if something is bad.
pub fn run(config: &Config, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = machine::check(config);
    findings.extend(apps::check(config));
    #[cfg(feature = "postgres")]
    findings.extend(config.shared_log.as_ref().map(shared_log::check));
    if let Some(url) = &args.url {
        findings.extend(address::check(config, url));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for finding in &findings {
        match args.json {
            true => writeln!(out, "{}", finding.json())?,
            false => writeln!(out, "{}", finding.text())?,
        }
    }
    out.flush()?;
    let is_bad = findings.iter().any(|it| it.level == Level::Bad);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl Finding {
    fn json(&self) -> serde_json::Value {
        json!({
            "level": self.level.word(),
            "check": self.subject,
            "appId": self.app,
            "finding": self.words,
            "advice": self.advice,
        })
    }

    fn text(&self) -> String {
        let app = self.app.as_ref().map(|app| format!(" of app {}", table::printable(app))).unwrap_or_default();
        let words = table::printable(&self.words);
        let advice =
            self.advice.as_ref().map(|advice| format!("\n      {}", table::printable(advice))).unwrap_or_default();
        let line = format!("{:<5} {}{app}: {words}{advice}", self.level.word(), self.subject);
        let colour = match self.level {
            Level::Ok => Colour::Plain,
            Level::Warn => Colour::Yellow,
            Level::Bad => Colour::Red,
        };
        table::coloured(&line, colour)
    }
}
