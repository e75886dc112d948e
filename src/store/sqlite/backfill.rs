//! What reading the vendor's API asks the file, and how far it came.

use super::table::{Reader, bound, collect};
use super::{App, Key};
use crate::ids::{Scope, State, Time, TimeSource};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

const GROUPS: &str = "
    SELECT guid, created_at, reported_members_count FROM groups
    WHERE app_id = ?1 AND guid > ?2 AND deleted_at IS NULL ORDER BY guid LIMIT ?3";
const COUNT_GROUPS: &str = "SELECT count(*) FROM groups WHERE app_id = ?1 AND guid > ?2 AND deleted_at IS NULL";
const USERS: &str = "SELECT uid FROM users WHERE app_id = ?1 AND uid > ?2 ORDER BY uid LIMIT ?3";
const COUNT_USERS: &str = "SELECT count(*) FROM users WHERE app_id = ?1 AND uid > ?2";
const LISTED: &str = "
    SELECT uid, seq, state, scope, joined_at FROM membership_changes
    WHERE app_id = ?1 AND guid = ?2 AND trigger = 'chatfold.group_roster' ORDER BY at, seq";
const LATER: &str = "
    SELECT e.trigger, e.occurred_at, e.occurred_from FROM event_refs AS r JOIN events AS e ON e.seq = r.seq
    WHERE r.app_id = ?1 AND r.kind = 'group' AND r.key = ?2 AND r.seq > ?3 ORDER BY r.seq";
const BANNED: &str = "SELECT uid FROM memberships WHERE app_id = ?1 AND guid = ?2 AND state = 'banned'";
const BLOCKED: &str = "SELECT blocked_uid, since FROM blocks WHERE app_id = ?1 AND blocker_uid = ?2 AND current";
const REACTED: &str = "
    SELECT emoji, uid, reacted_at FROM reactions WHERE app_id = ?1 AND message_id = ?2 AND present";
const PLACE: &str = "SELECT place, done, counts FROM backfill WHERE app_id = ?1 AND stage = ?2";
const KEEP: &str = "INSERT OR REPLACE INTO backfill (app_id, stage, place, done, counts) VALUES (?1, ?2, ?3, ?4, ?5)";
const CLEAR: &str = "DELETE FROM backfill WHERE app_id = ?1 AND stage = ?2";

/// A group that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    pub guid: String,
    pub created_at: Option<Time>,
    /// How many members the vendor last said it has.
    pub reported: Option<i64>,
}

super::table::in_columns!(Living { guid, created_at, reported });

/// What a member list says of a person: the log position of the list, and whether the person is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    pub uid: String,
    pub seq: i64,
    pub state: Option<State>,
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
}

super::table::in_columns!(ListRow { uid, seq, state, scope, joined_at });

/// How far a stage came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// What was read last; empty at the beginning.
    pub place: String,
    pub done: bool,
    /// What was counted so far, as JSON.
    pub counts: String,
}

/// The groups after a guid, by guid.
pub fn groups(conn: &Connection, app: &App, after: &str, limit: i64) -> Result<Vec<Living>, StoreError> {
    collect(&mut bound(conn, GROUPS, &[app, &after, &limit])?)
}

/// How many groups, and how many people, come after an id.
pub fn count_after(conn: &Connection, app: &App, guid: Option<&str>, uid: &str) -> Result<i64, StoreError> {
    let (sql, after) = guid.map_or((COUNT_USERS, uid), |guid| (COUNT_GROUPS, guid));
    Ok(conn.prepare_cached(sql)?.query_row((app, after), |row| row.get(0))?)
}

/// The people after a uid, by uid.
pub fn users(conn: &Connection, app: &App, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(USERS)?;
    let rows = statement.query_map((app, after, limit), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What all member lists of a group say, in their order.
pub fn listed(conn: &Connection, group: &Key) -> Result<Vec<ListRow>, StoreError> {
    collect(&mut bound(conn, LISTED, &[group])?)
}

/// Whether an event about the group that came after a log position is wanted, by its trigger and when it happened.
/// Events are read up to the first that is.
pub fn is_any_later(
    conn: &Connection,
    (app, guid): &Key,
    after: i64,
    wanted: impl Fn(&str, Time, TimeSource) -> bool,
) -> Result<bool, StoreError> {
    let mut statement = conn.prepare_cached(LATER)?;
    let mut rows = statement.query((app, guid, after))?;
    while let Some(row) = rows.next()? {
        let trigger: String = row.get(0)?;
        if wanted(&trigger, row.get(1)?, row.get(2)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who is banned from a group.
pub fn banned(conn: &Connection, (app, guid): &Key) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(BANNED)?;
    let rows = statement.query_map((app, guid), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whom a person blocks, and since when.
pub fn blocked(conn: &Connection, (app, uid): &Key) -> Result<Vec<(String, Option<Time>)>, StoreError> {
    let mut statement = conn.prepare_cached(BLOCKED)?;
    let mut rows = statement.query((app, uid))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Reader::of(row).next()?);
    }
    Ok(found)
}

/// Who reacts to a message: the emoji, the person, and when.
pub fn reacted(conn: &Connection, (app, id): &Key) -> Result<Vec<(String, String, Option<Time>)>, StoreError> {
    let mut statement = conn.prepare_cached(REACTED)?;
    let mut rows = statement.query((app, id))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Reader::of(row).next()?);
    }
    Ok(found)
}

/// How far a stage of an app came.
pub fn place(conn: &Connection, app_id: &str, stage: &str) -> Result<Place, StoreError> {
    let place = conn
        .prepare_cached(PLACE)?
        .query_row((app_id, stage), |row| Ok(Place { place: row.get(0)?, done: row.get(1)?, counts: row.get(2)? }));
    Ok(place.optional()?.unwrap_or_default())
}

/// Keeps how far a stage came.
pub fn keep(conn: &Connection, app_id: &str, stage: &str, place: &Place) -> Result<(), StoreError> {
    conn.prepare_cached(KEEP)?.execute((app_id, stage, &place.place, place.done, &place.counts))?;
    Ok(())
}

/// Forgets how far these stages came: the next run begins them anew.
pub fn clear(conn: &Connection, app_id: &str, stages: &[String]) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(CLEAR)?;
    stages.iter().try_for_each(|stage| statement.execute((app_id, stage)).map(drop))?;
    Ok(())
}
