//! `receipts` and `read_markers`: what can only grow.

use super::rows::At;
use crate::change::{Dated, ReadMarker, Receipt};
use crate::ids::{ConversationKey, Time, TimeSource, id_number, id_order};
use crate::store::StoreError;
use rusqlite::{OptionalExtension, Row};

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

pub(super) fn put(at: &At<'_>, receipt: &Receipt) -> Result<(), StoreError> {
    let key = (at.app_id, &receipt.message_id, &receipt.uid);
    let read = |row: &Row<'_>| Ok((dated(row, 0)?, dated(row, 2)?));
    let (delivered, read) = at.conn.prepare_cached(LOAD)?.query_row(key, read).optional()?.unwrap_or_default();
    let delivered = delivered.into_iter().chain(receipt.delivered).min();
    let read = read.into_iter().chain(receipt.read).min();
    let (delivered_at, delivered_from) = delivered.map(|it| (it.at.0, it.from.as_str())).unzip();
    let (read_at, read_from) = read.map(|it| (it.at.0, it.from.as_str())).unzip();
    at.conn.prepare_cached(WRITE)?.execute((key.0, key.1, key.2, delivered_at, delivered_from, read_at, read_from))?;
    Ok(())
}

/// The greatest id read; of equal ids the earliest time told.
pub(super) fn put_marker(at: &At<'_>, marker: &ReadMarker) -> Result<(), StoreError> {
    let numeric = id_number(&marker.message_id).is_some();
    let ConversationKey { id, low_length } = &marker.conversation;
    let key = (at.app_id, id, low_length, &marker.uid, numeric);
    let stored: Option<(i64, String, Option<i64>)> = at
        .conn
        .prepare_cached(LOAD_MARKER)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let new = (id_order(&marker.message_id), marker.message_id.as_str());
    let told = marker.at.map(|time| time.0);
    let read_at = match &stored {
        Some((no, id, _)) if (*no, id.as_str()) > new => return Ok(()),
        Some((no, id, known)) if (*no, id.as_str()) == new => told.into_iter().chain(*known).min(),
        _ => told,
    };
    at.conn.prepare_cached(WRITE_MARKER)?.execute((key.0, key.1, key.2, key.3, numeric, new.0, new.1, read_at))?;
    Ok(())
}
