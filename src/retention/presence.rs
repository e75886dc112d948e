//! Which events about a person's presence no table needs any more.

use super::RetentionError;
use super::needs::Needs;
use super::plan::{Ended, Event, Sink};
use crate::change::{self, Change, Changes, Presence, User};
use crate::envelope;
use crate::ids::{Outcome, TimeSource};
use crate::merge::Row;
use crate::store::StoreError;
use crate::store::sqlite::events::{self, Logged};
use crate::store::sqlite::registers::ConnectionKey;
use crate::store::sqlite::retention::{self as store, Bounds};
use crate::store::sqlite::{self, App, Connection, RefKey};
use crate::tables::app::Pillars;
use crate::tables::registers::Registers;
use crate::trigger;
use std::collections::BTreeMap;

type Socket = Registers<change::Connection>;

const OPEN: usize = change::Connection::place("open");

/// An event within the bounds.
struct Candidate {
    event: Event,
    /// A row that stays needs it.
    is_needed: bool,
    connection: Option<ConnectionKey>,
    /// The row of the connection needs it.
    is_held: bool,
}

/// Finds what may be cut about a person. Gives how many events within the bounds stay.
///
/// An event that CometChat does not date may be one of two facts with equal bodies, and the events between the two tell
/// which (contract 3). So of a person with such an event all events stay.
pub(super) fn person(
    log: &Connection,
    bounds: &Bounds,
    pillars: &Pillars,
    uid: &str,
    sink: &mut Sink<'_>,
) -> Result<u64, RetentionError> {
    let key = (App::clone(&bounds.app), uid.to_owned());
    let (user, presence) = (sqlite::load(log, &key)?, sqlite::load(log, &key)?);
    let (Some(user), Some(presence)) = (user, presence) else { return Ok(0) };
    let mut judge = Judge { log, uid, user, presence, connections: BTreeMap::new(), needs: Needs::new(log) };
    let (mut found, mut all_told) = (Vec::new(), true);
    store::presence(log, bounds, uid, &mut |logged| {
        all_told &= logged.fact.occurred_from == TimeSource::Told;
        if all_told && logged.outcome == Outcome::Applied {
            found.push(judge.candidate(bounds, pillars, &logged)?);
        }
        Ok(())
    })?;
    if !all_told {
        return Ok(found.len() as u64);
    }
    let mut ended = judge.ended(bounds, &found);
    let mut kept = 0;
    for Candidate { event, is_needed, connection, is_held } in found {
        let ending = connection.as_ref().and_then(|key| ended.get_mut(key));
        match ending {
            _ if is_needed => kept += 1,
            Some(ending) if is_held => ending.events.push(event),
            None if is_held => kept += 1,
            _ => sink.event(event)?,
        }
    }
    ended.into_values().try_for_each(|ended| sink.connection(ended))?;
    Ok(kept)
}

/// Decides which events the rows of a person need.
struct Judge<'a> {
    log: &'a Connection,
    uid: &'a str,
    user: Registers<User>,
    presence: Registers<Presence>,
    connections: BTreeMap<ConnectionKey, Option<Socket>>,
    needs: Needs<'a, (Option<ConnectionKey>, &'static str)>,
}

impl Judge<'_> {
    fn candidate(&mut self, bounds: &Bounds, pillars: &Pillars, logged: &Logged) -> Result<Candidate, StoreError> {
        let (app, fact) = (&bounds.app, &logged.fact);
        let key = |it: &trigger::Ref| (App::clone(app), it.kind, it.key.clone());
        let payload = envelope::payload(&logged.body);
        let refs: Vec<RefKey> = payload.iter().flat_map(|payload| payload.refs()).map(|it| key(&it)).collect();
        let event = Event { seq: fact.seq, bytes: logged.body.len() as u64, refs };
        let mut it = Candidate { event, is_needed: true, connection: None, is_held: false };
        let Some(payload) = payload.filter(|payload| payload.occurred_at() == Some(fact.occurred_at)) else {
            return Ok(it);
        };
        // A build that understood less may have taken the same fact twice: the second folds to nothing only beside the first.
        let equals = events::equals(self.log, app, &fact.fingerprint, Some(fact.occurred_at))?;
        it.is_needed = equals.len() > 1 || pillars.has(fact.seq, fact.received_at.0);
        let mut changes = Changes::default();
        payload.reduce(fact, &mut changes);
        for change in &changes {
            match change {
                Change::User { uid, telling } if uid == self.uid => {
                    it.is_needed |= self.needs.has(|| (None, "users"), &self.user.row, User::RULES, telling)?;
                }
                Change::Presence { uid, telling } if uid == self.uid => {
                    it.is_needed |=
                        self.needs.has(|| (None, "presence"), &self.presence.row, Presence::RULES, telling)?;
                }
                Change::Connection { uid, platform, connected_at, telling }
                    if uid == self.uid && it.connection.is_none() =>
                {
                    let key = (App::clone(app), uid.clone(), platform.clone(), connected_at.0);
                    match self.connection(&key)? {
                        Some(row) => {
                            let of = || (Some(key.clone()), "connections");
                            it.is_held = self.needs.has(of, &row, change::Connection::RULES, telling)?;
                        }
                        None => it.is_needed = true,
                    }
                    it.connection = Some(key);
                }
                _ => it.is_needed = true,
            }
        }
        Ok(it)
    }

    fn connection(&mut self, key: &ConnectionKey) -> Result<Option<Row>, StoreError> {
        if !self.connections.contains_key(key) {
            self.connections.insert(key.clone(), sqlite::load(self.log, key)?);
        }
        Ok(self.connections.get(key).and_then(Option::as_ref).map(|it| it.row.clone()))
    }

    /// Connections of which nothing newer than the horizon was heard, and whose events no other row needs.
    fn ended(&mut self, bounds: &Bounds, found: &[Candidate]) -> BTreeMap<ConnectionKey, Ended> {
        let mut ended = BTreeMap::new();
        for (key, row) in std::mem::take(&mut self.connections) {
            let Some(row) = row else { continue };
            let mut of = found.iter().filter(|it| it.connection.as_ref() == Some(&key));
            let newest = row.row.keys[OPEN].filter(|newest| newest.at < bounds.before.0);
            let is_whole = newest.is_some_and(|newest| of.clone().any(|it| it.event.seq == newest.seq));
            if is_whole && of.all(|it| !it.is_needed) {
                ended.insert(key.clone(), Ended { key, row, events: Vec::new() });
            }
        }
        ended
    }
}
