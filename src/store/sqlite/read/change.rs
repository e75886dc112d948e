//! The log as a feed: applied facts after a position, in its order.

use super::{Conn, Sql, allowance, prepare, rows};
use crate::ids::Time;

/// An applied fact, with what was received.
#[derive(Debug)]
pub struct Applied {
    pub seq: i64,
    pub trigger: String,
    pub occurred_at: Time,
    pub body: String,
}

const AFTER: &str = "
    SELECT seq, trigger, occurred_at, body FROM events
    WHERE app_id = :app AND seq > :after AND outcome = 'applied' ORDER BY seq LIMIT :limit";
const FIRST: &str = "SELECT min(seq) FROM events";
const MESSAGE: &str = "
    SELECT conversation_id, sender_uid FROM messages WHERE app_id = :app AND message_id = :id";
const NEWEST_CALL: &str = "
    SELECT kind, anchor FROM call_sessions WHERE app_id = :app AND session_key = :key
    ORDER BY order_at DESC, kind, anchor DESC LIMIT 1";

/// Position of the oldest event the log has.
pub fn first(conn: &Conn) -> Sql<Option<i64>> {
    Ok(rows(conn, FIRST, &[], |row| row.get(0))?.into_iter().next().flatten())
}

/// The next applied facts of an app, until `take` says false: one body at a time is in memory.
pub fn after(conn: &Conn, app: &str, seq: i64, limit: i64, mut take: impl FnMut(Applied) -> Sql<bool>) -> Sql<()> {
    let mut statement = prepare(conn, AFTER, &[(":app", &app), (":after", &seq), (":limit", &limit)])?;
    let mut facts = statement.raw_query();
    while let Some(row) = facts.next()? {
        allowance::pass(row)?;
        let fact = Applied {
            seq: row.get("seq")?,
            trigger: row.get("trigger")?,
            occurred_at: Time(row.get("occurred_at")?),
            body: row.get("body")?,
        };
        if !take(fact)? {
            break;
        }
    }
    Ok(())
}

/// The conversation and the sender of a message, as far as known.
pub fn message(conn: &Conn, app: &str, id: &str) -> Sql<(Option<String>, Option<String>)> {
    let found = rows(conn, MESSAGE, &[(":app", &app), (":id", &id)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// Kind and anchor of the newest instance of a call session.
pub fn newest_call(conn: &Conn, app: &str, session_key: &str) -> Sql<Option<(String, i64)>> {
    let mut statement = prepare(conn, NEWEST_CALL, &[(":app", &app), (":key", &session_key)])?;
    let mut found = statement.raw_query();
    found.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}
