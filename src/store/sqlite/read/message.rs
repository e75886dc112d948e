//! Messages, by id.

use super::{Conn, Lookup, Sql, Values, by_place, column};
use crate::ids::{ConversationKey, Time, TimeSource};
use std::sync::Arc;

/// A row of `messages`, without what it says: that may be a megabyte, and is looked up where it is asked for.
#[derive(Debug, Clone)]
pub struct Message {
    pub message_id: Arc<str>,
    pub conversation: Option<ConversationKey>,
    pub sender_uid: Option<Arc<str>>,
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
pub struct MessageKey(pub Arc<str>);

/// The columns of a message `m` behind its id.
macro_rules! columns {
    () => {
        "m.conversation_id, m.low_length, m.sender_uid, m.receiver_type, m.receiver_id, m.category, m.type, m.tags, m.muid,
         m.parent_id, m.quoted_id, m.sent_at, m.edited_at, m.edited_by, m.deleted_at, m.deleted_at_from, m.deleted_by,
         m.pinned_at, m.pinned_at_from, m.pinned_by, m.delivered_to_all_at, m.read_by_all_at, m.mentions"
    };
}
pub(super) use columns;

const BY_ID: &str = concat!(
    "SELECT k.key, m.message_id, ",
    columns!(),
    " FROM json_each(:keys) k CROSS JOIN messages m ON m.app_id = :app AND m.message_id = k.value"
);

impl Lookup for MessageKey {
    type Found = Arc<Message>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Arc<Message>)>> {
        by_place(
            conn,
            BY_ID,
            app,
            keys,
            |key| &key.0,
            |row| {
                let id = row.next()?;
                message(id, row).map(Arc::new)
            },
        )
    }
}

/// Reads the columns behind the id.
pub(super) fn message(message_id: Arc<str>, row: &mut Values<'_>) -> Sql<Message> {
    let conversation: Option<String> = row.next()?;
    let low_length: i64 = row.next()?;
    Ok(Message {
        message_id,
        conversation: conversation.map(|id| ConversationKey { id, low_length }),
        sender_uid: row.next()?,
        receiver_type: row.next()?,
        receiver_id: row.next()?,
        category: row.next()?,
        kind: row.next()?,
        tags: row.next()?,
        muid: row.next()?,
        parent_id: row.next()?,
        quoted_id: row.next()?,
        sent_at: row.next()?,
        edited_at: row.next()?,
        edited_by: row.next()?,
        deleted_at: row.next()?,
        deleted_at_from: row.next()?,
        deleted_by: row.next()?,
        pinned_at: row.next()?,
        pinned_at_from: row.next()?,
        pinned_by: row.next()?,
        delivered_to_all_at: row.next()?,
        read_by_all_at: row.next()?,
        mentions: row.next()?,
    })
}

column!(
    /// What a message says now, by its id.
    TextOf: "text" of "messages" by "message_id"
);
column!(
    /// The `data` of a message, by its id.
    DataOf: "data" of "messages" by "message_id"
);
column!(
    /// The custom data of a message, by its id.
    MetadataOf: "metadata" of "messages" by "message_id"
);
column!(
    /// The attachments of a message, by its id.
    AttachmentsOf: "attachments" of "messages" by "message_id"
);
