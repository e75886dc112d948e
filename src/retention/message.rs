//! Which events are about messages before the horizon alone, and what of them a row of a person or a group still needs.

use super::RetentionError;
use super::described::{Described, EXISTS};
use super::kept::{Entries, TRIGGER};
use super::plan::{Event, Sink, triggers};
use crate::change::{self, Change, Changes};
use crate::envelope;
use crate::ids::{Outcome, Time, id_number};
use crate::passed::Passed;
use crate::store::StoreError;
use crate::store::sqlite::events::Logged;
use crate::store::sqlite::receipt::MarkerKey;
use crate::store::sqlite::retention::{self as store, Bounds};
use crate::store::sqlite::{self, App, Connection};
use crate::tables::horizon::Horizon;
use crate::tables::receipt::ReadMarker;
use crate::trigger::family;

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
    let mut judge = Judge { log, bounds, horizon, described: Described::of(log, &bounds.app), kept: 0 };
    for seq in store::about_messages(log, bounds, &triggers(is_about_messages))? {
        let Some(logged) = store::event(log, seq)? else { continue };
        match judge.fate(&logged)? {
            Fate::Stays => {}
            Fate::Goes => sink.event(Event { seq, bytes: logged.body.len() as u64, refs: Vec::new() })?,
            Fate::Keeps(entries) => sink.kept(entries.instead_of(&logged)?)?,
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
    described: Described<'a>,
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
        for change in &changes {
            if let Change::ReadMarker(told) = change
                && self.is_mark(told)?
            {
                self.kept += 1;
                return Ok(Fate::Stays);
            }
        }
        let entries = self.described.entries(fact, &changes)?;
        Ok(match entries.is_empty() {
            true => Fate::Goes,
            false if is_kept => {
                self.kept += 1;
                Fate::Stays
            }
            false => Fate::Keeps(entries),
        })
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
            && self.described.needs.is_first(("read_markers", format!("{key:?}")), EXISTS))
    }
}
