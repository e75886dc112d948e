//! Large events: an event is large if it names about a thousand people, tags or entities, or ends thousands of memberships
//! or tags.
//!
//! A large event must not hold up the deliveries of other apps. The event gets its row of the log at once, like every other
//! event. A thread beside the writer folds the event over a snapshot. Then the writer saves its rows in pieces and takes other
//! deliveries between two of them. Until the last piece is saved the event is in the table `unfinished`, no reader is told
//! of it, and no other delivery of its app is taken. Whoever opens a file to write finishes what a crash left there: the
//! event is folded again, over what was saved of it.

use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::fold;
use crate::ids::{Outcome, Time};
pub use crate::log::Appended;
use crate::log::{self, Source};
use crate::merge::Fact;
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, events as table, membership, message, unfinished};

/// What is large, and how large a piece is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Commas in the body of a large event. In JSON a comma stands between two names: a body holds hardly more names than
    /// commas.
    pub commas: usize,
    /// Entities and registers that a large event names. They are counted where the body has as many commas.
    pub names: usize,
    /// People whose memberships a creation of their group, or a member list, may end.
    pub people: usize,
    /// Bytes of the tags and mentions of a message that an edit may replace.
    pub carried: usize,
    /// Rows in one piece.
    pub piece: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { commas: 4_000, names: 1_000, people: 2_000, carried: 32_000, piece: 2_000 }
    }
}

/// The result of posting a delivery.
#[derive(Debug)]
pub enum Posted {
    Done(Appended),
    /// A large event, which is in the log and is not folded yet: its log position.
    Unfinished(i64),
}

impl From<Appended> for Posted {
    fn from(appended: Appended) -> Self {
        Self::Done(appended)
    }
}

/// Appends a posted delivery inside the caller's transaction, as [`log::append`] does, but leaves a large event unfinished.
pub fn post(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    limits: Limits,
) -> Result<Posted, StoreError> {
    log::enter(batch, conn, envelope, received_at, Source::Http, |batch, envelope, fact| {
        if !limits.are_passed(conn, envelope, fact)? {
            return log::settle(batch, conn, envelope, fact).map(Posted::Done);
        }
        let app = App::from(envelope.app_id.as_str());
        // Numbers of apps go by the log: another app must not take this one meanwhile.
        batch.number(conn, &app)?;
        unfinished::add(conn, fact.seq, &app)?;
        Ok(Posted::Unfinished(fact.seq))
    })
}

impl Limits {
    fn are_passed(self, conn: &Connection, envelope: &Envelope, fact: &Fact) -> Result<bool, StoreError> {
        let Some(payload) = envelope.payload.as_ref().filter(|_| envelope.outcome == Outcome::Applied) else {
            return Ok(false);
        };
        let body = envelope.body.as_bytes();
        if body.len() > self.names {
            let commas = body.iter().filter(|byte| **byte == b',').count();
            if commas >= self.commas || (commas >= self.names && payload.refs().len() >= self.names) {
                return Ok(true);
            }
        }
        // What a body that names few may end.
        let app = &envelope.app_id;
        let kind = if matches!(fact.trigger.as_str(), "group_created" | "chatfold.group_roster") {
            "group"
        } else if envelope.body.contains("editedAt") {
            // Any fact may carry a message as it is since its newest edit.
            "message"
        } else {
            return Ok(false);
        };
        for it in payload.refs().iter().filter(|it| it.kind == kind) {
            let is_large = match kind {
                "group" => membership::known(conn, app, &it.key, self.people)? >= self.people,
                _ => message::carried_bytes(conn, app, &it.key)? >= self.carried,
            };
            if is_large {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A large event, folded in memory.
pub struct Folded {
    batch: Batch,
    appended: Appended,
    /// The reason, if the event is a dead letter.
    rejected: Option<String>,
}

/// Folds an unfinished event over what a snapshot holds. It may be saved in part already.
pub fn fold(conn: &Connection, seq: i64) -> Result<Folded, StoreError> {
    let lost = |why: &str| StoreError::Unusable(format!("the unfinished event {seq} {why}"));
    let event = table::between(conn, seq - 1, seq, 1)?.0.pop().ok_or_else(|| lost("is not in the log"))?;
    let envelope = Envelope::parse(event.body.as_bytes()).map_err(|problem| lost(&problem.to_string()))?;
    let mut batch = Batch::for_large();
    let verdict = fold::fold(&mut batch, conn, &envelope, &event.fact)?;
    let app = App::from(envelope.app_id.as_str());
    batch.count(&app, event.fact.received_at, &envelope.trigger, verdict.outcome.as_str());
    batch.cut();
    let rejected = if verdict.outcome == envelope.outcome { None } else { verdict.reason };
    Ok(Folded { batch, appended: Appended { seq, outcome: verdict.outcome, duplicate: false }, rejected })
}

impl Folded {
    /// Saves the next piece inside the caller's transaction. Some: it was the last one, and the event is finished once the
    /// caller commits. After a transaction that was rolled back the event has to be folded again.
    pub fn save_piece(&mut self, conn: &Connection, limits: Limits) -> Result<Option<Appended>, StoreError> {
        if !self.batch.save_piece(conn, limits.piece)? {
            return Ok(None);
        }
        self.batch.save(conn)?;
        let Appended { seq, outcome, .. } = self.appended;
        if let Some(reason) = &self.rejected {
            table::judge(conn, seq, outcome, Some(reason))?;
        }
        unfinished::remove(conn, seq)?;
        Ok(Some(self.appended))
    }
}

/// Finishes what a crash left unfinished, where nobody waits for the writer meanwhile.
pub fn finish_all(conn: &Connection) -> Result<(), StoreError> {
    for (seq, _) in unfinished::all(conn)? {
        sqlite::begin(conn)?;
        let finished = fold(conn, seq).and_then(|mut folded| {
            while folded.save_piece(conn, Limits::default())?.is_none() {}
            sqlite::commit(conn)
        });
        if finished.is_err() {
            sqlite::rollback(conn);
        }
        finished?;
    }
    Ok(())
}
