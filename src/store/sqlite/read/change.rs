//! The log as a feed: applied facts after a position, in its order.

use super::{Conn, Sql, allowance, json, prepare, rows};
use crate::ids::{ReceiverType, Time};
use rusqlite::Row;
use std::collections::HashMap;
use std::ops::Range;

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
    WHERE app_id = :app AND seq > :after AND seq <= :until AND outcome = 'applied' ORDER BY seq LIMIT :limit";
const OF_ALL_APPS: &str = "
    SELECT seq, app_id, trigger, occurred_at, body FROM events
    WHERE seq > :after AND seq <= :until AND outcome = 'applied' ORDER BY seq";
const FIRST: &str = "SELECT min(seq) FROM events";
const FURTHER: &str = "SELECT count(*) FROM deliveries WHERE position > :after AND position <= :until";
/// With more positions than these before the oldest event, events are taken to be gone.
const COUNTED: i64 = 10_000;
const GIVEN: &str = "
    SELECT coalesce(max(newest_seq), 0) FROM feeds
    WHERE :apps IS NULL OR app_id IN (SELECT value FROM json_each(:apps))";
const UNFINISHED: &str = "SELECT min(seq) FROM unfinished WHERE app_id = :app";
const ALL_UNFINISHED: &str = "SELECT app_id, min(seq) FROM unfinished GROUP BY app_id";
const MESSAGE: &str = "
    SELECT conversation_id, receiver_type, sender_uid, iif(receiver_type = 'group', receiver_id, NULL) FROM messages
    WHERE app_id = :app AND message_id = :id";

/// The position behind which the log begins, where events after another position are gone. Positions of further
/// deliveries are no events.
pub fn begins_after(conn: &Conn, after: i64) -> Sql<Option<i64>> {
    let first: Option<i64> = rows(conn, FIRST, &[], |row| row.get(0))?.pop().flatten();
    let Some(begins) = first.map(|first| first - 1).filter(|begins| after < *begins) else { return Ok(None) };
    let between = begins - after;
    let known = between <= COUNTED && {
        let further = rows(conn, FURTHER, &[(":after", &after), (":until", &begins)], |row| row.get::<_, i64>(0))?;
        further == [between]
    };
    Ok((!known).then_some(begins))
}

/// The newest log position given to an event of these apps, or of all, also where the event was deleted since.
pub fn given(conn: &Conn, apps: Option<&[String]>) -> Sql<i64> {
    let apps = apps.map(json);
    Ok(rows(conn, GIVEN, &[(":apps", &apps)], |row| row.get(0))?.pop().unwrap_or_default())
}

/// The log position of the app's event that is not finished; nothing of the app follows it.
pub fn unfinished(conn: &Conn, app: &str) -> Sql<Option<i64>> {
    Ok(rows(conn, UNFINISHED, &[(":app", &app)], |row| row.get(0))?.pop().flatten())
}

/// The same of each app that has one.
pub fn all_unfinished(conn: &Conn) -> Sql<HashMap<String, i64>> {
    Ok(rows(conn, ALL_UNFINISHED, &[], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

/// The next applied facts of an app within a stretch of the log, until `take` says false: one body at a time is in memory.
pub fn after(
    conn: &Conn,
    app: &str,
    Range { start: after, end: until }: Range<i64>,
    limit: i64,
    mut take: impl FnMut(Applied) -> Sql<bool>,
) -> Sql<()> {
    let params: super::Params<'_> = &[(":app", &app), (":after", &after), (":until", &until), (":limit", &limit)];
    let mut statement = prepare(conn, AFTER, params)?;
    let mut facts = statement.raw_query();
    while let Some(row) = facts.next()? {
        allowance::pass(row)?;
        if !take(Applied::of(row)?)? {
            break;
        }
    }
    Ok(())
}

/// The applied facts of all apps within a stretch of the log, until `take` says false. It gets position and app, and the
/// fact where it asks for it.
pub fn of_all_apps(
    conn: &Conn,
    Range { start: after, end: until }: Range<i64>,
    mut take: impl FnMut(i64, &str, &dyn Fn() -> Sql<Applied>) -> Sql<bool>,
) -> Sql<()> {
    let mut statement = prepare(conn, OF_ALL_APPS, &[(":after", &after), (":until", &until)])?;
    let mut facts = statement.raw_query();
    while let Some(row) = facts.next()? {
        allowance::pass(row)?;
        if !take(row.get("seq")?, row.get_ref("app_id")?.as_str()?, &|| Applied::of(row))? {
            break;
        }
    }
    Ok(())
}

impl Applied {
    fn of(row: &Row<'_>) -> Sql<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            trigger: row.get("trigger")?,
            occurred_at: row.get("occurred_at")?,
            body: row.get("body")?,
        })
    }
}

/// Where a message belongs, as far as known.
#[derive(Debug, Default)]
pub struct Place {
    /// Its id and type: ids of different conversations may be spelled alike.
    pub conversation: Option<(String, ReceiverType)>,
    pub sender_uid: Option<String>,
    /// Of a group's message.
    pub guid: Option<String>,
}

/// Conversation, sender and group of a message.
pub fn place_of(conn: &Conn, app: &str, message_id: &str) -> Sql<Place> {
    let found = rows(conn, MESSAGE, &[(":app", &app), (":id", &message_id)], |row| {
        let kind = row.get::<_, Option<String>>(1)?.and_then(|word| ReceiverType::from_word(&word));
        let conversation = row.get::<_, Option<String>>(0)?.zip(kind);
        Ok(Place { conversation, sender_uid: row.get(2)?, guid: row.get(3)? })
    })?;
    Ok(found.into_iter().next().unwrap_or_default())
}
