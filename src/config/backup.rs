//! Backups that the server makes, as settings: flags and variables that begin with `backup`, and the table `[backup]` of
//! the configuration file.

use super::settings::Choices;
use super::{ConfigError, span};
use clap::Args;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const EVERY: &str = "6h";
const KEEP: RangeInclusive<u64> = 1..=10_000;

/// Where the server puts backups, and how often. Each setting may be left out.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "Backup")]
#[serde(deny_unknown_fields)]
pub struct BackupFlags {
    /// Folder into which the server makes backups, best on another disk [default: none, and no backups]
    #[arg(long, global = true, hide_short_help = true, value_name = "FOLDER", env = "CHATFOLD_BACKUP_FOLDER")]
    #[serde(rename = "folder")]
    pub backup_folder: Option<PathBuf>,
    /// Time from one backup to the next, 1m to 366d [default: 6h]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", env = "CHATFOLD_BACKUP_EVERY")]
    #[serde(rename = "every")]
    pub backup_every: Option<String>,
    /// How many backups stay in the folder, 1 to 10000. The oldest ones are removed [default: 14]
    #[arg(long, global = true, hide_short_help = true, value_name = "N", env = "CHATFOLD_BACKUP_KEEP")]
    #[serde(rename = "keep")]
    pub backup_keep: Option<u64>,
}

/// The same, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    pub folder: PathBuf,
    pub every: Duration,
    pub keep: usize,
}

impl BackupFlags {
    /// Takes each setting from here, or else from the file. `None`: the server makes no backups.
    pub(super) fn over(&self, file: &Self, choices: &mut Choices) -> Result<Option<BackupSettings>, ConfigError> {
        let folder = choices.maybe("backup.folder", self.backup_folder.clone(), file.backup_folder.clone());
        let (flag, key) = (self.backup_every.clone(), file.backup_every.clone());
        let every = choices.choose("backup.every", flag, key, EVERY.to_owned());
        let every =
            span::parse(&every).map_err(|problem| ConfigError(format!("backup_every is {every:?}: {problem}")))?;
        let keep = choices.number("backup.keep", self.backup_keep, file.backup_keep, 14, KEEP)?;
        Ok(folder.map(|folder| BackupSettings { folder, every, keep }))
    }
}
