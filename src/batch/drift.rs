//! Finds the groups whose number of members differs from what CometChat says, after each event that is about them.

use super::Batch;
use crate::drift::{NEAR, Report};
use crate::ids::{State, Time, TimeSource};
use crate::standing;
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, Key, PairKey, group, membership};
use crate::tables::group::Group;
use crate::tables::membership::{FactRow, Facts, Membership};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the current event says of one group.
#[derive(Debug, Default)]
struct Heard {
    /// The report or the complete lists are others than before.
    anew: bool,
    /// Its facts about members, with the person of each.
    facts: Vec<(Arc<PairKey>, Arc<FactRow>)>,
}

impl Batch {
    /// Compares the counts of the groups that the current event, at this log position, is about.
    pub fn look_for_drift(&mut self, conn: &Connection, seq: i64) -> Result<(), StoreError> {
        if self.is_large {
            self.count_members(conn)?;
        }
        for (key, heard) in self.heard(seq) {
            self.find_unlisted(conn, &key, &heard.facts)?;
            self.compare_counts(conn, &key, &heard)?;
        }
        Ok(())
    }

    fn heard(&self, seq: i64) -> BTreeMap<Key, Heard> {
        let mut all: BTreeMap<Key, Heard> = BTreeMap::new();
        for (key, before, now) in self.tables.groups.edited() {
            if now.report() != before.and_then(Group::report) {
                all.entry(Key::clone(key)).or_default().anew = true;
            }
        }
        for (key, before, now) in self.tables.rosters.edited() {
            if before.is_none_or(|before| before != now) {
                all.entry(Key::clone(key)).or_default().anew = true;
            }
        }
        for (person, _, now) in self.tables.membership_facts.edited() {
            let group = all.entry((App::clone(&person.0), person.1.clone())).or_default();
            let own = now.0.iter().filter(|told| told.change.seq == seq);
            group.facts.extend(own.map(|told| (Arc::clone(person), Arc::clone(told))));
        }
        all
    }

    fn compare_counts(&mut self, conn: &Connection, key: &Key, heard: &Heard) -> Result<(), StoreError> {
        let load = || sqlite::load(conn, key);
        let Some(group) = self.tables.groups.get(key, load)? else { return Ok(()) };
        let (members, report, mut tally) = (group.members_count, group.report(), group.tally.clone());
        let before = tally.clone();
        let newest = heard.facts.iter().map(|(_, told)| told.change.at.0).max();
        tally.heard_at = tally.heard_at.max(newest);
        if let Some(report) = report {
            let earlier = heard.facts.iter().map(|(_, told)| told.change.at.0).min();
            let counts = heard.anew || earlier.is_some_and(|at| at <= report.at);
            let later = tally.heard_at.filter(|at| *at > report.at);
            let then = match (tally.then, later) {
                (_, None) => Some(members),
                (Some(then), Some(_)) if !counts => Some(then),
                (None, Some(_)) if !counts => None,
                (_, Some(_)) => Some(members + self.ended_since(conn, key, report.at)?),
            };
            match then {
                // Only a difference makes the lists worth a look.
                Some(then) if then == report.count || !self.is_listed_since(conn, key, report.at)? => {
                    tally.compare(report, then, |most| self.changes_near(conn, key, report, most))?;
                }
                _ => tally.settle(),
            }
        } else {
            tally.settle();
        }
        if tally != before {
            self.tables.groups.edit(key, load)?.tally = tally;
        }
        Ok(())
    }

    /// Whether a complete list is newer than this time.
    fn is_listed_since(&mut self, conn: &Connection, key: &Key, at: i64) -> Result<bool, StoreError> {
        let rosters = self.tables.rosters.get(key, || group::load_rosters(conn, key))?;
        Ok(rosters.is_some_and(|rosters| rosters.0.iter().any(|it| it.roster.at.0 > at)))
    }

    /// How many more people were in the group at a time than are now. All complete lists are older.
    fn ended_since(&mut self, conn: &Connection, key: &Key, at: i64) -> Result<i64, StoreError> {
        let rosters = self.tables.rosters.get(key, || group::load_rosters(conn, key))?;
        let lists = rosters.map(|it| it.lists()).unwrap_or_default();
        let mut people = membership::heard_since(conn, key, Time(at + 1))?;
        people.extend(self.unsaved(key));
        let mut more = 0;
        for uid in people {
            let person = (App::clone(&key.0), key.1.clone(), uid);
            let load = || membership::load_facts(conn, &person);
            let Some(Facts(facts)) = self.tables.membership_facts.get(&person, load)? else { continue };
            if facts.iter().all(|told| told.change.at.0 <= at) {
                continue;
            }
            let known = facts.iter().map(|told| &told.change).filter(|change| change.at.0 <= at);
            let was = standing::standing(known, &lists).is_some_and(|standing| standing.is_current());
            let load = || membership::load(conn, &person);
            let is = self.tables.memberships.get(&person, load)?.is_some_and(Membership::is_current);
            more += i64::from(was) - i64::from(is);
        }
        Ok(more)
    }

    /// Whether at least so many facts of other events about members of the group are near the report.
    fn changes_near(&self, conn: &Connection, key: &Key, report: Report, most: i64) -> Result<bool, StoreError> {
        if most > membership::MOST_NEAR {
            return Ok(false);
        }
        let (from, until) = (report.at.saturating_sub(NEAR), report.at.saturating_add(NEAR));
        let mut near: BTreeSet<(String, i64)> = BTreeSet::new();
        let mut is_enough = |(uid, seq): (String, i64)| {
            near.insert((uid, seq));
            near.len() as i64 >= most
        };
        for uid in self.unsaved(key) {
            let person = (App::clone(&key.0), key.1.clone(), uid);
            let Some(Some(Facts(facts))) = self.tables.membership_facts.known(&person) else { continue };
            let changes = facts.iter().map(|told| &told.change);
            let changes = changes.filter(|it| (from..=until).contains(&it.at.0) && it.seq != report.seq);
            for change in changes {
                if is_enough((person.2.clone(), change.seq)) {
                    return Ok(true);
                }
            }
        }
        let saved = membership::changes_between(conn, key, (from, until), report.seq)?;
        Ok(saved.into_iter().any(is_enough))
    }

    /// Keeps the joins that arrived after a newer list from CometChat which does not name the person.
    fn find_unlisted(
        &mut self,
        conn: &Connection,
        key: &Key,
        heard: &[(Arc<PairKey>, Arc<FactRow>)],
    ) -> Result<(), StoreError> {
        let load = || sqlite::load(conn, key);
        let mut tally = self.tables.groups.get(key, load)?.map(|group| group.tally.clone()).unwrap_or_default();
        if heard.is_empty() && tally.unlisted.is_none() {
            return Ok(());
        }
        let rosters = self.tables.rosters.get(key, || group::load_rosters(conn, key))?;
        let Some(list) = rosters.and_then(|rosters| rosters.newest_read()) else { return Ok(()) };
        let lists = rosters.map(|it| it.lists()).unwrap_or_default();
        let others: Vec<standing::Roster> = lists.into_iter().filter(|it| it.created || it.at.0 != list).collect();
        let before = tally.clone();
        tally.agree(Some(list), None);
        for (person, told) in heard {
            let change = &told.change;
            let is_join = change.state == Some(State::Joined) && change.at_from == TimeSource::Told;
            if change.at.0 > list {
                tally.agree(Some(list), Some(&person.2));
            } else if is_join && change.at.0 < list {
                let is_member = |facts: &Facts| facts.stands(&others).is_some_and(|standing| standing.is_current());
                let load = || membership::load_facts(conn, person);
                let joined = self.tables.membership_facts.get(person, load)?.is_some_and(is_member);
                let load = || membership::load(conn, person);
                if joined && !self.tables.memberships.get(person, load)?.is_some_and(Membership::is_current) {
                    tally.contradict(list, &person.2, change.at.0);
                }
            }
        }
        if tally != before {
            self.tables.groups.edit(key, load)?.tally = tally;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::log::{self, Source};
    use crate::store::sqlite::open_writer;

    const NOON: i64 = 1_767_614_400;

    /// Posts a join that happened so many seconds after noon. Rows in memory are forgotten.
    fn join(conn: &Connection, uid: &str, at: i64) {
        let at = NOON + at;
        let body = format!(
            r#"{{"trigger":"group_member_joined","appId":"a","data":{{"group":{{"guid":"g","updatedAt":{at}}},"members":{{"{uid}":{{"uid":"{uid}"}}}}}}}}"#
        );
        let (mut batch, envelope) = (Batch::default(), Envelope::parse(body.as_bytes()).unwrap());
        sqlite::begin(conn).unwrap();
        log::append(&mut batch, conn, &envelope, Time((NOON + 9_000) * 1000), Source::Http).unwrap();
        batch.save(conn).unwrap();
        sqlite::commit(conn).unwrap();
    }

    /// A list that was read from CometChat and names nobody.
    fn list(conn: &Connection, at: i64) {
        let at = (NOON + at) * 1000;
        conn.execute(
            "INSERT INTO rosters (app_id, guid, at, seq, created, entries) VALUES ('a', 'g', ?1, 0, 0, 0)",
            [at],
        )
        .unwrap();
    }

    fn drift(conn: &Connection) -> Option<(i64, i64, i64)> {
        let sql = "SELECT drift_expected, drift_counted, drift_since / 1000 FROM groups WHERE drift_since IS NOT NULL";
        let found = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? - NOON)));
        match found {
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            found => Some(found.unwrap()),
        }
    }

    fn file() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("t.db")).unwrap();
        (dir, conn)
    }

    #[test]
    fn a_join_older_than_the_newest_list_that_arrives_after_it_is_drift_until_the_next_list() {
        let (_dir, conn) = file();
        list(&conn, 600);
        join(&conn, "ann", 900);
        assert_eq!(drift(&conn), None, "newer than the list");
        join(&conn, "bob", 300);
        join(&conn, "cem", 200);
        assert_eq!(drift(&conn), Some((3, 1, 200)));
        list(&conn, 1_200);
        join(&conn, "dan", 1_500);
        assert_eq!(drift(&conn), None);
    }

    #[test]
    fn newer_news_of_the_person_end_the_contradiction() {
        let (_dir, conn) = file();
        list(&conn, 600);
        join(&conn, "bob", 300);
        assert_eq!(drift(&conn), Some((1, 0, 300)));
        join(&conn, "bob", 900);
        assert_eq!(drift(&conn), None);
    }
}
