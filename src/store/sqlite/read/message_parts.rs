//! What hangs on a message: reactions, receipts, edits, replies, moderation.

use super::{Conn, Lookup, PLAIN_LIST, Sql, gather, json, rows};
use crate::ids::{Time, TimeSource};

/// Declares a question about messages whose answer is a list of at most [`PLAIN_LIST`].
macro_rules! lists {
    ($(#[$doc:meta] $key:ident -> $row:ty: $sql:expr, $map:expr;)+) => { $(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $key(pub String);

        impl Lookup for $key {
            type Found = Vec<$row>;

            fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<$row>)>> {
                let ids = json(keys.iter().map(|key| &key.0));
                let last = PLAIN_LIST as i64 - 1;
                let map: fn(&rusqlite::Row<'_>) -> Sql<$row> = $map;
                let params: super::Params<'_> = &[(":app", &app), (":keys", &ids), (":last", &last)];
                let found = rows(conn, $sql, params, |row| Ok((Self(row.get("key")?), map(row)?)))?;
                Ok(gather(keys, found))
            }
        }
    )+ };
}

/// Declares a question about messages whose answer is a number.
macro_rules! counts {
    ($(#[$doc:meta] $key:ident: $sql:literal;)+) => { $(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $key(pub String);

        impl Lookup for $key {
            type Found = i64;

            fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, i64)>> {
                let keys = json(keys.iter().map(|key| &key.0));
                let sql = concat!("SELECT k.value AS key, (", $sql, ") AS n FROM json_each(:keys) k");
                rows(conn, sql, &[(":app", &app), (":keys", &keys)], |row| Ok((Self(row.get("key")?), row.get("n")?)))
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
    /// The reactions present on a message, by emoji.
    ReactionsOf -> ReactionGroup: "
        SELECT k.value AS key, r.emoji, count(DISTINCT r.uid) AS n,
               (SELECT x.reaction FROM reactions x
                WHERE x.app_id = :app AND x.message_id = k.value AND x.emoji = r.emoji
                ORDER BY x.first_at NULLS LAST, x.reaction LIMIT 1) AS reaction
        FROM json_each(:keys) k
        CROSS JOIN reactions r ON r.app_id = :app AND r.message_id = k.value
        WHERE r.present
        GROUP BY k.value, r.emoji
        ORDER BY k.value, r.emoji",
        |row| Ok(ReactionGroup { emoji: row.get("emoji")?, reaction: row.get("reaction")?, count: row.get("n")? });
    /// Receipts of a message, by reader. The last one read is found first, so that no more are read.
    ReceiptsOf -> Receipt: "
        SELECT r.message_id AS key, r.uid, r.delivered_at, r.delivered_at_from, r.read_at, r.read_at_from
        FROM json_each(:keys) k
        CROSS JOIN receipts r ON r.app_id = :app AND r.message_id = k.value
        WHERE r.uid <= coalesce(
            (SELECT uid FROM receipts WHERE app_id = :app AND message_id = k.value ORDER BY uid LIMIT 1 OFFSET :last), x'')
        ORDER BY r.message_id, r.uid",
        |row| {
            Ok(Receipt {
                uid: row.get("uid")?,
                delivered_at: row.get("delivered_at")?,
                delivered_at_from: row.get("delivered_at_from")?,
                read_at: row.get("read_at")?,
                read_at_from: row.get("read_at_from")?,
            })
        };
    /// Edits of a message, oldest first and within a second as the log has them; without their texts once it is deleted.
    EditsOf -> Edit: "
        SELECT e.message_id AS key, iif(m.deleted, NULL, e.text) AS text, e.edited_at, e.edited_by
        FROM json_each(:keys) k
        CROSS JOIN message_edits e ON e.app_id = :app AND e.message_id = k.value
        LEFT JOIN messages m ON m.app_id = :app AND m.message_id = e.message_id
        ORDER BY e.message_id, e.edited_at, e.rank, e.fact_at, e.seq, e.digest",
        |row| Ok(Edit { text: row.get("text")?, edited_at: row.get("edited_at")?, edited_by: row.get("edited_by")? });
    /// Who replied to a message, by uid.
    RepliersOf -> String: "
        SELECT DISTINCT m.parent_id AS key, m.sender_uid
        FROM json_each(:keys) k
        CROSS JOIN messages m ON m.app_id = :app AND m.parent_id = k.value
        WHERE m.listed AND m.parent_id IS NOT NULL AND m.sender_uid IS NOT NULL
        ORDER BY m.parent_id, m.sender_uid",
        |row| row.get("sender_uid");
    /// Who read a message, or a later one of the same conversation, by uid.
    ReadersOf -> String: concat!(
        "SELECT m.message_id AS key, x.uid FROM json_each(:keys) k
         CROSS JOIN messages m ON m.app_id = :app AND m.message_id = k.value CROSS JOIN ",
        readers!(),
        " AND x.uid <= coalesce((SELECT x.uid FROM ", readers!(), " ORDER BY x.uid LIMIT 1 OFFSET :last), x'')
         ORDER BY m.message_id, x.uid"),
        |row| row.get("uid");
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
pub struct ModerationOf(pub String);

const MODERATION: &str = "
    SELECT message_id, status, coalesce(reviewed, 0) AS reviewed, rule, failed_at, failed_at_from, failure
    FROM moderation
    WHERE app_id = :app AND message_id IN (SELECT value FROM json_each(:keys))";

impl Lookup for ModerationOf {
    type Found = Moderation;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Moderation)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, MODERATION, &[(":app", &app), (":keys", &keys)], |row| {
            let moderation = Moderation {
                status: row.get("status")?,
                reviewed: row.get("reviewed")?,
                rule: row.get("rule")?,
                failed_at: row.get("failed_at")?,
                failed_at_from: row.get("failed_at_from")?,
                failure: row.get("failure")?,
            };
            Ok((Self(row.get("message_id")?), moderation))
        })
    }
}
