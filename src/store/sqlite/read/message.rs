//! Messages, by id.

use super::{Conn, Lookup, Sql, column, conversation, json, rows};
use crate::ids::{ConversationKey, Time, TimeSource};
use rusqlite::Row;

/// A row of `messages`, without what it says: that may be a megabyte, and is looked up where it is asked for.
#[derive(Debug, Clone)]
pub struct Message {
    pub message_id: String,
    pub conversation: Option<ConversationKey>,
    pub sender_uid: Option<String>,
    pub receiver_type: Option<String>,
    pub receiver_id: Option<String>,
    pub category: Option<String>,
    pub kind: Option<String>,
    pub tags: Option<String>,
    pub muid: Option<String>,
    pub parent_id: Option<String>,
    pub quoted_id: Option<String>,
    pub sent_at: Option<Time>,
    pub edited_at: Option<Time>,
    pub edited_by: Option<String>,
    pub deleted_at: Option<Time>,
    pub deleted_at_from: Option<TimeSource>,
    pub deleted_by: Option<String>,
    pub pinned_at: Option<Time>,
    pub pinned_at_from: Option<TimeSource>,
    pub pinned_by: Option<String>,
    pub delivered_to_all_at: Option<Time>,
    pub read_by_all_at: Option<Time>,
    pub mentions: Option<String>,
}

/// A message, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey(pub String);

const BY_ID: &str = "
    SELECT message_id, conversation_id, low_length, sender_uid, receiver_type, receiver_id, category, type, tags, muid, parent_id,
           quoted_id, sent_at, edited_at, edited_by, deleted_at, deleted_at_from, deleted_by, pinned_at, pinned_at_from,
           pinned_by, delivered_to_all_at, read_by_all_at, mentions
    FROM messages
    WHERE app_id = :app AND message_id IN (SELECT value FROM json_each(:keys))";

impl Lookup for MessageKey {
    type Found = Message;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Message)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, BY_ID, &[(":app", &app), (":keys", &keys)], |row| {
            let message = message(row)?;
            Ok((Self(message.message_id.clone()), message))
        })
    }
}

fn message(row: &Row<'_>) -> Sql<Message> {
    Ok(Message {
        message_id: row.get("message_id")?,
        conversation: row.get::<_, Option<String>>("conversation_id")?.map(|_| conversation::key(row)).transpose()?,
        sender_uid: row.get("sender_uid")?,
        receiver_type: row.get("receiver_type")?,
        receiver_id: row.get("receiver_id")?,
        category: row.get("category")?,
        kind: row.get("type")?,
        tags: row.get("tags")?,
        muid: row.get("muid")?,
        parent_id: row.get("parent_id")?,
        quoted_id: row.get("quoted_id")?,
        sent_at: row.get("sent_at")?,
        edited_at: row.get("edited_at")?,
        edited_by: row.get("edited_by")?,
        deleted_at: row.get("deleted_at")?,
        deleted_at_from: row.get("deleted_at_from")?,
        deleted_by: row.get("deleted_by")?,
        pinned_at: row.get("pinned_at")?,
        pinned_at_from: row.get("pinned_at_from")?,
        pinned_by: row.get("pinned_by")?,
        delivered_to_all_at: row.get("delivered_to_all_at")?,
        read_by_all_at: row.get("read_by_all_at")?,
        mentions: row.get("mentions")?,
    })
}

column!(
    /// What a message says now, by its id.
    TextOf, message_id, "text FROM messages WHERE NOT deleted"
);
column!(
    /// The `data` of a message, by its id.
    DataOf, message_id, "data FROM messages WHERE NOT deleted"
);
column!(
    /// The custom data of a message, by its id.
    MetadataOf, message_id, "metadata FROM messages WHERE NOT deleted"
);
column!(
    /// The attachments of a message, by its id.
    AttachmentsOf, message_id, "attachments FROM messages WHERE NOT deleted"
);
