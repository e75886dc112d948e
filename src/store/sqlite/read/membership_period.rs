//! How a person stood with a group over time: the same function as for the present and for `asOf` (contract 4.3), at
//! each instant at which it can have changed.

use super::super::group::roster_columns;
use super::super::membership::fact_columns;
use super::super::table::Reader;
use super::allowance::Spent;
use super::list::EXAMINED;
use super::{Conn, Lookup, PLAIN_LIST, Sql, json, rows};
use crate::standing::{MembershipFact, Period, Roster, periods};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The history of a membership, by guid and uid. One with more than [`EXAMINED`] facts is an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeriodsOf {
    pub guid: String,
    pub uid: String,
}

const FACTS: &str = concat!(
    "SELECT k.key, ",
    fact_columns!(),
    " FROM json_each(:keys) k
    CROSS JOIN membership_changes c
        ON c.app_id = :app AND c.guid = json_extract(k.value, '$[0]') AND c.uid = json_extract(k.value, '$[1]')
    LIMIT :limit"
);
const ROSTERS: &str = concat!(
    "SELECT guid, ",
    roster_columns!(),
    " FROM rosters
    WHERE app_id = :app AND guid IN (SELECT value FROM json_each(:guids))
    ORDER BY guid, at, seq"
);

impl Lookup for PeriodsOf {
    /// Oldest first, at most 200: the newest.
    type Found = Vec<Period>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<Period>)>> {
        let mut people: BTreeMap<usize, Vec<MembershipFact>> = BTreeMap::new();
        let mut from = 0;
        while from < keys.len() {
            let facts = facts(conn, app, &keys[from..])?;
            // The person at whom reading stopped begins the next round.
            let stopped = facts.get(EXAMINED).map(|(key, _)| *key);
            if stopped == Some(0) {
                return Err(rusqlite::Error::UserFunctionError(Box::new(Spent::Rows)));
            }
            for (key, fact) in facts.into_iter().filter(|(key, _)| stopped.is_none_or(|stopped| *key < stopped)) {
                people.entry(from + key).or_default().push(fact);
            }
            from = stopped.map_or(keys.len(), |stopped| from + stopped);
        }
        let guids: BTreeSet<&str> = keys.iter().map(|key| key.guid.as_str()).collect();
        let mut rosters: HashMap<String, Vec<Roster>> = HashMap::new();
        for (guid, roster) in rows(conn, ROSTERS, &[(":app", &app), (":guids", &json(guids))], |row| {
            Ok(Reader::of(row).next::<(String, Roster)>()?)
        })? {
            rosters.entry(guid).or_default().push(roster);
        }
        let found = people.into_iter().filter_map(|(key, facts)| {
            let key = keys.get(key)?;
            let rosters = rosters.get(&key.guid).map(Vec::as_slice).unwrap_or_default();
            Some((key.clone(), periods(&facts, rosters, PLAIN_LIST)))
        });
        Ok(found.collect())
    }
}

/// At most one fact more than [`EXAMINED`] of the people named, by their place in the list, in its order.
fn facts(conn: &Conn, app: &str, keys: &[PeriodsOf]) -> Sql<Vec<(usize, MembershipFact)>> {
    let pairs: Vec<[&str; 2]> = keys.iter().map(|key| [key.guid.as_str(), key.uid.as_str()]).collect();
    let (pairs, limit) = (serde_json::json!(pairs).to_string(), EXAMINED as i64 + 1);
    rows(conn, FACTS, &[(":app", &app), (":keys", &pairs), (":limit", &limit)], |row| {
        let (key, fact): (i64, MembershipFact) = Reader::of(row).next()?;
        Ok((key.try_into().unwrap_or_default(), fact))
    })
}
