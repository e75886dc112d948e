//! A part of the tables, taken out of the file and put in as it was folded aside.

use super::events::EVENT_REFS;
use super::layout::Layout;
use super::{App, search, shadow};
use crate::ids::ConversationKey;
use crate::part::{Part, Piece};
use crate::store::StoreError;
use crate::tables::conversation::Listing;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};
use std::collections::HashMap;

/// Rows put in at once.
const ROWS: usize = 5_000;

/// The tables of each kind of piece, and the columns that hold its names.
const OF_USER: Tables = (&["users", "presence", "connections"], &["uid"]);
const OF_GROUP: Tables = (&["groups", "memberships", "membership_changes", "rosters"], &["guid"]);
const OF_MESSAGE: Tables = (&["messages", "message_edits", "message_additions", "moderation"], &["message_id"]);
const OF_RECEIPT: Tables = (&["receipts"], &["message_id", "uid"]);
const OF_REACTION: Tables = (&["reactions"], &["message_id", "uid"]);
const OF_MARKER: Tables = (&["read_markers"], &["conversation_id", "low_length", "uid"]);
const OF_CONVERSATION: Tables = (&["conversations"], &["conversation_id", "low_length"]);
const OF_BLOCK: Tables = (&["blocks"], &["blocker_uid", "blocked_uid"]);
const OF_CALL: Tables = (
    &["call_facts", "call_histories", "call_sessions", "call_participants", "recordings", "transcripts"],
    &["session_key"],
);
/// Tables of messages whose keys do not begin with the message.
const CARRIED: &[&str] = &["message_tags", "mentions"];
/// Tables that say the same of every part. A part is folded with all events of its app.
const SAME: &[&str] = &["apps", "app_numbers", "horizons"];

type Tables = (&'static [&'static str], &'static [&'static str]);

const LISTED: &str = "
    SELECT message_id FROM messages WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND chat";
const LISTING: &str = "
    SELECT conversation_id, low_length, listed, may_be_last, sent_at FROM messages WHERE app_id = ?1 AND message_id = ?2";

fn tables(piece: &Piece) -> (Tables, Vec<&dyn ToSql>) {
    match piece {
        Piece::User(uid) => (OF_USER, vec![uid]),
        Piece::Group(guid) => (OF_GROUP, vec![guid]),
        Piece::Message(id) => (OF_MESSAGE, vec![id]),
        Piece::Receipt(id, uid) => (OF_RECEIPT, vec![id, uid]),
        Piece::Reaction(id, uid) => (OF_REACTION, vec![id, uid]),
        Piece::Marker(ConversationKey { id, low_length }, uid) => (OF_MARKER, vec![id, low_length, uid]),
        Piece::Conversation(ConversationKey { id, low_length }) => (OF_CONVERSATION, vec![id, low_length]),
        Piece::Block(blocker, blocked) => (OF_BLOCK, vec![blocker, blocked]),
        Piece::Call(key) => (OF_CALL, vec![key]),
    }
}

/// Adds the messages that the conversations of a part list: how a conversation stands follows from these.
pub fn with_listed(conn: &Connection, part: &mut Part) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(LISTED)?;
    let mut listed = Vec::new();
    for piece in &part.pieces {
        if let Piece::Conversation(ConversationKey { id, low_length }) = piece {
            for message_id in statement.query_map((&part.app_id, id, low_length), |row| row.get(0))? {
                listed.push(Piece::Message(message_id?));
            }
        }
    }
    part.pieces.extend(listed);
    Ok(())
}

/// The values of a message that decide its place in a conversation. A message without a row has no place.
fn listing(conn: &Connection, app_id: &str, message_id: &str) -> Result<Listing, StoreError> {
    let read = |row: &rusqlite::Row<'_>| {
        let (id, low_length): (Option<String>, i64) = (row.get(0)?, row.get(1)?);
        let conversation = id.map(|id| ConversationKey { id, low_length });
        Ok(Listing { conversation, listed: row.get(2)?, may_be_last: row.get(3)?, sent_at: row.get(4)? })
    };
    Ok(conn.prepare_cached(LISTING)?.query_row((app_id, message_id), read).optional()?.unwrap_or_default())
}

/// Whether each conversation in which a message of the part moved is of the part too.
pub fn is_closed(conn: &Connection, folded: &Connection, part: &Part) -> Result<bool, StoreError> {
    for piece in &part.pieces {
        let Piece::Message(id) = piece else { continue };
        let (was, is) = (listing(conn, &part.app_id, id)?, listing(folded, &part.app_id, id)?);
        let mut moved = [&was, &is].into_iter().filter(|_| was != is).filter_map(|listing| listing.shown_in());
        if moved.any(|key| !part.pieces.contains(&Piece::Conversation(key.clone()))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the rows of a part out, and puts in those of `folded`, where nothing but the part was folded.
pub fn replace(conn: &Connection, folded: &Connection, part: &Part) -> Result<(), StoreError> {
    let app = App::from(part.app_id.as_str());
    let messages: Vec<&String> = part.pieces.iter().filter_map(Piece::message).collect();
    let was = texts(conn, &app, &messages)?;
    for piece in &part.pieces {
        let ((names, columns), values) = tables(piece);
        for table in names {
            let by: Vec<String> = (2..).zip(columns).map(|(place, column)| format!("{column} = ?{place}")).collect();
            let delete = format!("DELETE FROM {table} WHERE app_id = ?1 AND {}", by.join(" AND "));
            let given = [&part.app_id as &dyn ToSql].into_iter().chain(values.iter().copied());
            conn.prepare_cached(&delete)?.execute(params_from_iter(given))?;
        }
    }
    let ids = serde_json::json!(messages).to_string();
    for table in CARRIED {
        let delete =
            format!("DELETE FROM {table} WHERE app_id = ?1 AND message_id IN (SELECT value FROM json_each(?2))");
        conn.execute(&delete, (&part.app_id, &ids))?;
    }
    for (kind, key, seq) in &part.references {
        EVENT_REFS.delete(conn, &((&app, *kind, key), seq))?;
    }
    for layout in shadow::layouts(folded)?.iter().filter(|layout| !SAME.contains(&layout.table)) {
        put_in(conn, folded, layout, part)?;
    }
    let mut is = texts(conn, &app, &messages)?;
    let all = was.iter().map(|(rowid, was)| (*rowid, Some(was.clone()), is.remove(rowid))).collect::<Vec<_>>();
    search::save(conn, all.into_iter().chain(is.into_iter().map(|(rowid, is)| (rowid, None, Some(is)))).collect())?;
    search::merge(conn)
}

/// The texts of messages in the full-text index, by their rows there.
fn texts(conn: &Connection, app: &App, messages: &[&String]) -> Result<HashMap<i64, String>, StoreError> {
    let mut texts = HashMap::new();
    for id in messages {
        texts.extend(search::text(conn, app, id)?);
    }
    Ok(texts)
}

fn put_in(conn: &Connection, folded: &Connection, layout: &Layout, part: &Part) -> Result<(), StoreError> {
    let places = layout.key_places();
    let key = |row: &[Value]| places.iter().map(|place| row[*place].clone()).collect::<Vec<_>>();
    let mut after: Option<Vec<Value>> = None;
    loop {
        let mut rows = shadow::rows(folded, layout, after.as_deref(), ROWS)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(key(last));
        // A message that is folded makes the row of its conversation, of the part or not.
        if layout.table == "conversations" {
            rows.retain(|row| is_conversation_of(part, &key(row)));
        }
        shadow::put(conn, layout.table, layout, &rows)?;
    }
}

fn is_conversation_of(part: &Part, key: &[Value]) -> bool {
    let [_, Value::Text(id), Value::Integer(low_length)] = key else { return false };
    part.pieces.contains(&Piece::Conversation(ConversationKey { id: id.clone(), low_length: *low_length }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::projection::PROJECTION;

    #[test]
    fn every_table_is_of_one_kind_of_piece_or_the_same_for_all() {
        let of_pieces =
            [OF_USER, OF_GROUP, OF_MESSAGE, OF_RECEIPT, OF_REACTION, OF_MARKER, OF_CONVERSATION, OF_BLOCK, OF_CALL];
        let named = of_pieces.iter().flat_map(|(names, _)| *names).chain(CARRIED).chain(SAME).chain(&["event_refs"]);
        let mut named: Vec<&str> = named.copied().collect();
        let mut all = PROJECTION.clone();
        named.sort_unstable();
        all.sort_unstable();
        assert_eq!(named, all);
    }
}
