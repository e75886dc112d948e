//! The fold: one event into the tables, live and again from the log. The same function for both.

use crate::change::Changes;
use crate::envelope::Envelope;
use crate::ids::Outcome;
use crate::merge::Fact;
use crate::panics;
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, log};
use crate::trigger::{Ref, Role};

/// The edition of reducers and tables. Raise it with every change that makes tables of an old log differ: files of
/// another edition are rebuilt when the server starts.
pub const FOLD_VERSION: i64 = 2;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Why it was not applied, or which fields were not understood.
    pub reason: Option<String>,
}

/// Folds an event that is in the log. An event that the tables cannot take, or over which a reducer panics, is a dead
/// letter and leaves nothing behind.
pub fn fold(conn: &Connection, envelope: &Envelope, fact: &Fact) -> Result<Verdict, StoreError> {
    log::count_for_app(conn, &envelope.app_id, envelope.region.as_deref(), fact)?;
    let told = Verdict { outcome: envelope.outcome, reason: envelope.reason.clone() };
    let Some(payload) = &envelope.payload else { return Ok(told) };
    let applied = envelope.outcome == Outcome::Applied;
    sqlite::savepoint(conn)?;
    let folded = panics::caught(|| {
        let stored = |it: &&Ref| it.role == Role::About || (applied && it.role == Role::Sets);
        for reference in payload.refs().iter().filter(stored) {
            log::refer(conn, &envelope.app_id, reference, fact.seq)?;
        }
        let mut changes = Changes::default();
        if applied {
            payload.reduce(fact, &mut changes);
        }
        changes.into_iter().try_for_each(|change| sqlite::put(conn, &envelope.app_id, fact, change))
    });
    let problem = match folded {
        Ok(Ok(())) => {
            sqlite::release(conn)?;
            return Ok(told);
        }
        Ok(Err(error)) if !error.is_of_the_event() => return Err(error),
        Ok(Err(error)) => error.to_string(),
        Err(panicked) => panicked.to_string(),
    };
    sqlite::undo(conn)?;
    tracing::error!(seq = fact.seq, trigger = fact.trigger, problem, "fold failed: kept as a dead letter");
    Ok(Verdict { outcome: Outcome::Rejected, reason: Some(format!("fold failed: {problem}")) })
}
