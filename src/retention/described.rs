//! The descriptions of people and groups in events, and which of these descriptions a row still needs.

use super::kept::Entries;
use super::needs::Needs;
use crate::change::{Change, Changes, Group, User};
use crate::merge::{Fact, Row, Rule, Telling, Value};
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, Key};
use crate::tables;
use crate::tables::registers::Registers;
use std::collections::HashMap;

/// Rows of people and of groups that stay in memory.
const ROWS: usize = 10_000;
/// Stands for no field: whether there is a row at all.
pub(super) const EXISTS: usize = usize::MAX;

const MEMBERS_COUNT: usize = Group::place("reported_members_count");

/// Judges the events of an app one after the other.
pub(super) struct Described<'a> {
    log: &'a Connection,
    app: &'a App,
    pub needs: Needs<'a, (&'static str, String)>,
    users: HashMap<String, Option<Registers<User>>>,
    groups: HashMap<String, Option<tables::group::Group>>,
    /// All numbers of members that events tell stay. When the number in a group began to differ from them is not told by
    /// the newest alone.
    with_counts: bool,
}

impl<'a> Described<'a> {
    pub fn of(log: &'a Connection, app: &'a App) -> Self {
        Self { log, app, needs: Needs::new(log), users: HashMap::new(), groups: HashMap::new(), with_counts: false }
    }

    /// For a cut after which the tables are not made anew.
    pub fn with_counts(log: &'a Connection, app: &'a App) -> Self {
        Self { with_counts: true, ..Self::of(log, app) }
    }

    /// The descriptions that must stay when an event with these changes goes.
    pub fn entries(&mut self, fact: &Fact, changes: &Changes) -> Result<Entries, StoreError> {
        let mut entries = Entries::default();
        for change in changes {
            match change {
                Change::User { uid, telling } if self.needs_user(uid, telling)? => entries.user(fact, uid, telling),
                Change::Group { guid, telling } if self.needs_group(guid, telling)? => {
                    entries.group(fact, guid, telling);
                }
                _ => {}
            }
        }
        Ok(entries)
    }

    fn needs_user(&mut self, uid: &str, telling: &Telling) -> Result<bool, StoreError> {
        let row = row_of(&mut self.users, uid, || sqlite::load(self.log, &key(self.app, uid)))?;
        let Some(row) = row.as_ref().map(|it| &it.row) else { return Ok(false) };
        needs_row(&mut self.needs, ("users", uid), row, User::RULES, telling)
    }

    fn needs_group(&mut self, guid: &str, telling: &Telling) -> Result<bool, StoreError> {
        let row = row_of(&mut self.groups, guid, || sqlite::load(self.log, &key(self.app, guid)))?;
        let Some(row) = row.as_ref().map(|it| &it.row) else { return Ok(false) };
        let is_count = |(field, _): &(usize, Value)| *field == MEMBERS_COUNT;
        let is_needed = needs_row(&mut self.needs, ("groups", guid), row, Group::RULES, telling)?;
        Ok(is_needed || (self.with_counts && telling.fields.iter().any(is_count)))
    }
}

/// Whether a row would be another, or would not be there, without an event that tells this.
fn needs_row(
    needs: &mut Needs<'_, (&'static str, String)>,
    (table, id): (&'static str, &str),
    row: &Row,
    rules: &[Rule],
    telling: &Telling,
) -> Result<bool, StoreError> {
    let is_bare = row.keys.iter().all(Option::is_none);
    let of = || (table, id.to_owned());
    Ok(needs.has(of, row, rules, telling)? || (is_bare && needs.is_first(of(), EXISTS)))
}

fn key(app: &App, id: &str) -> Key {
    (App::clone(app), id.to_owned())
}

fn row_of<'r, R>(
    rows: &'r mut HashMap<String, Option<R>>,
    id: &str,
    load: impl FnOnce() -> Result<Option<R>, StoreError>,
) -> Result<&'r Option<R>, StoreError> {
    if rows.len() >= ROWS && !rows.contains_key(id) {
        rows.clear();
    }
    if !rows.contains_key(id) {
        rows.insert(id.to_owned(), load()?);
    }
    Ok(rows.get(id).unwrap_or(&None))
}
