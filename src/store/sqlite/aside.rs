//! A file beside the log, into which the log is folded again.

use super::events::Logged;
use super::open_writer;
use crate::envelope::Envelope;
use crate::ids::{Outcome, Time, Verdict};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

const NOTES: &str = "
    CREATE TABLE verdicts (seq INTEGER PRIMARY KEY, outcome TEXT NOT NULL, reason TEXT) STRICT;
    CREATE TABLE secrets (seq INTEGER PRIMARY KEY, has_secret INTEGER NOT NULL) STRICT;
    CREATE TABLE told (seq INTEGER PRIMARY KEY, told_at INTEGER NOT NULL) STRICT;
    CREATE TABLE assigned (position INTEGER PRIMARY KEY, seq INTEGER NOT NULL, outcome TEXT, reason TEXT) STRICT;";
const NOTE: &str = "INSERT OR REPLACE INTO verdicts (seq, outcome, reason) VALUES (?1, ?2, ?3)";
const NOTED: &str = "SELECT seq, outcome, reason FROM verdicts WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// Indexes by which the fold finds rows. Nobody reads lists here: the other indexes would be kept in order for nothing.
const NEEDED: [&str; 3] = ["messages_by_conversation", "memberships_by_state", "membership_changes_by_group"];
const INDEXES: &str = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE 'CREATE INDEX %'";

/// Makes the file. It need not outlive the process, so nothing is synced; its journal is kept in memory.
pub fn create(path: &Path) -> Result<Connection, StoreError> {
    let conn = open_writer(path)?;
    conn.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;")?;
    conn.execute_batch(NOTES)?;
    let indexes: Vec<String> =
        conn.prepare(INDEXES)?.query_map([], |row| row.get(0))?.collect::<Result<_, rusqlite::Error>>()?;
    for name in indexes.iter().filter(|name| !NEEDED.contains(&name.as_str())) {
        conn.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    Ok(conn)
}

/// Keeps what became of an event where that is not what the log says.
pub fn note(conn: &Connection, seq: i64, verdict: &Verdict) -> Result<(), StoreError> {
    conn.prepare_cached(NOTE)?.execute((seq, verdict.outcome.as_str(), &verdict.reason))?;
    Ok(())
}

/// The notes after a log position, oldest first.
pub fn noted(conn: &Connection, after: i64, limit: usize) -> Result<Vec<(i64, Verdict)>, StoreError> {
    let mut statement = conn.prepare_cached(NOTED)?;
    let rows = statement.query_map((after, limit as i64), |row| {
        let outcome = Outcome::from_word(&row.get::<_, String>(1)?).unwrap_or(Outcome::Rejected);
        Ok((row.get(0)?, Verdict { outcome, reason: row.get(2)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const MARK: &str = "INSERT OR REPLACE INTO secrets (seq, has_secret) VALUES (?1, ?2)";
const MARKED: &str = "SELECT seq, has_secret FROM secrets WHERE seq > ?1 ORDER BY seq LIMIT ?2";
const MARKS: &str = "SELECT count(*) FROM secrets";

/// Keeps whether an event holds a secret where that is not what the log says: what is secret may have been told apart
/// by an older rule.
pub fn mark(conn: &Connection, seq: i64, has_secret: bool) -> Result<(), StoreError> {
    conn.prepare_cached(MARK)?.execute((seq, has_secret))?;
    Ok(())
}

/// The marks after a log position, oldest first.
pub fn marked(conn: &Connection, after: i64, limit: usize) -> Result<Vec<(i64, bool)>, StoreError> {
    let mut statement = conn.prepare_cached(MARKED)?;
    let rows = statement.query_map((after, limit as i64), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many marks there are.
pub fn marks(conn: &Connection) -> Result<u64, StoreError> {
    let count: i64 = conn.query_row(MARKS, [], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

const TELL: &str = "INSERT OR REPLACE INTO told (seq, told_at) VALUES (?1, ?2)";
const TOLD: &str = "SELECT seq, told_at FROM told WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// Keeps the time that the body of an event tells where the log has another.
pub fn tell(conn: &Connection, seq: i64, told_at: Time) -> Result<(), StoreError> {
    conn.prepare_cached(TELL)?.execute((seq, told_at.0))?;
    Ok(())
}

/// These times after a log position, oldest event first.
pub fn told(conn: &Connection, after: i64, limit: usize) -> Result<Vec<(i64, Time)>, StoreError> {
    let mut statement = conn.prepare_cached(TOLD)?;
    let rows = statement.query_map((after, limit as i64), |row| Ok((row.get(0)?, Time(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A further delivery that repeats another event than the log says.
#[derive(Debug)]
pub struct Assigned {
    pub position: i64,
    /// The event that it repeats.
    pub seq: i64,
    /// Of a delivery that is an event of its own: what became of the event.
    pub verdict: Option<Verdict>,
}

const ASSIGN: &str = "INSERT OR REPLACE INTO assigned (position, seq, outcome, reason) VALUES (?1, ?2, ?3, ?4)";
const ASSIGNED: &str =
    "SELECT position, seq, outcome, reason FROM assigned WHERE position > ?1 ORDER BY position LIMIT ?2";

/// Keeps which event a further delivery repeats.
pub fn assign(conn: &Connection, it: &Assigned) -> Result<(), StoreError> {
    let (outcome, reason) = it.verdict.as_ref().map(|it| (it.outcome.as_str(), &it.reason)).unzip();
    conn.prepare_cached(ASSIGN)?.execute((it.position, it.seq, outcome, reason.and_then(Option::as_ref)))?;
    Ok(())
}

/// These deliveries after a log position, oldest first.
pub fn assigned(conn: &Connection, after: i64, limit: usize) -> Result<Vec<Assigned>, StoreError> {
    let mut statement = conn.prepare_cached(ASSIGNED)?;
    let rows = statement.query_map((after, limit as i64), |row| {
        let outcome = row.get::<_, Option<String>>(2)?.and_then(|word| Outcome::from_word(&word));
        let reason: Option<String> = row.get(3)?;
        let verdict = outcome.map(|outcome| Verdict { outcome, reason });
        Ok(Assigned { position: row.get(0)?, seq: row.get(1)?, verdict })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Rows of a table of ours.
pub fn count(conn: &Connection, table: &'static str) -> Result<u64, StoreError> {
    let count: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

const RESULT: &str = "SELECT outcome, reason FROM events WHERE seq = ?1";

/// What the log says became of an event.
pub fn verdict(conn: &Connection, seq: i64) -> Result<Option<Verdict>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| {
        let outcome = Outcome::from_word(&row.get::<_, String>(0)?).unwrap_or(Outcome::Rejected);
        Ok(Verdict { outcome, reason: row.get(1)? })
    };
    Ok(conn.prepare_cached(RESULT)?.query_row([seq], read).optional()?)
}

impl Logged {
    /// The columns that are copied from the body, and whether each differs from what it gives now.
    pub fn differs(&self, envelope: &Envelope) -> [(&'static str, bool); 5] {
        [
            ("app_id", self.app_id != envelope.app_id),
            ("trigger", self.fact.trigger != envelope.trigger),
            ("region", self.region != envelope.region),
            ("webhook_id", self.webhook_id != envelope.webhook_id),
            ("fingerprint", self.fact.fingerprint != envelope.fingerprint),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aside_file_keeps_in_order_only_what_the_fold_searches() {
        let dir = tempfile::tempdir().unwrap();
        let conn = create(&dir.path().join("aside.db")).unwrap();
        let mut statement = conn.prepare(INDEXES).unwrap();
        let mut kept: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        kept.sort();
        assert_eq!(kept, ["membership_changes_by_group", "memberships_by_state", "messages_by_conversation"]);
    }
}
