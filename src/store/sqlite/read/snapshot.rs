//! One connection, one read transaction: all that one request sees.

use super::allowance::{self, Amount, Spent};
use super::{Conn, Sql};
use crate::store::sqlite::Pool;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why nothing could be read. No `Display`: what is sent is chosen by whoever answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// No connection became free in time.
    Busy,
    /// The time of the request is up.
    Timeout,
    /// It read as many rows as it may.
    TooManyRows,
    /// It read as many bytes as it may.
    TooManyBytes,
    /// The engine failed; the cause is in the log.
    Failed,
}

/// Virtual machine steps between two looks at the clock.
const STEPS: std::ffi::c_int = 2_000;

/// When to stop reading: the time is up, or nobody waits for the answer any more.
#[derive(Clone)]
pub(super) struct Limit {
    deadline: Instant,
    gone: Arc<AtomicBool>,
}

impl Limit {
    pub(super) fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// A request waits so long for a connection even if its time limit is shorter: to open one takes some milliseconds.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// A request that read more bytes than this leaves no pages in the memory of its connection.
const LARGE: u64 = 8 << 20;

/// A read transaction with a time limit. Ends when dropped.
pub struct Snapshot {
    conn: Mutex<r2d2::PooledConnection<super::super::pool::Manager>>,
    limit: Limit,
    opened: Instant,
    /// What its thread had read when it was opened.
    read_before: u64,
    seq: i64,
    fold_version: i64,
}

impl Snapshot {
    /// Takes a connection and fixes what will be seen. `timeout` is for all of it. Half of it, and at least
    /// [`LEAST_WAIT`], may go into opening the connection. Reading stops once `gone` is set, and on this thread after
    /// that amount.
    pub fn open(pool: &Pool, timeout: Duration, amount: Amount, gone: Arc<AtomicBool>) -> Result<Self, ReadError> {
        let limit = Limit { deadline: Instant::now() + timeout, gone };
        let mut conn = pool.get_timeout((timeout / 2).max(LEAST_WAIT)).map_err(|error| {
            tracing::debug!(%error, "no reader became free");
            ReadError::Busy
        })?;
        let (seq, fold_version) = begin(&mut conn, limit.clone()).map_err(|error| failed(&error, &limit))?;
        allowance::allow(amount, limit.clone());
        let (opened, read_before) = (Instant::now(), allowance::bytes_read());
        Ok(Self { conn: Mutex::new(conn), limit, opened, read_before, seq, fold_version })
    }

    /// The newest log position it shows.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Which edition of the fold made the tables it shows.
    pub fn fold_version(&self) -> i64 {
        self.fold_version
    }

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.limit.is_over()
    }

    /// Whether half of the time is up: who can go on later stops here.
    pub fn is_half_over(&self) -> bool {
        self.opened.elapsed() >= self.limit.deadline.saturating_duration_since(self.opened) / 2
    }

    /// Reads.
    pub fn read<T>(&self, ask: impl FnOnce(&Conn) -> Sql<T>) -> Result<T, ReadError> {
        if self.is_late() {
            return Err(ReadError::Timeout);
        }
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&conn).map_err(|error| failed(&error, &self.limit))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        allowance::lift();
        let conn: &mut Conn = self.conn.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without the handler, which would interrupt the end as well. Where this fails the pool drops the connection.
        let _ = conn.progress_handler(0, None::<fn() -> bool>);
        let _ = conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]));
        if allowance::bytes_read() - self.read_before > LARGE {
            // The engine gives back what it can; there is nothing to be done where it cannot.
            let _ = conn.execute_batch("PRAGMA shrink_memory");
        }
    }
}

const POSITION: &str = "
    SELECT (SELECT coalesce(max(seq), 0) FROM events),
           coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'fold_version'), 0)";

/// The transaction starts with its first read, so the position is read at once.
fn begin(conn: &mut Conn, limit: Limit) -> Sql<(i64, i64)> {
    conn.prepare_cached("BEGIN")?.execute([])?;
    conn.progress_handler(STEPS, Some(move || limit.is_over()))?;
    conn.prepare_cached(POSITION)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn failed(error: &rusqlite::Error, limit: &Limit) -> ReadError {
    if let rusqlite::Error::UserFunctionError(why) = error
        && let Some(spent) = why.downcast_ref()
    {
        return match spent {
            Spent::Rows => ReadError::TooManyRows,
            Spent::Bytes => ReadError::TooManyBytes,
            Spent::Time => ReadError::Timeout,
        };
    }
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) if limit.is_over() => ReadError::Timeout,
        Some(rusqlite::ErrorCode::DatabaseBusy) => ReadError::Busy,
        _ => {
            tracing::error!(%error, "reading failed");
            ReadError::Failed
        }
    }
}
