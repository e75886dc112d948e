//! The fold: puts one event into the tables. Live deliveries and rebuilds use the same function.

use crate::batch::{Batch, ROW};
use crate::change::Changes;
use crate::envelope::Envelope;
use crate::ids::Outcome;
use crate::merge::Fact;
use crate::panics;
use crate::part::Part;
use crate::passed::Passed;
use crate::store::StoreError;
use crate::store::sqlite::{App, Connection};
use crate::trigger::{Ref, Role, family};

pub use crate::ids::Verdict;
pub use crate::tables::FOLD_VERSION;

/// Folds an event that is in the log. If the code panics while it reduces the event or changes rows in memory, or if a
/// row gets too large to be stored, the event is a dead letter and changes nothing. A panic while a row is read from the
/// file is an error.
pub fn fold(batch: &mut Batch, conn: &Connection, envelope: &Envelope, fact: &Fact) -> Result<Verdict, StoreError> {
    fold_part(batch, conn, envelope, fact, None)
}

/// The same, for no more than a part of the tables.
pub fn fold_part(
    batch: &mut Batch,
    conn: &Connection,
    envelope: &Envelope,
    fact: &Fact,
    part: Option<&Part>,
) -> Result<Verdict, StoreError> {
    let app = App::from(envelope.app_id.as_str());
    batch.count_for_app(conn, &app, envelope.region.as_deref(), fact)?;
    let told = Verdict { outcome: envelope.outcome, reason: envelope.reason.clone() };
    let Some(payload) = &envelope.payload else { return Ok(told) };
    let applied = envelope.outcome == Outcome::Applied;
    let folded = panics::caught(|| {
        let mut changes = Changes::default();
        if applied {
            payload.reduce(fact, &mut changes);
            if let Some(reason) = cut(batch, conn, &app, envelope, &changes)? {
                return Ok(Some(reason));
            }
            if let Some(reason) = pass(batch, conn, &app, envelope, &mut changes)? {
                return Ok(Some(reason));
            }
        }
        if let Some(part) = part {
            part.cut_out(&mut changes);
        }
        let stored = |it: &&Ref| it.role == Role::About || (applied && it.role == Role::Sets);
        if part.is_none_or(|part| part.is_anew(fact.seq)) {
            for reference in payload.refs().iter().filter(stored) {
                batch.refer(&app, reference, fact.seq);
            }
        }
        batch.load_many(conn, &app, &mut changes)?;
        changes.into_iter().try_for_each(|change| batch.apply(conn, &app, fact, change))?;
        batch.look_for_drift(conn, fact.seq)?;
        Ok(None)
    });
    let problem = match folded {
        Err(panicked) => panicked.to_string(),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(Some(reason))) => return Ok(Verdict { outcome: Outcome::Ignored, reason: Some(reason) }),
        Ok(Ok(None)) => match batch.exceeds() {
            Some(table) => format!("a row of {table} would be larger than {} MiB", ROW >> 20),
            None => {
                batch.keep();
                return Ok(told);
            }
        },
    };
    batch.take_back();
    tracing::error!(seq = fact.seq, trigger = fact.trigger, problem, "fold failed: kept as a dead letter");
    Ok(Verdict { outcome: Outcome::Rejected, reason: Some(format!("fold failed: {problem}")) })
}

/// The reason, if the event is older than the horizon of its family. What it would change may have been cut already, so
/// its tables would say something that no order of the log gives.
fn cut(
    batch: &mut Batch,
    conn: &Connection,
    app: &App,
    envelope: &Envelope,
    changes: &Changes,
) -> Result<Option<String>, StoreError> {
    let family = match family::of(&envelope.trigger) {
        family::PRESENCE => family::PRESENCE,
        _ if changes.tell_of_call() => family::CALL,
        _ => return Ok(None),
    };
    let Some(told_at) = envelope.told_at else { return Ok(None) };
    let horizon = batch.horizon(conn, app, family)?.filter(|horizon| told_at < horizon.before);
    Ok(horizon.map(|it| format!("older than {}, up to which events about {family} were cut", it.before.rfc3339())))
}

/// Takes away what changes tell of messages that were cut. The reason, if the event is about nothing else and comes after
/// the horizon.
fn pass(
    batch: &mut Batch,
    conn: &Connection,
    app: &App,
    envelope: &Envelope,
    changes: &mut Changes,
) -> Result<Option<String>, StoreError> {
    if !family::is_about_messages(&envelope.trigger) {
        return Ok(None);
    }
    let (known, expected) = (batch.horizon(conn, app, family::MESSAGE)?, batch.expected(app));
    let judge = |horizon, changes: &Changes| {
        Passed::judge(&envelope.trigger, changes, envelope.told_at, horizon, |_| Ok::<_, StoreError>(None))
    };
    if let Some(horizon) = known {
        let passed = judge(horizon, changes)?;
        if passed.is_whole {
            let before = horizon.before.rfc3339();
            return Ok(Some(format!("about a message sent before {before}, up to which messages were cut")));
        }
        passed.forget(changes);
    }
    if let Some(horizon) = expected.filter(|expected| known != Some(*expected)) {
        judge(horizon, changes)?.forget(changes);
    }
    Ok(None)
}
