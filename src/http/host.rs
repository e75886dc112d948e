//! What the API tells of the server around it.

use super::READ_ONLY;
use super::backups::Backups;
use super::rebuilds::Rebuilding;
use crate::clock;
use crate::cluster::Intake;
use crate::config::{Config, Origin, Setting};
use crate::disk;
use crate::fold::FOLD_VERSION;
use crate::graphql::{self, BigInt, DateTime, SettingOrigin};
use crate::ids::Time;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// The server, as the API sees it.
pub(super) struct Host {
    file: PathBuf,
    /// `None` if the file is only read.
    intake: Option<Intake>,
    rebuilding: Rebuilding,
    backups: Backups,
    /// The time from one backup to the next. `None`: the server makes none.
    backup_every: Option<Duration>,
    started: Time,
    settings: RwLock<Vec<Setting>>,
}

impl Host {
    pub fn new(config: &Config, intake: Option<Intake>, rebuilding: Rebuilding, backups: Backups) -> Self {
        let settings = RwLock::new(config.settings().to_vec());
        let makes_backups = config.backup.as_ref().filter(|_| intake.is_some());
        let backup_every = makes_backups.map(|backup| backup.every);
        let file = config.db.clone();
        Self { file, intake, rebuilding, backups, backup_every, started: clock::now(), settings }
    }

    /// The credentials were read again. All other settings stay as they were at the start.
    pub fn replace_credentials(&self, new: &Config) {
        let is_replaced = |it: &Setting| it.key.starts_with("webhook_");
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        settings.retain(|it| !is_replaced(it));
        settings.extend(new.settings().iter().filter(|it| is_replaced(it)).cloned());
    }

    /// Why a delivery would be refused now.
    pub fn not_ready(&self) -> Option<String> {
        match &self.intake {
            Some(intake) => intake.not_ready(),
            None => Some(READ_ONLY.into()),
        }
    }

    /// Whether the server makes backups and the newest is more than twice as old as it may be.
    fn backup_is_late(&self) -> bool {
        let newest = self.backups.newest().map_or(self.started, |newest| newest.at);
        let age = clock::now().0.saturating_sub(newest.0);
        self.backup_every.is_some_and(|every| u128::try_from(age).is_ok_and(|age| age > 2 * every.as_millis()))
    }

    fn disk(&self) -> Option<graphql::Disk> {
        let disk = disk::Disk::of(&self.file)?;
        let bytes = |bytes: u64| BigInt(i64::try_from(bytes).unwrap_or(i64::MAX));
        Some(graphql::Disk {
            bytes: bytes(disk.bytes),
            free_bytes: bytes(disk.free_bytes),
            nearly_full: disk.is_nearly_full(),
        })
    }
}

impl graphql::Host for Host {
    fn server(&self) -> graphql::Server {
        let wal_bytes = self.intake.as_ref().map(|intake| intake.writer().wal_bytes());
        let wal_bytes = wal_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        graphql::Server {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: DateTime(self.started),
            not_ready: self.not_ready(),
            log_alarm: self.intake.as_ref().and_then(Intake::log).and_then(|log| log.alarm),
            fold_version: FOLD_VERSION,
            rebuilding: self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
            wal_bytes: wal_bytes.map(BigInt),
            backup_late: self.backup_is_late(),
            disk: self.disk(),
        }
    }

    fn log_read_at(&self) -> Option<Option<Time>> {
        self.intake.as_ref()?.log().map(|log| log.read_at)
    }

    fn settings(&self) -> Vec<graphql::Setting> {
        let setting = |it: &Setting| graphql::Setting {
            key: it.key.to_owned(),
            value: it.text(),
            origin: match it.origin {
                Origin::Flag => SettingOrigin::Flag,
                Origin::Environment => SettingOrigin::Environment,
                Origin::File => SettingOrigin::File,
                Origin::Default => SettingOrigin::Default,
            },
        };
        self.settings.read().unwrap_or_else(PoisonError::into_inner).iter().map(setting).collect()
    }
}
