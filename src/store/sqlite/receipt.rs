//! `receipts` and `read_markers`: what can only grow.

use super::rows::At;
use crate::change::{ReadMarker, Receipt};
use crate::ids::{id_number, id_order};
use crate::store::StoreError;
use rusqlite::OptionalExtension;

const LOAD: &str = "SELECT delivered_at, read_at FROM receipts WHERE app_id = ?1 AND message_id = ?2 AND uid = ?3";
const WRITE: &str = "
    INSERT INTO receipts (app_id, message_id, uid, delivered_at, read_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (app_id, message_id, uid) DO UPDATE SET delivered_at = excluded.delivered_at, read_at = excluded.read_at";
const LOAD_MARKER: &str = "
    SELECT message_no, message_id, at FROM read_markers
    WHERE app_id = ?1 AND conversation_id = ?2 AND uid = ?3 AND numeric = ?4";
const WRITE_MARKER: &str = "
    INSERT INTO read_markers (app_id, conversation_id, uid, numeric, message_no, message_id, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (app_id, conversation_id, uid, numeric) DO UPDATE SET
        message_no = excluded.message_no, message_id = excluded.message_id, at = excluded.at";

/// The earlier of two times, of which either may be unknown.
fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

pub(super) fn put(at: &At<'_>, receipt: &Receipt) -> Result<(), StoreError> {
    let key = (at.app_id, &receipt.message_id, &receipt.uid);
    let stored: Option<(Option<i64>, Option<i64>)> =
        at.conn.prepare_cached(LOAD)?.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (delivered_at, read_at) = stored.unwrap_or_default();
    let delivered_at = earliest(delivered_at, receipt.delivered_at.map(|time| time.0));
    let read_at = earliest(read_at, receipt.read_at.map(|time| time.0));
    at.conn.prepare_cached(WRITE)?.execute((key.0, key.1, key.2, delivered_at, read_at))?;
    Ok(())
}

/// The greatest id read; of equal ids the earliest time.
pub(super) fn put_marker(at: &At<'_>, marker: &ReadMarker) -> Result<(), StoreError> {
    let numeric = id_number(&marker.message_id).is_some();
    let key = (at.app_id, &marker.conversation_id, &marker.uid, numeric);
    let stored: Option<(i64, String, i64)> = at
        .conn
        .prepare_cached(LOAD_MARKER)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let new = (id_order(&marker.message_id), marker.message_id.as_str());
    let read_at = match &stored {
        Some((no, id, _)) if (*no, id.as_str()) > new => return Ok(()),
        Some((no, id, known)) if (*no, id.as_str()) == new => marker.at.0.min(*known),
        _ => marker.at.0,
    };
    at.conn.prepare_cached(WRITE_MARKER)?.execute((key.0, key.1, key.2, numeric, new.0, new.1, read_at))?;
    Ok(())
}
