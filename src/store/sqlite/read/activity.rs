//! What went on in a span of time, counted over walks that end early.

use super::{Conn, Params, Sql, prepare};
use crate::ids::ConversationKey;
use crate::tables::reaction::FirstSpelling;
use rusqlite::Row;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Messages and reactions that are looked at, each.
pub const LOOKED_AT: i64 = 50_000;

/// In an app, or in one of its groups, and when. `starts` are the first instants of its days.
#[derive(Debug, Clone)]
pub struct Span<'a> {
    pub app: &'a str,
    pub conversation: Option<&'a ConversationKey>,
    pub starts: Vec<i64>,
    pub until: i64,
}

/// One day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Day {
    pub messages: i64,
    pub senders: i64,
    pub reactions: i64,
}

/// All days.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Activity {
    pub days: Vec<Day>,
    /// Most frequent first.
    pub reactions: Vec<(String, i64)>,
    /// Messages that moderation blocked, by the rule that caught them; most first.
    pub blocked: Vec<(Option<String>, i64)>,
    /// Everything was looked at.
    pub exact: bool,
}

/// Writes the walk over messages; blocked ones tell their rule.
macro_rules! messages {
    ($which:literal) => {
        concat!(
            "SELECT m.sent_at, m.sender_uid, m.listed, m.blocked AND NOT m.deleted AS blocked,
                 iif(m.blocked, (SELECT x.rule FROM moderation x WHERE x.app_id = :app AND x.message_id = m.message_id), NULL) AS rule
             FROM messages m
             WHERE m.app_id = :app AND ",
            $which,
            "m.chat AND m.sent_at >= :from AND m.sent_at < :until
             ORDER BY m.sent_at LIMIT :limit"
        )
    };
}

const MESSAGES: &str = messages!("");
const MESSAGES_OF: &str = messages!("m.conversation_id = :conversation AND m.low_length = :low_length AND ");
/// A person's emoji counts once, when its first spelling was given: the order is that of `Dated`, where the words for
/// times not told stand in the order of the alphabet. Reactions to an agent's steps do not count.
const REACTIONS: &str = "
    SELECT r.reacted_at, r.reaction, r.emoji, NOT EXISTS (
        SELECT 1 FROM reactions x
        WHERE x.app_id = :app AND x.message_id = r.message_id AND x.emoji = r.emoji AND x.uid = r.uid AND x.present
            AND (x.reacted_at_from <> 'told', x.reacted_at_from, +x.reacted_at, x.reaction)
                < (r.reacted_at_from <> 'told', r.reacted_at_from, r.reacted_at, r.reaction)) AND coalesce(:conversation IS NULL OR EXISTS (
        SELECT 1 FROM messages m
        WHERE m.app_id = :app AND m.message_id = r.message_id AND m.conversation_id = :conversation
            AND m.low_length = :low_length), 0) AND NOT EXISTS (
        SELECT 1 FROM messages m WHERE m.app_id = :app AND m.message_id = r.message_id AND m.step)
    FROM reactions r
    WHERE r.app_id = :app AND r.present AND r.reacted_at >= :from AND r.reacted_at < :until
    ORDER BY r.reacted_at LIMIT :limit";

/// Counts.
pub fn count(conn: &Conn, span: &Span<'_>) -> Sql<Activity> {
    let from = span.starts.first().copied().unwrap_or(span.until);
    let limit = LOOKED_AT + 1;
    let (id, low_length) = span.conversation.map(|key| (&key.id, key.low_length)).unzip();
    let params: Params<'_> = &[
        (":app", &span.app),
        (":conversation", &id),
        (":low_length", &low_length),
        (":from", &from),
        (":until", &span.until),
        (":limit", &limit),
    ];
    let day = |at: i64| span.starts.partition_point(|start| *start <= at).saturating_sub(1);
    let mut found = Activity { days: vec![Day::default(); span.starts.len()], ..Activity::default() };
    let mut senders: Vec<HashSet<String>> = vec![HashSet::new(); span.starts.len()];
    let mut blocked: HashMap<Option<String>, i64> = HashMap::new();
    let messages = if span.conversation.is_some() { MESSAGES_OF } else { MESSAGES };
    let all_messages = walk(conn, messages, params, |row| {
        let day = day(row.get("sent_at")?);
        if row.get("listed")? {
            found.days[day].messages += 1;
            if let Some(sender) = row.get("sender_uid")? {
                senders[day].insert(sender);
            }
        } else if row.get("blocked")? {
            *blocked.entry(row.get("rule")?).or_default() += 1;
        }
        Ok(())
    })?;
    for (day, senders) in found.days.iter_mut().zip(senders) {
        day.senders = senders.len() as i64;
    }
    // By emoji: its first spelling in this span, and how often.
    let mut reactions: BTreeMap<String, (FirstSpelling, i64)> = BTreeMap::new();
    let all_reactions = walk(conn, REACTIONS, params, |row| {
        if row.get(3)? {
            let (at, spelling): (i64, String) = (row.get(0)?, row.get(1)?);
            found.days[day(at)].reactions += 1;
            let (shown, count) =
                reactions.entry(row.get(2)?).or_insert_with(|| (FirstSpelling::new(&spelling, Some(at)), 0));
            *count += 1;
            shown.take(&spelling, Some(at));
        }
        Ok(())
    })?;
    found.exact = all_messages && all_reactions;
    found.reactions = most_first(reactions.into_values().map(|(shown, count)| (shown.spelling, count)));
    found.blocked = most_first(blocked);
    Ok(found)
}

/// Takes rows one by one, at most [`LOOKED_AT`]. False where there are more.
pub(super) fn walk(conn: &Conn, sql: &str, params: Params<'_>, mut take: impl FnMut(&Row<'_>) -> Sql<()>) -> Sql<bool> {
    let mut statement = prepare(conn, sql, params)?;
    let mut rows = statement.raw_query();
    for _ in 0..LOOKED_AT {
        match super::next(&mut rows)? {
            Some(row) => take(row)?,
            None => return Ok(true),
        }
    }
    Ok(super::next(&mut rows)?.is_none())
}

fn most_first<K: Ord>(counts: impl IntoIterator<Item = (K, i64)>) -> Vec<(K, i64)> {
    let mut counts: Vec<(K, i64)> = counts.into_iter().collect();
    counts.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    counts.truncate(super::PLAIN_LIST);
    counts
}
