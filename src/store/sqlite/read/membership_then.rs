//! Who was in a group at an instant.

use super::super::group::roster_columns;
use super::super::membership::fact_columns;
use super::super::table::Reader;
use super::list::{EXAMINED, Part};
use super::membership::{Membership, Rest};
use super::{Conn, Found, Params, Range, Sql, json, next, prepare, rows};
use crate::standing::{MembershipFact, Roster, standing};
use crate::store::sqlite::functions::folded;
use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Rows};
use std::collections::HashSet;
use std::iter::from_fn;

/// A group at an instant: the same function as for the present, over the facts not later (contract 4.3).
pub(super) struct Instant<'a> {
    pub app: &'a str,
    pub guid: &'a str,
    pub at: i64,
}

/// A person, and the facts that are not later than the instant: there may be none.
type Person = (String, Vec<MembershipFact>);

/// The facts of people, one person after the other: nothing is sorted, so that reading can end behind any person. Later
/// facts are yielded, too, so that they count as examined; and no bound on the time: it would make the index by time
/// look better, all of which has to be sorted.
macro_rules! facts {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT uid, at <= :at, ",
            fact_columns!(),
            " FROM membership_changes WHERE app_id = :app AND guid = :guid AND ",
            $which,
            " ORDER BY uid",
            $order,
            " LIMIT :limit"
        )
    };
}

const FACTS_RISING: &str = facts!("uid > :uid", "");
const FACTS_FALLING: &str = facts!("uid < :uid", " DESC");
const FACTS_LAST: &str = facts!("1", " DESC");
const FACTS_OF: &str = facts!("at <= :at AND uid IN (SELECT value FROM json_each(:uids))", "");
const ROSTERS: &str = concat!(
    "SELECT ",
    roster_columns!(),
    " FROM rosters WHERE app_id = :app AND guid = :guid AND at <= :at ORDER BY at, seq"
);
const NAMED: &str = "
    SELECT u.uid FROM json_each(:uids) k CROSS JOIN users u ON u.app_id = :app AND u.uid = k.value
    WHERE instr(folded(u.name), :name) > 0";

impl Instant<'_> {
    /// Those who match, by uid, over at most [`EXAMINED`] facts a page, and no more than decide it; of one person all
    /// facts, however many: the bounds of the request end it with an error. `name`: only people whose name contains it.
    pub fn members(
        &self,
        conn: &Conn,
        range: Range<'_>,
        name: Option<&str>,
        shows: impl Fn(&Membership) -> bool,
    ) -> Sql<(Found, Vec<Membership>)> {
        let rosters = self.rosters(conn)?;
        let from = range.from.map(|key| key[0].text().to_owned());
        let sql = match (range.falling, &from) {
            (true, None) => FACTS_LAST,
            (true, Some(_)) => FACTS_FALLING,
            (false, _) => FACTS_RISING,
        };
        let limit = EXAMINED as i64 + 1;
        let mut statement = self.prepare(conn, sql, &[(":uid", &from.unwrap_or_default()), (":limit", &limit)])?;
        let mut walk = Walk::over(&mut statement, range.falling);
        let mut people: Box<dyn Iterator<Item = Sql<Person>>> =
            Box::new(from_fn(|| walk.next_whole(|uid| self.facts(conn, &[uid])).transpose()));
        if let Some(name) = name {
            let mut all = people.collect::<Sql<Vec<Person>>>()?;
            let named = self.named(conn, &all, name)?;
            all.retain(|(uid, _)| named.contains(uid));
            people = Box::new(all.into_iter().map(Ok));
        }
        let (mut found, mut members) = (Found::default(), Vec::new());
        for person in people {
            let (uid, facts) = person?;
            let Some(member) = self.member(&uid, &facts, &rosters).filter(&shows) else { continue };
            if found.keys.len() == range.want {
                found.more = true;
                return Ok((found, members));
            }
            found.keys.push(vec![Part::Text(uid)]);
            members.push(member);
        }
        if walk.is_cut() {
            found.more = true;
            found.stopped = walk.last.map(|uid| vec![Part::Text(uid)]);
        }
        Ok((found, members))
    }

    /// The people with these uids.
    pub fn of(&self, conn: &Conn, uids: &[&str]) -> Sql<Vec<Membership>> {
        let people = self.facts(conn, uids)?;
        let rosters = self.rosters(conn)?;
        Ok(people.iter().filter_map(|(uid, facts)| self.member(uid, facts, &rosters)).collect())
    }

    /// All facts of these people.
    fn facts(&self, conn: &Conn, uids: &[&str]) -> Sql<Vec<Person>> {
        let mut statement = self.prepare(conn, FACTS_OF, &[(":uids", &json(uids)), (":limit", &-1)])?;
        let mut walk = Walk::over(&mut statement, false);
        from_fn(|| walk.next().transpose()).collect()
    }

    fn prepare<'c>(&self, conn: &'c Conn, sql: &str, params: Params<'_>) -> Sql<CachedStatement<'c>> {
        let mut all = params.to_vec();
        all.extend([(":app", &self.app as &dyn ToSql), (":guid", &self.guid), (":at", &self.at)]);
        prepare(conn, sql, &all)
    }

    /// Those whose name contains a text.
    fn named(&self, conn: &Conn, people: &[Person], name: &str) -> Sql<HashSet<String>> {
        let uids: Vec<&str> = people.iter().map(|(uid, _)| uid.as_str()).collect();
        let params: Params<'_> = &[(":app", &self.app), (":uids", &json(uids)), (":name", &folded(name))];
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

/// Reads facts, one person after the other.
struct Walk<'s> {
    rows: Rows<'s>,
    falling: bool,
    examined: usize,
    /// Who the last row was the first of.
    begun: Option<Person>,
    /// Who came last.
    last: Option<String>,
}

impl<'s> Walk<'s> {
    fn over(statement: &'s mut CachedStatement<'_>, falling: bool) -> Self {
        Self { rows: statement.raw_query(), falling, examined: 0, begun: None, last: None }
    }

    /// Whether there are more facts than a page examines.
    fn is_cut(&self) -> bool {
        self.examined > EXAMINED
    }

    /// The next person whose facts are complete. The last one's may not be: that one begins the next page, unless nobody
    /// comes before, and then `all` gives them.
    fn next_whole(&mut self, all: impl FnOnce(&str) -> Sql<Vec<Person>>) -> Sql<Option<Person>> {
        let Some(mut person) = self.next()? else { return Ok(None) };
        if self.is_cut() && self.begun.is_none() {
            if self.last.is_some() {
                return Ok(None);
            }
            person.1 = all(&person.0)?.pop().map(|(_, facts)| facts).unwrap_or_default();
        }
        self.last = Some(person.0.clone());
        Ok(Some(person))
    }

    /// The next person, with the facts that were read.
    fn next(&mut self) -> Sql<Option<Person>> {
        let mut person = self.begun.take();
        while let Some(row) = next(&mut self.rows)? {
            self.examined += 1;
            let mut row = Reader::of(row);
            let uid = row.cell()?.as_str().map_err(rusqlite::Error::from)?;
            let is_another = person.as_ref().is_none_or(|(known, _)| known != uid);
            let done = if is_another { person.replace((uid.to_owned(), Vec::new())) } else { None };
            let counts: bool = row.value()?;
            if let Some((_, facts)) = person.as_mut().filter(|_| counts) {
                facts.push(row.next()?);
            }
            if done.is_some() {
                self.begun = person;
                person = done;
                break;
            }
        }
        if self.falling
            && let Some((_, facts)) = &mut person
        {
            facts.reverse();
        }
        Ok(person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some facts have one time and one log position: which of them is last decides how the person stands.
    #[test]
    fn members_are_the_same_from_either_end() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        conn.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
             INSERT INTO membership_changes (app_id, guid, uid, at, digest, seq, at_from, occurred_at, trigger, state)
             SELECT 'app', 'g', 'u' || (i / 10), 5 * (i % 3), unhex(printf('%02d', i)), i % 2, 'arrival', i, 't', iif(i % 10 < 3, 'left', 'joined')
             FROM n",
        )
        .unwrap();
        let then = Instant { app: "app", guid: "g", at: 5 };
        let [rising, falling] = [false, true].map(|falling| {
            let (found, mut members) =
                then.members(&conn, Range { from: None, falling, want: 20 }, None, |_| true).unwrap();
            assert!(!found.more);
            members.sort_by(|a, b| a.uid.cmp(&b.uid));
            format!("{members:#?}")
        });
        assert_eq!(rising, falling);
        assert_eq!(rising.matches("state: ").count(), 10, "{rising}");
    }
}
