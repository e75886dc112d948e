//! Conversations, who has read how far, and what is unread.

use super::list::{Scan, merge, run, scan};
use super::{Conn, Found, List, Lookup, PLAIN_LIST, Range, Sql, gather, json, rows};
use crate::ids::{ReceiverType, Time};

/// A row of `conversations`.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub conversation_id: String,
    pub kind: ReceiverType,
    pub guid: Option<String>,
    pub low_uid: Option<String>,
    pub high_uid: Option<String>,
    pub messages_count: i64,
    pub last_message_id: Option<String>,
}

/// A conversation, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationKey(pub String);

const BY_ID: &str = "
    SELECT conversation_id, type, guid, low_uid, high_uid, messages_count, last_message_id
    FROM conversations
    WHERE app_id = :app AND conversation_id IN (SELECT value FROM json_each(:keys))";

impl Lookup for ConversationKey {
    type Found = Conversation;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Conversation)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, BY_ID, &[(":app", &app), (":keys", &keys)], |row| {
            let conversation = Conversation {
                conversation_id: row.get("conversation_id")?,
                kind: if row.get::<_, String>("type")? == "group" { ReceiverType::Group } else { ReceiverType::User },
                guid: row.get("guid")?,
                low_uid: row.get("low_uid")?,
                high_uid: row.get("high_uid")?,
                messages_count: row.get("messages_count")?,
                last_message_id: row.get("last_message_id")?,
            };
            Ok((Self(conversation.conversation_id.clone()), conversation))
        })
    }
}

/// Conversations by their last message, newest first; all, or those of a person.
#[derive(Debug, Clone)]
pub struct Conversations {
    pub app: String,
    pub uid: Option<String>,
    pub types: Option<Vec<&'static str>>,
}

/// Writes one walk by activity.
macro_rules! by_activity {
    ($from:literal) => {
        scan!("it", by ["c.last_message_at", "c.conversation_id"] from ":k1, :k2",
            matching "(:types IS NULL OR c.type IN (SELECT value FROM json_each(:types)))", of $from)
    };
}

const ALL: Scan = by_activity!("conversations c WHERE c.app_id = :app AND c.last_message_at IS NOT NULL");
const LOW: Scan =
    by_activity!("conversations c WHERE c.app_id = :app AND c.low_uid = :uid AND c.last_message_at IS NOT NULL");
const HIGH: Scan =
    by_activity!("conversations c WHERE c.app_id = :app AND c.high_uid = :uid AND c.last_message_at IS NOT NULL");
const GROUPS: Scan = by_activity!(
    "memberships m
     CROSS JOIN conversations c ON c.app_id = m.app_id AND c.conversation_id = 'group_' || m.guid AND c.type = 'group'
     WHERE m.app_id = :app AND m.uid = :uid AND m.current AND c.last_message_at IS NOT NULL"
);

impl List for Conversations {
    fn name(&self) -> &'static str {
        "conversations"
    }

    fn falling(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static str {
        "it"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let types = self.types.as_ref().map(json);
        let params: super::Params<'_> = &[(":app", &self.app), (":uid", &self.uid), (":types", &types)];
        if self.uid.is_none() {
            return run(conn, &ALL, params, range);
        }
        let parts = [&LOW, &HIGH, &GROUPS].map(|scan| run(conn, scan, params, range));
        Ok(merge(parts.into_iter().collect::<Sql<_>>()?, range))
    }
}

/// A row of `read_markers`.
#[derive(Debug, Clone)]
pub struct ReadMarker {
    pub uid: String,
    pub message_id: String,
    pub at: Time,
}

/// The read markers of a conversation, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkersOf(pub String);

const MARKERS: &str = "
    SELECT r.conversation_id, r.uid, r.message_id, r.at
    FROM json_each(:keys) k
    CROSS JOIN read_markers r ON r.app_id = :app AND r.conversation_id = k.value
    WHERE r.uid <= coalesce(
        (SELECT uid FROM read_markers WHERE app_id = :app AND conversation_id = k.value ORDER BY uid LIMIT 1 OFFSET :most), x'')
    ORDER BY r.conversation_id, r.uid, r.numeric DESC";

impl Lookup for MarkersOf {
    type Found = Vec<ReadMarker>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<ReadMarker>)>> {
        let ids = json(keys.iter().map(|key| &key.0));
        let most = PLAIN_LIST as i64;
        let found = rows(conn, MARKERS, &[(":app", &app), (":keys", &ids), (":most", &most)], |row| {
            let marker =
                ReadMarker { uid: row.get("uid")?, message_id: row.get("message_id")?, at: Time(row.get("at")?) };
            Ok((Self(row.get("conversation_id")?), marker))
        })?;
        Ok(gather(keys, found))
    }
}

/// How many read markers a conversation has, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkersCount(pub String);

const MARKERS_COUNT: &str = "
    SELECT k.value AS key,
           (SELECT count(*) FROM read_markers WHERE app_id = :app AND conversation_id = k.value) AS n
    FROM json_each(:keys) k";

impl Lookup for MarkersCount {
    type Found = i64;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, MARKERS_COUNT, &[(":app", &app), (":keys", &keys)], |row| Ok((Self(row.get("key")?), row.get("n")?)))
    }
}

/// What a person has not read in a conversation; counted up to one more than is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnreadOf {
    pub conversation_id: String,
    pub uid: String,
}

/// Where counting unread messages stops.
pub const UNREAD_MOST: i64 = 1_000;

/// A marker counts for ids of its own kind only: numbers, or texts, which all share the greatest number.
const UNREAD: &str = "
    SELECT json_extract(k.value, '$[0]') AS conversation_id, json_extract(k.value, '$[1]') AS uid,
        (SELECT count(*) FROM (
            SELECT 1 FROM messages m
            WHERE m.app_id = :app AND m.conversation_id = json_extract(k.value, '$[0]') AND m.listed
              AND m.message_no > coalesce((
                  SELECT r.message_no FROM read_markers r
                  WHERE r.app_id = :app AND r.conversation_id = json_extract(k.value, '$[0]')
                    AND r.uid = json_extract(k.value, '$[1]') AND r.numeric = 1), -1)
              AND m.message_no < 9223372036854775807
              AND (m.sender_uid IS NULL OR m.sender_uid <> json_extract(k.value, '$[1]'))
            LIMIT 1001))
        + (SELECT count(*) FROM (
            SELECT 1 FROM messages m
            WHERE m.app_id = :app AND m.conversation_id = json_extract(k.value, '$[0]') AND m.listed
              AND m.message_no = 9223372036854775807
              AND m.message_id > coalesce((
                  SELECT r.message_id FROM read_markers r
                  WHERE r.app_id = :app AND r.conversation_id = json_extract(k.value, '$[0]')
                    AND r.uid = json_extract(k.value, '$[1]') AND r.numeric = 0), '')
              AND (m.sender_uid IS NULL OR m.sender_uid <> json_extract(k.value, '$[1]'))
            LIMIT 1001)) AS n
    FROM json_each(:keys) k";

impl Lookup for UnreadOf {
    type Found = i64;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
        let keys: Vec<[&str; 2]> = keys.iter().map(|key| [key.conversation_id.as_str(), key.uid.as_str()]).collect();
        let keys = serde_json::json!(keys).to_string();
        rows(conn, UNREAD, &[(":app", &app), (":keys", &keys)], |row| {
            Ok((Self { conversation_id: row.get("conversation_id")?, uid: row.get("uid")? }, row.get("n")?))
        })
    }
}
