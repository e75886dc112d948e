//! Conversations, who has read how far, and what is unread.

use super::list::{Scan, merge, run, scan};
use super::{Conn, Found, List, Lookup, PLAIN_LIST, Range, Sql, gather, json, rows};
use crate::chat::Unread;
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

/// Conversations with chat that lists show, by their last message, newest first; all, or those of a person.
#[derive(Debug, Clone)]
pub struct Conversations {
    pub app: String,
    pub uid: Option<String>,
    pub types: Option<Vec<&'static str>>,
}

/// Writes one walk by activity.
macro_rules! by_activity {
    ($from:literal) => {
        scan!("it", by ["c.active_at", "c.conversation_id"] from ":k1, :k2",
            matching "(:types IS NULL OR c.type IN (SELECT value FROM json_each(:types)))", of $from)
    };
}

const ALL: Scan = by_activity!("conversations c WHERE c.app_id = :app AND c.active_at IS NOT NULL");
const LOW: Scan =
    by_activity!("conversations c WHERE c.app_id = :app AND c.low_uid = :uid AND c.active_at IS NOT NULL");
const HIGH: Scan =
    by_activity!("conversations c WHERE c.app_id = :app AND c.high_uid = :uid AND c.active_at IS NOT NULL");
const GROUPS: Scan = by_activity!(
    "memberships m
     CROSS JOIN conversations c ON c.app_id = m.app_id AND c.conversation_id = 'group_' || m.guid AND c.type = 'group'
     WHERE m.app_id = :app AND m.uid = :uid AND m.current AND c.active_at IS NOT NULL"
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
    pub at: Option<Time>,
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
            let marker = ReadMarker {
                uid: row.get("uid")?,
                message_id: row.get("message_id")?,
                at: row.get::<_, Option<i64>>("at")?.map(Time),
            };
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

/// Whether a person may be in a group: is in it, or was not heard of in a group whose members are not all known.
macro_rules! may_be_in {
    ($guid:literal, $uid:literal) => {
        concat!(
            "coalesce(
                 (SELECT x.current FROM memberships x WHERE x.app_id = :app AND x.guid = ",
            $guid,
            " AND x.uid = ",
            $uid,
            "),
                 (SELECT g.members_known_since IS NULL FROM groups g WHERE g.app_id = :app AND g.guid = ",
            $guid,
            "),
                 1)"
        )
    };
}
pub(super) use may_be_in;

/// What a person has not read in a conversation; counted up to one more than is shown. No answer where the person is
/// known not to be in the group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnreadOf {
    pub conversation_id: String,
    pub uid: String,
    /// Of a group's conversation.
    pub guid: Option<String>,
    /// What counts.
    pub unread: Unread,
}

/// Where counting unread messages stops.
pub const UNREAD_MOST: i64 = 1_000;

/// Writes the count of what stands behind the marker of one kind of id. The index begins with all that is compared, so
/// that no message is looked at but those that count and the person's own.
macro_rules! unread {
    ($behind:literal) => {
        concat!(
            "(SELECT count(*) FROM (
                SELECT 1 FROM messages m
                WHERE m.app_id = :app AND m.conversation_id = a.conversation_id AND m.listed
                  AND m.uncounted IN (SELECT value FROM json_each(a.counted))
                  AND ",
            $behind,
            " AND m.sender_uid IS NOT a.uid
                LIMIT 1001))"
        )
    };
}

/// A marker counts for ids of its own kind only: numbers, or texts, which all share the greatest number.
const UNREAD: &str = concat!(
    "WITH asked AS MATERIALIZED (
        SELECT key AS place, json_extract(value, '$[0]') AS conversation_id, json_extract(value, '$[1]') AS uid,
            json_extract(value, '$[2]') AS guid, json_extract(value, '$[3]') AS counted
        FROM json_each(:keys))
    SELECT a.place, ",
    unread!(
        "m.message_no > coalesce((
             SELECT r.message_no FROM read_markers r
             WHERE r.app_id = :app AND r.conversation_id = a.conversation_id AND r.uid = a.uid AND r.numeric = 1), -1)
         AND m.message_no < 9223372036854775807"
    ),
    " + ",
    unread!(
        "m.message_no = 9223372036854775807 AND m.message_id > coalesce((
             SELECT r.message_id FROM read_markers r
             WHERE r.app_id = :app AND r.conversation_id = a.conversation_id AND r.uid = a.uid AND r.numeric = 0), '')"
    ),
    " AS n FROM asked a WHERE a.guid IS NULL OR ",
    may_be_in!("a.guid", "a.uid")
);

impl Lookup for UnreadOf {
    type Found = i64;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
        let asked: Vec<_> = keys
            .iter()
            .map(|key| serde_json::json!([key.conversation_id, key.uid, key.guid, key.unread.counted()]))
            .collect();
        let asked = serde_json::Value::from(asked).to_string();
        rows(conn, UNREAD, &[(":app", &app), (":keys", &asked)], |row| {
            Ok((keys[row.get::<_, u32>("place")? as usize].clone(), row.get("n")?))
        })
    }
}
