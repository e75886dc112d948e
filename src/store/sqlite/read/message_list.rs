//! Lists of messages: one index drives, the other conditions are applied to what it yields.

use super::list::{EXAMINED, Key, Part, ReadRows, Scan, Wanted, merge, run_until, scan, sorted, walk};
use super::message::{self, Message};
use super::search::Search;
use super::user::{self, User};
use super::{Conn, Found, List, Range, Sql, Values, json, message_search, prepare};
use crate::chat::Unread;
use crate::ids::ConversationKey;
use std::sync::Arc;

/// Chat whose time is known, by (sent_at, message_no, message_id); by message_no alone where it is searched for. The
/// steps of agents are listed beside it where they are asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Messages {
    pub app: String,
    pub conversation: Option<ConversationKey>,
    pub sender: Option<String>,
    pub parent: Option<String>,
    pub mention: Option<String>,
    pub tag: Option<String>,
    pub search: Option<Search>,
    /// Of those that mention a person: whether that person has said nothing since.
    pub unanswered: Option<bool>,
    /// Who has not read it, as `unreadCount` counts.
    pub unread_by: Option<String>,
    /// What counts as unread.
    pub unread: Unread,
    pub categories: Option<Vec<String>>,
    pub types: Option<Vec<String>>,
    pub has_attachments: Option<bool>,
    pub statuses: Option<Vec<String>>,
    /// A person gave the verdict.
    pub reviewed: Option<bool>,
    /// A key of the metadata, and its value.
    pub metadata: Option<(String, Option<String>)>,
    /// Sent at or after.
    pub low: Option<i64>,
    /// Sent before.
    pub high: Option<i64>,
    pub deleted: bool,
    pub blocked: bool,
    pub steps: bool,
    pub oldest_first: bool,
}

/// What a message must satisfy, as far as asked.
macro_rules! matching {
    () => {
        concat!("((:deleted OR NOT m.deleted) AND (:blocked OR NOT m.blocked)
         AND (:sender IS NULL OR coalesce(m.sender_uid = :sender, 0))
         AND (:parent IS NULL OR coalesce(m.parent_id = :parent, 0))
         AND (:categories IS NULL OR m.category IN (SELECT value FROM json_each(:categories)))
         AND (:types IS NULL OR coalesce(m.type IN (SELECT value FROM json_each(:types)), 0))
         AND (:attachments IS NULL OR :attachments = (m.attachments IS NOT NULL AND m.attachments <> '[]'))
         AND (:mention IS NULL OR EXISTS (
             SELECT 1 FROM mentions x WHERE x.app_id = :app AND x.uid = :mention
             AND x.message_no = m.message_no AND x.message_id = m.message_id))
         AND (:tag IS NULL OR EXISTS (
             SELECT 1 FROM message_tags x WHERE x.app_id = :app AND x.tag = :tag
             AND x.message_no = m.message_no AND x.message_id = m.message_id))
         AND (:statuses IS NULL OR EXISTS (
             SELECT 1 FROM moderation x WHERE x.app_id = :app AND x.message_id = m.message_id
             AND x.status IN (SELECT value FROM json_each(:statuses))))
         AND (:reviewed IS NULL OR :reviewed = coalesce((
             SELECT x.reviewed FROM moderation x WHERE x.app_id = :app AND x.message_id = m.message_id), 0))
         AND (:key IS NULL OR EXISTS (
             SELECT 1 FROM json_each(iif(json_valid(m.metadata), m.metadata, '{}')) x
             WHERE x.key = :key AND (:value IS NULL OR x.type NOT IN ('object', 'array', 'real') AND :value =
                 CASE WHEN x.type IN ('true', 'false') THEN x.type ELSE CAST(x.value AS TEXT) END)))
         AND (:unanswered IS NULL OR :unanswered = NOT CASE WHEN m.parent_id IS NULL
             THEN EXISTS (
                 SELECT 1 FROM messages x
                 WHERE x.app_id = :app AND x.conversation_id = m.conversation_id AND x.low_length = m.low_length
                 AND x.sender_uid = :mention AND x.listed
                 AND (x.sent_at, x.message_no, x.message_id) > (m.sent_at, m.message_no, m.message_id))
             ELSE EXISTS (
                 SELECT 1 FROM messages x
                 WHERE x.app_id = :app AND x.parent_id = m.parent_id AND x.parent_id IS NOT NULL
                 AND x.sender_uid = :mention AND x.listed
                 AND (x.sent_at, x.message_no, x.message_id) > (m.sent_at, m.message_no, m.message_id)) END)
         AND (:unread IS NULL OR (
             m.uncounted IN (SELECT value FROM json_each(:counted))
             AND m.sender_uid IS NOT :unread
             AND CASE WHEN m.receiver_type = 'user' THEN m.receiver_id = :unread
                 WHEN :conversation IS NULL THEN EXISTS (
                     SELECT 1 FROM memberships x WHERE x.app_id = :app AND x.uid = :unread AND x.guid = m.receiver_id
                     AND x.current)
                 ELSE ", $crate::store::sqlite::read::unread::may_be_in!("m.receiver_id", ":unread"), " END
             AND NOT EXISTS (
                 SELECT 1 FROM read_markers x
                 WHERE x.app_id = :app AND x.conversation_id = m.conversation_id AND x.low_length = m.low_length
                 AND x.uid = :unread
                 AND x.numeric = (m.message_no < 9223372036854775807)
                 AND (x.message_no, x.message_id) >= (m.message_no, m.message_id)))))")
    };
}
pub(super) use matching;

/// Writes one walk by time; `$from` ends in a WHERE clause. No other bound on the time: it would make the index by
/// time look better than the one that drives.
macro_rules! by_time {
    ($from:literal) => {
        by_time!(scan of $from)
    };
    ($walk:ident of $from:expr) => {
        $walk!("iit", by ["m.sent_at", "m.message_no", "m.message_id"] from ":k1, :k2, :k3", matching matching!(),
            of $from)
    };
}

/// Writes one walk by time over a conversation.
macro_rules! of_conversation {
    ($which:literal) => {
        by_time!(scan of concat!("messages m WHERE m.app_id = :app AND m.conversation_id = :conversation
            AND m.low_length = :low_length AND ", $which))
    };
}

const LISTED: Scan = of_conversation!("m.chat AND m.listed");
const CONVERSATION: Scan = of_conversation!("m.chat");
const SENDER: Scan = by_time!("messages m WHERE m.app_id = :app AND m.sender_uid = :sender AND m.chat");
const PARENT: Scan = by_time!("messages m WHERE m.app_id = :app AND m.parent_id = :parent AND m.chat");
const TIME: Scan = by_time!("messages m WHERE m.app_id = :app AND m.chat");
// Steps have indexes of their own, so that lists of chat cost the same however many there are.
const STEPS_OF_CONVERSATION: Scan = of_conversation!("m.step");
const STEPS_OF_SENDER: Scan = by_time!("messages m WHERE m.app_id = :app AND m.sender_uid = :sender AND m.step");
const STEPS_OF_PARENT: Scan = by_time!("messages m WHERE m.app_id = :app AND m.parent_id = :parent AND m.step");
const STEPS_BY_TIME: Scan = by_time!("messages m WHERE m.app_id = :app AND m.step");
// These indexes are not by time, and drive only where they yield little.
const MENTION: Scan = by_time!(sorted of
    "mentions x CROSS JOIN messages m ON m.app_id = x.app_id AND m.message_id = x.message_id
     WHERE x.app_id = :app AND x.uid = :mention AND (m.chat OR (:steps AND m.step))"
);
const TAG: Scan = by_time!(sorted of
    "message_tags x CROSS JOIN messages m ON m.app_id = x.app_id AND m.message_id = x.message_id
     WHERE x.app_id = :app AND x.tag = :tag AND (m.chat OR (:steps AND m.step))"
);
const MODERATION: Scan = by_time!(sorted of
    "moderation x CROSS JOIN messages m ON m.app_id = x.app_id AND m.message_id = x.message_id
     WHERE x.app_id = :app AND x.status IN (SELECT value FROM json_each(:statuses))
         AND (m.chat OR (:steps AND m.step))"
);

/// Writes the walk over the chat of a conversation that is listed, with what is read of each: all of it matches.
macro_rules! listed {
    (with $columns:expr, of $joins:literal) => {
        scan!("iit", by ["m.sent_at", "m.message_no", "m.message_id"] from ":k1, :k2, :k3", matching "1",
            with concat!(", ", message::columns!(), $columns),
            of concat!("messages m ", $joins, " WHERE m.app_id = :app AND m.conversation_id = :conversation
                AND m.low_length = :low_length AND m.chat AND m.listed"))
    };
}

const ROWS: Scan = listed!(with "", of "");
const TEXTS: Scan = listed!(with ", m.text", of "");
const SENT: Scan =
    listed!(with concat!(", ", user::columns!()), of "LEFT JOIN users u ON u.app_id = :app AND u.uid = m.sender_uid");
const SENT_TEXTS: Scan = listed!(with concat!(", m.text, ", user::columns!()),
    of "LEFT JOIN users u ON u.app_id = :app AND u.uid = m.sender_uid");

/// A message as a list gives it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub row: Arc<Message>,
    /// What it says, if that was read.
    pub text: Option<Option<Arc<str>>>,
    /// Who sent it, if that was read and is known.
    pub sender: Option<Arc<User>>,
}

const MENTION_SIZE: &str =
    "SELECT count(*) FROM (SELECT 1 FROM mentions WHERE app_id = :app AND uid = :mention LIMIT :limit)";
const TAG_SIZE: &str =
    "SELECT count(*) FROM (SELECT 1 FROM message_tags WHERE app_id = :app AND tag = :tag LIMIT :limit)";
const MODERATION_SIZE: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM moderation
        WHERE app_id = :app AND status IN (SELECT value FROM json_each(:statuses)) LIMIT :limit)";

impl List for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn falling(&self) -> bool {
        !self.oldest_first
    }

    fn kinds(&self) -> &'static str {
        if self.search.is_some() { message_search::KINDS } else { "iit" }
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let (conversation, low_length) = self.conversation.as_ref().map(|key| (&key.id, key.low_length)).unzip();
        let categories = self.categories.as_ref().map(json);
        let types = self.types.as_ref().map(json);
        let statuses = self.statuses.as_ref().map(json);
        let (key, value) = self.metadata.as_ref().map(|(key, value)| (key, value.as_ref())).unzip();
        let (low, high) = self.times();
        let counted = self.unread.counted();
        let limit = EXAMINED as i64 + 1;
        let expression = self.search.as_ref().map(|search| search.expression.as_str());
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":conversation", &conversation),
            (":low_length", &low_length),
            (":sender", &self.sender),
            (":parent", &self.parent),
            (":mention", &self.mention),
            (":tag", &self.tag),
            (":search", &expression),
            (":unanswered", &self.unanswered),
            (":unread", &self.unread_by),
            (":counted", &counted),
            (":steps", &self.steps),
            (":categories", &categories),
            (":types", &types),
            (":attachments", &self.has_attachments),
            (":statuses", &statuses),
            (":reviewed", &self.reviewed),
            (":key", &key),
            (":value", &value.flatten()),
            (":deleted", &self.deleted),
            (":blocked", &self.blocked),
            (":low", &low),
            (":high", &high),
            (":limit", &limit),
        ];
        if self.search.is_some() {
            return message_search::scan(self, conn, params, range);
        }
        let edge = self.edge(range);
        let range = Range { from: Some(range.from.unwrap_or(&edge)), ..range };
        let is_beyond = |key: &Key| {
            if range.falling { key[0].int() < low } else { key[0].int() >= high }
        };
        let (driver, steps) = self.drivers(conn, params)?;
        let found = run_until(conn, driver, params, range, is_beyond)?;
        match steps.filter(|_| self.steps) {
            Some(steps) => Ok(merge(vec![found, run_until(conn, steps, params, range, is_beyond)?], range)),
            None => Ok(found),
        }
    }

    fn read(&self, conn: &Conn, range: Range<'_>, wanted: Wanted) -> Sql<(Found, Option<ReadRows>)> {
        let Some(conversation) = self.conversation.as_ref().filter(|_| self.is_plain()) else {
            return Ok((self.scan(conn, range)?, None));
        };
        let scan = match (wanted.rest, wanted.person) {
            (false, false) => &ROWS,
            (true, false) => &TEXTS,
            (false, true) => &SENT,
            (true, true) => &SENT_TEXTS,
        };
        let map = |key: &Key, row: &mut Values<'_>| {
            let message = message::message(id_of(key).into(), row)?;
            let text = if wanted.rest { Some(row.next()?) } else { None };
            let sender = match (&message.sender_uid, wanted.person) {
                (Some(uid), true) => {
                    row.skip();
                    Some(Arc::new(user::user(Arc::clone(uid), row)?))
                }
                _ => None,
            };
            Ok(Listed { row: Arc::new(message), text, sender })
        };
        let (low, high) = self.times();
        let edge = self.edge(range);
        let range = Range { from: Some(range.from.unwrap_or(&edge)), ..range };
        let is_beyond = |key: &Key| if range.falling { key[0].int() < low } else { key[0].int() >= high };
        let params: super::Params<'_> =
            &[(":app", &self.app), (":conversation", &conversation.id), (":low_length", &conversation.low_length)];
        let (found, messages) = walk(conn, scan, params, range, is_beyond, map)?;
        Ok((found, Some(Box::new(messages))))
    }
}

impl Messages {
    /// From when on, and up to when.
    fn times(&self) -> (i64, i64) {
        (self.low.unwrap_or(i64::MIN), self.high.unwrap_or(i64::MAX))
    }

    /// Where a walk without a cursor begins: at the edge of the time asked for.
    fn edge(&self, range: Range<'_>) -> Key {
        let (low, high) = self.times();
        vec![Part::Int(if range.falling { high } else { low }), Part::Int(i64::MIN), Part::Text(String::new())]
    }

    /// Whether nothing is asked but the chat of one conversation.
    fn is_plain(&self) -> bool {
        let Self { app, conversation, low, high, unread, .. } = self.clone();
        *self == Self { app, conversation, low, high, unread, ..Self::default() }
    }

    /// What drives, and what yields the steps beside it, unless the same walk yields both.
    fn drivers(&self, conn: &Conn, params: super::Params<'_>) -> Sql<(&'static Scan, Option<&'static Scan>)> {
        let is_small = |size: &str| is_small(conn, size, params);
        Ok(if self.conversation.is_some() {
            let chat = if self.deleted || self.blocked { &CONVERSATION } else { &LISTED };
            (chat, Some(&STEPS_OF_CONVERSATION))
        } else if self.sender.is_some() {
            (&SENDER, Some(&STEPS_OF_SENDER))
        } else if self.parent.is_some() {
            (&PARENT, Some(&STEPS_OF_PARENT))
        } else if self.mention.is_some() && is_small(MENTION_SIZE)? {
            (&MENTION, None)
        } else if self.tag.is_some() && is_small(TAG_SIZE)? {
            (&TAG, None)
        } else if self.statuses.is_some() && is_small(MODERATION_SIZE)? {
            (&MODERATION, None)
        } else {
            (&TIME, Some(&STEPS_BY_TIME))
        })
    }
}

/// Whether a count of what an index yields stays within what one page examines.
pub(super) fn is_small(conn: &Conn, size: &str, params: super::Params<'_>) -> Sql<bool> {
    let mut statement = prepare(conn, size, params)?;
    let mut rows = statement.raw_query();
    Ok(rows.next()?.map_or(Ok(0), |row| row.get::<_, i64>(0))? <= EXAMINED as i64)
}

/// The id of the message with that key.
pub fn id_of(key: &Key) -> String {
    match key.last() {
        Some(Part::Text(id)) => id.clone(),
        Some(Part::Int(no)) => no.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn each_driver_walks_its_own_index() {
        let dir = tempfile::tempdir().expect("a folder");
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).expect("a file");
        for (scan, index) in [
            (&LISTED, "messages_by_conversation"),
            (&CONVERSATION, "messages_by_conversation"),
            (&SENDER, "messages_by_sender"),
            (&PARENT, "messages_by_parent"),
            (&TIME, "messages_by_time"),
            (&STEPS_OF_CONVERSATION, "messages_steps_by_conversation"),
            (&STEPS_OF_SENDER, "messages_steps_by_sender"),
            (&STEPS_OF_PARENT, "messages_steps_by_parent"),
            (&STEPS_BY_TIME, "messages_steps_by_time"),
        ] {
            for sql in [scan.rising, scan.falling] {
                let explain = format!("EXPLAIN QUERY PLAN {sql}");
                let steps: Vec<String> = rows(&conn, &explain, &[], |row| row.get("detail")).expect("a plan");
                let drives = &steps[0];
                assert!(drives.contains(index) && drives.contains("sent_at"), "{index}: {steps:?}");
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{index}: {steps:?}");
            }
        }
    }

    #[test]
    fn a_message_costs_little_for_what_is_not_asked() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).expect("a file");
        conn.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO messages (app_id, message_id, message_no, sent_at, type, deleted, blocked, chat, listed, registers)
             SELECT 'app', i, i, i, 'text', 0, 0, 1, 1, x'' FROM n",
        )
        .expect("messages");
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let step = move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        };
        conn.progress_handler(1, Some(step)).expect("a handler");
        let list = Messages { app: "app".into(), types: Some(vec!["other".into()]), ..Messages::default() };
        let found = list.scan(&conn, Range { from: None, falling: true, want: 50 }).expect("a page");
        let steps = steps.load(Ordering::Relaxed) / 1_000;
        assert!(found.keys.is_empty() && steps <= 40, "{steps} steps a message");
    }
}
