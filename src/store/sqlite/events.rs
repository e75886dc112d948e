//! The log's statements: `events`, `event_refs`, `apps`, and the bookkeeping about deliveries.

use super::table::{FromColumns, Json, Reader, Table, columns, table};
use super::{App, RefKey};
use crate::envelope::Envelope;
use crate::feed::{Dated, Feed, Kept};
use crate::ids::{Outcome, Time, TimeSource};
use crate::merge::Fact;
use crate::store::StoreError;
use crate::tables::app::App as OfApp;
use rusqlite::{Connection, OptionalExtension};
use std::sync::LazyLock;

table! {
    "apps": OfApp by ()
    fields { region, region_at: LeftOut, first_seen_at: LeftOut, last_event_at: LeftOut, events_count }
}

table! {
    "feeds": Kept by ()
    columns |it| {
        told => (told_at, told_received_at) = it.feed.told.unzip(),
        clock => (clock_at) = it.feed.clock,
        lags = Json(&it.feed.lags),
        newest_seq,
    }
    derived |it| { clock_offset = it.feed.offset() }
}

impl FromColumns for Kept {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        let (told, received): (Option<Time>, Option<Time>) = from.next()?;
        let feed = Feed { told: told.zip(received), clock: from.next()?, lags: from.json("feeds.lags")? };
        Ok(Self { feed, newest_seq: from.next()? })
    }
}

/// A row an entity or register that an event speaks of.
pub(super) static EVENT_REFS: LazyLock<Table> =
    LazyLock::new(|| Table::new("event_refs", &columns![kind, key, seq: LeftOut], &[], &[], &[]));

/// An event of equal fingerprint.
#[derive(Debug, Clone)]
pub struct Equal {
    pub seq: i64,
    /// The webhook that told it first; empty where none is named.
    pub webhook_id: String,
    pub received_at: Time,
    pub last_received_at: Time,
    pub outcome: Outcome,
}

/// Two walks of one index: for `IN (…)` SQLite would make a table of the times at every call.
const EQUALS: &str = "
    SELECT seq, coalesce(webhook_id, ''), received_at, last_received_at, outcome FROM events
    WHERE app_id = ?1 AND iif(occurred_from = 'told', occurred_at, 0) = 0
        AND substr(fingerprint, 1, 8) = substr(?2, 1, 8) AND fingerprint = ?2
    UNION ALL
    SELECT seq, coalesce(webhook_id, ''), received_at, last_received_at, outcome FROM events
    WHERE ?3 <> 0 AND app_id = ?1 AND iif(occurred_from = 'told', occurred_at, 0) = ?3
        AND substr(fingerprint, 1, 8) = substr(?2, 1, 8) AND fingerprint = ?2";
const NEWEST_REF: &str = "SELECT max(seq) FROM event_refs WHERE app_id = ?1 AND kind = ?2 AND key = ?3";
const APPEND: &str = "
    INSERT INTO events
        (seq, app_id, region, webhook_id, trigger, received_at, occurred_at, occurred_from, arrived_at, floor_at, fingerprint,
         last_received_at, outcome, reason, has_secret, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?6, ?12, ?13, ?14, ?15)";
const REPEAT: &str =
    "UPDATE events SET deliveries = deliveries + 1, last_received_at = max(last_received_at, ?2) WHERE seq = ?1";
const JUDGE: &str = "UPDATE events SET outcome = ?2, reason = ?3 WHERE seq = ?1";
const JUDGED: &str = "SELECT app_id, received_at, trigger, outcome FROM events WHERE seq = ?1";
const MARK: &str = "UPDATE events SET has_secret = ?2 WHERE seq = ?1";
const COUNT: &str = "
    INSERT INTO event_counts (app_id, minute, trigger, outcome, n, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (app_id, minute, trigger, outcome) DO UPDATE SET n = event_counts.n + excluded.n, last_at = max(event_counts.last_at, excluded.last_at)";
const COUNT_LESS: &str =
    "UPDATE event_counts SET n = n - 1 WHERE app_id = ?1 AND minute = ?2 AND trigger = ?3 AND outcome = ?4";
const FORGET_COUNT: &str =
    "DELETE FROM event_counts WHERE app_id = ?1 AND minute = ?2 AND trigger = ?3 AND outcome = ?4 AND n < 1";
const REMOVE: &str = "DELETE FROM events WHERE seq = ?1";
const REFUSE: &str = "INSERT INTO refused (received_at, problem, body) VALUES (?1, ?2, ?3)";
const REFUSED: &str = "SELECT 1 FROM refused WHERE problem = ?1 AND body = ?2";
const FORGET_REFUSED: &str = "DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?1";
const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM events WHERE NOT EXISTS (SELECT 1 FROM unfinished WHERE unfinished.seq = events.seq)";
const NEWEST_POSITION: &str = "
    SELECT max(
        coalesce((SELECT max(seq) FROM events), 0),
        coalesce((SELECT max(position) FROM deliveries), 0),
        coalesce((SELECT max(newest_seq) FROM feeds), 0))";
const BETWEEN: &str = "
    SELECT seq, app_id, region, webhook_id, trigger, received_at, occurred_at, occurred_from, arrived_at, floor_at, fingerprint, outcome,
           reason, has_secret, body
    FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
const DATE: &str = "
    UPDATE events SET occurred_at = ?2, occurred_from = 'told', arrived_at = NULL, floor_at = NULL WHERE seq = ?1";

/// Bodies answered 400 that are kept, and how much of each.
const REFUSED_ROWS: i64 = 1_000;
pub const REFUSED_BYTES: usize = 64 << 10;

/// Events of equal fingerprint in one app, oldest first. `told_at` is the time that the body tells: equal bodies tell
/// equal times, or none that was understood when they came.
pub fn equals(
    conn: &Connection,
    app_id: &str,
    fingerprint: &[u8; 32],
    told_at: Option<Time>,
) -> Result<Vec<Equal>, StoreError> {
    let mut statement = conn.prepare_cached(EQUALS)?;
    let rows = statement.query_map((app_id, fingerprint, told_at.unwrap_or_default().0), |row| {
        Ok(Equal {
            seq: row.get(0)?,
            webhook_id: row.get(1)?,
            received_at: Time(row.get(2)?),
            last_received_at: Time(row.get(3)?),
            outcome: Outcome::from_word(&row.get::<_, String>(4)?).unwrap_or(Outcome::Ignored),
        })
    })?;
    let mut equals: Vec<Equal> = rows.collect::<Result<_, _>>()?;
    equals.sort_unstable_by_key(|equal| equal.seq);
    Ok(equals)
}

/// Log position of the newest event that speaks of a register or entity.
pub fn newest_ref(conn: &Connection, (app, kind, key): &RefKey) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(NEWEST_REF)?.query_row((app, kind, key), |row| row.get(0))?)
}

/// The column `floor_at` of a fact dated so.
pub(super) fn floor_column(dated: &Dated) -> Option<i64> {
    (dated.from == TimeSource::Feed).then(|| dated.floor.map_or(-1, |floor| floor.0))
}

/// The floor that the column `floor_at` holds.
pub(super) fn floor_of(column: Option<i64>) -> Option<Time> {
    column.filter(|floor| *floor >= 0).map(Time)
}

/// Appends an event at a log position.
pub fn append(
    conn: &Connection,
    seq: i64,
    envelope: &Envelope,
    received_at: Time,
    dated: &Dated,
) -> Result<(), StoreError> {
    let times = (received_at.0, dated.occurred_at.0, dated.arrived_at.map(|time| time.0));
    conn.prepare_cached(APPEND)?.execute((
        seq,
        &envelope.app_id,
        &envelope.region,
        &envelope.webhook_id,
        &envelope.trigger,
        times.0,
        times.1,
        dated.from.as_str(),
        times.2,
        floor_column(dated),
        &envelope.fingerprint,
        envelope.outcome.as_str(),
        &envelope.reason,
        envelope.has_secret,
        &envelope.body,
    ))?;
    Ok(())
}

/// Counts one more delivery of an event.
pub fn repeat(conn: &Connection, seq: i64, received_at: Time) -> Result<(), StoreError> {
    conn.prepare_cached(REPEAT)?.execute((seq, received_at.0))?;
    Ok(())
}

/// Writes what became of an event that is not counted yet.
pub fn judge(conn: &Connection, seq: i64, outcome: Outcome, reason: Option<&str>) -> Result<(), StoreError> {
    conn.prepare_cached(JUDGE)?.execute((seq, outcome.as_str(), reason))?;
    Ok(())
}

/// Changes what became of an event, and its count with it.
pub fn judge_again(conn: &Connection, seq: i64, outcome: Outcome, reason: Option<&str>) -> Result<(), StoreError> {
    let event = conn.prepare_cached(JUDGED)?.query_row([seq], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    });
    let Some((app_id, received_at, trigger, before)) = event.optional()? else { return Ok(()) };
    if before != outcome.as_str() {
        count_as(conn, (App::from(app_id), received_at, trigger), &before, outcome)?;
    }
    judge(conn, seq, outcome, reason)
}

/// Counts a delivery, which is counted as what it was, as what it is now.
fn count_as(
    conn: &Connection,
    (app, received_at, trigger): (App, i64, String),
    was: &str,
    is: Outcome,
) -> Result<(), StoreError> {
    let counted = (&app, received_at / 60_000, &trigger, was);
    conn.prepare_cached(COUNT_LESS)?.execute(counted)?;
    conn.prepare_cached(FORGET_COUNT)?.execute(counted)?;
    count(conn, &(App::clone(&app), received_at / 60_000, trigger, is.as_str()), 1, received_at)
}

/// Counts an event that was counted as another delivery of an equal one.
pub fn count_as_event(conn: &Connection, seq: i64) -> Result<(), StoreError> {
    let event = conn.prepare_cached(JUDGED)?.query_row([seq], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    });
    let Some((app_id, received_at, trigger, outcome)) = event.optional()? else { return Ok(()) };
    let outcome = Outcome::from_word(&outcome).unwrap_or(Outcome::Ignored);
    count_as(conn, (App::from(app_id), received_at, trigger), "duplicate", outcome)
}

/// Dates an event by the time that its body tells.
pub fn date(conn: &Connection, seq: i64, told_at: Time) -> Result<(), StoreError> {
    conn.prepare_cached(DATE)?.execute((seq, told_at.0))?;
    Ok(())
}

/// Changes whether an event is said to hold a secret.
pub fn mark(conn: &Connection, seq: i64, has_secret: bool) -> Result<(), StoreError> {
    conn.prepare_cached(MARK)?.execute((seq, has_secret))?;
    Ok(())
}

/// Keeps that an event speaks of a register or entity.
pub fn refer(conn: &Connection, key: &RefKey, seq: i64) -> Result<(), StoreError> {
    EVENT_REFS.save(conn, &(key, seq), &())
}

/// App, minute, trigger, outcome.
pub type CountKey = (App, i64, String, &'static str);

/// Adds deliveries of a minute: how many, and when the last of them came.
pub fn count(conn: &Connection, key: &CountKey, n: i64, last_at: i64) -> Result<(), StoreError> {
    let (app, minute, trigger, outcome) = key;
    conn.prepare_cached(COUNT)?.execute((app, minute, trigger, outcome, n, last_at))?;
    Ok(())
}

/// Keeps a body that is no delivery; the oldest give way.
pub fn refuse(conn: &Connection, received_at: Time, problem: &str, body: &[u8]) -> Result<(), StoreError> {
    conn.prepare_cached(REFUSE)?.execute((received_at.0, problem, &body[..body.len().min(REFUSED_BYTES)]))?;
    conn.prepare_cached(FORGET_REFUSED)?.execute([REFUSED_ROWS])?;
    Ok(())
}

/// The same for a line of a file, which may be read again.
pub fn refuse_once(conn: &Connection, received_at: Time, problem: &str, body: &[u8]) -> Result<(), StoreError> {
    if conn.prepare_cached(REFUSED)?.exists((problem, &body[..body.len().min(REFUSED_BYTES)]))? {
        return Ok(());
    }
    refuse(conn, received_at, problem, body)
}

/// Removes an event: a later one tells what it told.
pub fn remove(conn: &Connection, seq: i64) -> Result<(), StoreError> {
    conn.prepare_cached(REMOVE)?.execute([seq])?;
    Ok(())
}

/// Log position of the newest event that is finished; 0 for an empty log.
pub fn newest_seq(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?)
}

/// The newest log position that was ever given to a delivery, as far as the file tells; 0 in a new file.
pub fn newest_position(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached(NEWEST_POSITION)?.query_row([], |row| row.get(0))?)
}

/// An event as the log keeps it.
#[derive(Debug)]
pub struct Logged {
    pub app_id: String,
    pub region: Option<String>,
    pub webhook_id: Option<String>,
    pub fact: Fact,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub has_secret: bool,
    pub body: String,
}

/// Bytes of bodies that are read from the log at once, but for a single body that is larger.
const READ: usize = 8 << 20;

/// Events after one log position and up to another, oldest first, and whether these are all. They are cut after so many
/// events, and after 8 MiB of bodies.
pub fn between(conn: &Connection, after: i64, until: i64, limit: usize) -> Result<(Vec<Logged>, bool), StoreError> {
    let mut statement = conn.prepare_cached(BETWEEN)?;
    let mut rows = statement.query((after, until, limit as i64))?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = logged(row)?;
        bytes += event.body.len();
        events.push(event);
        if bytes >= READ {
            return Ok((events, false));
        }
    }
    let all = events.len() < limit;
    Ok((events, all))
}

pub(in crate::store) fn logged(row: &rusqlite::Row<'_>) -> rusqlite::Result<Logged> {
    Ok(Logged {
        app_id: row.get("app_id")?,
        region: row.get("region")?,
        webhook_id: row.get("webhook_id")?,
        fact: Fact {
            seq: row.get("seq")?,
            trigger: row.get("trigger")?,
            received_at: Time(row.get("received_at")?),
            arrived_at: row.get::<_, Option<i64>>("arrived_at")?.map(Time),
            occurred_at: Time(row.get("occurred_at")?),
            occurred_from: TimeSource::from_word(&row.get::<_, String>("occurred_from")?).unwrap_or(TimeSource::Told),
            floor: floor_of(row.get("floor_at")?),
            fingerprint: row.get("fingerprint")?,
        },
        outcome: Outcome::from_word(&row.get::<_, String>("outcome")?).unwrap_or(Outcome::Ignored),
        reason: row.get("reason")?,
        has_secret: row.get("has_secret")?,
        body: row.get("body")?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn equal_events_are_found_by_their_time_and_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {}", super::EQUALS);
        let mut plan = conn.prepare(&explain).unwrap();
        let plan = plan.query_map(("a", "f", 0), |row| row.get("detail")).unwrap();
        let plan = plan.map(Result::unwrap).collect::<Vec<String>>().join("; ");
        let walk = "events_by_fingerprint (app_id=? AND <expr>=? AND <expr>=?)";
        assert_eq!(plan.matches(walk).count(), 2, "{plan}");
    }
}
