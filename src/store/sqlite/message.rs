//! `messages`, `message_tags` and `mentions`.

use super::Key;
use super::rows::{Table, named_json, read_named};
use crate::ids::id_order;
use crate::merge::Row;
use crate::store::StoreError;
use crate::tables::message::Message;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::sync::LazyLock;

static MESSAGES: LazyLock<Table> = LazyLock::new(|| {
    let fields = [
        "sender_uid",
        "receiver_type",
        "receiver_id",
        "category",
        "type",
        "tags",
        "muid",
        "parent_id",
        "quoted_id",
        "sent_at",
        "deleted_at",
        "deleted_at_from",
        "deleted_by",
        "pinned_at",
        "pinned_at_from",
        "pinned_by",
        "mentions",
        "delivered_to_all_at",
        "read_by_all_at",
        "first_text",
    ];
    let extras = [
        "data",
        "deleted",
        "blocked",
        "edited_at",
        "edited_by",
        "message_no",
        "conversation_id",
        "low_length",
        "text",
        "metadata",
        "attachments",
        "chat",
        "listed",
        "step",
        "may_be_last",
        "uncounted",
    ];
    Table::new("messages", &["app_id", "message_id"], &fields, &extras)
});

const EXISTS: &str = "SELECT 1 FROM messages WHERE app_id = ?1 AND message_id = ?2";
const CARRIED: &str = "
    SELECT coalesce(octet_length(tags), 0) + coalesce(octet_length(mentions), 0) FROM messages
    WHERE app_id = ?1 AND message_id = ?2";
const TAG: [&str; 2] = [
    "DELETE FROM message_tags WHERE app_id = ?1 AND tag = ?2 AND message_no = ?3 AND message_id = ?4",
    "INSERT INTO message_tags (app_id, tag, message_no, message_id) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
];
const MENTION: [&str; 2] = [
    "DELETE FROM mentions WHERE app_id = ?1 AND uid = ?2 AND message_no = ?3 AND message_id = ?4",
    "INSERT INTO mentions (app_id, uid, message_no, message_id) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
];

/// Whether the message has a row.
pub fn exists(conn: &Connection, (app, message_id): &Key) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(EXISTS)?.exists((app, message_id))?)
}

/// What was told of the message, but for the members of its data.
pub fn fields(conn: &Connection, (app, message_id): &Key) -> Result<Option<Row>, StoreError> {
    MESSAGES.load_fields(conn, &[app, message_id])
}

pub fn load(conn: &Connection, (app, message_id): &Key) -> Result<Option<Message>, StoreError> {
    let Some((mut row, extras)) = MESSAGES.load(conn, &[app, message_id])? else { return Ok(None) };
    let mut extras = extras.into_iter();
    let mut next = || extras.next().unwrap_or(SqlValue::Null);
    if let SqlValue::Text(data) = next() {
        read_named(&data, &mut row.named)?;
    }
    let flag = |value: SqlValue| value == SqlValue::Integer(1);
    let (deleted, blocked) = (flag(next()), flag(next()));
    let edited_at = if let SqlValue::Integer(at) = next() { Some(at) } else { None };
    let edited_by = if let SqlValue::Text(by) = next() { Some(by) } else { None };
    let mut message = Message { row, deleted, blocked, edited_at, edited_by, ..Message::default() };
    message.show();
    Ok(Some(message))
}

pub fn save(conn: &Connection, (app, message_id): &Key, now: &Message) -> Result<(), StoreError> {
    let conversation = now.shown.listing.conversation.as_ref();
    let (shown, text) = (&now.shown, |text: Option<&str>| text.map_or(SqlValue::Null, |text| text.to_owned().into()));
    let extras = [
        named_json(&now.row.named).map_or(SqlValue::Null, SqlValue::Text),
        now.deleted.into(),
        now.blocked.into(),
        now.edited_at.into(),
        text(now.edited_by.as_deref()),
        id_order(message_id).into(),
        text(conversation.map(|key| key.id.as_str())),
        conversation.map_or(0, |key| key.low_length).into(),
        text(shown.text.as_deref()),
        text(now.metadata()),
        text(shown.attachments.as_deref()),
        shown.is_chat.into(),
        shown.listing.listed.into(),
        shown.is_step.into(),
        shown.listing.may_be_last.into(),
        shown.uncounted.into(),
    ];
    MESSAGES.write(conn, &[app, message_id], &now.row, &extras)
}

/// Bytes of the tags and mentions that the file has of the message.
pub fn carried_bytes(conn: &Connection, app: &str, message_id: &str) -> Result<usize, StoreError> {
    let mut statement = conn.prepare_cached(CARRIED)?;
    let bytes: Option<i64> = statement.query_row((app, message_id), |row| row.get(0)).optional()?;
    Ok(bytes.unwrap_or_default() as usize)
}

/// A row of `message_tags` or `mentions` that is to be added or taken out.
#[derive(Debug)]
pub struct Carried {
    message: Key,
    text: String,
    statement: &'static str,
}

/// What the message carries now and did not before, and the other way round.
pub fn carried(key: &Key, stored: Option<&Message>, now: &Message, rows: &mut Vec<Carried>) {
    let before = stored.map(|stored| &stored.shown);
    let tags = (before.map_or(&[][..], |before| &before.tags), &now.shown.tags[..]);
    let mentions = (before.map_or(&[][..], |before| &before.mentions), &now.shown.mentions[..]);
    for ([remove, add], (before, after)) in [(TAG, tags), (MENTION, mentions)] {
        if before == after {
            continue;
        }
        let (before, after): (BTreeSet<&String>, BTreeSet<&String>) = (before.iter().collect(), after.iter().collect());
        let row = |text: &String, statement| Carried { message: key.clone(), text: text.clone(), statement };
        rows.extend(before.difference(&after).map(|text| row(text, remove)));
        rows.extend(after.difference(&before).map(|text| row(text, add)));
    }
}

pub fn save_carried(conn: &Connection, Carried { message, text, statement }: &Carried) -> Result<(), StoreError> {
    let (app, message_id) = message;
    conn.prepare_cached(statement)?.execute((app, text, id_order(message_id), message_id))?;
    Ok(())
}
