//! `memberships` and `membership_changes`: the facts, and what they come to.

use super::{Key, PairKey};
use crate::ids::{Scope, State, Time, TimeSource};
use crate::standing::{Change, Roster, Standing};
use crate::store::StoreError;
use crate::tables::membership::{Membership, Told};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

const ADD_CHANGE: &str = "
    INSERT INTO membership_changes
        (app_id, guid, uid, at, digest, seq, at_from, occurred_at, arrived_at, trigger, by_uid, state, scope, old_scope, joined_at, group_created_at)
    VALUES (:app_id, :guid, :uid, :at, :digest, :seq, :at_from, :occurred_at, :arrived_at, :trigger, :by, :state, :scope, :old_scope, :joined_at, :group_created_at)";
const CHANGES: &str = "
    SELECT at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at, trigger, digest
    FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND uid = ?3 AND at <= ?4 ORDER BY seq, at";
const ROSTERS: &str = "SELECT at, created FROM rosters WHERE app_id = ?1 AND guid = ?2 AND at <= ?3 ORDER BY at";
const PEOPLE: &str = "SELECT DISTINCT uid FROM membership_changes WHERE app_id = ?1 AND guid = ?2";
const STANDING: &str = "
    SELECT state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by FROM memberships
    WHERE app_id = ?1 AND guid = ?2 AND uid = ?3";
const WRITE: &str = "
    INSERT INTO memberships (app_id, guid, uid, state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by, current)
    VALUES (:app_id, :guid, :uid, :state, :scope, :joined_at, :joined_at_from, :changed_at, :changed_at_from, :changed_by, :current)
    ON CONFLICT (app_id, guid, uid) DO UPDATE SET
        state = excluded.state, scope = excluded.scope, joined_at = excluded.joined_at, joined_at_from = excluded.joined_at_from, changed_at = excluded.changed_at,
        changed_at_from = excluded.changed_at_from, changed_by = excluded.changed_by, current = excluded.current";

pub fn load(conn: &Connection, (app, guid, uid): &PairKey) -> Result<Option<Membership>, StoreError> {
    let mut statement = conn.prepare_cached(CHANGES)?;
    let rows = statement.query_map((app, guid, uid, i64::MAX), |row| {
        Ok(Told { change: change(row)?, trigger: row.get("trigger")?, fingerprint: row.get("digest")? })
    })?;
    let told: Vec<Told> = rows.collect::<Result<_, _>>()?;
    if told.is_empty() {
        return Ok(None);
    }
    Ok(Some(Membership { told, standing: stored_standing(conn, app, guid, uid)? }))
}

/// Facts are added and never changed.
pub fn save(
    conn: &Connection,
    (app, guid, uid): &PairKey,
    stored: Option<&Membership>,
    now: &Membership,
) -> Result<(), StoreError> {
    for Told { change, trigger, fingerprint } in now.told.iter().skip(stored.map_or(0, |stored| stored.told.len())) {
        conn.prepare_cached(ADD_CHANGE)?.execute(named_params! {
            ":app_id": app, ":guid": guid, ":uid": uid, ":at": change.at.0, ":digest": fingerprint, ":seq": change.seq,
            ":at_from": change.at_from.as_str(), ":occurred_at": change.occurred_at.0,
            ":arrived_at": change.arrived_at.map(|time| time.0), ":trigger": trigger, ":by": change.by,
            ":state": change.state.map(State::as_str), ":scope": change.scope.map(Scope::as_str),
            ":old_scope": change.old_scope.map(Scope::as_str), ":joined_at": change.joined_at.map(|time| time.0),
            ":group_created_at": change.group_created_at.map(|time| time.0),
        })?;
    }
    let Some(standing) =
        now.standing.as_ref().filter(|it| stored.and_then(|known| known.standing.as_ref()) != Some(*it))
    else {
        return Ok(());
    };
    conn.prepare_cached(WRITE)?.execute(named_params! {
        ":app_id": app, ":guid": guid, ":uid": uid, ":state": standing.state.as_str(),
        ":scope": standing.scope.map(Scope::as_str), ":joined_at": standing.joined_at.map(|time| time.0),
        ":joined_at_from": standing.joined_at_from.map(TimeSource::as_str), ":changed_at": standing.changed_at.0,
        ":changed_at_from": standing.changed_at_from.as_str(), ":changed_by": standing.changed_by,
        ":current": now.is_current(),
    })?;
    Ok(())
}

/// Everybody of whom the file holds a fact about that group.
pub fn people(conn: &Connection, (app, guid): &Key) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(PEOPLE)?;
    let rows = statement.query_map((app, guid), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a person's facts come to, as stored.
pub(super) fn stored_standing(
    conn: &Connection,
    app_id: &str,
    guid: &str,
    uid: &str,
) -> Result<Option<Standing>, StoreError> {
    Ok(conn.prepare_cached(STANDING)?.query_row((app_id, guid, uid), standing).optional()?)
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let word = |column: &str| row.get::<_, Option<String>>(column);
    let source = |word: Option<String>| word.and_then(|word| TimeSource::from_word(&word));
    Ok(Standing {
        state: word("state")?.and_then(|word| State::from_word(&word)).unwrap_or(State::Absent),
        scope: word("scope")?.and_then(|word| Scope::from_word(&word)),
        joined_at: row.get::<_, Option<i64>>("joined_at")?.map(Time),
        joined_at_from: source(word("joined_at_from")?),
        changed_at: Time(row.get("changed_at")?),
        changed_at_from: source(word("changed_at_from")?).unwrap_or(TimeSource::Told),
        changed_by: row.get("changed_by")?,
    })
}

/// The facts about one person in one group, not later than `until`.
pub fn changes(conn: &Connection, app_id: &str, guid: &str, uid: &str, until: Time) -> Result<Vec<Change>, StoreError> {
    let mut statement = conn.prepare_cached(CHANGES)?;
    let rows = statement.query_map((app_id, guid, uid, until.0), change)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The complete lists of a group, not later than `until`.
pub fn rosters(conn: &Connection, app_id: &str, guid: &str, until: Time) -> Result<Vec<Roster>, StoreError> {
    let mut statement = conn.prepare_cached(ROSTERS)?;
    let rows = statement.query_map((app_id, guid, until.0), |row| {
        Ok(Roster { at: Time(row.get("at")?), created: row.get("created")? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let word = |column: &str| row.get::<_, Option<String>>(column);
    Ok(Change {
        at: Time(row.get("at")?),
        at_from: TimeSource::from_word(&row.get::<_, String>("at_from")?).unwrap_or(TimeSource::Told),
        seq: row.get("seq")?,
        occurred_at: Time(row.get("occurred_at")?),
        arrived_at: row.get::<_, Option<i64>>("arrived_at")?.map(Time),
        group_created_at: row.get::<_, Option<i64>>("group_created_at")?.map(Time),
        by: row.get("by_uid")?,
        state: word("state")?.and_then(|word| State::from_word(&word)),
        scope: word("scope")?.and_then(|word| Scope::from_word(&word)),
        old_scope: word("old_scope")?.and_then(|word| Scope::from_word(&word)),
        joined_at: row.get::<_, Option<i64>>("joined_at")?.map(Time),
    })
}
