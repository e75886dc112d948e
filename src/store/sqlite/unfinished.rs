//! `unfinished`: events that the log holds and the tables do not, or only in part.

use super::App;
use crate::store::StoreError;
use rusqlite::Connection;

const ADD: &str = "INSERT INTO unfinished (seq, app_id) VALUES (?1, ?2)";
const REMOVE: &str = "DELETE FROM unfinished WHERE seq = ?1";
const ALL: &str = "SELECT seq, app_id FROM unfinished ORDER BY seq";
const IS_ANY: &str = "SELECT EXISTS (SELECT 1 FROM unfinished WHERE app_id = ?1)";
const COUNT: &str = "
    INSERT INTO event_counts (app_id, minute, trigger, outcome, n, last_at)
    SELECT app_id, received_at / 60000, trigger, outcome, count(*), max(received_at)
    FROM events WHERE seq IN (SELECT seq FROM unfinished) GROUP BY 1, 2, 3, 4
    ON CONFLICT (app_id, minute, trigger, outcome) DO UPDATE SET n = event_counts.n + excluded.n, last_at = max(event_counts.last_at, excluded.last_at)";
const REMOVE_ALL: &str = "DELETE FROM unfinished";

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

/// Whether an event of an app is not finished.
pub fn is_any(conn: &Connection, app: &App) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(IS_ANY)?.query_row([app], |row| row.get(0))?)
}

/// All events are finished: the tables were made anew from the whole log. They are counted now, as what became of them.
pub fn finish_all(conn: &Connection) -> Result<(), StoreError> {
    conn.prepare_cached(COUNT)?.execute([])?;
    conn.prepare_cached(REMOVE_ALL)?.execute([])?;
    Ok(())
}
