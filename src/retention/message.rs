//! Which events are about messages before the horizon alone, and what of them a row of a person or a group still needs.

use super::RetentionError;
use super::kept::{Entries, TRIGGER};
use super::needs::Needs;
use super::plan::{Event, Sink};
use crate::change::{self, Change, Changes, Group, User};
use crate::envelope;
use crate::ids::{Outcome, Time, id_number};
use crate::merge::{Row, Rule, Telling};
use crate::passed::Passed;
use crate::store::StoreError;
use crate::store::sqlite::events::Logged;
use crate::store::sqlite::receipt::MarkerKey;
use crate::store::sqlite::retention::{self as store, Bounds};
use crate::store::sqlite::{self, App, Connection, Key};
use crate::tables;
use crate::tables::horizon::Horizon;
use crate::tables::receipt::ReadMarker;
use crate::tables::registers::Registers;
use crate::trigger::{TRIGGERS, family};
use std::collections::HashMap;

/// Rows of people and of groups that stay in memory.
const ROWS: usize = 10_000;
/// Stands for no field: whether there is a row at all.
const EXISTS: usize = usize::MAX;

/// What becomes of an event.
enum Fate {
    /// It stays as it is.
    Stays,
    Goes,
    /// Only this stays of it.
    Keeps(Entries),
}

/// Hands over the events about messages before the horizon. Gives how many of those within the bounds stay.
pub(super) fn plan(log: &Connection, bounds: &Bounds, sink: &mut Sink<'_>) -> Result<u64, RetentionError> {
    let horizon = Horizon { before: bounds.before, last_id: bounds.last_id };
    let mut judge =
        Judge { log, bounds, horizon, needs: Needs::new(log), users: HashMap::new(), groups: HashMap::new(), kept: 0 };
    let triggers: Vec<&str> = TRIGGERS.iter().map(|(name, _)| *name).filter(|name| is_about_messages(name)).collect();
    for seq in store::about_messages(log, bounds, &triggers)? {
        let Some(logged) = store::event(log, seq)? else { continue };
        match judge.fate(&logged)? {
            Fate::Stays => {}
            Fate::Goes => sink.event(Event { seq, bytes: logged.body.len() as u64, refs: Vec::new() })?,
            Fate::Keeps(entries) => {
                let unusable = |error| StoreError::Unusable(format!("event {seq} cannot be written anew: {error}"));
                sink.kept(entries.instead_of(&logged).map_err(unusable)?)?;
            }
        }
    }
    Ok(judge.kept)
}

/// Whether an event of this trigger may be cut with messages.
fn is_about_messages(trigger: &str) -> bool {
    family::is_about_messages(trigger) || trigger == TRIGGER
}

struct Judge<'a> {
    log: &'a Connection,
    bounds: &'a Bounds,
    horizon: Horizon,
    needs: Needs<'a, (&'static str, String)>,
    users: HashMap<String, Option<Registers<User>>>,
    groups: HashMap<String, Option<tables::group::Group>>,
    /// Events that stay because a row needs them.
    kept: u64,
}

impl Judge<'_> {
    fn fate(&mut self, logged: &Logged) -> Result<Fate, StoreError> {
        let fact = &logged.fact;
        let Some(payload) = envelope::payload(&logged.body) else { return Ok(Fate::Stays) };
        let mut changes = Changes::default();
        payload.reduce(fact, &mut changes);
        let (log, app) = (self.log, &self.bounds.app);
        let sent_at = |id: &str| store::sent_at(log, app, id);
        let passed = Passed::judge(&fact.trigger, &changes, payload.occurred_at(), self.horizon, sent_at)?;
        let is_kept = fact.trigger == TRIGGER;
        if !(passed.is_whole || (is_kept && fact.occurred_at < self.bounds.before)) {
            return Ok(Fate::Stays);
        }
        match logged.outcome {
            Outcome::Applied => {}
            // It changed nothing: the horizon had passed already, or another event tells the same.
            Outcome::Ignored => return Ok(Fate::Goes),
            Outcome::Anomaly | Outcome::Rejected => return Ok(Fate::Stays),
        }
        let mut entries = Entries::default();
        for change in &changes {
            match change {
                Change::User { uid, telling } if self.needs_user(uid, telling)? => entries.user(fact, uid, telling),
                Change::Group { guid, telling } if self.needs_group(guid, telling)? => {
                    entries.group(fact, guid, telling);
                }
                Change::ReadMarker(told) if self.is_mark(told)? => {
                    self.kept += 1;
                    return Ok(Fate::Stays);
                }
                _ => {}
            }
        }
        Ok(match entries.is_empty() {
            true => Fate::Goes,
            false if is_kept => {
                self.kept += 1;
                Fate::Stays
            }
            false => Fate::Keeps(entries),
        })
    }

    fn needs_user(&mut self, uid: &str, telling: &Telling) -> Result<bool, StoreError> {
        let row = row_of(&mut self.users, uid, || sqlite::load(self.log, &key(self.bounds, uid)))?;
        let Some(row) = row.as_ref().map(|it| &it.row) else { return Ok(false) };
        needs_row(&mut self.needs, ("users", uid), row, User::RULES, telling)
    }

    fn needs_group(&mut self, guid: &str, telling: &Telling) -> Result<bool, StoreError> {
        let row = row_of(&mut self.groups, guid, || sqlite::load(self.log, &key(self.bounds, guid)))?;
        let Some(row) = row.as_ref().map(|it| &it.row) else { return Ok(false) };
        needs_row(&mut self.needs, ("groups", guid), row, Group::RULES, telling)
    }

    /// Whether this is how far somebody has read in a conversation that keeps messages.
    fn is_mark(&mut self, told: &change::ReadMarker) -> Result<bool, StoreError> {
        let is_number = id_number(&told.message_id).is_some();
        let of = &told.conversation;
        let key: MarkerKey = (App::clone(&self.bounds.app), of.clone(), told.uid.clone(), is_number);
        let Some(mark) = sqlite::load::<ReadMarker>(self.log, &key)? else { return Ok(false) };
        Ok(mark.message_id == told.message_id
            && mark.at == told.at.map(|Time(ms)| ms)
            && store::keeps_messages(self.log, self.bounds, of)?
            && self.needs.is_first(("read_markers", format!("{key:?}")), EXISTS))
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

fn key(bounds: &Bounds, id: &str) -> Key {
    (App::clone(&bounds.app), id.to_owned())
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
