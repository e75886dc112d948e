//! An event that names many people: their rows are loaded with one statement a table.

use super::Batch;
use crate::change::{Change, Changes};
use crate::store::StoreError;
use crate::store::sqlite::{App, Connection, membership, registers};
use std::collections::BTreeMap;

/// Fewer are looked up one by one.
const MANY: usize = 64;

impl Batch {
    /// Loads the people and memberships that the changes of one event are about, if there are many.
    pub fn load_many(&mut self, conn: &Connection, app: &App, changes: &Changes) -> Result<(), StoreError> {
        let mut people: Vec<&str> = Vec::new();
        let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::User { uid, .. } => people.push(uid),
                Change::Membership(told) => members.entry(&told.guid).or_default().push(&told.uid),
                Change::Roster(list) => {
                    members.entry(&list.guid).or_default().extend(list.entries.iter().map(|it| it.uid.as_str()));
                }
                _ => {}
            }
        }
        if people.len() >= MANY {
            let keys = people.into_iter().map(|uid| (App::clone(app), uid.to_owned()));
            let load = |keys: &[_]| registers::load_users(conn, app, keys.iter().map(|(_, uid): &(App, String)| uid));
            self.tables.users.see_all(keys, load)?;
        }
        for (guid, uids) in members.into_iter().filter(|(_, uids)| uids.len() >= MANY) {
            let group = (App::clone(app), guid.to_owned());
            let keys = || uids.iter().map(|uid| (App::clone(app), guid.to_owned(), (*uid).to_owned()));
            self.tables.memberships.see_all(keys(), |keys| membership::load_many(conn, &group, keys))?;
            self.tables.membership_facts.see_all(keys(), |keys| membership::load_many_facts(conn, &group, keys))?;
        }
        Ok(())
    }
}
