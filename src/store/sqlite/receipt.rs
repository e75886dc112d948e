//! `receipts` and `read_markers`.

use super::App;
use super::PairKey;
use crate::change::Dated;
use crate::ids::{ConversationKey, Time, TimeSource};
use crate::store::StoreError;
use crate::tables::receipt::{ReadMarker, Receipt};
use rusqlite::{Connection, OptionalExtension, Row};

/// App, conversation, uid, and whether the ids of the messages are numbers.
pub type MarkerKey = (App, ConversationKey, String, bool);

const LOAD: &str = "
    SELECT delivered_at, delivered_at_from, read_at, read_at_from FROM receipts
    WHERE app_id = ?1 AND message_id = ?2 AND uid = ?3";
const WRITE: &str = "
    INSERT INTO receipts (app_id, message_id, uid, delivered_at, delivered_at_from, read_at, read_at_from)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (app_id, message_id, uid) DO UPDATE SET
        delivered_at = excluded.delivered_at, delivered_at_from = excluded.delivered_at_from,
        read_at = excluded.read_at, read_at_from = excluded.read_at_from";
const LOAD_MARKER: &str = "
    SELECT message_no, message_id, at FROM read_markers
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND uid = ?4 AND numeric = ?5";
const WRITE_MARKER: &str = "
    INSERT INTO read_markers (app_id, conversation_id, low_length, uid, numeric, message_no, message_id, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (app_id, conversation_id, low_length, uid, numeric) DO UPDATE SET
        message_no = excluded.message_no, message_id = excluded.message_id, at = excluded.at";

/// The time in this column and its source in the next one.
pub(super) fn dated(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Dated>> {
    let (at, from): (Option<i64>, Option<String>) = (row.get(column)?, row.get(column + 1)?);
    let from = from.and_then(|word| TimeSource::from_word(&word));
    Ok(at.zip(from).map(|(at, from)| Dated { from, at: Time(at) }))
}

pub fn load(conn: &Connection, (app, message_id, uid): &PairKey) -> Result<Option<Receipt>, StoreError> {
    let read = |row: &Row<'_>| Ok(Receipt { delivered: dated(row, 0)?, read: dated(row, 2)? });
    Ok(conn.prepare_cached(LOAD)?.query_row((app, message_id, uid), read).optional()?)
}

pub fn save(conn: &Connection, (app, message_id, uid): &PairKey, now: &Receipt) -> Result<(), StoreError> {
    let columns = |dated: Option<Dated>| dated.map(|it| (it.at.0, it.from.as_str())).unzip();
    let ((delivered_at, delivered_from), (read_at, read_from)) = (columns(now.delivered), columns(now.read));
    let values = (app, message_id, uid, delivered_at, delivered_from, read_at, read_from);
    conn.prepare_cached(WRITE)?.execute(values)?;
    Ok(())
}

pub fn load_marker(conn: &Connection, (app, it, uid, numeric): &MarkerKey) -> Result<Option<ReadMarker>, StoreError> {
    let read = |row: &Row<'_>| Ok(ReadMarker { message_no: row.get(0)?, message_id: row.get(1)?, at: row.get(2)? });
    Ok(conn.prepare_cached(LOAD_MARKER)?.query_row((app, &it.id, it.low_length, uid, numeric), read).optional()?)
}

pub fn save_marker(conn: &Connection, (app, id, uid, numeric): &MarkerKey, now: &ReadMarker) -> Result<(), StoreError> {
    let values = (app, &id.id, id.low_length, uid, numeric, now.message_no, &now.message_id, now.at);
    conn.prepare_cached(WRITE_MARKER)?.execute(values)?;
    Ok(())
}
