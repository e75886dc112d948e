//! Large events: an event is large if it names about a thousand people, tags or entities, or ends thousands of memberships
//! or tags.
//!
//! A large event must not hold up other deliveries. The event gets its row of the log at once, like every other event. A
//! thread beside the writer folds the event over a snapshot. Then the writer saves its rows in pieces and takes other
//! deliveries between two of them. Until the last piece is saved the event is in the table `unfinished`, and no reader is
//! told of it. Whoever opens a file to write finishes what a crash left there: the event is folded again, over what was
//! saved of it.
//!
//! Later events of the same app get their rows of the log at once too, and stand in `unfinished` behind the large event.
//! They are folded in the order of the log once the large event is finished.

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
    /// An event that is in the log behind an unfinished one of its app, and is not folded yet: its log position.
    Behind(i64),
    /// Nothing is written: only the tables can tell whether the delivery is new, and they lack an unfinished event.
    Undecided,
}

impl From<Appended> for Posted {
    fn from(appended: Appended) -> Self {
        Self::Done(appended)
    }
}

/// Appends a posted delivery inside the caller's transaction, as [`log::append`] does, but leaves a large event unfinished.
/// `behind`: an event of the app is unfinished, so this one is left unfinished too.
pub fn post(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    received_at: Time,
    limits: Limits,
    behind: bool,
) -> Result<Posted, StoreError> {
    if behind && log::asks_tables(batch, conn, envelope, received_at)? {
        return Ok(Posted::Undecided);
    }
    log::enter(batch, conn, envelope, received_at, Source::Http, |batch, envelope, fact| {
        if !behind && !limits.are_passed(conn, envelope, fact)? {
            return log::settle(batch, conn, envelope, fact).map(Posted::Done);
        }
        let app = App::from(envelope.app_id.as_str());
        // Numbers of apps go by the log: another app must not take this one meanwhile.
        batch.number(conn, &app)?;
        unfinished::add(conn, fact.seq, &app)?;
        Ok(if behind { Posted::Behind(fact.seq) } else { Posted::Unfinished(fact.seq) })
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
    let (mut envelope, fact) = read(conn, seq)?;
    // The log has it, and it may take megabytes.
    envelope.body = String::new();
    let mut batch = Batch::for_large();
    let verdict = fold::fold(&mut batch, conn, &envelope, &fact)?;
    let app = App::from(envelope.app_id.as_str());
    batch.count(&app, fact.received_at, &envelope.trigger, verdict.outcome.as_str());
    batch.cut();
    let rejected = if verdict.outcome == envelope.outcome { None } else { verdict.reason };
    Ok(Folded { batch, appended: Appended { seq, outcome: verdict.outcome, duplicate: false }, rejected })
}

/// Folds an unfinished event inside the caller's transaction, where all events before it are folded and nothing of it is
/// saved. `None`: the event is large, and [`fold`] has to fold it.
pub fn follow(batch: &mut Batch, conn: &Connection, seq: i64, limits: Limits) -> Result<Option<Appended>, StoreError> {
    let (envelope, fact) = read(conn, seq)?;
    if limits.are_passed(conn, &envelope, &fact)? {
        return Ok(None);
    }
    let appended = log::settle(batch, conn, &envelope, &fact)?;
    unfinished::remove(conn, seq)?;
    Ok(Some(appended))
}

fn read(conn: &Connection, seq: i64) -> Result<(Envelope, Fact), StoreError> {
    let lost = |why: &str| StoreError::Unusable(format!("the unfinished event {seq} {why}"));
    let event = table::between(conn, seq - 1, seq, 1)?.0.pop().ok_or_else(|| lost("is not in the log"))?;
    let envelope = Envelope::parse(event.body.as_bytes()).map_err(|problem| lost(&problem.to_string()))?;
    // It panicked when it was appended.
    let is_dead = event.outcome == Outcome::Rejected && envelope.outcome != Outcome::Rejected;
    let envelope = if is_dead { envelope.as_dead_letter(event.reason.unwrap_or_default()) } else { envelope };
    Ok((envelope, event.fact))
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
    for (nth, (seq, _)) in unfinished::all(conn)?.into_iter().enumerate() {
        sqlite::begin(conn)?;
        let limits = Limits::default();
        // Only the first may be saved in part.
        let finished = if nth == 0 { Ok(None) } else { follow_alone(conn, seq, limits) };
        let finished = finished.and_then(|followed| {
            if followed.is_none() {
                let mut folded = fold(conn, seq)?;
                while folded.save_piece(conn, limits)?.is_none() {}
            }
            sqlite::commit(conn)
        });
        if finished.is_err() {
            sqlite::rollback(conn);
        }
        finished?;
    }
    Ok(())
}

fn follow_alone(conn: &Connection, seq: i64, limits: Limits) -> Result<Option<Appended>, StoreError> {
    let mut batch = Batch::default();
    let followed = follow(&mut batch, conn, seq, limits)?;
    batch.save(conn).map(|()| followed)
}
