//! Conversations, and who has read how far.

use super::list::{Key, ReadRows, Scan, Wanted, merge, scan, sorted, walk};
use super::{Conn, Found, List, Lookup, PLAIN_LIST, Range, Sql, Values, gather, json, rows};
use crate::ids::{ConversationKey, ReceiverType, Time};
use rusqlite::Row;
use std::collections::HashMap;

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

/// The columns of a conversation `c` behind its key.
macro_rules! columns {
    () => {
        "c.type, c.guid, c.low_uid, c.high_uid, c.messages_count, c.last_message_id"
    };
}

/// Writes a look-up of whole rows; `$from` names them `c`.
macro_rules! conversations {
    ($from:literal) => {
        concat!(
            "SELECT c.conversation_id, c.low_length, ",
            columns!(),
            " FROM json_each(:keys) k CROSS JOIN conversations c ON c.app_id = :app AND ",
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
    let mut row = Values::of(row);
    let key = ConversationKey { id: row.next()?, low_length: row.next()? };
    behind(key, &mut row)
}

/// Reads the columns behind the key.
fn behind(key: ConversationKey, row: &mut Values<'_>) -> Sql<Conversation> {
    let kind: String = row.next()?;
    Ok(Conversation {
        key,
        kind: if kind == "group" { ReceiverType::Group } else { ReceiverType::User },
        guid: row.next()?,
        low_uid: row.next()?,
        high_uid: row.next()?,
        messages_count: row.next()?,
        last_message_id: row.next()?,
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

/// The walks by activity.
struct Walks {
    all: Scan,
    /// The walks of one person: 1:1 conversations by the lower uid, by the higher uid, and conversations of groups.
    low: Scan,
    high: Scan,
    groups: Scan,
}

/// Writes one walk by activity.
macro_rules! by_activity {
    ($walk:ident, with $columns:expr, of $from:literal) => {
        $walk!("iti", by ["c.active_at", "c.conversation_id", "c.low_length"] from ":k1, :k2, :k3",
            matching "(:types IS NULL OR c.type IN (SELECT value FROM json_each(:types)))", with $columns, of $from)
    };
}

/// Writes all walks. The `+` keeps SQLite from the index of all conversations, whose condition it would be: it then walks
/// those of everybody. The groups of a person are in no order of time: all are walked.
macro_rules! walks {
    (with $columns:expr) => {
        Walks {
            all: by_activity!(scan, with $columns, of "conversations c WHERE c.app_id = :app AND c.active_at IS NOT NULL"),
            low: by_activity!(scan, with $columns,
                of "conversations c WHERE c.app_id = :app AND c.low_uid = :uid AND +c.active_at IS NOT NULL"),
            high: by_activity!(scan, with $columns,
                of "conversations c WHERE c.app_id = :app AND c.high_uid = :uid AND +c.active_at IS NOT NULL"),
            groups: by_activity!(sorted, with $columns,
                of "memberships m
                CROSS JOIN conversations c
                    ON c.app_id = m.app_id AND c.conversation_id = 'group_' || m.guid AND c.low_length = 0
                WHERE m.app_id = :app AND m.uid = :uid AND m.current AND c.active_at IS NOT NULL"),
        }
    };
}

const KEYS: Walks = walks!(with "");
const ROWS: Walks = walks!(with concat!(", ", columns!()));

impl Conversations {
    /// Walks, with what `map` makes of each row.
    fn walk<R>(
        &self,
        conn: &Conn,
        range: Range<'_>,
        walks: &Walks,
        map: impl Fn(&Key, &mut Values<'_>) -> Sql<R>,
    ) -> Sql<(Found, Vec<(Key, R)>)> {
        let types = self.types.as_ref().map(json);
        let params: super::Params<'_> = &[(":app", &self.app), (":uid", &self.uid), (":types", &types)];
        let of_person = [&walks.low, &walks.high, &walks.groups];
        let scans = if self.uid.is_some() { of_person.as_slice() } else { &[&walks.all] };
        let (mut parts, mut rows) = (Vec::new(), Vec::new());
        for scan in scans {
            let (found, read) = walk(conn, scan, params, range, |_| false, &map)?;
            rows.extend(found.keys.iter().cloned().zip(read));
            parts.push(found);
        }
        Ok((merge(parts, range), rows))
    }
}

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
        Ok(self.walk(conn, range, &KEYS, |_, _| Ok(()))?.0)
    }

    fn read(&self, conn: &Conn, range: Range<'_>, _: Wanted) -> Sql<(Found, Option<ReadRows>)> {
        let map = |key: &Key, row: &mut Values<'_>| {
            behind(ConversationKey { id: key[1].text().to_owned(), low_length: key[2].int() }, row)
        };
        let (found, rows) = self.walk(conn, range, &ROWS, map)?;
        // One with oneself is found twice.
        let mut rows: HashMap<Key, Conversation> = rows.into_iter().collect();
        let rows: Vec<Conversation> = found.keys.iter().filter_map(|key| rows.remove(key)).collect();
        Ok((found, Some(Box::new(rows))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_of_a_person_are_found_by_the_person() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        for (scan, index) in [
            (&KEYS.low, "conversations_by_low"),
            (&KEYS.high, "conversations_by_high"),
            (&ROWS.low, "conversations_by_low"),
            (&ROWS.high, "conversations_by_high"),
        ] {
            for sql in [scan.falling, scan.rising] {
                let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let plan: Vec<String> =
                    statement.raw_query().mapped(|row| row.get("detail")).map(Result::unwrap).collect();
                assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
            }
        }
    }

    #[test]
    fn a_walk_reads_what_a_look_up_finds() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        conn.execute_batch(
            "INSERT INTO conversations VALUES
                 ('app', 'a_user_b', 1, 'user', NULL, 'a', 'b', 3, '7', 7, 5), ('app', 'a_user_a', 1, 'user', NULL, 'a', 'a', 1, '2', 2, 2),
                 ('app', 'Z_user_a', 1, 'user', NULL, 'Z', 'a', 1, '9', 9, 9), ('app', 'group_g', 0, 'group', 'g', NULL, NULL, 2, '8', 8, 8);
             INSERT INTO memberships VALUES ('app', 'g', 'a', 'joined', NULL, NULL, NULL, 1, 'told', NULL, 1)",
        )
        .unwrap();
        for (uid, types) in
            [(None, None), (Some("a"), None), (Some("a"), Some(vec!["group"])), (Some("a"), Some(vec!["user"]))]
        {
            for (falling, want) in [(true, 10), (false, 10), (true, 2)] {
                let list = Conversations { app: "app".into(), uid: uid.map(str::to_owned), types: types.clone() };
                let range = Range { from: None, falling, want };
                let (found, rows) = list.read(&conn, range, Wanted::default()).unwrap();
                assert_eq!(found.keys, list.scan(&conn, range).unwrap().keys, "{list:?}");
                assert_eq!(
                    found.keys.len(),
                    want.min(types.as_ref().map_or(4, |of| if of[0] == "group" { 1 } else { 3 }))
                );
                let rows = rows.unwrap().downcast::<Vec<Conversation>>().unwrap();
                let key = |key: &Key| ConversationKey { id: key[1].text().to_owned(), low_length: key[2].int() };
                let keys: Vec<ConversationKey> = found.keys.iter().map(key).collect();
                let looked_up = ConversationKey::look_up(&conn, "app", &keys).unwrap();
                let looked_up: Vec<Conversation> = looked_up.into_iter().map(|(_, row)| row).collect();
                assert_eq!(format!("{rows:?}"), format!("{looked_up:?}"), "{list:?}");
            }
        }
    }
}
