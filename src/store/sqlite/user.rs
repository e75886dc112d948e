//! `users`.

use super::rows::{At, Table};
use crate::change::User;
use crate::merge::{Row, Telling};
use crate::store::StoreError;
use rusqlite::Connection;
use std::sync::LazyLock;

static USERS: LazyLock<Table> = LazyLock::new(|| Table::new("users", &["app_id", "uid"], User::COLUMNS, &[]));

const EXISTS: &str = "SELECT 1 FROM users WHERE app_id = ?1 AND uid = ?2";

pub(super) fn put(at: &At<'_>, uid: &str, telling: Telling) -> Result<(), StoreError> {
    // Most facts name people without describing them.
    if telling.fields.is_empty() && at.conn.prepare_cached(EXISTS)?.exists((at.app_id, uid))? {
        return Ok(());
    }
    let known = stored(at.conn, at.app_id, uid)?;
    let new = known.is_none();
    let mut row = known.unwrap_or_else(|| Row::new(User::COLUMNS.len()));
    if row.merge(User::RULES, telling) || new {
        USERS.write(at.conn, &[&at.app_id, &uid], &row, &[])?;
    }
    Ok(())
}

/// The registers of a person.
pub(super) fn stored(conn: &Connection, app_id: &str, uid: &str) -> Result<Option<Row>, StoreError> {
    Ok(USERS.load(conn, &[&app_id, &uid])?.map(|(row, _)| row))
}
