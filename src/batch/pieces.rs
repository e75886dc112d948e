//! The rows of one large event, saved in pieces, each in a transaction of its own.
//!
//! An event may name many people, pairs, tags and entities. Their rows are saved first. If a crash comes between two
//! pieces, the event is folded again, which changes nothing in these rows. Counts, and rows that the fold reads to
//! decide, are saved in the last piece, all at once.

use super::Batch;
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, Key, events, membership, message, reaction};
use crate::tables::membership::Membership;
use std::collections::BTreeMap;

impl Batch {
    /// Prepares the batch, which holds one event, for saving in pieces.
    pub fn cut(&mut self) {
        self.refs.sort_unstable();
        self.refs.dedup();
        self.carried = Some(self.carried());
    }

    /// Saves the next rows, at most `most`. True if only the last piece is left, which [`Batch::save`] saves.
    pub fn save_piece(&mut self, conn: &Connection, most: usize) -> Result<bool, StoreError> {
        let mut left = most;
        for (key, seq) in last(&mut self.refs, &mut left) {
            events::refer(conn, &key, seq)?;
        }
        for row in self.carried.iter_mut().flat_map(|rows| last(rows, &mut left)) {
            message::save_carried(conn, &row)?;
        }
        let (tables, most) = (&mut self.tables, &mut left);
        tables.users.save_some(most, |key, _, now| sqlite::save(conn, key, now))?;
        tables.memberships.save_some(most, |key, _, now| membership::save(conn, key, now))?;
        let save_facts = |key: &_, stored: Option<&_>, now: &_| membership::save_facts(conn, key, stored, now);
        tables.membership_facts.save_some(most, save_facts)?;
        tables.blocks.save_some(most, |key, _, now| sqlite::save(conn, key, now))?;
        let save_reaction = |key: &_, stored: Option<&_>, now: &_| reaction::save(conn, key, stored, now);
        tables.reactions.save_some(most, save_reaction)?;
        tables.receipts.save_some(most, |key, _, now| sqlite::save(conn, key, now))?;
        Ok(left > 0)
    }

    /// Counts the members of the groups of the event again: rows of some members are saved already, and the group's row
    /// does not count them yet.
    pub(super) fn count_members(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut counts: BTreeMap<Key, i64> = BTreeMap::new();
        for key in self.tables.groups.keys() {
            counts.insert(key.clone(), membership::count(conn, key)?);
        }
        for ((app, guid, _), stored, now) in self.tables.memberships.changed() {
            let more = i64::from(now.is_current()) - i64::from(stored.is_some_and(Membership::is_current));
            *counts.entry((App::clone(app), guid.clone())).or_default() += more;
        }
        for (key, count) in counts {
            let load = || sqlite::load(conn, &key);
            if self.tables.groups.get(&key, load)?.is_some_and(|group| group.members_count != count) {
                self.tables.groups.edit(&key, load)?.members_count = count;
            }
        }
        Ok(())
    }
}

/// Takes the last rows of a list, at most `most`, and lowers `most` by their number.
fn last<T>(rows: &mut Vec<T>, most: &mut usize) -> Vec<T> {
    let taken = rows.split_off(rows.len().saturating_sub(*most));
    *most -= taken.len();
    taken
}
