//! `runs`: when a server ran. Between two runs no delivery could be taken.

use crate::ids::Time;
use crate::store::StoreError;
use rusqlite::Connection;

/// Runs that are kept.
const KEPT: i64 = 200;

const NEXT: &str = "SELECT coalesce(max(id), 0) + 1 FROM runs";
const NOTE: &str = "
    INSERT INTO runs (id, started_at, seen_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)";
const FORGET: &str = "DELETE FROM runs WHERE id <= ?1";

/// The id of a run that begins.
pub fn next(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?)
}

/// Notes that the server of a run runs; the oldest runs give way.
pub fn note(conn: &Connection, id: i64, started_at: Time, now: Time) -> Result<(), StoreError> {
    conn.prepare_cached(NOTE)?.execute((id, started_at.0, now.0))?;
    conn.prepare_cached(FORGET)?.execute([id - KEPT])?;
    Ok(())
}
