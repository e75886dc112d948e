//! How old events may get, as settings: flags and variables that begin with `retention`, and the table `[retention]` of
//! the configuration file.

use super::settings::Choices;
use super::{ConfigError, span};
use clap::Args;
use serde::Deserialize;
use std::time::Duration;

/// A copy that comes late must find its event: retries end after 40 s, clocks differ, and a second webhook may be slow.
const YOUNGEST: Duration = Duration::from_secs(24 * 3_600);
const EVERY: &str = "1d";

/// When old events are cut from the log. Each setting may be left out.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "Retention")]
#[serde(deny_unknown_fields)]
pub struct RetentionFlags {
    /// Age at which events that fill no tables are cut from the log, 1d to 3660d [default: none, and all stay]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_RETENTION_IGNORED")]
    #[serde(rename = "ignored")]
    pub retention_ignored: Option<String>,
    /// Age at which events about presence are cut from the log if newer ones replaced all that they say, 1d to 3660d
    /// [default: none, and all stay]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_RETENTION_PRESENCE")]
    #[serde(rename = "presence")]
    pub retention_presence: Option<String>,
    /// Age at which messages are cut from the log, with their edits, reactions, receipts and verdicts, 1d to 3660d
    /// [default: none, and all stay]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_RETENTION_MESSAGE")]
    #[serde(rename = "message")]
    pub retention_message: Option<String>,
    /// Age at which calls and meetings are cut from the log if nothing newer was heard of their session ids, with their
    /// participants, recordings and transcripts, 1d to 3660d [default: none, and all stay]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_RETENTION_CALL")]
    #[serde(rename = "call")]
    pub retention_call: Option<String>,
    /// Time from one cut of the server to the next, 1m to 366d [default: 1d]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_RETENTION_EVERY")]
    #[serde(rename = "every")]
    pub retention_every: Option<String>,
}

/// The same, checked. `None`: events of the family stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionSettings {
    pub ignored: Option<Duration>,
    pub presence: Option<Duration>,
    pub message: Option<Duration>,
    pub call: Option<Duration>,
    pub every: Duration,
}

impl RetentionSettings {
    /// Whether nothing is ever cut.
    pub fn is_off(&self) -> bool {
        [self.ignored, self.presence, self.message, self.call].iter().all(Option::is_none)
    }
}

impl RetentionFlags {
    /// Takes each setting from here, or else from the file.
    pub(super) fn over(&self, file: &Self, choices: &mut Choices) -> Result<RetentionSettings, ConfigError> {
        let (flag, key) = (self.retention_ignored.clone(), file.retention_ignored.clone());
        let ignored = age("retention_ignored", choices.maybe("retention.ignored", flag, key))?;
        let (flag, key) = (self.retention_presence.clone(), file.retention_presence.clone());
        let presence = age("retention_presence", choices.maybe("retention.presence", flag, key))?;
        let (flag, key) = (self.retention_message.clone(), file.retention_message.clone());
        let message = age("retention_message", choices.maybe("retention.message", flag, key))?;
        let (flag, key) = (self.retention_call.clone(), file.retention_call.clone());
        let call = age("retention_call", choices.maybe("retention.call", flag, key))?;
        let (flag, key) = (self.retention_every.clone(), file.retention_every.clone());
        let every = choices.choose("retention.every", flag, key, EVERY.to_owned());
        let every =
            span::parse(&every).map_err(|problem| ConfigError(format!("retention_every is {every:?}: {problem}")))?;
        Ok(RetentionSettings { ignored, presence, message, call, every })
    }
}

fn age(name: &str, told: Option<String>) -> Result<Option<Duration>, ConfigError> {
    let Some(told) = told else { return Ok(None) };
    let days = told.strip_suffix('d').filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let days = days.and_then(|days| days.parse::<u32>().ok()).filter(|days| (1..=3_660).contains(days));
    let days = days.ok_or_else(|| ConfigError(format!("{name} is {told:?}: expected days, from 1d to 3660d")))?;
    Ok(Some(YOUNGEST * days))
}
