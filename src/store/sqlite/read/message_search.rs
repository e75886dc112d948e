//! Lists of messages that are searched for: newest first by the number of the message. Where what is looked for is
//! rare, the full-text index drives, for it is done with in one page; else the first index that yields by number, or
//! yields little, and each message is asked whether it matches.

use super::list::{Part, Scan, merge, run, scan, sorted};
use super::message_list::{Messages, is_small, matching};
use super::{Conn, Found, Params, Range, Sql, rows};
use crate::chat::OF_LISTED;
use crate::store::sqlite::search::SPAN;
use rusqlite::types::ToSql;

/// One number: that of the message.
pub(super) const KINDS: &str = "i";

/// What is asked beside what is common to all lists: times, for these walks are not by time; and steps, which the
/// full-text index holds, too.
macro_rules! within {
    () => {
        concat!("((m.chat OR (:steps AND m.step)) AND m.sent_at >= :low AND m.sent_at < :high AND ", matching!(), ")")
    };
}

/// Of walks that the full-text index does not drive: the conversation, unless it drives, and the search itself.
macro_rules! asked {
    () => {
        concat!(
            "((:conversation IS NULL OR coalesce(m.conversation_id = :conversation AND m.low_length = :low_length, 0)) AND ",
            within!(),
            " AND EXISTS (
                 SELECT 1 FROM message_search s WHERE s.message_search MATCH :search AND s.rowid = :base + m.message_no))"
        )
    };
}

/// Writes one walk by number; `$from` ends in a WHERE clause.
macro_rules! by_number {
    ($number:literal of $from:literal) => {
        by_number!(scan by $number of $from)
    };
    ($walk:ident by $number:literal of $from:literal) => {
        $walk!("i", by [$number] from ":k1", matching asked!(), of concat!($from, " AND ", $number, " < 17592186044416"))
    };
}

/// Writes one walk of the full-text index. A bound on the rowid alone is one it can use.
macro_rules! walk {
    ($than:literal, $order:literal) => {
        concat!(
            "SELECT s.rowid - :base,
             coalesce((:conversation IS NULL OR m.conversation_id = :conversation AND m.low_length = :low_length) AND ",
            within!(),
            ", 0) FROM message_search s
             CROSS JOIN messages m ON m.app_id = :app AND m.message_id = CAST(s.rowid - :base AS TEXT)
             WHERE s.message_search MATCH :search AND s.rowid >= :base AND s.rowid < :base + 17592186044416
             AND s.rowid ",
            $than,
            " :base + :k1 ORDER BY s.rowid ",
            $order,
            " LIMIT :limit"
        )
    };
}

const SEARCH: Scan = Scan { kinds: KINDS, rising: walk!(">", "ASC"), falling: walk!("<", "DESC") };
/// The index is by number within each value of `uncounted`.
const CONVERSATION: Scan = by_number!("m.message_no" of "messages m
    WHERE m.app_id = :app AND m.conversation_id = :conversation AND m.low_length = :low_length AND m.uncounted = :uncounted
        AND m.listed");
// These two indexes are by time, and drive only where they yield little.
const SENDER: Scan = by_number!(sorted by "m.message_no" of "messages m
        WHERE m.app_id = :app AND m.sender_uid = :sender AND m.chat");
const PARENT: Scan = by_number!(sorted by "m.message_no" of "messages m
        WHERE m.app_id = :app AND m.parent_id = :parent AND m.chat");
const MENTION: Scan = by_number!("x.message_no" of
    "mentions x CROSS JOIN messages m ON m.app_id = x.app_id AND m.message_id = x.message_id
     WHERE x.app_id = :app AND x.uid = :mention");
const TAG: Scan = by_number!("x.message_no" of
    "message_tags x CROSS JOIN messages m ON m.app_id = x.app_id AND m.message_id = x.message_id
     WHERE x.app_id = :app AND x.tag = :tag");

const BASE: &str = "SELECT number * 17592186044416 FROM app_numbers WHERE app_id = :app";
const SEARCH_SIZE: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM message_search
        WHERE message_search MATCH :search AND rowid >= :base AND rowid < :base + 17592186044416 LIMIT :limit)";
const SENDER_SIZE: &str = "
    SELECT count(*) FROM (SELECT 1 FROM messages WHERE app_id = :app AND sender_uid = :sender AND chat LIMIT :limit)";
const PARENT_SIZE: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE app_id = :app AND parent_id = :parent AND parent_id IS NOT NULL AND chat LIMIT :limit)";

/// Walks the best index.
pub(super) fn scan(list: &Messages, conn: &Conn, params: Params<'_>, range: Range<'_>) -> Sql<Found> {
    // An app without a number has nothing that can be found.
    let base: Vec<i64> = rows(conn, BASE, params, |row| row.get(0))?;
    let Some(base) = base.first() else { return Ok(Found::default()) };
    let mut all: Vec<(&str, &dyn ToSql)> = params.to_vec();
    all.push((":base", base));
    // Never beyond the rowids of the app.
    let edge = if range.falling { SPAN } else { -1 };
    let from = range.from.map_or(edge, |key| key[0].int().clamp(-1, SPAN));
    let from = vec![Part::Int(from)];
    let range = Range { from: Some(&from), ..range };
    match driver(list, conn, &all)? {
        Driver::One(scan) => run(conn, scan, &all, range),
        Driver::Conversation => {
            let parts = OF_LISTED.map(|uncounted| {
                let params: Vec<(&str, &dyn ToSql)> = [&all[..], &[(":uncounted", &uncounted)]].concat();
                run(conn, &CONVERSATION, &params, range)
            });
            Ok(merge(parts.into_iter().collect::<Sql<_>>()?, range))
        }
    }
}

/// What drives a search: one walk, or the walks over a conversation.
enum Driver {
    One(&'static Scan),
    Conversation,
}

fn driver(list: &Messages, conn: &Conn, params: Params<'_>) -> Sql<Driver> {
    let has_prefix = list.search.as_ref().is_some_and(|search| search.has_prefix);
    let alone = list.conversation.is_none()
        && [&list.sender, &list.parent, &list.mention, &list.tag].iter().all(|it| it.is_none());
    // The indexes by conversation, sender and parent hold no steps.
    let chat_only = !list.steps;
    Ok(Driver::One(if alone || has_prefix || is_small(conn, SEARCH_SIZE, params)? {
        &SEARCH
    } else if list.conversation.is_some() && !list.blocked && chat_only {
        return Ok(Driver::Conversation);
    } else if chat_only && list.sender.is_some() && is_small(conn, SENDER_SIZE, params)? {
        &SENDER
    } else if chat_only && list.parent.is_some() && is_small(conn, PARENT_SIZE, params)? {
        &PARENT
    } else if list.mention.is_some() {
        &MENTION
    } else if list.tag.is_some() {
        &TAG
    } else {
        &SEARCH
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sorted_holds_no_more_than_a_page() {
        let dir = tempfile::tempdir().expect("a folder");
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).expect("a file");
        for scan in [&SEARCH, &CONVERSATION, &SENDER, &PARENT, &MENTION, &TAG] {
            for sql in [scan.rising, scan.falling] {
                let plan: Vec<String> =
                    rows(&conn, &format!("EXPLAIN QUERY PLAN {sql}"), &[], |row| row.get("detail")).expect("a plan");
                let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
                assert!(!sorts || sql.ends_with("LIMIT :page"), "{sql}: {plan:?}");
            }
        }
    }
}
