//! `memberships` and `membership_changes`: the facts, and what they come to.

use super::{App, Key, PairKey};
use crate::ids::{Scope, State, Time, TimeSource};
use crate::standing::{Change, Roster, Standing};
use crate::store::{StoreError, write_json};
use crate::tables::membership::{Facts, Membership, Told};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const ADD_CHANGE: &str = "
    INSERT INTO membership_changes
        (app_id, guid, uid, at, digest, seq, at_from, occurred_at, arrived_at, trigger, by_uid, state, scope, old_scope, joined_at, group_created_at)
    VALUES (:app_id, :guid, :uid, :at, :digest, :seq, :at_from, :occurred_at, :arrived_at, :trigger, :by, :state, :scope, :old_scope, :joined_at, :group_created_at)";
const CHANGES: &str = "
    SELECT at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at, trigger, digest
    FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND uid = ?3 AND at <= ?4 ORDER BY seq, at";
const ROSTERS: &str = "SELECT at, created FROM rosters WHERE app_id = ?1 AND guid = ?2 AND at <= ?3 ORDER BY at";
const SINCE: &str = "SELECT DISTINCT uid FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND at >= ?3";
const OF_GROUP: &str = "
    SELECT uid, at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at
    FROM membership_changes WHERE app_id = ?1 AND guid = ?2 ORDER BY uid";
const MANY_CHANGES: &str = "
    SELECT uid, at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at, trigger, digest
    FROM json_each(?3) AS wanted CROSS JOIN membership_changes ON app_id = ?1 AND guid = ?2 AND uid = wanted.value
    ORDER BY seq, at";
const MANY: &str = "
    SELECT uid, state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by
    FROM json_each(?3) AS wanted CROSS JOIN memberships ON app_id = ?1 AND guid = ?2 AND uid = wanted.value";
const EVERYBODY: &str = "
    SELECT uid, state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by FROM memberships
    WHERE app_id = ?1 AND guid = ?2";
// `i` reads the index by state alone: with other columns SQLite walks all people of the group.
const NOT_ABSENT: &str = r#"
    SELECT m.uid, m.state, m.scope, m.joined_at, m.joined_at_from, m.changed_at, m.changed_at_from, m.changed_by
    FROM json_each('["joined","left","kicked","banned","unbanned"]') AS wanted
    CROSS JOIN memberships AS i ON i.app_id = ?1 AND i.guid = ?2 AND i.state = wanted.value
    CROSS JOIN memberships AS m ON m.app_id = ?1 AND m.guid = ?2 AND m.uid = i.uid"#;
const STANDING: &str = "
    SELECT state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by FROM memberships
    WHERE app_id = ?1 AND guid = ?2 AND uid = ?3";
const WRITE: &str = "
    INSERT INTO memberships (app_id, guid, uid, state, scope, joined_at, joined_at_from, changed_at, changed_at_from, changed_by, current)
    VALUES (:app_id, :guid, :uid, :state, :scope, :joined_at, :joined_at_from, :changed_at, :changed_at_from, :changed_by, :current)
    ON CONFLICT (app_id, guid, uid) DO UPDATE SET
        state = excluded.state, scope = excluded.scope, joined_at = excluded.joined_at, joined_at_from = excluded.joined_at_from, changed_at = excluded.changed_at,
        changed_at_from = excluded.changed_at_from, changed_by = excluded.changed_by, current = excluded.current";

const COUNT: &str = "SELECT count(*) FROM memberships WHERE app_id = ?1 AND guid = ?2 AND current";
const AT_MOST: &str = "SELECT count(*) FROM (SELECT 1 FROM memberships WHERE app_id = ?1 AND guid = ?2 LIMIT ?3)";

pub fn load_facts(conn: &Connection, (app, guid, uid): &PairKey) -> Result<Option<Facts>, StoreError> {
    let mut statement = conn.prepare_cached(CHANGES)?;
    let rows = statement.query_map((app, guid, uid, i64::MAX), |row| {
        Ok(Arc::new(Told { change: change(row)?, trigger: row.get("trigger")?, fingerprint: row.get("digest")? }))
    })?;
    let told: Vec<Arc<Told>> = rows.collect::<Result<_, _>>()?;
    Ok((!told.is_empty()).then_some(Facts(told)))
}

pub fn load(conn: &Connection, (app, guid, uid): &PairKey) -> Result<Option<Membership>, StoreError> {
    let standing = stored_standing(conn, app, guid, uid)?;
    Ok(standing.map(|standing| Membership { standing: Some(standing) }))
}

fn uids(people: &[PairKey]) -> Result<String, StoreError> {
    write_json(&people.iter().map(|(.., uid)| uid.as_str()).collect::<Vec<_>>())
}

/// The facts about many people of one group.
pub fn load_many_facts(
    conn: &Connection,
    (app, guid): &Key,
    people: &[PairKey],
) -> Result<HashMap<PairKey, Facts>, StoreError> {
    let mut statement = conn.prepare_cached(MANY_CHANGES)?;
    let mut rows = statement.query((app, guid, uids(people)?))?;
    let mut found: HashMap<PairKey, Facts> = HashMap::new();
    while let Some(row) = rows.next()? {
        let told = Told { change: change(row)?, trigger: row.get("trigger")?, fingerprint: row.get("digest")? };
        found.entry((App::clone(app), guid.clone(), row.get("uid")?)).or_default().0.push(Arc::new(told));
    }
    Ok(found)
}

/// How many people of one group stand.
pub fn load_many(
    conn: &Connection,
    (app, guid): &Key,
    people: &[PairKey],
) -> Result<HashMap<PairKey, Membership>, StoreError> {
    let mut statement = conn.prepare_cached(MANY)?;
    let rows = statement.query_map((app, guid, uids(people)?), |row| {
        let person = (App::clone(app), guid.clone(), row.get("uid")?);
        Ok((person, Membership { standing: Some(standing(row)?) }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Facts are added and never changed.
pub fn save_facts(
    conn: &Connection,
    (app, guid, uid): &PairKey,
    stored: Option<&Facts>,
    now: &Facts,
) -> Result<(), StoreError> {
    for told in now.0.iter().skip(stored.map_or(0, |stored| stored.0.len())) {
        let Told { change, trigger, fingerprint } = &**told;
        conn.prepare_cached(ADD_CHANGE)?.execute(named_params! {
            ":app_id": app, ":guid": guid, ":uid": uid, ":at": change.at.0, ":digest": fingerprint, ":seq": change.seq,
            ":at_from": change.at_from.as_str(), ":occurred_at": change.occurred_at.0,
            ":arrived_at": change.arrived_at.map(|time| time.0), ":trigger": trigger, ":by": change.by,
            ":state": change.state.map(State::as_str), ":scope": change.scope.map(Scope::as_str),
            ":old_scope": change.old_scope.map(Scope::as_str), ":joined_at": change.joined_at.map(|time| time.0),
            ":group_created_at": change.group_created_at.map(|time| time.0),
        })?;
    }
    Ok(())
}

pub fn save(conn: &Connection, (app, guid, uid): &PairKey, now: &Membership) -> Result<(), StoreError> {
    let Some(standing) = &now.standing else { return Ok(()) };
    conn.prepare_cached(WRITE)?.execute(named_params! {
        ":app_id": app, ":guid": guid, ":uid": uid, ":state": standing.state.as_str(),
        ":scope": standing.scope.map(Scope::as_str), ":joined_at": standing.joined_at.map(|time| time.0),
        ":joined_at_from": standing.joined_at_from.map(TimeSource::as_str), ":changed_at": standing.changed_at.0,
        ":changed_at_from": standing.changed_at_from.as_str(), ":changed_by": standing.changed_by,
        ":current": now.is_current(),
    })?;
    Ok(())
}

/// How the people of a group stand in the file: everybody, or all but those who are absent.
pub fn of_group(
    conn: &Connection,
    (app, guid): &Key,
    everybody: bool,
) -> Result<BTreeMap<String, Membership>, StoreError> {
    let mut statement = conn.prepare_cached(if everybody { EVERYBODY } else { NOT_ABSENT })?;
    let rows =
        statement.query_map((app, guid), |row| Ok((row.get("uid")?, Membership { standing: Some(standing(row)?) })))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many people the file says are in a group.
pub fn count(conn: &Connection, (app, guid): &Key) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached(COUNT)?.query_row((app, guid), |row| row.get(0))?)
}

/// How many people of a group the file knows, in whatever state: counted up to `most`.
pub fn known(conn: &Connection, app: &str, guid: &str, most: usize) -> Result<usize, StoreError> {
    Ok(conn.prepare_cached(AT_MOST)?.query_row((app, guid, most as i64), |row| row.get::<_, i64>(0))? as usize)
}

/// People of whom the file holds facts since a time.
pub fn heard_since(conn: &Connection, (app, guid): &Key, at: Time) -> Result<BTreeSet<String>, StoreError> {
    let mut statement = conn.prepare_cached(SINCE)?;
    let rows = statement.query_map((app, guid, at.0), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Gives the facts about each person of a group that the file holds, one person after the other.
pub fn each_person(
    conn: &Connection,
    (app, guid): &Key,
    mut take: impl FnMut(&str, &[Change]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(OF_GROUP)?;
    let mut rows = statement.query((app, guid))?;
    let (mut person, mut facts) = (String::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let uid = row.get_ref("uid")?.as_str().map_err(rusqlite::Error::from)?;
        if uid != person && !facts.is_empty() {
            take(&person, &facts)?;
            facts.clear();
        }
        if facts.is_empty() {
            uid.clone_into(&mut person);
        }
        facts.push(change(row)?);
    }
    if facts.is_empty() { Ok(()) } else { take(&person, &facts) }
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
