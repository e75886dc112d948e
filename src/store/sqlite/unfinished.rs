//! `unfinished`: large events whose rows are being saved piece by piece.

use super::App;
use crate::store::StoreError;
use rusqlite::Connection;

const ADD: &str = "INSERT INTO unfinished (seq, app_id) VALUES (?1, ?2)";
const REMOVE: &str = "DELETE FROM unfinished WHERE seq = ?1";
const ALL: &str = "SELECT seq, app_id FROM unfinished ORDER BY seq";

/// Keeps that the event at a log position is not finished.
pub fn add(conn: &Connection, seq: i64, app: &App) -> Result<(), StoreError> {
    conn.prepare_cached(ADD)?.execute((seq, app))?;
    Ok(())
}

/// The event is finished.
pub fn remove(conn: &Connection, seq: i64) -> Result<(), StoreError> {
    conn.prepare_cached(REMOVE)?.execute([seq])?;
    Ok(())
}

/// Log positions and apps, oldest first.
pub fn all(conn: &Connection) -> Result<Vec<(i64, App)>, StoreError> {
    let mut statement = conn.prepare_cached(ALL)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, App::from(row.get::<_, String>(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
