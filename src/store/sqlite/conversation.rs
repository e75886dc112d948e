//! `conversations`.

use super::ConversationKey;
use crate::ids::id_order;
use crate::store::StoreError;
use crate::tables::conversation::{Conversation, Last, Parties};
use rusqlite::{Connection, OptionalExtension};

const LOAD: &str = "
    SELECT guid, low_uid, high_uid, messages_count, last_message_id, last_message_at, active_at
    FROM conversations WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3";
const WRITE: &str = "
    INSERT INTO conversations
        (app_id, conversation_id, low_length, type, guid, low_uid, high_uid, messages_count, last_message_id, last_message_at, active_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (app_id, conversation_id, low_length) DO UPDATE SET
        messages_count = excluded.messages_count, last_message_id = excluded.last_message_id,
        last_message_at = excluded.last_message_at, active_at = excluded.active_at";
/// Behind the bound are only messages that may not be the last.
const LAST: &str = "
    SELECT sent_at, message_id FROM messages
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND chat AND listed AND may_be_last
        AND (sent_at, message_no, message_id) <= (?4, ?5, ?6)
    ORDER BY sent_at DESC, message_no DESC, message_id DESC LIMIT 1";
const NEWEST: &str = "
    SELECT sent_at FROM messages WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND chat AND listed
    ORDER BY sent_at DESC, message_no DESC, message_id DESC LIMIT 1";

pub fn load(conn: &Connection, (app, it): &ConversationKey) -> Result<Option<Conversation>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| {
        let guid: Option<String> = row.get(0)?;
        let pair = row.get::<_, Option<String>>(1)?.zip(row.get::<_, Option<String>>(2)?);
        let last = row.get::<_, Option<String>>(4)?.zip(row.get::<_, Option<i64>>(5)?);
        Ok(Conversation {
            parties: guid
                .map(|guid| Parties::Group { guid })
                .or_else(|| pair.map(|(low, high)| Parties::Pair { low, high })),
            messages_count: row.get(3)?,
            last: last.map(|(message_id, sent_at)| Last { sent_at, message_id }),
            active_at: row.get(6)?,
        })
    };
    Ok(conn.prepare_cached(LOAD)?.query_row((app, &it.id, it.low_length), read).optional()?)
}

pub fn save(conn: &Connection, (app, it): &ConversationKey, now: &Conversation) -> Result<(), StoreError> {
    let (kind, guid, low, high) = match &now.parties {
        Some(Parties::Group { guid }) => ("group", Some(guid), None, None),
        Some(Parties::Pair { low, high }) => ("user", None, Some(low), Some(high)),
        None => return Ok(()),
    };
    let (last_id, last_at) = now.last.as_ref().map(|last| (&last.message_id, last.sent_at)).unzip();
    let values =
        (app, &it.id, it.low_length, kind, guid, low, high, now.messages_count, last_id, last_at, now.active_at);
    conn.prepare_cached(WRITE)?.execute(values)?;
    Ok(())
}

/// The last of the listed messages that may be the last, not later than `bound`, where a message stood that was.
pub fn last(conn: &Connection, (app, it): &ConversationKey, bound: Option<&Last>) -> Result<Option<Last>, StoreError> {
    let (sent_at, no, message_id) =
        bound.map_or((i64::MAX, i64::MAX, ""), |last| (last.sent_at, id_order(&last.message_id), &last.message_id));
    let read = |row: &rusqlite::Row<'_>| Ok(Last { sent_at: row.get(0)?, message_id: row.get(1)? });
    Ok(conn.prepare_cached(LAST)?.query_row((app, &it.id, it.low_length, sent_at, no, message_id), read).optional()?)
}

/// Time of the newest listed message.
pub fn newest(conn: &Connection, (app, it): &ConversationKey) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(NEWEST)?.query_row((app, &it.id, it.low_length), |row| row.get(0)).optional()?)
}
