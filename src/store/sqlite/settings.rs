//! `settings`: facts about the file itself.

use crate::ids::Time;
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

const READ: &str = "SELECT value FROM settings WHERE name = ?1";
const WRITE: &str = "
    INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const REMOVE: &str = "DELETE FROM settings WHERE name = ?1";

/// Name of the setting that tells which edition of the fold made the tables.
const FOLD_VERSION: &str = "fold_version";

/// Name of the setting that tells of an erasure which is not finished.
const ERASING: &str = "erasing";

/// Name of the setting that tells of the newest backup.
const BACKUP: &str = "backup";

/// Name of the setting that counts the events that were cut from the log.
const CUT: &str = "events_cut";

/// Name of the setting that tells which node the file is.
pub(super) const NODE: &str = "node";

/// A backup that was made of the file: when, and up to which log position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    pub at: Time,
    pub seq: i64,
}

/// The newest backup that the file knows of.
pub fn last_backup(conn: &Connection) -> Result<Option<Backup>, rusqlite::Error> {
    let told: Option<String> = conn.prepare_cached(READ)?.query_row([BACKUP], |row| row.get(0)).optional()?;
    Ok(told.and_then(|text| {
        let (at, seq) = text.split_once(' ')?;
        Some(Backup { at: Time(at.parse().ok()?), seq: seq.parse().ok()? })
    }))
}

/// Keeps that there is a newer backup.
pub fn stamp_backup(conn: &Connection, made: Backup) -> Result<(), StoreError> {
    conn.prepare_cached(WRITE)?.execute((BACKUP, format!("{} {}", made.at.0, made.seq)))?;
    Ok(())
}

/// Which edition of the fold made the tables; 0 where the file does not say.
pub fn fold_version(conn: &Connection) -> Result<i64, StoreError> {
    let told: Option<String> = conn.prepare_cached(READ)?.query_row([FOLD_VERSION], |row| row.get(0)).optional()?;
    Ok(told.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Notes which edition of the fold made the tables.
pub fn stamp_fold_version(conn: &Connection, version: i64) -> Result<(), StoreError> {
    conn.prepare_cached(WRITE)?.execute((FOLD_VERSION, version.to_string()))?;
    Ok(())
}

/// How many events were ever cut from the log.
pub fn events_cut(conn: &Connection) -> Result<i64, StoreError> {
    let told: Option<String> = conn.prepare_cached(READ)?.query_row([CUT], |row| row.get(0)).optional()?;
    Ok(told.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Counts events that are cut.
pub(super) fn count_cut(conn: &Connection, events: i64) -> Result<(), StoreError> {
    conn.prepare_cached(WRITE)?.execute((CUT, (events_cut(conn)? + events).to_string()))?;
    Ok(())
}

/// Forgets what is true of one machine alone.
pub(super) fn forget_own(conn: &Connection) -> Result<(), StoreError> {
    [BACKUP, NODE].into_iter().try_for_each(|name| unset(conn, name))
}

/// A setting of the file.
pub(super) fn setting(conn: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    Ok(conn.prepare_cached(READ)?.query_row([name], |row| row.get(0)).optional()?)
}

/// Keeps a setting of the file.
pub(super) fn set(conn: &Connection, name: &str, value: &str) -> Result<(), StoreError> {
    conn.prepare_cached(WRITE)?.execute((name, value))?;
    Ok(())
}

/// Removes a setting of the file.
pub(super) fn unset(conn: &Connection, name: &str) -> Result<(), StoreError> {
    conn.prepare_cached(REMOVE)?.execute([name])?;
    Ok(())
}

/// Whether a node has taken a person out of its log, and its tables or the bytes of its file may still tell of the person.
pub fn is_erasing(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(READ)?.exists([ERASING])?)
}

/// Notes that an erasure is not finished, or is.
pub fn stamp_erasing(conn: &Connection, is_unfinished: bool) -> Result<(), StoreError> {
    if is_unfinished { set(conn, ERASING, "1") } else { unset(conn, ERASING) }
}
