//! The rows from which the waits for an agent's word are counted ([`crate::responses`]), over a walk that ends early.

use super::activity::{self, LOOKED_AT};
use super::{Conn, Params, Sql, conversation, json, rows};
use crate::ids::ConversationKey;
use crate::responses::{Chats, Counted, Day};

/// Where, when, and who the agents are. `starts` are the first instants of its days.
#[derive(Debug, Clone)]
pub struct Span<'a> {
    pub app: &'a str,
    pub conversation: Option<&'a ConversationKey>,
    pub starts: Vec<i64>,
    pub until: i64,
    pub roles: &'a [String],
    pub tags: &'a [String],
}

/// All days.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Responses {
    pub days: Vec<Day>,
    /// Everything was looked at.
    pub exact: bool,
}

/// Writes the walk over messages, oldest first.
macro_rules! messages {
    ($which:literal) => {
        concat!(
            "SELECT m.conversation_id, m.low_length, m.sender_uid, iif(m.receiver_type = 'user', m.receiver_id, NULL) AS receiver_uid,
                 m.sent_at, m.listed
             FROM messages m
             WHERE m.app_id = :app AND ",
            $which,
            " AND m.sent_at >= :from AND m.sent_at < :until
             ORDER BY m.sent_at, m.message_no, m.message_id LIMIT :limit"
        )
    };
}

const MESSAGES: &str = messages!("m.chat");
const MESSAGES_OF: &str =
    messages!("m.conversation_id = :conversation AND m.low_length = :low_length AND m.chat AND m.listed");
/// Who spoke last in each conversation before the span.
const BEFORE: &str = "
    SELECT json_extract(k.value, '$[0]') AS conversation_id, json_extract(k.value, '$[1]') AS low_length, (
        SELECT m.sender_uid FROM messages m
        WHERE m.app_id = :app AND m.conversation_id = json_extract(k.value, '$[0]')
            AND m.low_length = json_extract(k.value, '$[1]') AND m.chat AND m.listed AND m.sent_at < :from
            AND m.sender_uid IS NOT NULL
        ORDER BY m.sent_at DESC, m.message_no DESC, m.message_id DESC LIMIT 1) AS sender_uid
    FROM json_each(:keys) k";
const AGENTS: &str = "
    SELECT u.uid FROM json_each(:keys) k CROSS JOIN users u ON u.app_id = :app AND u.uid = k.value
    WHERE u.role IN (SELECT value FROM json_each(:roles))
        OR EXISTS (
            SELECT 1 FROM json_each(iif(json_valid(u.tags), u.tags, '[]')) t
            WHERE t.value IN (SELECT value FROM json_each(:tags)))";
const GROUPS: &str = "
    SELECT x.guid FROM json_each(:keys) k CROSS JOIN memberships x ON x.app_id = :app AND x.uid = k.value AND x.current
    LIMIT :limit";

/// Counts.
pub fn count(conn: &Conn, span: &Span<'_>) -> Sql<Responses> {
    let (mut chats, mut exact) = walk(conn, span)?;
    let from = span.starts.first().copied().unwrap_or(span.until);
    let keys = conversation::pairs(chats.conversations());
    let before = rows(conn, BEFORE, &[(":app", &span.app), (":from", &from), (":keys", &keys)], |row| {
        Ok((conversation::key(row)?, row.get::<_, Option<String>>("sender_uid")?))
    })?;
    for (conversation, sender) in before {
        if let Some(sender) = sender {
            chats.add_before(conversation, sender);
        }
    }
    let agents = agents(conn, span, &chats)?;
    let counted = if span.conversation.is_some() {
        Counted::Conversation
    } else {
        let groups = groups(conn, span, &agents)?;
        exact &= groups.len() as i64 <= LOOKED_AT;
        Counted::App { groups }
    };
    Ok(Responses { days: chats.days(&span.starts, &agents, &counted), exact })
}

/// The chats of the span, and whether these are all.
fn walk(conn: &Conn, span: &Span<'_>) -> Sql<(Chats, bool)> {
    let limit = LOOKED_AT + 1;
    let from = span.starts.first().copied().unwrap_or(span.until);
    let (id, low_length) = span.conversation.map(|key| (&key.id, key.low_length)).unzip();
    let params: Params<'_> = &[
        (":app", &span.app),
        (":conversation", &id),
        (":low_length", &low_length),
        (":from", &from),
        (":until", &span.until),
        (":limit", &limit),
    ];
    let mut chats = Chats::default();
    let messages = if span.conversation.is_some() { MESSAGES_OF } else { MESSAGES };
    let exact = activity::walk(conn, messages, params, |row| {
        let (id, sender) = (row.get::<_, Option<String>>("conversation_id")?, row.get("sender_uid")?);
        let (true, Some(_), Some(sender)) = (row.get("listed")?, id, sender) else { return Ok(()) };
        chats.add(conversation::key(row)?, sender, row.get("receiver_uid")?, row.get("sent_at")?);
        Ok(())
    })?;
    Ok((chats, exact))
}

/// Only people who wrote or were written to are looked for.
fn agents(conn: &Conn, span: &Span<'_>, chats: &Chats) -> Sql<Vec<String>> {
    let (roles, tags) = (json(span.roles), json(span.tags));
    let keys = json(chats.people());
    let params: Params<'_> = &[(":app", &span.app), (":keys", &keys), (":roles", &roles), (":tags", &tags)];
    rows(conn, AGENTS, params, |row| row.get(0))
}

/// The groups that the agents are in now.
fn groups(conn: &Conn, span: &Span<'_>, agents: &[String]) -> Sql<Vec<String>> {
    let (keys, limit) = (json(agents), LOOKED_AT + 1);
    rows(conn, GROUPS, &[(":app", &span.app), (":keys", &keys), (":limit", &limit)], |row| row.get(0))
}
