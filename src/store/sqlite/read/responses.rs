//! How long customers wait for an agent's word, counted over a walk that ends early.
//!
//! A *question* is the first chat of somebody who is no agent, after the last word of an agent in the conversation or
//! since its beginning; its *answer* is the next chat of an agent there.

use super::activity::{self, LOOKED_AT};
use super::{Conn, Params, Sql, conversation, json, rows};
use crate::ids::ConversationKey;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

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

/// The questions of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// How long each answered one waited, in milliseconds, shortest first.
    pub waits: Vec<i64>,
    pub unanswered: i64,
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

/// One message of the walk.
struct Said {
    conversation: u32,
    sender: u32,
    at: i64,
}

/// Gives keys numbers, so that 50,000 messages do not hold their ids each.
struct Names<K> {
    numbers: HashMap<K, u32>,
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<K: Eq + Hash> Names<K> {
    fn number(&mut self, name: K) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(name).or_insert(next)
    }
}

/// What was said in the span.
#[derive(Default)]
struct Walk {
    said: Vec<Said>,
    conversations: Names<ConversationKey>,
    people: Names<String>,
    /// Of each one to one: the two people.
    pairs: HashMap<u32, [u32; 2]>,
    exact: bool,
}

/// Counts.
pub fn count(conn: &Conn, span: &Span<'_>) -> Sql<Responses> {
    let mut walk = walk(conn, span)?;
    let from = span.starts.first().copied().unwrap_or(span.until);
    let keys = conversation::pairs(walk.conversations.numbers.keys());
    let before = rows(conn, BEFORE, &[(":app", &span.app), (":from", &from), (":keys", &keys)], |row| {
        Ok((conversation::key(row)?, row.get::<_, Option<String>>("sender_uid")?))
    })?;
    let before: Vec<(u32, u32)> = before
        .into_iter()
        .filter_map(|(conversation, sender)| {
            Some((walk.conversations.number(conversation), walk.people.number(sender?)))
        })
        .collect();
    let agents = agents(conn, span, &mut walk)?;
    let counts = if span.conversation.is_none() { attended(conn, span, &mut walk, &agents)? } else { None };

    let day = |at: i64| span.starts.partition_point(|start| *start <= at).saturating_sub(1);
    let mut found = Responses { days: vec![Day::default(); span.starts.len()], exact: walk.exact };
    // Whose turn it is: a question that waits, by when it was asked; `None`: one from before the span.
    let mut waiting: HashMap<u32, Option<i64>> = HashMap::new();
    waiting.extend(before.iter().filter(|(_, sender)| !agents.contains(sender)).map(|(it, _)| (*it, None)));
    for said in &walk.said {
        if counts.as_ref().is_some_and(|counts| !counts.contains(&said.conversation)) {
            continue;
        }
        if !agents.contains(&said.sender) {
            waiting.entry(said.conversation).or_insert(Some(said.at));
        } else if let Some(Some(asked)) = waiting.remove(&said.conversation) {
            found.days[day(asked)].waits.push(said.at - asked);
        }
    }
    for asked in waiting.into_values().flatten() {
        found.days[day(asked)].unanswered += 1;
    }
    for day in &mut found.days {
        day.waits.sort_unstable();
    }
    Ok(found)
}

fn walk(conn: &Conn, span: &Span<'_>) -> Sql<Walk> {
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
    let mut walk = Walk::default();
    let messages = if span.conversation.is_some() { MESSAGES_OF } else { MESSAGES };
    walk.exact = activity::walk(conn, messages, params, |row| {
        let (id, sender) = (row.get::<_, Option<String>>("conversation_id")?, row.get("sender_uid")?);
        let (true, Some(_), Some(sender)) = (row.get("listed")?, id, sender) else { return Ok(()) };
        let conversation = walk.conversations.number(conversation::key(row)?);
        let sender = walk.people.number(sender);
        if let Some(receiver) = row.get("receiver_uid")? {
            let pair = [sender, walk.people.number(receiver)];
            walk.pairs.insert(conversation, pair);
        }
        walk.said.push(Said { conversation, sender, at: row.get("sent_at")? });
        Ok(())
    })?;
    Ok(walk)
}

fn agents(conn: &Conn, span: &Span<'_>, walk: &mut Walk) -> Sql<HashSet<u32>> {
    let (roles, tags) = (json(span.roles), json(span.tags));
    let keys = json(walk.people.numbers.keys());
    let params: Params<'_> = &[(":app", &span.app), (":keys", &keys), (":roles", &roles), (":tags", &tags)];
    let uids = rows(conn, AGENTS, params, |row| row.get(0))?;
    Ok(uids.into_iter().map(|uid| walk.people.number(uid)).collect())
}

/// The conversations an agent takes part in: one of the two, wrote in it, or is in the group now. Only agents who wrote
/// or were written to in the span are looked for.
fn attended(conn: &Conn, span: &Span<'_>, walk: &mut Walk, agents: &HashSet<u32>) -> Sql<Option<HashSet<u32>>> {
    let mut attended: HashSet<u32> =
        walk.said.iter().filter(|said| agents.contains(&said.sender)).map(|said| said.conversation).collect();
    let pairs = walk.pairs.iter().filter(|(_, pair)| pair.iter().any(|it| agents.contains(it)));
    attended.extend(pairs.map(|(conversation, _)| *conversation));
    let limit = LOOKED_AT + 1;
    let uids = walk.people.numbers.iter().filter(|(_, number)| agents.contains(number)).map(|(uid, _)| uid);
    let keys = json(uids);
    let guids: Vec<String> =
        rows(conn, GROUPS, &[(":app", &span.app), (":keys", &keys), (":limit", &limit)], |row| row.get(0))?;
    walk.exact &= guids.len() as i64 <= LOOKED_AT;
    for guid in guids {
        attended.extend(walk.conversations.numbers.get(&ConversationKey::of_group(&guid)));
    }
    Ok(Some(attended))
}
