//! `settings`: facts about the file itself.

use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

const READ: &str = "SELECT value FROM settings WHERE name = ?1";
const WRITE: &str = "
    INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Name of the setting that tells which edition of the fold made the tables.
const FOLD_VERSION: &str = "fold_version";

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
