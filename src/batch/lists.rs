//! Complete member lists. A list is a fact about everybody who was in the group, named or not.

use super::Batch;
use crate::change::MemberList;
use crate::ids::Time;
use crate::merge::Fact;
use crate::standing::{self, Roster, Standing};
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, Key, PairKey, group, membership};
use crate::tables::group::{self as table, Touched};
use crate::tables::membership::Membership;
use std::collections::{BTreeMap, BTreeSet};

/// People whose facts are looked up one by one.
const FEW: usize = 64;

impl Batch {
    /// The group was created: the list with its creator alone is complete.
    pub(super) fn creation(&mut self, conn: &Connection, key: &Key, fact: &Fact, at: Time) -> Result<(), StoreError> {
        self.tables.groups.edit(key, || sqlite::load(conn, key))?.create(at);
        let rosters = self.tables.rosters.edit(key, || group::load_rosters(conn, key))?;
        let touched = rosters.create(at, fact);
        let lists = rosters.lists();
        let (everybody, heard_since) = match touched {
            Touched::Nobody => return Ok(()),
            Touched::Present { since } => (false, membership::heard_since(conn, key, since)?),
            Touched::Since(_) | Touched::Everybody => (true, BTreeSet::new()),
        };
        let unsaved = self.stand_unsaved(conn, key, &lists)?;
        let mut people = membership::of_group(conn, key, everybody)?;
        people.retain(|uid, _| !unsaved.contains(uid));
        // Of whom nothing was heard since: whatever the standing was, the list ends it.
        if !everybody {
            for (uid, known) in people.extract_if(.., |uid, _| !heard_since.contains(uid)) {
                let person = (App::clone(&key.0), key.1.clone(), uid);
                self.stand(conn, &person, Some(Standing::ended_by_creation(at)), || Ok(Some(known)))?;
            }
        }
        self.stand_saved(conn, key, &lists, people)
    }

    /// A member list was read.
    pub(super) fn list(
        &mut self,
        conn: &Connection,
        app: &App,
        fact: &Fact,
        list: &MemberList,
    ) -> Result<(), StoreError> {
        let key = (App::clone(app), list.guid.clone());
        self.tables.groups.edit(&key, || sqlite::load(conn, &key))?.hear_list(list.at);
        let rosters = self.tables.rosters.edit(&key, || group::load_rosters(conn, &key))?;
        let touched = rosters.apply(table::Roster::read(list, fact));
        if touched == Touched::Nobody {
            return Ok(());
        }
        let replaced = rosters.drop_replaced();
        let lists = rosters.lists();
        for seq in replaced {
            self.drop_event(conn, app, seq)?;
        }
        for entry in &*list.entries {
            let person = (App::clone(app), list.guid.clone(), entry.uid.clone());
            let facts = self.tables.membership_facts.edit(&person, || membership::load_facts(conn, &person))?;
            facts.apply(&list.says(entry), fact, None);
        }
        let unsaved = self.stand_unsaved(conn, &key, &lists)?;
        let mut people = match touched {
            Touched::Nobody => BTreeMap::new(),
            Touched::Everybody => membership::of_group(conn, &key, true)?,
            Touched::Since(base) => membership::told_otherwise(conn, &key, &base)?,
            Touched::Present { since } => {
                // A list says nothing of who is out already.
                let heard = membership::heard_since(conn, &key, since)?;
                let mut people = membership::of_group(conn, &key, false)?;
                people.retain(|uid, known| known.is_current() || heard.contains(uid));
                people
            }
        };
        people.retain(|uid, _| !unsaved.contains(uid));
        self.stand_saved(conn, &key, &lists, people)
    }

    /// Decides about the people of a group whose rows are not saved yet, and gives their uids.
    fn stand_unsaved(
        &mut self,
        conn: &Connection,
        key: &Key,
        lists: &[Roster],
    ) -> Result<BTreeSet<String>, StoreError> {
        let unsaved = self.unsaved(key);
        for uid in &unsaved {
            let person = (App::clone(&key.0), key.1.clone(), uid.clone());
            let facts = self.tables.membership_facts.get(&person, || membership::load_facts(conn, &person))?;
            let standing = facts.and_then(|facts| facts.stands(lists));
            self.stand(conn, &person, standing, || membership::load(conn, &person))?;
        }
        Ok(unsaved)
    }

    /// Decides about people whose rows are saved.
    fn stand_saved(
        &mut self,
        conn: &Connection,
        key: &Key,
        lists: &[Roster],
        mut people: BTreeMap<String, Membership>,
    ) -> Result<(), StoreError> {
        // A few people are looked up; of many, all facts are read in one go.
        if people.len() <= FEW {
            for (uid, known) in people {
                let person = (App::clone(&key.0), key.1.clone(), uid);
                let facts = membership::load_facts(conn, &person)?.unwrap_or_default();
                self.stand(conn, &person, facts.stands(lists), || Ok(Some(known)))?;
            }
            return Ok(());
        }
        membership::each_person(conn, key, |uid, facts| {
            let Some(known) = people.remove(uid) else { return Ok(()) };
            let standing = standing::standing(facts, lists).filter(|it| known.standing.as_ref() != Some(it));
            let person = (App::clone(&key.0), key.1.clone(), uid.to_owned());
            self.stand(conn, &person, standing, || Ok(Some(known)))
        })
    }

    /// People of a group whose rows are not saved yet.
    pub(super) fn unsaved(&self, (app, guid): &Key) -> BTreeSet<String> {
        let first = (App::clone(app), guid.clone(), String::new());
        let of_group = |key: &&PairKey| (&key.0, &key.1) == (app, guid);
        let standings = self.tables.memberships.changed_from(&first).take_while(of_group);
        let facts = self.tables.membership_facts.changed_from(&first).take_while(of_group);
        standings.chain(facts).map(|(.., uid)| uid.clone()).collect()
    }

    /// Takes an event out of the log: it told nothing that others do not tell.
    fn drop_event(&mut self, conn: &Connection, app: &App, seq: i64) -> Result<(), StoreError> {
        self.dropped.push(seq);
        self.tables.apps.edit(app, || sqlite::load(conn, app))?.forget_event();
        Ok(())
    }
}
