//! The fold: one event into the tables, live and again from the log. The same function for both.

use crate::change::Changes;
use crate::envelope::Envelope;
use crate::ids::Outcome;
use crate::merge::Fact;
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, log};
use crate::trigger::{Ref, Role};

/// Folds an event that is in the log. One that the tables cannot take is a dead letter, and leaves nothing behind.
pub fn fold(conn: &Connection, envelope: &Envelope, fact: &Fact) -> Result<Outcome, StoreError> {
    log::count_for_app(conn, &envelope.app_id, envelope.region.as_deref(), fact.received_at)?;
    let Some(payload) = &envelope.payload else { return Ok(envelope.outcome) };
    let applied = envelope.outcome == Outcome::Applied;
    sqlite::savepoint(conn)?;
    let folded = (|| {
        let stored = |it: &&Ref| it.role == Role::About || (applied && it.role == Role::Sets);
        for reference in payload.refs().iter().filter(stored) {
            log::refer(conn, &envelope.app_id, reference, fact.seq)?;
        }
        let mut changes = Changes::default();
        if applied {
            payload.reduce(fact, &mut changes);
        }
        changes.into_iter().try_for_each(|change| sqlite::put(conn, &envelope.app_id, fact, change))
    })();
    match folded {
        Ok(()) => {
            sqlite::release(conn)?;
            Ok(envelope.outcome)
        }
        Err(error) if error.is_of_the_file() => Err(error),
        Err(error) => {
            sqlite::undo(conn)?;
            tracing::error!(seq = fact.seq, trigger = fact.trigger, %error, "fold failed: kept as a dead letter");
            log::judge(conn, fact.seq, Outcome::Rejected, Some(&format!("fold failed: {error}")))?;
            Ok(Outcome::Rejected)
        }
    }
}

/// Events read at a time.
const CHUNK: usize = 1_000;

/// Drops the tables and folds the whole log again, inside the caller's transaction. `progress` hears of every chunk.
pub fn refold(conn: &Connection, mut progress: impl FnMut(i64)) -> Result<(), StoreError> {
    log::clear_projection(conn)?;
    let mut seq = 0;
    loop {
        let chunk = log::after(conn, seq, CHUNK)?;
        let Some(last) = chunk.last() else { return Ok(()) };
        seq = last.fact.seq;
        for logged in chunk {
            let Ok(envelope) = Envelope::parse(logged.body.as_bytes()) else { continue };
            if (envelope.outcome, &envelope.reason) != (logged.outcome, &logged.reason) {
                log::judge(conn, logged.fact.seq, envelope.outcome, envelope.reason.as_deref())?;
            }
            fold(conn, &envelope, &logged.fact)?;
        }
        progress(seq);
    }
}
