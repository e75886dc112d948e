//! Who was in a group at an instant.

use super::super::table::Reader;
use super::list::{EXAMINED, Part};
use super::membership::{Membership, Rest};
use super::{Conn, Found, Range, Sql, json, rows};
use crate::standing::{MembershipFact, Roster, standing};
use crate::store::sqlite::functions::folded;
use rusqlite::Row;
use std::collections::HashSet;

/// A group at an instant: the same function as for the present, over the facts not later (contract 4.3).
pub(super) struct Instant<'a> {
    pub app: &'a str,
    pub guid: &'a str,
    pub at: i64,
}

/// Facts by person.
type People = Vec<(String, Vec<MembershipFact>)>;

/// The facts of a page of people, whole people only. Later facts are yielded, too, so that they count as examined; and
/// no bound on the time: it would make the index by time look better, all of which has to be sorted.
macro_rules! facts {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT uid, at <= :at,
                 at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at
             FROM membership_changes
             WHERE app_id = :app AND guid = :guid AND ",
            $which,
            "
             ORDER BY uid",
            $order,
            ", at, seq
             LIMIT :limit"
        )
    };
}

const FACTS_RISING: &str = facts!("uid > :uid", "");
const FACTS_FALLING: &str = facts!("uid < :uid", " DESC");
const FACTS_LAST: &str = facts!("1", " DESC");
const FACTS_OF: &str = facts!("at <= :at AND uid IN (SELECT value FROM json_each(:uids))", "");
const ROSTERS: &str =
    "SELECT at, created, seq, base FROM rosters WHERE app_id = :app AND guid = :guid AND at <= :at ORDER BY at, seq";
const NAMED: &str = "
    SELECT u.uid FROM json_each(:uids) k CROSS JOIN users u ON u.app_id = :app AND u.uid = k.value
    WHERE instr(folded(u.name), :name) > 0";

impl Instant<'_> {
    /// Those who match, by uid, over at most [`EXAMINED`] facts a page; of one person all facts, however many: the
    /// bounds of the request end it with an error. `name`: only people whose name contains it.
    pub fn members(
        &self,
        conn: &Conn,
        range: Range<'_>,
        name: Option<&str>,
        shows: impl Fn(&Membership) -> bool,
    ) -> Sql<(Found, Vec<Membership>)> {
        let from = range.from.map(|key| key[0].text().to_owned());
        let sql = match (range.falling, &from) {
            (true, None) => FACTS_LAST,
            (true, Some(_)) => FACTS_FALLING,
            (false, _) => FACTS_RISING,
        };
        let limit = EXAMINED as i64 + 1;
        let (mut people, facts) = self.facts(conn, sql, &[(":uid", &from.unwrap_or_default()), (":limit", &limit)])?;
        let cut = facts > EXAMINED;
        // The last person's facts may not be complete: they begin the next page, unless they are all of this one.
        if cut && people.len() > 1 {
            people.pop();
        } else if cut && let Some((uid, facts)) = people.last_mut() {
            let (mut person, _) = self.facts(conn, FACTS_OF, &[(":uids", &json([uid.as_str()])), (":limit", &-1)])?;
            *facts = person.pop().map(|(_, facts)| facts).unwrap_or_default();
        }
        let rosters = self.rosters(conn)?;
        let (mut found, mut members) = (Found::default(), Vec::new());
        let last = people.last().map(|(uid, _)| vec![Part::Text(uid.clone())]);
        if let Some(name) = name {
            let named = self.named(conn, &people, name)?;
            people.retain(|(uid, _)| named.contains(uid));
        }
        for (uid, facts) in people {
            let member = if facts.is_empty() { None } else { self.member(&uid, &facts, &rosters) };
            let Some(member) = member else { continue };
            if shows(&member) {
                if found.keys.len() == range.want {
                    found.more = true;
                    return Ok((found, members));
                }
                found.keys.push(vec![Part::Text(uid)]);
                members.push(member);
            }
        }
        if cut {
            found.more = true;
            found.stopped = last;
        }
        Ok((found, members))
    }

    /// The people with these uids.
    pub fn of(&self, conn: &Conn, uids: &[&str]) -> Sql<Vec<Membership>> {
        let (people, _) = self.facts(conn, FACTS_OF, &[(":uids", &json(uids)), (":limit", &-1)])?;
        let rosters = self.rosters(conn)?;
        Ok(people.iter().filter_map(|(uid, facts)| self.member(uid, facts, &rosters)).collect())
    }

    /// By person those that are not later than the instant, none for some; and how many were examined.
    fn facts(&self, conn: &Conn, sql: &str, params: super::Params<'_>) -> Sql<(People, usize)> {
        let mut all: Vec<(&str, &dyn rusqlite::types::ToSql)> = params.to_vec();
        all.extend([(":app", &self.app as &dyn rusqlite::types::ToSql), (":guid", &self.guid), (":at", &self.at)]);
        let mut people = People::new();
        let read = |row: &Row<'_>| {
            let (uid, counts, fact): (String, bool, MembershipFact) = Reader::of(row).next()?;
            Ok((uid, Some(fact).filter(|_| counts)))
        };
        let examined = rows(conn, sql, &all, read)?;
        let count = examined.len();
        for (uid, fact) in examined {
            match people.last_mut() {
                Some((last, facts)) if *last == uid => facts.extend(fact),
                _ => people.push((uid, fact.into_iter().collect())),
            }
        }
        Ok((people, count))
    }

    /// Those whose name contains a text.
    fn named(&self, conn: &Conn, people: &People, name: &str) -> Sql<HashSet<String>> {
        let uids: Vec<&str> = people.iter().map(|(uid, _)| uid.as_str()).collect();
        let params: super::Params<'_> = &[(":app", &self.app), (":uids", &json(uids)), (":name", &folded(name))];
        Ok(rows(conn, NAMED, params, |row| row.get(0))?.into_iter().collect())
    }

    fn rosters(&self, conn: &Conn) -> Sql<Vec<Roster>> {
        rows(conn, ROSTERS, &[(":app", &self.app), (":guid", &self.guid), (":at", &self.at)], |row| {
            Ok(Reader::of(row).next()?)
        })
    }

    fn member(&self, uid: &str, facts: &[MembershipFact], rosters: &[Roster]) -> Option<Membership> {
        let then = standing(facts, rosters)?;
        let rest = Rest {
            joined_at: then.joined_at,
            changed_at: then.changed_at,
            changed_at_from: then.changed_at_from,
            changed_by: then.changed_by.map(Into::into),
        };
        Some(Membership {
            guid: self.guid.into(),
            uid: uid.into(),
            state: then.state,
            scope: then.scope,
            rest: Some(rest),
            person: None,
        })
    }
}
