//! Messages that a horizon of retention has passed: which events are about nothing else, and what such an event still
//! tells.
//!
//! A message that was sent before the horizon goes whole: its row, and what events tell of it. An event about such
//! messages alone that is in the log when the horizon is told keeps what it tells of people, groups and read markers. One
//! that comes later is refused.

use crate::change::{self, Change, Changes};
use crate::ids::Time;
use crate::merge::{Telling, Value};
use crate::tables::horizon::Horizon;
use crate::trigger::family;
use std::collections::{BTreeMap, BTreeSet};

const SENT_AT: usize = change::Message::place("sent_at");

/// What an event has to do with a horizon.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The messages named that the horizon has passed.
    ids: BTreeSet<String>,
    /// The event is about messages, and about none that stays.
    pub is_whole: bool,
}

/// The messages that changes name, each with the time at which it was sent, as far as the changes tell.
pub fn messages(changes: &Changes) -> BTreeMap<&str, Option<Time>> {
    let mut named: BTreeMap<&str, Option<Time>> = BTreeMap::new();
    for change in changes {
        if let Some(id) = message(change) {
            let sent_at = match change {
                Change::Message { telling, .. } => sent_at(telling),
                _ => None,
            };
            let known = named.entry(id).or_default();
            *known = (*known).max(sent_at);
        }
    }
    named
}

impl Passed {
    /// Judges the changes of an event, whose time is `told_at` if it tells that. `sent_at` knows when messages were sent of
    /// which the event does not tell that.
    pub fn judge<E>(
        trigger: &str,
        changes: &Changes,
        told_at: Option<Time>,
        horizon: Horizon,
        mut sent_at: impl FnMut(&str) -> Result<Option<Time>, E>,
    ) -> Result<Self, E> {
        let named = messages(changes);
        let all = named.len();
        let mut ids = BTreeSet::new();
        for (id, told) in named {
            let known = if told.is_some() { told } else { sent_at(id)? };
            if horizon.has_passed(id, known, told_at) {
                ids.insert(id.to_owned());
            }
        }
        let is_old = if all == 0 { told_at.is_some_and(|at| at < horizon.before) } else { ids.len() == all };
        let is_whole = is_old && family::is_about_messages(trigger) && changes.into_iter().all(is_of_messages);
        Ok(Self { ids, is_whole })
    }

    /// Takes away what the changes tell of the messages that are passed.
    pub fn forget(&self, changes: &mut Changes) {
        changes.retain(|change| match change {
            Change::Conversation(_) => !self.is_whole,
            _ => message(change).is_none_or(|id| !self.ids.contains(id)),
        });
    }
}

/// The message that a change is about. A read marker is about a person.
fn message(change: &Change) -> Option<&str> {
    match change {
        Change::Message { message_id, .. } | Change::Moderation { message_id, .. } => Some(message_id),
        Change::MessageEdit(it) => Some(&it.message_id),
        Change::Receipt(it) => Some(&it.message_id),
        Change::Reaction(it) => Some(&it.message_id),
        _ => None,
    }
}

/// Whether events about messages may make such a change. Some tell of calls or members too, and these stay.
fn is_of_messages(change: &Change) -> bool {
    let names =
        matches!(change, Change::User { .. } | Change::Group { .. } | Change::Conversation(_) | Change::ReadMarker(_));
    names || message(change).is_some()
}

fn sent_at(telling: &Telling) -> Option<Time> {
    telling.fields.iter().find(|(field, _)| *field == SENT_AT).and_then(|(_, value)| Value::int(value)).map(Time)
}
