//! `messages`, `message_tags` and `mentions`.

use super::Key;
use super::rows::{named_json, read_named, registers, take_fields, take_row};
use super::table::{Column, FromColumns, Reader, Stored, Table, bound, columns, read, table};
use crate::change;
use crate::ids::id_order;
use crate::merge::Row;
use crate::store::StoreError;
use crate::tables::message::Message;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const FIELDS: &[&str] = change::Message::COLUMNS;

/// A message as it is saved.
pub(super) struct Saved<'a> {
    id: &'a str,
    message: &'a Message,
}

table! {
    "messages": Saved<'_> by (message_id)
    columns |it| {
        row => [registers(FIELDS, &columns![
            deleted_at: IfTold, deleted_at_from: LeftOut, pinned_at: IfTold, pinned_at_from: LeftOut, first_text: LeftOut,
        ])] = it.message.row,
        data = named_json(&it.message.row.named),
        deleted = it.message.deleted,
        blocked = it.message.blocked,
        edited_at = it.message.edited_at,
        edited_by = it.message.edited_by,
    }
    derived |it| {
        message_no = id_order(it.id),
        conversation_id = it.message.shown.listing.conversation.as_ref().map(|key| key.id.as_str()),
        low_length = it.message.shown.listing.conversation.as_ref().map_or(0, |key| key.low_length),
        text = it.message.shown.text,
        metadata = it.message.metadata(),
        attachments = it.message.shown.attachments,
        chat = it.message.shown.is_chat,
        listed = it.message.shown.listing.listed,
        step = it.message.shown.is_step,
        may_be_last = it.message.shown.listing.may_be_last,
        uncounted = it.message.shown.uncounted,
    }
}

impl FromColumns for Message {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let mut row = take_row("messages", FIELDS.len(), FIELDS.len(), from)?;
        if let Some(data) = from.next::<Option<String>>()? {
            read_named(&data, &mut row.named)?;
        }
        let (deleted, blocked, edited_at, edited_by) = from.next()?;
        let mut message = Self { row, deleted, blocked, edited_at, edited_by, ..Self::default() };
        message.show();
        Ok(message)
    }
}

/// A row a tag of a message.
pub(super) static TAGS: LazyLock<Table> =
    LazyLock::new(|| by_message("message_tags", &columns![tag, message_no, message_id]));
/// A row a person whom a message mentions.
pub(super) static MENTIONS: LazyLock<Table> =
    LazyLock::new(|| by_message("mentions", &columns![uid, message_no, message_id]));

fn by_message(name: &'static str, key: &[Column]) -> Table {
    Table::new(name, key, &[], &[], &[])
}

const EXISTS: &str = "SELECT 1 FROM messages WHERE app_id = ?1 AND message_id = ?2";
const CARRIED: &str = "
    SELECT coalesce(octet_length(tags), 0) + coalesce(octet_length(mentions), 0) FROM messages
    WHERE app_id = ?1 AND message_id = ?2";
static FIELDS_ALONE: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {}, registers FROM messages WHERE app_id = ?1 AND message_id = ?2", FIELDS.join(", "))
});

/// Whether the message has a row.
pub fn exists(conn: &Connection, (app, message_id): &Key) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(EXISTS)?.exists((app, message_id))?)
}

/// What was told of the message, but for the members of its data.
pub fn fields(conn: &Connection, key: &Key) -> Result<Option<Row>, StoreError> {
    let mut statement = bound(conn, &FIELDS_ALONE, &[key])?;
    let mut rows = statement.raw_query();
    let take = |row| read(|| take_fields("messages", FIELDS.len(), &mut Reader::of(row)));
    rows.next()?.map(take).transpose()
}

pub fn load(conn: &Connection, key: &Key) -> Result<Option<Message>, StoreError> {
    Saved::table().load(conn, key)
}

pub fn save(conn: &Connection, key: &Key, now: &Message) -> Result<(), StoreError> {
    Saved::table().save(conn, key, &Saved { id: &key.1, message: now })
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
    table: &'static Table,
    is_new: bool,
}

/// What the message carries now and did not before, and the other way round.
pub fn carried(key: &Key, stored: Option<&Message>, now: &Message, rows: &mut Vec<Carried>) {
    let before = stored.map(|stored| &stored.shown);
    let tags = (before.map_or(&[][..], |before| &before.tags), &now.shown.tags[..]);
    let mentions = (before.map_or(&[][..], |before| &before.mentions), &now.shown.mentions[..]);
    for (table, (before, after)) in [(&TAGS, tags), (&MENTIONS, mentions)] {
        if before == after {
            continue;
        }
        let (before, after): (BTreeSet<&String>, BTreeSet<&String>) = (before.iter().collect(), after.iter().collect());
        let row = |text: &String, is_new| Carried { message: key.clone(), text: text.clone(), table, is_new };
        rows.extend(before.difference(&after).map(|text| row(text, false)));
        rows.extend(after.difference(&before).map(|text| row(text, true)));
    }
}

pub fn save_carried(
    conn: &Connection,
    Carried { message: (app, id), text, table, is_new }: &Carried,
) -> Result<(), StoreError> {
    let key = (app, text, id_order(id), id);
    if *is_new { table.save(conn, &key, &()) } else { table.delete(conn, &key) }
}
