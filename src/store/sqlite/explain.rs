//! Reads for `chatfold explain`: what the tables hold about one entity, and the events that may have shaped it.

use super::log::{Logged, logged};
use super::read::allowance;
use super::{edit, group, membership, message, receipt, registers};
use crate::change;
use crate::explain::{Call, Entity, Group, Membership, Message, Outline, State, User};
use crate::ids::{Outcome, Time};
use crate::sessions::CallFact;
use crate::standing::Roster;
use crate::store::StoreError;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// An event, and how often it was heard.
#[derive(Debug)]
pub struct Heard {
    pub logged: Logged,
    pub deliveries: i64,
    pub last_received_at: Time,
}

const APPS: &str = "SELECT app_id FROM apps ORDER BY app_id";
const MEMBERSHIP: &str = "SELECT 1 FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND uid = ?3";
const ABOUT: &str = "SELECT seq FROM event_refs WHERE app_id = ?1 AND kind = ?2 AND key = ?3";
/// Events that changed nothing, but may speak of anything; newest first.
const NOT_APPLIED: &str = "
    SELECT seq FROM events WHERE app_id = ?1 AND outcome <> 'applied' AND outcome = ?2 ORDER BY seq DESC LIMIT ?3";
const EVENTS: &str = "
    SELECT * FROM events WHERE seq IN (SELECT value FROM json_each(?1)) AND app_id = ?2 ORDER BY seq";
/// Counting stops at the limit.
const COUNT_ABOUT: &str = "
    SELECT count(*) FROM (SELECT 1 FROM event_refs WHERE app_id = ?1 AND kind = ?2 AND key = ?3 LIMIT ?4)";
const LOG: &str = "SELECT * FROM events WHERE app_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const REACTIONS: &str = "SELECT reaction, uid, facts FROM reactions WHERE app_id = ?1 AND message_id = ?2";
const RECEIPTS: &str = "
    SELECT uid, delivered_at, delivered_at_from, read_at, read_at_from FROM receipts
    WHERE app_id = ?1 AND message_id = ?2";
const BLOCKS: &str =
    "SELECT blocker_uid, blocked_uid, facts FROM blocks WHERE app_id = ?1 AND (blocker_uid = ?2 OR blocked_uid = ?2)";
const LISTS: &str = "SELECT seq, at, created FROM rosters WHERE app_id = ?1 AND guid = ?2 ORDER BY seq";
const KNOWN_SINCE: &str = "SELECT members_known_since FROM groups WHERE app_id = ?1 AND guid = ?2";
const FACTS: &str = "SELECT fact FROM call_facts WHERE app_id = ?1 AND session_key = ?2 ORDER BY seq";
const INSTANCES: &str = "
    SELECT kind, anchor, status, initiator_uid, started_at, ended_at, news_at FROM call_sessions
    WHERE app_id = ?1 AND session_key = ?2 ORDER BY kind, anchor";

/// What is shown of each kind of entity: the first table holds its row. `?1` is the app, then come its ids.
const MESSAGE_TABLES: &[(&str, &str)] = &[
    ("messages", "SELECT * FROM messages WHERE app_id = ?1 AND message_id = ?2"),
    (
        "message_edits",
        "SELECT message_id, edited_at, text, edited_by FROM message_edits WHERE app_id = ?1 AND message_id = ?2 ORDER BY edited_at, rank, fact_at, seq, digest",
    ),
    (
        "message_additions",
        "SELECT message_id, edited_at, text, edited_by FROM message_additions WHERE app_id = ?1 AND message_id = ?2 ORDER BY edited_at, rank, fact_at, seq, digest",
    ),
    (
        "reactions",
        "SELECT message_id, reaction, uid, present, reacted_at, reacted_at_from FROM reactions WHERE app_id = ?1 AND message_id = ?2 ORDER BY emoji, uid, reaction",
    ),
    ("receipts", "SELECT * FROM receipts WHERE app_id = ?1 AND message_id = ?2 ORDER BY uid"),
    ("moderation", "SELECT * FROM moderation WHERE app_id = ?1 AND message_id = ?2"),
];
const USER_TABLES: &[(&str, &str)] = &[
    ("users", "SELECT * FROM users WHERE app_id = ?1 AND uid = ?2"),
    ("presence", "SELECT * FROM presence WHERE app_id = ?1 AND uid = ?2"),
    ("connections", "SELECT * FROM connections WHERE app_id = ?1 AND uid = ?2 ORDER BY connected_at, platform"),
    (
        "blocks",
        "SELECT * FROM blocks WHERE app_id = ?1 AND (blocker_uid = ?2 OR blocked_uid = ?2) ORDER BY blocker_uid, blocked_uid",
    ),
];
const GROUP_TABLES: &[(&str, &str)] = &[
    ("groups", "SELECT * FROM groups WHERE app_id = ?1 AND guid = ?2"),
    ("rosters", "SELECT at, created, seq FROM rosters WHERE app_id = ?1 AND guid = ?2 ORDER BY at, seq"),
    (
        "memberships",
        "SELECT state, scope, count(*) AS people FROM memberships WHERE app_id = ?1 AND guid = ?2 GROUP BY state, scope ORDER BY state, scope",
    ),
];
const MEMBERSHIP_TABLES: &[(&str, &str)] = &[
    ("memberships", "SELECT * FROM memberships WHERE app_id = ?1 AND guid = ?2 AND uid = ?3"),
    (
        "membership_changes",
        "SELECT * FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND uid = ?3 ORDER BY at, seq",
    ),
];
const CALL_TABLES: &[(&str, &str)] = &[
    ("call_sessions", "SELECT * FROM call_sessions WHERE app_id = ?1 AND session_key = ?2 ORDER BY kind, anchor"),
    (
        "call_participants",
        "SELECT * FROM call_participants WHERE app_id = ?1 AND session_key = ?2 ORDER BY kind, anchor, joined_at, person",
    ),
    ("recordings", "SELECT * FROM recordings WHERE app_id = ?1 AND session_key = ?2 ORDER BY kind, anchor, started_at"),
    (
        "transcripts",
        "SELECT * FROM transcripts WHERE app_id = ?1 AND session_key = ?2 ORDER BY kind, anchor, transcript_id",
    ),
];
/// Bookkeeping, and what the question says already.
const HIDDEN: &[&str] =
    &["app_id", "registers", "facts", "lifecycle", "digest", "first_text", "message_no", "session_key"];

/// Everything read from now on is of one snapshot.
pub fn snapshot(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch("BEGIN; SELECT 1 FROM events LIMIT 1;")?;
    Ok(())
}

/// The apps of the file.
pub fn apps(conn: &Connection) -> Result<Vec<String>, StoreError> {
    all(conn, APPS, &[], |row| row.get(0))
}

/// Whether anything was told about a membership.
pub fn has_membership(conn: &Connection, app_id: &str, guid: &str, uid: &str) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(MEMBERSHIP)?.exists((app_id, guid, uid))?)
}

/// Log positions of the events that are about an entity, and of those that changed nothing.
#[derive(Debug, Default)]
pub struct About {
    pub seqs: Vec<i64>,
    /// Of those that changed nothing the oldest are left out.
    pub cut: bool,
}

/// With `most`, so many dead letters and so many anomalies, the newest: that an app has thousands of them must not keep
/// anything from being explained.
pub fn about(conn: &Connection, app_id: &str, entity: &Entity, most: Option<usize>) -> Result<About, StoreError> {
    let mut found = About::default();
    for outcome in [Outcome::Rejected, Outcome::Anomaly] {
        let mut statement = conn.prepare_cached(NOT_APPLIED)?;
        let limit = most.map_or(-1, |most| most as i64 + 1);
        let rows = statement.query_map((app_id, outcome.as_str(), limit), |row| row.get(0))?;
        let mut seqs: Vec<i64> = rows.collect::<Result<_, _>>()?;
        if let Some(most) = most.filter(|most| seqs.len() > *most) {
            seqs.truncate(most);
            found.cut = true;
        }
        found.seqs.extend(seqs);
    }
    for (kind, key) in entity.refs() {
        found.seqs.extend(all(conn, ABOUT, &[app_id, kind, &key], |row| row.get::<_, i64>(0))?);
    }
    Ok(found)
}

/// How many events are about an entity, or more than `most`.
pub fn count_about(conn: &Connection, app_id: &str, entity: &Entity, most: usize) -> Result<usize, StoreError> {
    let limit = most as i64 + 1;
    let mut count = 0;
    for (kind, key) in entity.refs() {
        count +=
            conn.prepare_cached(COUNT_ABOUT)?.query_row((app_id, kind, &key, limit), |row| row.get::<_, i64>(0))?;
    }
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Events at these log positions, in the order of the log, one by one.
pub fn events(conn: &Connection, app_id: &str, seqs: &[i64], mut take: impl FnMut(&Heard)) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(EVENTS)?;
    let mut rows = statement.query((serde_json::json!(seqs).to_string(), app_id))?;
    while let Some(row) = rows.next()? {
        take(&heard(row)?);
    }
    Ok(())
}

/// The events of an app after a log position, oldest first, one by one. How far they went; `None` where there are none.
pub fn log(
    conn: &Connection,
    app_id: &str,
    after: i64,
    limit: usize,
    mut take: impl FnMut(&Heard),
) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached(LOG)?;
    let mut rows = statement.query((app_id, after, limit as i64))?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let heard = heard(row)?;
        last = Some(heard.logged.fact.seq);
        take(&heard);
    }
    Ok(last)
}

fn heard(row: &Row<'_>) -> rusqlite::Result<Heard> {
    allowance::take(row)?;
    Ok(Heard {
        logged: logged(row)?,
        deliveries: row.get("deliveries")?,
        last_received_at: Time(row.get("last_received_at")?),
    })
}

/// Since when the members of a group are known for certain.
pub fn members_known_since(conn: &Connection, app_id: &str, guid: &str) -> Result<Option<Time>, StoreError> {
    let since: Option<Option<i64>> =
        conn.prepare_cached(KNOWN_SINCE)?.query_row((app_id, guid), |row| row.get(0)).optional()?;
    Ok(since.flatten().map(Time))
}

/// What the tables hold.
pub fn stored(conn: &Connection, app_id: &str, entity: &Entity) -> Result<State, StoreError> {
    Ok(match entity {
        Entity::Message(id) => State::Message(stored_message(conn, app_id, id)?),
        Entity::User(uid) => State::User(User {
            row: registers::stored::<change::User>(conn, app_id, uid)?,
            presence: registers::stored::<change::Presence>(conn, app_id, uid)?,
            connections: registers::stored_connections(conn, app_id, uid)?,
            blocks: parsed(conn, BLOCKS, app_id, uid)?,
        }),
        Entity::Group(guid) => {
            let (row, lifecycle) = group::stored(conn, app_id, guid)?.map(|it| (it.row, it.lifecycle)).unzip();
            State::Group(Group { row, lifecycle: lifecycle.unwrap_or_default() })
        }
        Entity::Membership { guid, uid } => {
            let mut changes = membership::changes(conn, app_id, guid, uid, Time(i64::MAX))?;
            changes.sort_by_key(|change| change.seq);
            let list = |row: &Row<'_>| Ok((row.get(0)?, Roster { at: Time(row.get(1)?), created: row.get(2)? }));
            let rosters = all(conn, LISTS, &[app_id, guid], list)?;
            let standing = membership::stored_standing(conn, app_id, guid, uid)?;
            State::Membership(Membership { changes, rosters, standing })
        }
        Entity::Call(_) => {
            let key = entity.session_key();
            let facts: Vec<String> = all(conn, FACTS, &[app_id, &key], |row| row.get(0))?;
            let facts: Vec<CallFact> = facts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
            State::Call(Call { facts, instances: all(conn, INSTANCES, &[app_id, &key], outline)? })
        }
    })
}

fn stored_message(conn: &Connection, app_id: &str, id: &str) -> Result<Message, StoreError> {
    let (row, deleted) = message::stored(conn, app_id, id)?.map(|it| (it.row, it.deleted)).unzip();
    let receipt = |row: &Row<'_>| Ok((row.get(0)?, [receipt::dated(row, 1)?, receipt::dated(row, 3)?]));
    Ok(Message {
        row,
        deleted: deleted.unwrap_or_default(),
        verdict: registers::stored::<change::Moderation>(conn, app_id, id)?,
        edits: edit::stored(conn, app_id, id)?,
        reactions: parsed(conn, REACTIONS, app_id, id)?,
        receipts: all(conn, RECEIPTS, &[app_id, id], receipt)?.into_iter().collect(),
    })
}

/// Facts kept as JSON, by two texts.
fn parsed<T: serde::de::DeserializeOwned + Default>(
    conn: &Connection,
    sql: &'static str,
    app_id: &str,
    id: &str,
) -> Result<BTreeMap<(String, String), T>, StoreError> {
    let read = |row: &Row<'_>| {
        let facts: String = row.get(2)?;
        Ok(((row.get(0)?, row.get(1)?), serde_json::from_str(&facts).unwrap_or_default()))
    };
    Ok(all(conn, sql, &[app_id, id], read)?.into_iter().collect())
}

fn outline(row: &Row<'_>) -> rusqlite::Result<Outline> {
    Ok(Outline {
        kind: row.get("kind")?,
        anchor: row.get("anchor")?,
        status: row.get("status")?,
        initiator: row.get("initiator_uid")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        news_at: row.get("news_at")?,
    })
}

/// A table's rows, each as an object of its columns.
pub type Shown = (&'static str, Vec<Map<String, Json>>);

/// The rows to show, by table; that of the entity itself first.
pub fn tables(conn: &Connection, app_id: &str, entity: &Entity) -> Result<Vec<Shown>, StoreError> {
    let key = entity.session_key();
    let (tables, ids): (_, Vec<&str>) = match entity {
        Entity::Message(id) => (MESSAGE_TABLES, vec![id]),
        Entity::User(uid) => (USER_TABLES, vec![uid]),
        Entity::Group(guid) => (GROUP_TABLES, vec![guid]),
        Entity::Membership { guid, uid } => (MEMBERSHIP_TABLES, vec![guid, uid]),
        Entity::Call(_) => (CALL_TABLES, vec![&key]),
    };
    let bound: Vec<&str> = std::iter::once(app_id).chain(ids).collect();
    tables.iter().map(|(table, sql)| Ok((*table, all(conn, sql, &bound, shown)?))).collect()
}

fn shown(row: &Row<'_>) -> rusqlite::Result<Map<String, Json>> {
    let names = row.as_ref().column_names();
    let mut object = Map::new();
    for (at, name) in names.into_iter().enumerate().filter(|(_, name)| !HIDDEN.contains(name)) {
        let value = match row.get_ref(at)? {
            ValueRef::Integer(int) => int.into(),
            ValueRef::Real(real) => real.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            _ => Json::Null,
        };
        object.insert(name.to_owned(), value);
    }
    Ok(object)
}

fn all<T>(
    conn: &Connection,
    sql: &str,
    bound: &[&str],
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params_from_iter(bound), |row| allowance::take(row).and_then(|()| read(row)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
