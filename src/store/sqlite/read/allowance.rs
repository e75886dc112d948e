//! What one request may still read. A request runs on one thread, so that its allowance is the thread's.
//!
//! Time is looked at with every row: the engine's own look at the clock ends statements, this one ends the loops of ours
//! that stand between two rows.

use super::Sql;
use super::snapshot::Limit;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use std::cell::{Cell, RefCell};

/// Why reading stops.
#[derive(Debug, thiserror::Error)]
pub enum Spent {
    #[error("more rows than a request may read")]
    Rows,
    #[error("more bytes than a request may read")]
    Bytes,
    #[error("the time of the request is up")]
    Time,
}

/// How much may be read.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub rows: u64,
    /// Of texts and blobs that rows bring into memory.
    pub bytes: u64,
}

thread_local! {
    static ROWS: Cell<u64> = const { Cell::new(u64::MAX) };
    static BYTES: Cell<u64> = const { Cell::new(u64::MAX) };
    static LIMIT: RefCell<Option<Limit>> = const { RefCell::new(None) };
    /// Bytes read on this thread so far.
    static READ: Cell<u64> = const { Cell::new(0) };
}

/// Bounds what is read on this thread from now on.
pub(super) fn allow(amount: Amount, limit: Limit) {
    ROWS.set(amount.rows);
    BYTES.set(amount.bytes);
    LIMIT.set(Some(limit));
}

/// Lets this thread read as much as it likes again.
pub(super) fn lift() {
    ROWS.set(u64::MAX);
    BYTES.set(u64::MAX);
    LIMIT.set(None);
}

/// Bytes read on this thread so far: the difference is what a request brought into memory.
pub fn bytes_read() -> u64 {
    READ.get()
}

/// Whether the allowance of rows or bytes is used up.
pub fn is_spent() -> bool {
    ROWS.get() == 0 || BYTES.get() == 0
}

/// Counts a row whose values stay in memory.
pub fn take(row: &Row<'_>) -> Sql<()> {
    pass(row)?;
    let mut bytes = 0;
    for column in 0..row.as_ref().column_count() {
        if let ValueRef::Text(value) | ValueRef::Blob(value) = row.get_ref(column)? {
            bytes += value.len() as u64;
        }
    }
    bring(bytes)
}

/// Counts bytes that stay in memory.
pub(super) fn bring(bytes: u64) -> Sql<()> {
    READ.set(READ.get() + bytes);
    spend(&BYTES, bytes).ok_or_else(|| error(Spent::Bytes))
}

/// Counts a row of which little stays in memory.
pub fn pass(_row: &Row<'_>) -> Sql<()> {
    spend(&ROWS, 1).ok_or_else(|| error(Spent::Rows))?;
    in_time()
}

/// Fails where the time of the request is up: for loops that read nothing.
pub fn in_time() -> Sql<()> {
    match LIMIT.with_borrow(|limit| limit.as_ref().is_some_and(Limit::is_over)) {
        true => Err(error(Spent::Time)),
        false => Ok(()),
    }
}

fn spend(left: &'static std::thread::LocalKey<Cell<u64>>, count: u64) -> Option<()> {
    let rest = left.get().checked_sub(count);
    left.set(rest.unwrap_or(0));
    rest.map(|_| ())
}

fn error(why: Spent) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(why))
}
