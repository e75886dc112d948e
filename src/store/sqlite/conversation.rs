//! `conversations`.

use super::ConversationKey;
use super::table::{Binder, FromColumns, Reader, ToColumns, table};
use crate::ids::id_order;
use crate::store::StoreError;
use crate::tables::conversation::{Conversation, Last, Parties};
use rusqlite::{Connection, OptionalExtension};

/// Behind the bound are only messages that may not be the last.
const LAST: &str = "
    SELECT sent_at, message_id FROM messages
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND chat AND listed AND may_be_last
        AND (sent_at, message_no, message_id) <= (?4, ?5, ?6)
    ORDER BY sent_at DESC, message_no DESC, message_id DESC LIMIT 1";
const NEWEST: &str = "
    SELECT sent_at FROM messages WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND chat AND listed
    ORDER BY sent_at DESC, message_no DESC, message_id DESC LIMIT 1";

table! {
    "conversations": Conversation by (conversation_id, low_length)
    fields {
        parties => (type, guid, low_uid, high_uid),
        messages_count,
        last => (last_message_id, last_message_at),
        active_at,
    }
}

impl ToColumns for Option<Parties> {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        let (kind, guid, low, high) = match self {
            Some(Parties::Group { guid }) => (Some("group"), Some(guid.as_str()), None, None),
            Some(Parties::Pair { low, high }) => (Some("user"), None, Some(low.as_str()), Some(high.as_str())),
            None => (None, None, None, None),
        };
        (kind, guid, low, high).put(to)
    }
}

impl FromColumns for Option<Parties> {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let (_, guid, low, high): (String, Option<String>, Option<String>, Option<String>) = from.next()?;
        let pair = || low.zip(high).map(|(low, high)| Parties::Pair { low, high });
        Ok(guid.map(|guid| Parties::Group { guid }).or_else(pair))
    }
}

impl ToColumns for Option<Last> {
    fn put(&self, to: &mut Binder<'_>) -> Result<(), StoreError> {
        self.as_ref().map(|last| (last.message_id.as_str(), last.sent_at)).unzip().put(to)
    }
}

impl FromColumns for Option<Last> {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let (message_id, sent_at): (Option<String>, Option<i64>) = from.next()?;
        Ok(message_id.zip(sent_at).map(|(message_id, sent_at)| Last { sent_at, message_id }))
    }
}

/// A conversation of unknown parties has no row.
pub fn save(conn: &Connection, key: &ConversationKey, now: &Conversation) -> Result<(), StoreError> {
    if now.parties.is_none() {
        return Ok(());
    }
    super::save(conn, key, now)
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
