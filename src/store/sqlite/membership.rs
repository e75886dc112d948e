//! `memberships` and `membership_changes`: the facts, and what they come to.

use super::table::{self, Reader, Stored, bound, collect, in_columns, table};
use super::{App, Key, PairKey};
use crate::ids::{State, Time};
use crate::standing::{MembershipFact, Roster, Standing, touched_since};
use crate::store::StoreError;
use crate::tables::membership::{FactRow, Facts, Membership};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

table! {
    "memberships": Standing by (guid, uid)
    fields {
        state,
        scope,
        joined_at: IfTold,
        joined_at_from: LeftOut,
        changed_at: IfTold,
        changed_at_from: LeftOut,
        changed_by,
    }
    derived |it| { current = it.is_current() }
}

// A fact that was told occurred at its order time.
table! {
    "membership_changes": FactRow by (guid, uid)
    fields {
        change => (
            at: IfTold, at_from: LeftOut, seq: LeftOut, occurred_at: LeftOut, arrived_at: LeftOut, group_created_at,
            by_uid, state, scope, old_scope, joined_at
        ),
        trigger,
        fingerprint => (digest: LeftOut),
    }
}

in_columns! {
    MembershipFact {
        at, at_from, seq, occurred_at, arrived_at, group_created_at, by, state, scope, old_scope, joined_at,
    }
}

/// The columns of a [`MembershipFact`].
macro_rules! fact_columns {
    () => {
        "at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at"
    };
}
pub(super) use fact_columns;

const SINCE: &str = "SELECT DISTINCT uid FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND at >= ?3";
static FACTS: LazyLock<String> = LazyLock::new(|| {
    let read = &FactRow::table().read;
    format!("SELECT uid, {read} FROM membership_changes WHERE app_id = ?1 AND guid = ?2 ORDER BY uid")
});
static EVERYBODY: LazyLock<String> = LazyLock::new(|| {
    let read = &Standing::table().read;
    format!("SELECT uid, {read} FROM memberships WHERE app_id = ?1 AND guid = ?2")
});
// `i` reads the index by state alone: with other columns SQLite walks all people of the group.
static NOT_ABSENT: LazyLock<String> = LazyLock::new(|| {
    let read = Standing::table().read.replace(", ", ", m.");
    let states: Vec<&str> =
        State::ALL.iter().filter(|state| **state != State::Absent).map(|state| state.as_str()).collect();
    let states = serde_json::json!(states);
    format!(
        "SELECT m.uid, m.{read} FROM json_each('{states}') AS wanted
        CROSS JOIN memberships AS i ON i.app_id = ?1 AND i.guid = ?2 AND i.state = wanted.value
        CROSS JOIN memberships AS m ON m.app_id = ?1 AND m.guid = ?2 AND m.uid = i.uid"
    )
});

const NEAR: &str = "SELECT uid, seq FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND at BETWEEN ?3 AND ?4 AND seq <> ?5 LIMIT ?6";

/// Facts near a time that are looked at.
pub const MOST_NEAR: i64 = 1_000;

// Facts of the base itself are most of a group's: the second and third walks leave them out.
static OTHERWISE: LazyLock<String> = LazyLock::new(|| {
    let read = Standing::table().read.replace(", ", ", m.");
    let heard = |which: &str| format!("SELECT uid FROM membership_changes WHERE app_id = ?1 AND guid = ?2 AND {which}");
    let heard = ["at >= ?3 AND at < ?4", "at = ?4 AND seq < ?5", "at = ?4 AND seq > ?5", "at > ?4"].map(heard);
    format!(
        "SELECT m.uid, m.{read} FROM ({}) AS heard CROSS JOIN memberships AS m ON m.app_id = ?1 AND m.guid = ?2 AND m.uid = heard.uid",
        heard.join(" UNION ")
    )
});

const COUNT: &str = "SELECT count(*) FROM memberships WHERE app_id = ?1 AND guid = ?2 AND state = 'joined'";
const AT_MOST: &str = "SELECT count(*) FROM (SELECT 1 FROM memberships WHERE app_id = ?1 AND guid = ?2 LIMIT ?3)";

impl From<Standing> for Membership {
    fn from(standing: Standing) -> Self {
        Self { standing: Some(standing) }
    }
}

/// Hands over the standing of everybody who was ever heard of in a group.
pub fn each_standing(conn: &Connection, group: &Key, mut take: impl FnMut(String, Standing)) -> Result<(), StoreError> {
    let mut statement = bound(conn, &EVERYBODY, &[group])?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let (uid, standing) = table::read(|| Reader::of(row).next())?;
        take(uid, standing);
    }
    Ok(())
}

/// In the order of the log.
fn facts(mut told: Vec<FactRow>) -> Facts {
    told.sort_by_key(|told| (told.change.seq, told.change.at));
    Facts(told.into_iter().map(Arc::new).collect())
}

pub fn load_facts(conn: &Connection, key: &PairKey) -> Result<Option<Facts>, StoreError> {
    let told = FactRow::table().load_all(conn, key)?;
    Ok((!told.is_empty()).then(|| facts(told)))
}

pub fn load(conn: &Connection, key: &PairKey) -> Result<Option<Membership>, StoreError> {
    Ok(table::load::<Standing>(conn, key)?.map(Membership::from))
}

fn uids(people: &[PairKey]) -> Vec<&str> {
    people.iter().map(|(.., uid)| uid.as_str()).collect()
}

/// The facts about many people of one group.
pub fn load_many_facts(
    conn: &Connection,
    group: &Key,
    people: &[PairKey],
) -> Result<HashMap<PairKey, Facts>, StoreError> {
    let mut found: HashMap<String, Vec<FactRow>> = HashMap::new();
    for (uid, told) in FactRow::table().load_many(conn, group, &uids(people))? {
        found.entry(uid).or_default().push(told);
    }
    Ok(found.into_iter().map(|(uid, told)| ((App::clone(&group.0), group.1.clone(), uid), facts(told))).collect())
}

/// How many people of one group stand.
pub fn load_many(
    conn: &Connection,
    group: &Key,
    people: &[PairKey],
) -> Result<HashMap<PairKey, Membership>, StoreError> {
    let found: Vec<(String, Standing)> = Standing::table().load_many(conn, group, &uids(people))?;
    let key = |uid| (App::clone(&group.0), group.1.clone(), uid);
    Ok(found.into_iter().map(|(uid, standing)| (key(uid), standing.into())).collect())
}

/// Facts are added and never changed.
pub fn save_facts(conn: &Connection, key: &PairKey, stored: Option<&Facts>, now: &Facts) -> Result<(), StoreError> {
    let mut added = now.0.iter().skip(stored.map_or(0, |stored| stored.0.len()));
    added.try_for_each(|told| FactRow::table().append(conn, key, &**told))
}

pub fn save(conn: &Connection, key: &PairKey, now: &Membership) -> Result<(), StoreError> {
    now.standing.as_ref().map_or(Ok(()), |standing| table::save(conn, key, standing))
}

/// How the people of a group stand in the file: everybody, or all but those who are absent.
pub fn of_group(conn: &Connection, group: &Key, everybody: bool) -> Result<BTreeMap<String, Membership>, StoreError> {
    let found: Vec<(String, Standing)> =
        collect(&mut bound(conn, if everybody { &EVERYBODY } else { &NOT_ABSENT }, &[group])?)?;
    Ok(found.into_iter().map(|(uid, standing)| (uid, standing.into())).collect())
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
pub fn heard_since(conn: &Connection, group: &Key, at: Time) -> Result<BTreeSet<String>, StoreError> {
    collect(&mut bound(conn, SINCE, &[group, &at])?)
}

/// People with facts between two times, and the log position of each fact; but for one event. At most [`MOST_NEAR`].
pub fn changes_between(
    conn: &Connection,
    group: &Key,
    (from, until): (i64, i64),
    but: i64,
) -> Result<Vec<(String, i64)>, StoreError> {
    collect(&mut bound(conn, NEAR, &[group, &from, &until, &but, &MOST_NEAR])?)
}

/// How people stand of whom the file holds facts since a list, other than the list itself.
pub fn told_otherwise(
    conn: &Connection,
    group: &Key,
    list: &Roster,
) -> Result<BTreeMap<String, Membership>, StoreError> {
    let since = touched_since(list.at);
    let found: Vec<(String, Standing)> = collect(&mut bound(conn, &OTHERWISE, &[group, &since, &list.at, &list.seq])?)?;
    Ok(found.into_iter().map(|(uid, standing)| (uid, standing.into())).collect())
}

/// Gives the facts about each person of a group that the file holds, one person after the other.
pub fn each_person(
    conn: &Connection,
    group: &Key,
    mut take: impl FnMut(&str, &[MembershipFact]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = bound(conn, &FACTS, &[group])?;
    let mut rows = statement.raw_query();
    let (mut person, mut facts) = (String::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let mut from = Reader::of(row);
        let uid = from.cell()?.as_str().map_err(rusqlite::Error::from)?;
        if uid != person && !facts.is_empty() {
            take(&person, &facts)?;
            facts.clear();
        }
        if facts.is_empty() {
            uid.clone_into(&mut person);
        }
        facts.push(table::read(|| from.next())?);
    }
    if facts.is_empty() { Ok(()) } else { take(&person, &facts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_a_fact_are_those_declared() {
        assert_eq!(FactRow::table().read, concat!(fact_columns!(), ", trigger, digest"));
    }
}
