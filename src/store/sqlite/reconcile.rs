//! `verified`, `asked_ids` and `reconciles`: what was read from the vendor's API when, and what is to be read next.

use super::App;
use super::backfill::Living;
use super::table::{bound, collect};
use crate::ids::Time;
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

const DRIFTED: &str = "
    SELECT g.guid, g.created_at, g.reported_members_count FROM groups AS g
    LEFT JOIN verified AS v ON v.app_id = g.app_id AND v.kind = 'group' AND v.key = g.guid
    WHERE g.app_id = ?1 AND g.drift_since IS NOT NULL AND g.deleted_at IS NULL
    ORDER BY coalesce(v.at, 0), g.guid LIMIT ?2";
const OLDEST: &str = "
    SELECT g.guid, g.created_at, g.reported_members_count FROM groups AS g
    LEFT JOIN verified AS v ON v.app_id = g.app_id AND v.kind = 'group' AND v.key = g.guid
    WHERE g.app_id = ?1 AND g.deleted_at IS NULL
    ORDER BY max(coalesce(v.at, 0), coalesce((
        SELECT max(r.at) FROM rosters AS r WHERE r.app_id = g.app_id AND r.guid = g.guid AND NOT r.created), 0)), g.guid
    LIMIT ?2";
const OLDEST_PEOPLE: &str = "
    SELECT u.uid FROM users AS u
    LEFT JOIN verified AS v ON v.app_id = u.app_id AND v.kind = 'user' AND v.key = u.uid
    WHERE u.app_id = ?1 ORDER BY coalesce(v.at, 0), u.uid LIMIT ?2";
const GROUP: &str = "SELECT guid, created_at, reported_members_count FROM groups WHERE app_id = ?1 AND guid = ?2";
const VERIFY: &str = "INSERT OR REPLACE INTO verified (app_id, kind, key, at) VALUES (?1, ?2, ?3, ?4)";
const FORGET: &str = "DELETE FROM verified WHERE app_id = ?1 AND kind = 'user' AND key = ?2";
const FORGET_PLACE: &str = "DELETE FROM backfill WHERE app_id = ?1 AND place = ?2";
const ASKED: &str = "SELECT first, last FROM asked_ids WHERE app_id = ?1 ORDER BY first";
const MERGED: &str = "
    SELECT min(first), max(last) FROM asked_ids WHERE app_id = ?1 AND first <= ?3 + 1 AND last >= ?2 - 1";
const UNASK: &str = "DELETE FROM asked_ids WHERE app_id = ?1 AND first >= ?2 AND last <= ?3";
const ASK: &str = "INSERT OR REPLACE INTO asked_ids (app_id, first, last) VALUES (?1, ?2, ?3)";
const UNKNOWN: &str = "
    SELECT message_no FROM messages
    WHERE app_id = ?1 AND category IS NULL AND NOT deleted AND message_no > 0 AND message_no < 9223372036854775807
        AND NOT EXISTS (SELECT 1 FROM asked_ids AS a
            WHERE a.app_id = ?1 AND a.first <= message_no AND a.last >= message_no)
    ORDER BY message_no DESC LIMIT ?2";
const REGION: &str = "SELECT region FROM apps WHERE app_id = ?1";
const END: &str = "
    INSERT OR REPLACE INTO reconciles (app_id, began_at, ended_at, requests, entities, changes, unreachable, error)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const ENDED: &str = "
    SELECT began_at, ended_at, requests, entities, changes, unreachable, error FROM reconciles WHERE app_id = ?1";

/// What came of a reconcile.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ended {
    pub began_at: i64,
    pub ended_at: i64,
    pub requests: i64,
    pub entities: i64,
    pub changes: i64,
    pub unreachable: i64,
    /// Why the run ended early.
    pub error: Option<String>,
}

/// The groups with drift, first those that were not tried for longest.
pub fn drifted(conn: &Connection, app: &App, most: i64) -> Result<Vec<Living>, StoreError> {
    collect(&mut bound(conn, DRIFTED, &[app, &most])?)
}

/// The groups whose members were read longest ago, or never.
pub fn oldest_groups(conn: &Connection, app: &App, most: i64) -> Result<Vec<Living>, StoreError> {
    collect(&mut bound(conn, OLDEST, &[app, &most])?)
}

/// The people whose blocks were read longest ago, or never.
pub fn oldest_people(conn: &Connection, app: &App, most: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(OLDEST_PEOPLE)?;
    let rows = statement.query_map((app, most), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A group, known or not.
pub fn group(conn: &Connection, app: &App, guid: &str) -> Result<Living, StoreError> {
    let known: Vec<Living> = collect(&mut bound(conn, GROUP, &[app, &guid])?)?;
    Ok(known.into_iter().next().unwrap_or_else(|| Living { guid: guid.to_owned(), created_at: None, reported: None }))
}

/// Keeps that these were read, or tried.
pub fn verify(conn: &Connection, app_id: &str, kind: &str, keys: &[String], at: Time) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(VERIFY)?;
    for key in keys {
        statement.execute((app_id, kind, key, at.0))?;
    }
    Ok(())
}

/// Forgets when a person was read, and that a backfill came to this person.
pub fn forget(conn: &Connection, app_id: &str, uid: &str) -> Result<(), StoreError> {
    conn.prepare_cached(FORGET)?.execute((app_id, uid))?;
    conn.prepare_cached(FORGET_PLACE)?.execute((app_id, uid))?;
    Ok(())
}

/// The message ids that were asked for, by rising ids. Ranges neither touch nor overlap.
pub fn asked(conn: &Connection, app_id: &str) -> Result<Vec<RangeInclusive<i64>>, rusqlite::Error> {
    let mut statement = conn.prepare_cached(ASKED)?;
    let rows = statement.query_map([app_id], |row| Ok(row.get(0)?..=row.get(1)?))?;
    rows.collect()
}

/// Keeps that message ids were asked for.
pub fn ask(conn: &Connection, app_id: &str, first: i64, last: i64) -> Result<(), StoreError> {
    let merged = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?));
    let (least, greatest) = conn.prepare_cached(MERGED)?.query_row((app_id, first, last), merged)?;
    let first = least.map_or(first, |least| least.min(first));
    let last = greatest.map_or(last, |greatest| greatest.max(last));
    conn.prepare_cached(UNASK)?.execute((app_id, first, last))?;
    conn.prepare_cached(ASK)?.execute((app_id, first, last))?;
    Ok(())
}

/// The newest messages that are only known by what others say of them, such as a receipt or a reply: at most so many.
/// Without those that CometChat was asked for.
pub fn unknown_messages(conn: &Connection, app: &App, most: i64) -> Result<BTreeSet<i64>, StoreError> {
    let mut statement = conn.prepare_cached(UNKNOWN)?;
    let ids = statement.query_map((app, most), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The region of an app, as its deliveries say.
pub fn region(conn: &Connection, app_id: &str) -> Result<Option<String>, StoreError> {
    let region: Option<Option<String>> =
        conn.prepare_cached(REGION)?.query_row([app_id], |row| row.get(0)).optional()?;
    Ok(region.flatten())
}

/// Keeps what came of a reconcile, in place of what came of the one before.
pub fn end(conn: &Connection, app_id: &str, it: &Ended) -> Result<(), StoreError> {
    let (times, counts) = ((it.began_at, it.ended_at), (it.entities, it.changes, it.unreachable));
    let row = (app_id, times.0, times.1, it.requests, counts.0, counts.1, counts.2, &it.error);
    conn.prepare_cached(END)?.execute(row)?;
    Ok(())
}

/// What came of the newest reconcile of an app.
pub fn ended(conn: &Connection, app_id: &str) -> Result<Option<Ended>, rusqlite::Error> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Ended {
            began_at: row.get(0)?,
            ended_at: row.get(1)?,
            requests: row.get(2)?,
            entities: row.get(3)?,
            changes: row.get(4)?,
            unreachable: row.get(5)?,
            error: row.get(6)?,
        })
    };
    conn.prepare_cached(ENDED)?.query_row([app_id], read).optional()
}
