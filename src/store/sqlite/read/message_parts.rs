//! What hangs on a message: reactions, receipts, edits, replies, moderation.

use super::{Conn, Lookup, PLAIN_LIST, Sql, Values, allowance, by_place, gather, json, prepare, rows};
use crate::ids::{Time, TimeSource};
use crate::tables::reaction::Reactors;
use std::sync::Arc;

/// Declares a question about messages whose answer is a list of at most [`PLAIN_LIST`].
macro_rules! lists {
    ($($(#[$doc:meta])+ $key:ident -> $row:ty: $sql:expr, $map:expr;)+) => { $(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $key(pub Arc<str>);

        impl Lookup for $key {
            type Found = Vec<$row>;

            fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<$row>)>> {
                let map: fn(&mut Values<'_>) -> Sql<$row> = $map;
                Ok(gather(keys, by_place(conn, $sql, app, keys, |key| &key.0, map)?))
            }
        }
    )+ };
}

/// Declares a question about messages whose answer is a number.
macro_rules! counts {
    ($(#[$doc:meta] $key:ident: $sql:literal;)+) => { $(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $key(pub Arc<str>);

        impl Lookup for $key {
            type Found = i64;

            fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
                let sql = concat!("SELECT k.key, (", $sql, ") FROM json_each(:keys) k");
                by_place(conn, sql, app, keys, |key| &key.0, |row| row.next())
            }
        }
    )+ };
}

/// Markers that stand at a message `m` or behind it, but for its sender's. A marker counts for ids of its own kind.
macro_rules! readers {
    () => {
        "read_markers x
         WHERE x.app_id = :app AND x.conversation_id = m.conversation_id AND x.low_length = m.low_length AND x.numeric = (m.message_no < 9223372036854775807)
             AND (x.message_no, x.message_id) >= (m.message_no, m.message_id) AND x.uid IS NOT m.sender_uid"
    };
}

/// One emoji and how many persons it is from.
#[derive(Debug, Clone)]
pub struct ReactionGroup {
    pub emoji: String,
    /// The emoji as first told, with or without U+FE0F.
    pub reaction: String,
    pub count: i64,
}

/// A row of `receipts`.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub uid: String,
    pub delivered_at: Option<Time>,
    pub delivered_at_from: Option<TimeSource>,
    pub read_at: Option<Time>,
    pub read_at_from: Option<TimeSource>,
}

/// A row of `message_edits`.
#[derive(Debug, Clone)]
pub struct Edit {
    pub text: Option<String>,
    pub edited_at: Time,
    pub edited_by: Option<String>,
}

lists! {
    /// Receipts of a message, by reader. The last one read is found first, so that no more are read.
    ReceiptsOf -> Receipt: "
        SELECT k.key, r.uid, r.delivered_at, r.delivered_at_from, r.read_at, r.read_at_from
        FROM json_each(:keys) k
        CROSS JOIN receipts r ON r.app_id = :app AND r.message_id = k.value
        WHERE r.uid <= coalesce(
            (SELECT uid FROM receipts WHERE app_id = :app AND message_id = k.value ORDER BY uid LIMIT 1 OFFSET :last), x'')
        ORDER BY k.key, r.uid",
        |row| {
            Ok(Receipt {
                uid: row.next()?,
                delivered_at: row.next()?,
                delivered_at_from: row.next()?,
                read_at: row.next()?,
                read_at_from: row.next()?,
            })
        };
    /// Edits of a message, oldest first and within a second as the log has them.
    EditsOf -> Edit: "
        SELECT k.key, e.text, e.edited_at, e.edited_by
        FROM json_each(:keys) k
        CROSS JOIN message_edits e ON e.app_id = :app AND e.message_id = k.value
        ORDER BY k.key, e.edited_at, e.rank, e.fact_at, e.seq, e.digest",
        |row| Ok(Edit { text: row.next()?, edited_at: row.next()?, edited_by: row.next()? });
    /// Who replied to a message, by uid.
    RepliersOf -> String: "
        SELECT DISTINCT k.key, m.sender_uid
        FROM json_each(:keys) k
        CROSS JOIN messages m ON m.app_id = :app AND m.parent_id = k.value
        WHERE m.listed AND m.parent_id IS NOT NULL AND m.sender_uid IS NOT NULL
        ORDER BY k.key, m.sender_uid",
        |row| row.next();
    /// Who read a message, or a later one of the same conversation, by uid.
    ReadersOf -> String: concat!(
        "SELECT k.key, x.uid FROM json_each(:keys) k
         CROSS JOIN messages m ON m.app_id = :app AND m.message_id = k.value CROSS JOIN ",
        readers!(),
        " AND x.uid <= coalesce((SELECT x.uid FROM ", readers!(), " ORDER BY x.uid LIMIT 1 OFFSET :last), x'')
         ORDER BY k.key, x.uid"),
        |row| row.next();
}

/// The reactions present on a message, by emoji.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReactionsOf(pub Arc<str>);

/// One row a person and spelling, those taken back too: an emoji is shown as first told. The rows come in the order of the
/// keys, and of one message in that of the primary key, by emoji and person: SQLite does not see that, and would sort them.
const REACTIONS: &str = "
    SELECT k.key, r.emoji, r.uid, r.reaction, r.present, r.first_at
    FROM json_each(:keys) k
    CROSS JOIN reactions r ON r.app_id = :app AND r.message_id = k.value";

/// The rows of one emoji on one message, as far as they were read.
struct Emoji {
    place: i64,
    emoji: String,
    reactors: Reactors,
}

impl Lookup for ReactionsOf {
    type Found = Vec<ReactionGroup>;

    /// Emoji count as rows that are read; the rows of persons do not stay in memory.
    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Self::Found)>> {
        let ids = json(keys.iter().map(|key| &key.0));
        let mut statement = prepare(conn, REACTIONS, &[(":app", &app), (":keys", &ids)])?;
        let mut rows = statement.raw_query();
        let mut all: Vec<Emoji> = Vec::new();
        while let Some(row) = rows.next()? {
            allowance::in_time()?;
            let place = row.get(0)?;
            let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let (emoji, uid, reaction, first_at) = (text(1)?, text(2)?, text(3)?, row.get(5)?);
            if all.last().is_none_or(|last| last.place != place || last.emoji != emoji) {
                allowance::pass(row)?;
                allowance::bring((emoji.len() + reaction.len()) as u64)?;
                all.push(Emoji { place, emoji: emoji.to_owned(), reactors: Reactors::new(reaction, first_at) });
            }
            if let Some(last) = all.last_mut() {
                last.reactors.add(uid, reaction, row.get(4)?, first_at);
            }
        }
        let group = |Emoji { place, emoji, reactors }: Emoji| {
            let (reaction, count) = reactors.shown()?;
            Some((keys[place as usize].clone(), ReactionGroup { emoji, reaction, count }))
        };
        Ok(gather(keys, all.into_iter().filter_map(group).collect()))
    }
}

counts! {
    /// How many reactions are present on a message: persons × emoji.
    ReactionsCount: "SELECT count(*) FROM (
        SELECT DISTINCT emoji, uid FROM reactions WHERE app_id = :app AND message_id = k.value AND present)";
    /// How many readers a message has receipts of.
    ReceiptsCount: "SELECT count(*) FROM receipts WHERE app_id = :app AND message_id = k.value";
    /// How often a message was edited.
    EditsCount: "SELECT count(*) FROM message_edits WHERE app_id = :app AND message_id = k.value";
    /// How many replies a message has.
    RepliesCount: "SELECT count(*) FROM messages
        WHERE app_id = :app AND parent_id = k.value AND listed AND parent_id IS NOT NULL";
    /// How many persons read a message, or a later one of the same conversation.
    ReadersCount: "SELECT count(*) FROM messages m CROSS JOIN read_markers x ON x.app_id = m.app_id AND x.conversation_id = m.conversation_id
            AND x.low_length = m.low_length
        WHERE m.app_id = :app AND m.message_id = k.value AND x.numeric = (m.message_no < 9223372036854775807)
            AND (x.message_no, x.message_id) >= (m.message_no, m.message_id) AND x.uid IS NOT m.sender_uid";
    /// How many persons replied to a message.
    RepliersCount: "SELECT count(DISTINCT sender_uid) FROM messages
        WHERE app_id = :app AND parent_id = k.value AND listed AND parent_id IS NOT NULL";
}

/// Who reacted so to a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReactorsOf {
    pub message_id: String,
    pub emoji: String,
}

const REACTORS: &str = "
    SELECT DISTINCT r.message_id, r.emoji, r.uid
    FROM json_each(:keys) k
    CROSS JOIN reactions r
        ON r.app_id = :app AND r.message_id = json_extract(k.value, '$[0]') AND r.emoji = json_extract(k.value, '$[1]')
    WHERE r.present AND r.uid <= coalesce((
        SELECT DISTINCT uid FROM reactions
        WHERE app_id = :app AND message_id = json_extract(k.value, '$[0]') AND emoji = json_extract(k.value, '$[1]')
          AND present
        ORDER BY uid LIMIT 1 OFFSET :last), x'')
    ORDER BY r.message_id, r.emoji, r.uid";

impl Lookup for ReactorsOf {
    type Found = Vec<String>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<String>)>> {
        let pairs: Vec<[&str; 2]> = keys.iter().map(|key| [key.message_id.as_str(), key.emoji.as_str()]).collect();
        let pairs = serde_json::json!(pairs).to_string();
        let last = PLAIN_LIST as i64 - 1;
        let found = rows(conn, REACTORS, &[(":app", &app), (":keys", &pairs), (":last", &last)], |row| {
            Ok((Self { message_id: row.get("message_id")?, emoji: row.get("emoji")? }, row.get("uid")?))
        })?;
        Ok(gather(keys, found))
    }
}

/// A row of `moderation`.
#[derive(Debug, Clone)]
pub struct Moderation {
    pub status: Option<String>,
    pub reviewed: bool,
    pub rule: Option<String>,
    pub failed_at: Option<Time>,
    pub failed_at_from: Option<TimeSource>,
    pub failure: Option<String>,
}

/// The verdict about a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModerationOf(pub Arc<str>);

const MODERATION: &str = "
    SELECT k.key, m.status, coalesce(m.reviewed, 0), m.rule, m.failed_at, m.failed_at_from, m.failure
    FROM json_each(:keys) k
    CROSS JOIN moderation m ON m.app_id = :app AND m.message_id = k.value";

impl Lookup for ModerationOf {
    type Found = Moderation;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Moderation)>> {
        by_place(
            conn,
            MODERATION,
            app,
            keys,
            |key| &key.0,
            |row| {
                Ok(Moderation {
                    status: row.next()?,
                    reviewed: row.next()?,
                    rule: row.next()?,
                    failed_at: row.next()?,
                    failed_at_from: row.next()?,
                    failure: row.next()?,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reactions_come_by_message_and_primary_key_without_a_sort() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {REACTIONS}");
        let plan: Vec<String> = rows(&conn, &explain, &[], |row| row.get("detail")).unwrap();
        let [keys, reactions] = plan.as_slice() else { panic!("{plan:?}") };
        assert!(keys.starts_with("SCAN k "), "{plan:?}");
        assert_eq!(reactions, "SEARCH r USING PRIMARY KEY (app_id=? AND message_id=?)", "{plan:?}");
    }
}
