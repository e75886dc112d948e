//! `messages` with its edits, tags, mentions and verdict, and the `conversations` they count in.

use super::conversation::{self, Listing};
use super::edit;
use super::rows::{At, Table, named_json, read_named};
use super::search;
use crate::change::{Conversation, Message, Moderation};
use crate::chat::Known;
use crate::ids::{ReceiverType, id_order};
use crate::json::{Document, Json};
use crate::merge::{Row, Telling, Value};
use crate::store::StoreError;
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
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
        "message_no",
        "conversation_id",
        "low_length",
        "text",
        "metadata",
        "attachments",
        "chat",
        "listed",
        "edited_at",
        "edited_by",
        "step",
        "may_be_last",
        "uncounted",
    ];
    Table::new("messages", &["app_id", "message_id"], &fields, &extras)
});
static MODERATION: LazyLock<Table> =
    LazyLock::new(|| Table::new("moderation", &["app_id", "message_id"], Moderation::COLUMNS, &[]));

/// Places of `edited_at` and `edited_by` among the extras.
const EDITED: [usize; 2] = [11, 12];

const EXISTS: &str = "SELECT 1 FROM messages WHERE app_id = ?1 AND message_id = ?2";
const TAG: &str =
    "INSERT INTO message_tags (app_id, tag, message_no, message_id) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
const UNTAG: &str = "DELETE FROM message_tags WHERE app_id = ?1 AND tag = ?2 AND message_no = ?3 AND message_id = ?4";
const MENTION: &str =
    "INSERT INTO mentions (app_id, uid, message_no, message_id) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
const UNMENTION: &str = "DELETE FROM mentions WHERE app_id = ?1 AND uid = ?2 AND message_no = ?3 AND message_id = ?4";

/// A message as merged, and what follows from it.
struct Merged {
    row: Row,
    deleted: bool,
    blocked: bool,
    /// Time and editor of the last edit, as `edit` wrote them.
    edited: [SqlValue; 2],
    new: bool,
}

/// What lists, counts and the full-text index see of a message.
struct Seen {
    listing: Listing,
    searched: Option<String>,
}

fn field<'a>(row: &'a Row, column: &str) -> &'a Value {
    let at = Message::COLUMNS.iter().position(|name| name.trim_start_matches("r#") == column);
    at.map_or(&Value::Null, |at| &row.values[at])
}

impl Merged {
    /// Between whom, once sender and receiver are known, be it from several facts.
    fn conversation(&self) -> Option<Conversation> {
        let text = |column| field(&self.row, column).text().map(str::to_owned);
        let receiver_type = ReceiverType::from_word(&text("receiver_type")?)?;
        Some(Conversation { sender: text("sender_uid")?, receiver_type, receiver: text("receiver_id")? })
    }

    /// What decides which lists and counts hold it.
    fn known(&self) -> Known<'_> {
        Known {
            category: field(&self.row, "category").text(),
            kind: field(&self.row, "type").text(),
            is_reply: field(&self.row, "parent_id").text().is_some(),
            metadata: self.member("metadata"),
            update_conversation: self.member("updateConversation"),
        }
    }

    /// A member of `data`, as JSON.
    fn member(&self, name: &str) -> Option<&str> {
        self.row.named.get(name).and_then(|(value, _)| value.text())
    }

    /// What the message says, if that is text.
    fn text(&self) -> Option<String> {
        Document::parse(self.member("text")?.as_bytes().to_vec()).ok()?.root().text().map(String::from)
    }

    /// What the full-text index has of the message. Steps are in it for those who ask for them.
    fn searched(&self) -> Option<String> {
        let known = self.known();
        let is_sent = !self.deleted && field(&self.row, "sent_at").int().is_some();
        if is_sent && (known.is_chat() || known.is_step()) { self.text() } else { None }
    }

    fn seen(&self) -> Seen {
        Seen { listing: self.listing(), searched: self.searched() }
    }

    fn listing(&self) -> Listing {
        let (known, sent_at) = (self.known(), field(&self.row, "sent_at").int());
        Listing {
            conversation: self.conversation().map(|it| it.key()),
            listed: known.is_chat() && !self.deleted && !self.blocked && sent_at.is_some(),
            may_be_last: known.may_be_last(),
            sent_at,
        }
    }

    /// The columns derived, in the order of the table's extras.
    fn extras(&self, message_id: &str) -> Vec<SqlValue> {
        let data = named_json(&self.row.named);
        let metadata = self.member("metadata").map(|text| if text == "[]" { "{}" } else { text });
        let (known, listing) = (self.known(), self.listing());
        let sql = |text: Option<String>| text.map_or(SqlValue::Null, SqlValue::Text);
        let [edited_at, edited_by] = self.edited.clone();
        let (conversation_id, low_length) = listing.conversation.map(|key| (key.id, key.low_length)).unzip();
        vec![
            sql(data),
            SqlValue::Integer(self.deleted.into()),
            SqlValue::Integer(self.blocked.into()),
            SqlValue::Integer(id_order(message_id)),
            sql(conversation_id),
            SqlValue::Integer(low_length.unwrap_or_default()),
            sql(self.text()),
            sql(metadata.map(str::to_owned)),
            sql(attachments(self.member("attachments"), self.member("url"))),
            SqlValue::Integer(known.is_chat().into()),
            SqlValue::Integer(listing.listed.into()),
            edited_at,
            edited_by,
            SqlValue::Integer(known.is_step().into()),
            SqlValue::Integer(listing.may_be_last.into()),
            SqlValue::Integer(known.uncounted()),
        ]
    }
}

/// The files of a message: as listed, else the one its `url` names.
fn attachments(listed: Option<&str>, url: Option<&str>) -> Option<String> {
    let is_list = |text: &&str| {
        let document = Document::parse(text.as_bytes().to_vec());
        document.is_ok_and(|document| document.root().elements().any(Json::is_object))
    };
    listed
        .filter(is_list)
        .map(str::to_owned)
        .or_else(|| url.filter(|url| url.starts_with('"') && *url != "\"\"").map(|url| format!("[{{\"url\":{url}}}]")))
}

/// The registers of a message, and whether it is deleted.
pub(super) fn stored(conn: &Connection, app_id: &str, message_id: &str) -> Result<Option<(Row, bool)>, StoreError> {
    let message = load(conn, app_id, message_id)?;
    Ok((!message.new).then_some((message.row, message.deleted)))
}

/// The registers of a verdict.
pub(super) fn stored_verdict(conn: &Connection, app_id: &str, message_id: &str) -> Result<Option<Row>, StoreError> {
    Ok(MODERATION.load(conn, &[&app_id, &message_id])?.map(|(row, _)| row))
}

fn load(conn: &Connection, app_id: &str, message_id: &str) -> Result<Merged, StoreError> {
    let Some((mut row, extras)) = MESSAGES.load(conn, &[&app_id, &message_id])? else {
        let edited = [SqlValue::Null, SqlValue::Null];
        return Ok(Merged { row: Row::new(Message::COLUMNS.len()), deleted: false, blocked: false, edited, new: true });
    };
    let flag = |at: usize| matches!(extras.get(at), Some(SqlValue::Integer(1)));
    if let Some(SqlValue::Text(data)) = extras.first() {
        read_named(Some(data), &mut row.named);
    }
    let edited = EDITED.map(|at| extras.get(at).cloned().unwrap_or(SqlValue::Null));
    Ok(Merged { row, deleted: flag(1), blocked: flag(2), edited, new: false })
}

pub(super) fn put(at: &At<'_>, message_id: &str, telling: Telling, deleted: bool) -> Result<(), StoreError> {
    let silent = telling.fields.is_empty() && telling.named.is_empty() && !deleted;
    if silent && at.conn.prepare_cached(EXISTS)?.exists((at.app_id, message_id))? {
        return Ok(());
    }
    let mut message = load(at.conn, at.app_id, message_id)?;
    let before = (message.seen(), field(&message.row, "tags").clone(), field(&message.row, "mentions").clone());
    let (first_text, is_new) = (field(&message.row, "first_text").clone(), message.new);
    let mut changed = message.row.merge(Message::RULES, telling) || message.new;
    if deleted && !message.deleted {
        message.deleted = true;
        changed = true;
        edit::blank(at, message_id)?;
    }
    if !changed {
        return Ok(());
    }
    // Deleted stays deleted: the log keeps what it said.
    if message.deleted {
        message.row.named.clear();
    }
    write(at, message_id, &message, &before.0)?;
    if !is_new && *field(&message.row, "first_text") != first_text {
        edit::put_first_text(at, message_id)?;
    }
    let no = id_order(message_id);
    let (tags, mentions) = (field(&message.row, "tags"), field(&message.row, "mentions"));
    index(at, [TAG, UNTAG], &before.1, tags, no, message_id)?;
    index(at, [MENTION, UNMENTION], &before.2, mentions, no, message_id)
}

/// Writes the row, and moves the counts of its conversation and the full-text index by what became of it.
fn write(at: &At<'_>, message_id: &str, message: &Merged, before: &Seen) -> Result<(), StoreError> {
    MESSAGES.write(at.conn, &[&at.app_id, &message_id], &message.row, &message.extras(message_id))?;
    if message.new {
        search::enroll(at.conn, at.app_id)?;
    }
    if message.searched() != before.searched {
        search::touch(at.conn, at.app_id, message_id, before.searched.as_deref())?;
    }
    let (before, after) = (&before.listing, message.listing());
    if after == *before {
        return Ok(());
    }
    conversation::follow(at, message_id, message.conversation().as_ref(), before, &after)
}

/// Keeps one row a text of a JSON list.
fn index(
    at: &At<'_>,
    [add, remove]: [&str; 2],
    before: &Value,
    after: &Value,
    no: i64,
    message_id: &str,
) -> Result<(), StoreError> {
    if before == after {
        return Ok(());
    }
    for text in texts(before) {
        at.conn.prepare_cached(remove)?.execute((at.app_id, text, no, message_id))?;
    }
    for text in texts(after) {
        at.conn.prepare_cached(add)?.execute((at.app_id, text, no, message_id))?;
    }
    Ok(())
}

fn texts(list: &Value) -> Vec<String> {
    let document = list.text().and_then(|text| Document::parse(text.as_bytes().to_vec()).ok());
    document
        .map(|document| document.root().elements().filter_map(Json::text).map(String::from).collect())
        .unwrap_or_default()
}

/// Merges a verdict; the message is hidden while it is disapproved.
pub(super) fn put_moderation(at: &At<'_>, message_id: &str, telling: Telling) -> Result<(), StoreError> {
    let known = stored_verdict(at.conn, at.app_id, message_id)?;
    let mut row = known.unwrap_or_else(|| Row::new(Moderation::COLUMNS.len()));
    if !row.merge(Moderation::RULES, telling) {
        return Ok(());
    }
    MODERATION.write(at.conn, &[&at.app_id, &message_id], &row, &[])?;
    let blocked = row.values[0].text() == Some("disapproved");
    let mut message = load(at.conn, at.app_id, message_id)?;
    if message.blocked != blocked || message.new {
        let before = message.seen();
        message.blocked = blocked;
        write(at, message_id, &message, &before)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_listed_or_named_by_its_url() {
        assert_eq!(attachments(Some("[{\"name\":\"a\"}]"), Some("\"u\"")).as_deref(), Some("[{\"name\":\"a\"}]"));
        assert_eq!(attachments(Some("[]"), Some("\"u\"")).as_deref(), Some("[{\"url\":\"u\"}]"));
        assert_eq!(attachments(None, None), None);
    }
}
