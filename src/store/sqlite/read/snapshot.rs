//! One connection, one read transaction: all that one request sees.

use super::{Conn, Sql};
use crate::store::sqlite::Pool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why nothing could be read. No `Display`: what is sent is chosen by whoever answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// No connection became free in time.
    Busy,
    /// The time of the request is up.
    Timeout,
    /// The engine failed; the cause is in the log.
    Failed,
}

/// Virtual machine steps between two looks at the clock.
const STEPS: std::ffi::c_int = 2_000;

/// A read transaction with a time limit. Ends when dropped.
pub struct Snapshot {
    conn: Mutex<r2d2::PooledConnection<super::super::pool::Manager>>,
    deadline: Instant,
    seq: i64,
}

impl Snapshot {
    /// Takes a connection and fixes what will be seen.
    pub fn open(pool: &Pool, timeout: Duration) -> Result<Self, ReadError> {
        let deadline = Instant::now() + timeout;
        let mut conn = pool.get().map_err(|error| {
            tracing::debug!(%error, "no reader became free");
            ReadError::Busy
        })?;
        let seq = begin(&mut conn, deadline).map_err(|error| failed(&error, deadline))?;
        Ok(Self { conn: Mutex::new(conn), deadline, seq })
    }

    /// The newest log position it shows.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Reads.
    pub fn read<T>(&self, ask: impl FnOnce(&Conn) -> Sql<T>) -> Result<T, ReadError> {
        if self.is_late() {
            return Err(ReadError::Timeout);
        }
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&conn).map_err(|error| failed(&error, self.deadline))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let conn: &mut Conn = self.conn.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without the handler, which would interrupt the end as well. Where this fails the pool drops the connection.
        let _ = conn.progress_handler(0, None::<fn() -> bool>);
        let _ = conn.execute_batch("ROLLBACK");
    }
}

/// The transaction starts with its first read, so the position is read at once.
fn begin(conn: &mut Conn, deadline: Instant) -> Sql<i64> {
    conn.execute_batch("BEGIN")?;
    conn.progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
    conn.prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?.query_row([], |row| row.get(0))
}

fn failed(error: &rusqlite::Error, deadline: Instant) -> ReadError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) if Instant::now() >= deadline => ReadError::Timeout,
        Some(rusqlite::ErrorCode::DatabaseBusy) => ReadError::Busy,
        _ => {
            tracing::error!(%error, "reading failed");
            ReadError::Failed
        }
    }
}
