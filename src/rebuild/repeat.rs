//! Append, repeated from what the log keeps of each delivery (contract 3, 4.1).
//!
//! What append decided stays, but for what follows from understanding more than the chatfold that appended:
//!
//! - A time that a body tells counts. What the body does not tell was decided when it came, and stays.
//! - Equal bodies that tell their time are one fact. The rows that such a fact has beside the first fold to nothing.
//! - A further delivery of a fact without a time repeats the fact unless another fact of their register lies between
//!   the two. The delivery is judged again where facts of the register were not understood when they came.

use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::ids::{Outcome, Time, TimeSource};
use crate::log::{COPIES, registers, repeated};
use crate::merge::Fact;
use crate::store::StoreError;
use crate::store::sqlite::delivery::{self, Further};
use crate::store::sqlite::events::{self, Equal, Logged};
use crate::store::sqlite::{App, Connection, RefKey};
use crate::trigger::{Ref, Role};
use std::collections::{HashMap, HashSet};

/// App and fingerprint.
type FactKey = (App, [u8; 32]);

/// What is decided otherwise so far.
#[derive(Debug, Default)]
pub struct Repeat {
    /// Registers set by events that are understood now, and were not when they came.
    learned: HashSet<RefKey>,
    /// Further deliveries that are events of their own.
    events: HashMap<FactKey, Vec<Equal>>,
    /// Log positions of further deliveries that repeat another event than the log says.
    assigned: HashSet<i64>,
    /// The webhooks of these, by the event that they repeat.
    tellers: HashMap<i64, HashSet<String>>,
}

/// The fact as its body tells it now.
pub fn dated(fact: &Fact, told_at: Option<Time>) -> Fact {
    match told_at {
        Some(occurred_at) => {
            Fact { occurred_at, occurred_from: TimeSource::Told, arrived_at: None, floor: None, ..fact.clone() }
        }
        None => fact.clone(),
    }
}

/// Log position of an earlier event that tells the same fact with the same time; `None`: this one is the first. Append
/// keeps no second one of what it understands.
pub fn told_before(
    log: &Connection,
    logged: &Logged,
    envelope: &Envelope,
    fact: &Fact,
) -> Result<Option<i64>, StoreError> {
    let is_understood_otherwise = fact != &logged.fact || logged.outcome != envelope.outcome;
    if envelope.told_at.is_none() || !is_understood_otherwise {
        return Ok(None);
    }
    let equals = events::equals(log, &envelope.app_id, &envelope.fingerprint, envelope.told_at)?;
    Ok(equals.first().map(|first| first.seq).filter(|first| *first < fact.seq))
}

/// The fact that a further delivery tells as an event of its own.
pub fn event_of(it: &Further, envelope: &Envelope) -> Option<Fact> {
    let dated = it.dated?;
    Some(Fact {
        seq: it.position,
        trigger: envelope.trigger.clone(),
        received_at: it.received_at,
        arrived_at: dated.arrived_at,
        occurred_at: dated.occurred_at,
        occurred_from: dated.from,
        floor: dated.floor,
        fingerprint: envelope.fingerprint,
    })
}

/// What is folded of a body that tells no time.
fn refs(envelope: &Envelope) -> Vec<Ref> {
    let payload = envelope.payload.as_ref().filter(|_| envelope.outcome == Outcome::Applied);
    payload.filter(|_| envelope.told_at.is_none()).map(|payload| payload.refs()).unwrap_or_default()
}

impl Repeat {
    /// An event was not understood when it came, and is now.
    pub fn learn(&mut self, envelope: &Envelope) {
        let app = App::from(envelope.app_id.as_str());
        let refs = envelope.payload.as_ref().map(|payload| payload.refs()).unwrap_or_default();
        let set = refs.into_iter().filter(|it| it.role == Role::Sets);
        self.learned.extend(set.map(|it| (App::clone(&app), it.kind, it.key)));
    }

    /// Which event a further delivery repeats, where that is not the one that the log says: its own position, if it is
    /// an event of its own. `folded` holds what was folded before it.
    pub fn decide(
        &self,
        batch: &Batch,
        folded: &Connection,
        log: &Connection,
        it: &Further,
    ) -> Result<Option<(Envelope, i64)>, StoreError> {
        if self.learned.is_empty() {
            return Ok(None);
        }
        let event = events::between(log, it.seq - 1, it.seq, 1)?.0.pop();
        let Some(envelope) = event.and_then(|event| Envelope::parse(event.body.as_bytes()).ok()) else {
            return Ok(None);
        };
        let (app, refs) = (App::from(envelope.app_id.as_str()), refs(&envelope));
        if !registers(&app, &refs).any(|register| self.learned.contains(&register)) {
            return Ok(None);
        }
        let logged = events::equals(log, &app, &envelope.fingerprint, None)?;
        let found = self.events.get(&(App::clone(&app), envelope.fingerprint)).into_iter().flatten();
        let equals = || logged.iter().filter(|equal| equal.seq < it.position).chain(found.clone());
        // Nothing tells when bare bodies came: all facts of their run may be copied, and none of the log from before.
        let mut copied: Vec<&Equal> = equals()
            .filter(|equal| match it.bare {
                true => equal.seq >= it.seq,
                false => it.received_at.0.abs_diff(equal.received_at.0) <= COPIES,
            })
            .collect();
        copied.sort_unstable_by_key(|equal| equal.seq);
        let webhook_id = it.webhook_id.as_deref().unwrap_or("");
        let repeats = repeated(
            equals().max_by_key(|equal| equal.seq),
            copied,
            |newest| batch.set_after(folded, &app, &refs, newest.seq),
            |equal| Ok(equal.webhook_id == webhook_id || self.told_again(log, equal.seq, webhook_id, it.position)?),
        )?;
        let assigned = repeats.map_or(it.position, |equal| equal.seq);
        Ok((assigned != it.seq).then_some((envelope, assigned)))
    }

    /// Whether a webhook has told a fact again before a log position.
    fn told_again(&self, log: &Connection, fact: i64, webhook_id: &str, before: i64) -> Result<bool, StoreError> {
        if self.tellers.get(&fact).is_some_and(|webhooks| webhooks.contains(webhook_id)) {
            return Ok(true);
        }
        let as_logged = delivery::of_event(log, fact, webhook_id, before)?;
        Ok(as_logged.iter().any(|position| !self.assigned.contains(position)))
    }

    /// A further delivery repeats this event: itself, if it is one.
    pub fn assign(&mut self, it: &Further, seq: i64, envelope: &Envelope) {
        let webhook_id = it.webhook_id.clone().unwrap_or_default();
        self.assigned.insert(it.position);
        if seq != it.position {
            self.tellers.entry(seq).or_default().insert(webhook_id);
        } else {
            let key = (App::from(envelope.app_id.as_str()), envelope.fingerprint);
            self.events.entry(key).or_default().push(Equal {
                seq,
                webhook_id,
                received_at: it.received_at,
                last_received_at: it.received_at,
                outcome: envelope.outcome,
            });
        }
    }
}
