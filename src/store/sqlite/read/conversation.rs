//! Conversations, who has read how far, and what is unread.

use super::list::{Scan, merge, run, scan};
use super::{Conn, Found, List, Lookup, PLAIN_LIST, Range, Sql, gather, json, rows};
use crate::chat::Unread;
use crate::ids::{ConversationKey, ReceiverType, Time};
use rusqlite::Row;

/// A row of `conversations`.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub key: ConversationKey,
    pub kind: ReceiverType,
    pub guid: Option<String>,
    pub low_uid: Option<String>,
    pub high_uid: Option<String>,
    pub messages_count: i64,
    pub last_message_id: Option<String>,
}

impl Conversation {
    /// Whether a person is one of the two of a one to one.
    pub fn is_party(&self, uid: &str) -> bool {
        [&self.low_uid, &self.high_uid].into_iter().any(|party| party.as_deref() == Some(uid))
    }
}

/// Writes a look-up of whole rows; `$from` names them `c`.
macro_rules! conversations {
    ($from:literal) => {
        concat!(
            "SELECT c.conversation_id, c.low_length, c.type, c.guid, c.low_uid, c.high_uid, c.messages_count, c.last_message_id
             FROM json_each(:keys) k CROSS JOIN conversations c ON c.app_id = :app AND ",
            $from
        )
    };
}

const BY_KEY: &str = conversations!(
    "c.conversation_id = json_extract(k.value, '$[0]') AND c.low_length = json_extract(k.value, '$[1]')"
);
const BY_ID: &str = conversations!("c.conversation_id = k.value ORDER BY c.conversation_id, c.low_length");

/// Keys as one parameter: pairs of an id and a length.
pub(super) fn pairs<'a>(keys: impl IntoIterator<Item = &'a ConversationKey>) -> String {
    keys.into_iter().map(|key| serde_json::json!([key.id, key.low_length])).collect::<serde_json::Value>().to_string()
}

/// The key in the columns of a row.
pub(super) fn key(row: &Row<'_>) -> Sql<ConversationKey> {
    Ok(ConversationKey { id: row.get("conversation_id")?, low_length: row.get("low_length")? })
}

fn conversation(row: &Row<'_>) -> Sql<Conversation> {
    Ok(Conversation {
        key: key(row)?,
        kind: if row.get::<_, String>("type")? == "group" { ReceiverType::Group } else { ReceiverType::User },
        guid: row.get("guid")?,
        low_uid: row.get("low_uid")?,
        high_uid: row.get("high_uid")?,
        messages_count: row.get("messages_count")?,
        last_message_id: row.get("last_message_id")?,
    })
}

impl Lookup for ConversationKey {
    type Found = Conversation;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Conversation)>> {
        rows(conn, BY_KEY, &[(":app", &app), (":keys", &pairs(keys))], |row| {
            let conversation = conversation(row)?;
            Ok((conversation.key.clone(), conversation))
        })
    }
}

/// All conversations that have an id: mostly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namesakes(pub String);

impl Lookup for Namesakes {
    type Found = Vec<Conversation>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<Conversation>)>> {
        let ids = json(keys.iter().map(|key| &key.0));
        let found = rows(conn, BY_ID, &[(":app", &app), (":keys", &ids)], |row| {
            let conversation = conversation(row)?;
            Ok((Self(conversation.key.id.clone()), conversation))
        })?;
        Ok(gather(keys, found))
    }
}

/// A message that no list shows may be all there is of a conversation: blocked, say, and told in pieces.
const UNLISTED: &str = "
    SELECT conversation_id, low_length FROM messages
    WHERE app_id = :app AND conversation_id = :id AND low_length >= :least AND chat
    UNION ALL
    SELECT conversation_id, low_length FROM messages
    WHERE app_id = :app AND conversation_id = :id AND low_length >= :least AND step
    LIMIT 1";

/// A conversation of that id, with at least such a length, which has messages and no row.
pub fn unlisted(conn: &Conn, app: &str, id: &str, least: i64) -> Sql<Option<ConversationKey>> {
    Ok(rows(conn, UNLISTED, &[(":app", &app), (":id", &id), (":least", &least)], key)?.into_iter().next())
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
        scan!("iti", by ["c.active_at", "c.conversation_id", "c.low_length"] from ":k1, :k2, :k3",
            matching "(:types IS NULL OR c.type IN (SELECT value FROM json_each(:types)))", of $from)
    };
}

const ALL: Scan = by_activity!("conversations c WHERE c.app_id = :app AND c.active_at IS NOT NULL");
// The `+` keeps SQLite from the index of all conversations, whose condition it would be: it then walks those of everybody.
const LOW: Scan =
    by_activity!("conversations c WHERE c.app_id = :app AND c.low_uid = :uid AND +c.active_at IS NOT NULL");
const HIGH: Scan =
    by_activity!("conversations c WHERE c.app_id = :app AND c.high_uid = :uid AND +c.active_at IS NOT NULL");
const GROUPS: Scan = by_activity!(
    "memberships m
     CROSS JOIN conversations c ON c.app_id = m.app_id AND c.conversation_id = 'group_' || m.guid AND c.low_length = 0
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
        "iti"
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

/// The read markers of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkersOf(pub ConversationKey);

const MARKERS: &str = "
    SELECT r.conversation_id, r.low_length, r.uid, r.message_id, r.at
    FROM json_each(:keys) k
    CROSS JOIN read_markers r ON r.app_id = :app AND r.conversation_id = json_extract(k.value, '$[0]')
        AND r.low_length = json_extract(k.value, '$[1]')
    WHERE r.uid <= coalesce((
        SELECT uid FROM read_markers
        WHERE app_id = :app AND conversation_id = json_extract(k.value, '$[0]') AND low_length = json_extract(k.value, '$[1]')
        ORDER BY uid LIMIT 1 OFFSET :most), x'')
    ORDER BY r.conversation_id, r.low_length, r.uid, r.numeric DESC";

impl Lookup for MarkersOf {
    type Found = Vec<ReadMarker>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<ReadMarker>)>> {
        let asked = pairs(keys.iter().map(|key| &key.0));
        let most = PLAIN_LIST as i64;
        let found = rows(conn, MARKERS, &[(":app", &app), (":keys", &asked), (":most", &most)], |row| {
            let marker = ReadMarker { uid: row.get("uid")?, message_id: row.get("message_id")?, at: row.get("at")? };
            Ok((Self(self::key(row)?), marker))
        })?;
        Ok(gather(keys, found))
    }
}

/// How many read markers a conversation has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkersCount(pub ConversationKey);

const MARKERS_COUNT: &str = "
    SELECT k.key AS place, (
        SELECT count(*) FROM read_markers
        WHERE app_id = :app AND conversation_id = json_extract(k.value, '$[0]')
            AND low_length = json_extract(k.value, '$[1]')) AS n
    FROM json_each(:keys) k";

impl Lookup for MarkersCount {
    type Found = i64;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
        let asked = pairs(keys.iter().map(|key| &key.0));
        rows(conn, MARKERS_COUNT, &[(":app", &app), (":keys", &asked)], |row| {
            Ok((keys[row.get::<_, u32>("place")? as usize].clone(), row.get("n")?))
        })
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
    pub conversation: ConversationKey,
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
                WHERE m.app_id = :app AND m.conversation_id = a.conversation_id AND m.low_length = a.low_length
                  AND m.listed
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
        SELECT key AS place, json_extract(value, '$[0]') AS conversation_id, json_extract(value, '$[1]') AS low_length,
            json_extract(value, '$[2]') AS uid, json_extract(value, '$[3]') AS guid, json_extract(value, '$[4]') AS counted
        FROM json_each(:keys))
    SELECT a.place, ",
    unread!(
        "m.message_no > coalesce((
             SELECT r.message_no FROM read_markers r
             WHERE r.app_id = :app AND r.conversation_id = a.conversation_id AND r.low_length = a.low_length
                 AND r.uid = a.uid AND r.numeric = 1), -1)
         AND m.message_no < 9223372036854775807"
    ),
    " + ",
    unread!(
        "m.message_no = 9223372036854775807 AND m.message_id > coalesce((
             SELECT r.message_id FROM read_markers r
             WHERE r.app_id = :app AND r.conversation_id = a.conversation_id AND r.low_length = a.low_length
                 AND r.uid = a.uid AND r.numeric = 0), '')"
    ),
    " AS n FROM asked a WHERE a.guid IS NULL OR ",
    may_be_in!("a.guid", "a.uid")
);

impl Lookup for UnreadOf {
    type Found = i64;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
        let asked: Vec<_> = keys
            .iter()
            .map(|key| {
                let ConversationKey { id, low_length } = &key.conversation;
                serde_json::json!([id, low_length, key.uid, key.guid, key.unread.counted()])
            })
            .collect();
        let asked = serde_json::Value::from(asked).to_string();
        rows(conn, UNREAD, &[(":app", &app), (":keys", &asked)], |row| {
            Ok((keys[row.get::<_, u32>("place")? as usize].clone(), row.get("n")?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_of_a_person_are_found_by_the_person() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        for (scan, index) in [(&LOW, "conversations_by_low"), (&HIGH, "conversations_by_high")] {
            for sql in [scan.falling, scan.rising] {
                let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let plan: Vec<String> =
                    statement.raw_query().mapped(|row| row.get("detail")).map(Result::unwrap).collect();
                assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
            }
        }
    }
}
