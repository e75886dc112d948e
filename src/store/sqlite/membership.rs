//! `memberships` and `membership_changes`: the facts, and what they come to.

use super::rows::At;
use crate::change::MembershipChange;
use crate::ids::{Scope, State, Time, TimeSource};
use crate::merge::When;
use crate::standing::{self, Change, Roster, Standing, standing};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

const NEWEST_KNOWN: &str = "
    SELECT max(at) FROM membership_changes
    WHERE app_id = ?1 AND guid = ?2 AND uid = ?3 AND (state IS NOT NULL OR scope IS NOT NULL)";
const NEWEST_ROSTER: &str = "SELECT max(at) FROM rosters WHERE app_id = ?1 AND guid = ?2 AND NOT created";
const APPEND: &str = "
    INSERT INTO membership_changes
        (app_id, guid, uid, at, digest, seq, at_from, occurred_at, arrived_at, trigger, by_uid, state, scope, old_scope, joined_at, group_created_at)
    VALUES (:app_id, :guid, :uid, :at, :digest, :seq, :at_from, :occurred_at, :arrived_at, :trigger, :by, :state, :scope, :old_scope, :joined_at, :group_created_at)
    ON CONFLICT DO NOTHING";
const CHANGES: &str = "
    SELECT at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at FROM membership_changes
    WHERE app_id = ?1 AND guid = ?2 AND uid = ?3 AND at <= ?4";
const ROSTERS: &str = "SELECT at, created FROM rosters WHERE app_id = ?1 AND guid = ?2 AND at <= ?3 ORDER BY at";
const PEOPLE: &str = "SELECT DISTINCT uid FROM membership_changes WHERE app_id = ?1 AND guid = ?2";
const CURRENT: &str = "SELECT current FROM memberships WHERE app_id = ?1 AND guid = ?2 AND uid = ?3";
const WRITE: &str = "
    INSERT INTO memberships (app_id, guid, uid, state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by, current)
    VALUES (:app_id, :guid, :uid, :state, :scope, :joined_at, :joined_at_from, :changed_at, :changed_at_from, :changed_by, :current)
    ON CONFLICT (app_id, guid, uid) DO UPDATE SET
        state = excluded.state, scope = excluded.scope, joined_at = excluded.joined_at, joined_at_from = excluded.joined_at_from, changed_at = excluded.changed_at,
        changed_at_from = excluded.changed_at_from, changed_by = excluded.changed_by, current = excluded.current";
const COUNT: &str = "UPDATE groups SET members_count = members_count + ?3 WHERE app_id = ?1 AND guid = ?2";
const HISTORY: &str =
    "UPDATE groups SET history_since = min(coalesce(history_since, ?3), ?3) WHERE app_id = ?1 AND guid = ?2";

/// Appends the fact and decides that membership anew.
pub(super) fn put(at: &At<'_>, change: &MembershipChange) -> Result<(), StoreError> {
    let order_at = order_at(at, change)?;
    at.conn.prepare_cached(APPEND)?.execute(named_params! {
        ":app_id": at.app_id, ":guid": change.guid, ":uid": change.uid, ":at": order_at, ":digest": at.fact.fingerprint,
        ":seq": at.fact.seq, ":at_from": at.fact.occurred_from.as_str(), ":occurred_at": at.fact.occurred_at.0,
        ":arrived_at": at.fact.arrived_at.map(|time| time.0), ":trigger": at.fact.trigger, ":by": change.by,
        ":state": change.state.map(State::as_str), ":scope": change.scope.map(Scope::as_str),
        ":old_scope": change.old_scope.map(Scope::as_str), ":joined_at": change.joined_at.map(|time| time.0),
        ":group_created_at": change.group_created_at.map(|time| time.0),
    })?;
    at.conn.prepare_cached(HISTORY)?.execute((at.app_id, &change.guid, order_at))?;
    let rosters = rosters(at.conn, at.app_id, &change.guid, Time(i64::MAX))?;
    restand(at, &change.guid, &change.uid, &rosters)
}

/// A complete list was read, or made by the group's creation: absence is a fact about everybody.
pub(super) fn restand_group(at: &At<'_>, guid: &str) -> Result<(), StoreError> {
    let rosters = rosters(at.conn, at.app_id, guid, Time(i64::MAX))?;
    let people: Vec<String> =
        at.conn.prepare_cached(PEOPLE)?.query_map((at.app_id, guid), |row| row.get(0))?.collect::<Result<_, _>>()?;
    people.iter().try_for_each(|uid| restand(at, guid, uid, &rosters))
}

fn order_at(at: &At<'_>, change: &MembershipChange) -> Result<i64, StoreError> {
    if at.fact.occurred_from == TimeSource::Told {
        return Ok(at.fact.occurred_at.0);
    }
    let roster: Option<i64> =
        at.conn.prepare_cached(NEWEST_ROSTER)?.query_row((at.app_id, &change.guid), |row| row.get(0))?;
    let known: Option<i64> = match at.fact.when() {
        When::At(_) => None,
        When::Feed { .. } => {
            at.conn.prepare_cached(NEWEST_KNOWN)?.query_row((at.app_id, &change.guid, &change.uid), |row| row.get(0))?
        }
    };
    Ok(standing::order_at(at.fact, known, roster))
}

fn restand(at: &At<'_>, guid: &str, uid: &str, rosters: &[Roster]) -> Result<(), StoreError> {
    let rows = changes(at.conn, at.app_id, guid, uid, Time(i64::MAX))?;
    let Some(standing) = standing(&rows, rosters) else { return Ok(()) };
    let was: Option<bool> =
        at.conn.prepare_cached(CURRENT)?.query_row((at.app_id, guid, uid), |row| row.get(0)).optional()?;
    let current = standing.state == State::Joined;
    write(at, guid, uid, &standing, current)?;
    let change = i64::from(current) - i64::from(was == Some(true));
    if change != 0 {
        at.conn.prepare_cached(COUNT)?.execute((at.app_id, guid, change))?;
    }
    Ok(())
}

fn write(at: &At<'_>, guid: &str, uid: &str, standing: &Standing, current: bool) -> Result<(), StoreError> {
    at.conn.prepare_cached(WRITE)?.execute(named_params! {
        ":app_id": at.app_id, ":guid": guid, ":uid": uid, ":state": standing.state.as_str(),
        ":scope": standing.scope.map(Scope::as_str), ":joined_at": standing.joined_at.map(|time| time.0),
        ":joined_at_from": standing.joined_at_from.map(TimeSource::as_str), ":changed_at": standing.changed_at.0, ":changed_at_from": standing.changed_at_from.as_str(),
        ":changed_by": standing.changed_by, ":current": current,
    })?;
    Ok(())
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

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
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
