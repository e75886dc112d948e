//! `deliveries`: what append saw of each further delivery of an event.

use super::events::{floor_column, floor_of, repeat};
use crate::feed::Dated;
use crate::ids::{Time, TimeSource, Verdict};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// A delivery that is not the first of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Further {
    /// Its log position.
    pub position: i64,
    /// Log position of the event that it repeats.
    pub seq: i64,
    pub webhook_id: Option<String>,
    pub received_at: Time,
    /// Read from a file that does not tell when it came.
    pub bare: bool,
    /// When it would have happened as an event of its own; `None` where its body told that itself.
    pub dated: Option<Dated>,
}

const ADD: &str = "
    INSERT INTO deliveries (position, seq, webhook_id, received_at, bare, occurred_at, occurred_from, arrived_at, floor_at)
    VALUES (:position, :seq, :webhook_id, :received_at, :bare, :occurred_at, :occurred_from, :arrived_at, :floor_at)";
const TOLD_BY: &str = "
    SELECT 1 FROM deliveries
    WHERE seq = ?1 AND occurred_from IS NOT NULL AND position <> seq AND coalesce(webhook_id, '') = ?2";
const TOLD_AT: &str = "
    SELECT 1 FROM deliveries
    WHERE seq = ?1 AND occurred_from IS NOT NULL AND coalesce(webhook_id, '') = ?2 AND received_at = ?3";
const UNTOLD: &str = "
    SELECT position, seq, webhook_id, received_at, bare, occurred_at, occurred_from, arrived_at, floor_at FROM deliveries
    WHERE position > ?1 AND position <= ?2 AND occurred_from IS NOT NULL AND position <> seq
    ORDER BY position LIMIT ?3";
const OF_EVENT: &str = "
    SELECT position FROM deliveries
    WHERE seq = ?1 AND occurred_from IS NOT NULL AND position <> seq AND coalesce(webhook_id, '') = ?2 AND position < ?3";
const IS_EVENT: &str = "SELECT 1 FROM deliveries WHERE position = ?1 AND seq = ?1";
const REPEATS: &str = "SELECT seq, received_at FROM deliveries WHERE position = ?1";
const MOVE: &str = "UPDATE deliveries SET seq = ?2 WHERE position = ?1";
const BEGIN: &str = "
    INSERT INTO events
        (seq, app_id, region, webhook_id, trigger, received_at, occurred_at, occurred_from, arrived_at, floor_at, fingerprint,
         last_received_at, outcome, reason, has_secret, body)
    SELECT d.position, e.app_id, e.region, d.webhook_id, e.trigger, d.received_at, d.occurred_at, d.occurred_from, d.arrived_at,
        d.floor_at, e.fingerprint, d.received_at, ?2, ?3, e.has_secret, e.body
    FROM deliveries AS d JOIN events AS e ON e.seq = d.seq WHERE d.position = ?1";
const LESS: &str = "
    UPDATE events SET deliveries = deliveries - ?2, last_received_at = max(received_at, coalesce((
        SELECT max(d.received_at) FROM deliveries AS d
        WHERE d.seq = events.seq AND d.position <> d.seq AND d.occurred_from IS NOT NULL), 0))
    WHERE seq = ?1";

/// Keeps a further delivery.
pub fn add(conn: &Connection, it: &Further) -> Result<(), StoreError> {
    conn.prepare_cached(ADD)?.execute(named_params! {
        ":position": it.position, ":seq": it.seq, ":webhook_id": it.webhook_id, ":received_at": it.received_at.0,
        ":bare": it.bare, ":occurred_at": it.dated.map(|dated| dated.occurred_at.0),
        ":occurred_from": it.dated.map(|dated| dated.from.as_str()),
        ":arrived_at": it.dated.and_then(|dated| dated.arrived_at).map(|time| time.0),
        ":floor_at": it.dated.as_ref().and_then(floor_column),
    })?;
    Ok(())
}

/// Whether a webhook has told an event again. Of facts without a time alone.
pub fn told_by(conn: &Connection, seq: i64, webhook_id: &str) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(TOLD_BY)?.exists((seq, webhook_id))?)
}

/// Whether a webhook has told an event again at that time. Of facts without a time alone.
pub fn told_at(conn: &Connection, seq: i64, webhook_id: &str, received_at: Time) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(TOLD_AT)?.exists((seq, webhook_id, received_at.0))?)
}

/// Further deliveries after one log position and up to another whose bodies told no time, oldest first. Those that turned
/// out to be events of their own are left out.
pub fn untold(conn: &Connection, after: i64, until: i64, limit: usize) -> Result<Vec<Further>, StoreError> {
    let mut statement = conn.prepare_cached(UNTOLD)?;
    let rows = statement.query_map((after, until, limit as i64), further)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn further(row: &Row<'_>) -> rusqlite::Result<Further> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|ms| ms.map(Time));
    let from = row.get::<_, Option<String>>(6)?.and_then(|word| TimeSource::from_word(&word));
    let (occurred_at, arrived_at, floor) = (time(5)?, time(7)?, floor_of(row.get(8)?));
    Ok(Further {
        position: row.get(0)?,
        seq: row.get(1)?,
        webhook_id: row.get(2)?,
        received_at: Time(row.get(3)?),
        bare: row.get(4)?,
        dated: occurred_at.zip(from).map(|(occurred_at, from)| Dated { occurred_at, from, arrived_at, floor }),
    })
}

/// Log positions, before another, of the further deliveries of an event by a webhook. Of facts without a time alone.
pub fn of_event(conn: &Connection, seq: i64, webhook_id: &str, before: i64) -> Result<Vec<i64>, StoreError> {
    let mut statement = conn.prepare_cached(OF_EVENT)?;
    let rows = statement.query_map((seq, webhook_id, before), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether an event was first taken for another delivery of an equal one. Then its body is that of the equal one.
pub fn is_event(conn: &Connection, position: i64) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(IS_EVENT)?.exists([position])?)
}

/// Makes a further delivery repeat the event at `seq`. Where that is its own position it becomes an event, of which
/// `verdict` tells what became. Gives the event that it repeated before, which has [`less`] deliveries now.
pub fn assign(
    conn: &Connection,
    position: i64,
    seq: i64,
    verdict: Option<&Verdict>,
) -> Result<Option<i64>, StoreError> {
    let known = conn.prepare_cached(REPEATS)?.query_row([position], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
    let Some((before, received_at)) = known.optional()? else { return Ok(None) };
    match verdict {
        Some(verdict) => {
            conn.prepare_cached(BEGIN)?.execute((position, verdict.outcome.as_str(), &verdict.reason))?;
        }
        None => repeat(conn, seq, Time(received_at))?,
    }
    conn.prepare_cached(MOVE)?.execute((position, seq))?;
    Ok(Some(before))
}

/// Counts fewer deliveries of an event: so many do not repeat it any more.
pub fn less(conn: &Connection, seq: i64, deliveries: i64) -> Result<(), StoreError> {
    conn.prepare_cached(LESS)?.execute((seq, deliveries))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn further_deliveries_of_an_event_are_found_by_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        for sql in [super::TOLD_BY, super::TOLD_AT, super::OF_EVENT] {
            let sql = format!("EXPLAIN QUERY PLAN {}", sql.replace("?3", "9"));
            let plan: String = conn.query_row(&sql, (1, "w"), |row| row.get("detail")).unwrap();
            assert!(plan.contains("deliveries_untold (seq=? AND <expr>=?"), "{plan}");
        }
    }
}
