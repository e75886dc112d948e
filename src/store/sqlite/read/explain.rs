//! Reads for explanations: the events that may have shaped an entity, and what the tables hold of it.

use super::allowance;
use crate::change::Connection as Socket;
use crate::entity::Entity;
use crate::ids::{Outcome, Time};
use crate::sessions::{CallFact, Instance};
use crate::store::sqlite::events::{Logged, logged};
use crate::store::sqlite::{self, App, reaction};
use crate::store::{StoreError, read_json};
use crate::tables::block::Block;
use crate::tables::reaction::Reaction;
use crate::tables::receipt::Receipt;
use crate::tables::registers::Registers;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params_from_iter};
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
/// The facts are selected so that the allowance counts their bytes. The row is then loaded by its key.
const REACTIONS: &str = "SELECT emoji, uid, facts FROM reactions WHERE app_id = ?1 AND message_id = ?2";
const RECEIPTS: &str = "SELECT uid FROM receipts WHERE app_id = ?1 AND message_id = ?2";
const CONNECTIONS: &str = "SELECT platform, connected_at FROM connections WHERE app_id = ?1 AND uid = ?2";
const BLOCKS: &str =
    "SELECT blocker_uid, blocked_uid, facts FROM blocks WHERE app_id = ?1 AND (blocker_uid = ?2 OR blocked_uid = ?2)";
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
    &["app_id", "registers", "facts", "lifecycle", "tally", "digest", "first_text", "message_no", "session_key"];

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
    let (kind, key) = entity.reference();
    found.seqs.extend(all(conn, ABOUT, &[app_id, kind, &key], |row| row.get::<_, i64>(0))?);
    Ok(found)
}

/// How many events are about an entity, or more than `most`.
pub fn count_about(conn: &Connection, app_id: &str, entity: &Entity, most: usize) -> Result<usize, StoreError> {
    let ((kind, key), limit) = (entity.reference(), most as i64 + 1);
    let count: i64 = conn.prepare_cached(COUNT_ABOUT)?.query_row((app_id, kind, key, limit), |row| row.get(0))?;
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
        last_received_at: row.get("last_received_at")?,
    })
}

/// The reactions to a message, by emoji and uid.
pub fn reactions(conn: &Connection, app: &App, id: &str) -> Result<BTreeMap<(String, String), Reaction>, StoreError> {
    keyed(conn, REACTIONS, &[app, id], pair, |(emoji, uid)| {
        reaction::load(conn, &(App::clone(app), id.to_owned(), emoji.clone(), uid.clone()))
    })
}

/// The receipts of a message, by uid.
pub fn receipts(conn: &Connection, app: &App, id: &str) -> Result<BTreeMap<String, Receipt>, StoreError> {
    keyed(
        conn,
        RECEIPTS,
        &[app, id],
        |row| row.get(0),
        |uid: &String| sqlite::load(conn, &(App::clone(app), id.to_owned(), uid.clone())),
    )
}

/// By platform and connect time.
type Connections = BTreeMap<(String, i64), Registers<Socket>>;

/// The connections of a person.
pub fn connections(conn: &Connection, app: &App, uid: &str) -> Result<Connections, StoreError> {
    keyed(
        conn,
        CONNECTIONS,
        &[app, uid],
        |row| Ok((row.get(0)?, row.get(1)?)),
        |(platform, connected_at): &(String, i64)| {
            sqlite::load(conn, &(App::clone(app), uid.to_owned(), platform.clone(), *connected_at))
        },
    )
}

/// The blocks by and of a person, by blocker and blocked.
pub fn blocks(conn: &Connection, app: &App, uid: &str) -> Result<BTreeMap<(String, String), Block>, StoreError> {
    keyed(conn, BLOCKS, &[app, uid], pair, |(blocker, blocked)| {
        sqlite::load(conn, &(App::clone(app), blocker.clone(), blocked.clone()))
    })
}

fn pair(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Loads the row of each key that a statement gives.
fn keyed<K: Ord, V>(
    conn: &Connection,
    sql: &str,
    bound: &[&str],
    key: impl Fn(&Row<'_>) -> rusqlite::Result<K>,
    load: impl Fn(&K) -> Result<Option<V>, StoreError>,
) -> Result<BTreeMap<K, V>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(bound))?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        allowance::take(row)?;
        let key = key(row)?;
        if !found.contains_key(&key)
            && let Some(row) = load(&key)?
        {
            found.insert(key, row);
        }
    }
    Ok(found)
}

/// The facts of a session id, in the order of the log.
pub fn call_facts(conn: &Connection, app_id: &str, session_key: &str) -> Result<Vec<CallFact>, StoreError> {
    let facts: Vec<String> = all(conn, FACTS, &[app_id, session_key], |row| row.get(0))?;
    facts.iter().map(|text| read_json("call_facts.fact", text)).collect()
}

/// What tells whether two instances say the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Outline {
    pub kind: String,
    pub anchor: i64,
    pub status: Option<String>,
    pub initiator: Option<String>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub news_at: i64,
}

impl From<&Instance> for Outline {
    fn from(instance: &Instance) -> Self {
        let ms = |time: Option<Time>| time.map(|time| time.0);
        Self {
            kind: instance.kind.as_str().to_owned(),
            anchor: instance.anchor.0,
            status: instance.status.map(|status| status.as_str().to_owned()),
            initiator: instance.initiator.clone(),
            started_at: ms(instance.started_at),
            ended_at: ms(instance.ended_at),
            news_at: instance.news_at.0,
        }
    }
}

/// The instances of a session id.
pub fn instances(conn: &Connection, app_id: &str, session_key: &str) -> Result<Vec<Outline>, StoreError> {
    all(conn, INSTANCES, &[app_id, session_key], |row| {
        Ok(Outline {
            kind: row.get("kind")?,
            anchor: row.get("anchor")?,
            status: row.get("status")?,
            initiator: row.get("initiator_uid")?,
            started_at: row.get("started_at")?,
            ended_at: row.get("ended_at")?,
            news_at: row.get("news_at")?,
        })
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
