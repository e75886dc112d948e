//! How a person stood with a group over time: the same function as for the present and for `asOf` (contract 4.3), at
//! each instant at which it can have changed.

use super::super::table::Reader;
use super::allowance::Spent;
use super::list::EXAMINED;
use super::{Conn, Lookup, PLAIN_LIST, Sql, json, rows};
use crate::ids::{Scope, State, Time};
use crate::standing::{MembershipFact, Roster, standing};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A time in which nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub state: State,
    pub scope: Option<Scope>,
    /// `None`: it began with a fact that nothing dates.
    pub from: Option<Time>,
    /// `None`: it lasts.
    pub until: Option<Time>,
    pub by: Option<String>,
    /// Log position of the fact it began with; `None` where a complete list began it.
    pub seq: Option<i64>,
}

/// The history of a membership, by guid and uid. One with more than [`EXAMINED`] facts is an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeriodsOf {
    pub guid: String,
    pub uid: String,
}

const FACTS: &str = "
    SELECT k.key, c.at, c.at_from, c.seq, c.occurred_at, c.arrived_at, c.group_created_at, c.by_uid, c.state, c.scope, c.old_scope, c.joined_at
    FROM json_each(:keys) k
    CROSS JOIN membership_changes c
        ON c.app_id = :app AND c.guid = json_extract(k.value, '$[0]') AND c.uid = json_extract(k.value, '$[1]')
    LIMIT :limit";
const ROSTERS: &str = "
    SELECT guid, at, created, seq, base FROM rosters
    WHERE app_id = :app AND guid IN (SELECT value FROM json_each(:guids))
    ORDER BY guid, at, seq";

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
            Some((key.clone(), periods(&facts, rosters)))
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

/// What `standing` says at each instant, equal neighbours joined.
fn periods(facts: &[MembershipFact], rosters: &[Roster]) -> Vec<Period> {
    let instants: BTreeSet<Time> =
        facts.iter().map(|fact| fact.at).chain(rosters.iter().map(|roster| roster.at)).collect();
    let newest = instants.len().saturating_sub(PLAIN_LIST);
    let mut periods: Vec<Period> = Vec::new();
    for at in instants.into_iter().skip(newest) {
        let known: Vec<MembershipFact> = facts.iter().filter(|fact| fact.at <= at).cloned().collect();
        let lists: Vec<Roster> = rosters.iter().filter(|roster| roster.at <= at).copied().collect();
        let Some(then) = standing(&known, &lists) else { continue };
        let scope = then.scope.filter(|_| then.state == State::Joined);
        // A stay that ended and began anew at one instant is two.
        let same = |last: &Period| {
            last.state == then.state
                && last.scope == scope
                && (then.state != State::Joined || Some(at) != then.joined_at)
        };
        if periods.last().is_some_and(same) {
            continue;
        }
        let from = Some(at).filter(|at| at.0 != 0);
        if let Some(last) = periods.last_mut() {
            last.until = from;
        }
        let here = known.iter().filter(|fact| fact.at == at);
        let told = here.clone().filter(|fact| fact.state == Some(then.state)).max_by_key(|fact| fact.seq);
        let seq = told.or(here.max_by_key(|fact| fact.seq)).map(|fact| fact.seq);
        periods.push(Period { state: then.state, scope, from, until: None, by: then.changed_by, seq });
    }
    periods
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TimeSource;

    fn fact(second: i64, state: Option<State>, scope: Option<Scope>) -> MembershipFact {
        let at = Time(second * 1000);
        MembershipFact {
            at,
            at_from: TimeSource::Told,
            seq: second,
            occurred_at: at,
            arrived_at: None,
            group_created_at: None,
            by: None,
            state,
            scope,
            old_scope: None,
            joined_at: None,
        }
    }

    #[test]
    fn a_person_who_comes_back_has_two_stays_and_each_scope_its_own_period() {
        let facts = [
            fact(10, Some(State::Joined), None),
            fact(20, None, Some(Scope::Admin)),
            fact(30, Some(State::Kicked), None),
            fact(40, Some(State::Joined), None),
            fact(50, Some(State::Joined), None),
        ];
        let told: Vec<_> = periods(&facts, &[])
            .into_iter()
            .map(|it| (it.state, it.scope, it.from.map(|at| at.0 / 1000), it.until.map(|at| at.0 / 1000), it.seq))
            .collect();
        assert_eq!(
            told,
            [
                (State::Joined, Some(Scope::Participant), Some(10), Some(20), Some(10)),
                (State::Joined, Some(Scope::Admin), Some(20), Some(30), Some(20)),
                (State::Kicked, None, Some(30), Some(40), Some(30)),
                (State::Joined, Some(Scope::Participant), Some(40), None, Some(40)),
            ]
        );
    }

    #[test]
    fn a_complete_list_ends_a_stay_without_a_fact() {
        let list = Roster { at: Time(20_000), created: false, seq: 20, base: None };
        let periods = periods(&[fact(10, Some(State::Joined), None)], &[list]);
        assert_eq!((periods[1].state, periods[1].seq), (State::Absent, None));
    }
}
