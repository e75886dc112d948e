//! The writer's transactions.

use crate::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Takes the write lock; waits at most the busy timeout.
pub fn begin(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch("BEGIN IMMEDIATE")?)
}

/// Fixes what this reader sees until the transaction ends.
pub fn begin_read(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch("BEGIN; SELECT 1 FROM settings;")?)
}

/// Fixes what this reader sees until the transaction is dropped.
pub fn snapshot(conn: &Connection) -> Result<Transaction<'_>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM settings", [], |_| Ok(()))?;
    Ok(snapshot)
}

/// Ends what this connection runs, with an error, once somebody asks for it.
pub fn interrupted_by(conn: &mut Connection, asked: Arc<AtomicBool>) -> Result<(), StoreError> {
    Ok(conn.progress_handler(10_000, Some(move || asked.load(Ordering::Acquire)))?)
}

/// Durable when it returns `Ok`: `synchronous=FULL` syncs the WAL.
pub fn commit(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch("COMMIT")?)
}

/// Leaves nothing of the transaction, if there is one.
pub fn rollback(conn: &Connection) {
    if !conn.is_autocommit() {
        // The transaction is gone either way: a failed ROLLBACK means SQLite rolled back on its own.
        let _ = conn.execute_batch("ROLLBACK");
    }
}

/// Fails where there is no room for some more events: writes as many pages into the WAL and takes them back, so that
/// what follows finds them free. Inside a transaction.
pub fn find_room(conn: &Connection) -> Result<(), StoreError> {
    // Pages go into the WAL before the commit where the cache is too small for them.
    let cache: i64 = conn.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    conn.pragma_update(None, "cache_size", 16)?;
    let found = conn.execute_batch(
        "SAVEPOINT room; INSERT INTO refused (received_at, problem, body) VALUES (0, '', zeroblob(1048576));",
    );
    let undone = if conn.is_autocommit() { Ok(()) } else { conn.execute_batch("ROLLBACK TO room; RELEASE room") };
    conn.pragma_update(None, "cache_size", cache)?;
    Ok(found.and(undone)?)
}

/// How much the WAL holds, as of the newest commit of the connection that counts it.
#[derive(Debug, Clone)]
pub struct WalSize {
    pages: Arc<AtomicI32>,
    /// Whether it began anew, and nobody was told yet.
    anew: Arc<AtomicBool>,
    page_size: u64,
}

impl WalSize {
    /// Begins to count the commits of a connection.
    pub fn of(conn: &mut Connection) -> Result<Self, StoreError> {
        let page_size: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let (pages, anew) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, noted) = (Arc::clone(&pages), Arc::clone(&anew));
        conn.wal_hook(Some(move |_: &mut Wal, pages| {
            // Each commit adds at least one page.
            if pages <= counted.swap(pages, Ordering::Relaxed) {
                noted.store(true, Ordering::Relaxed);
            }
            Ok(())
        }))?;
        Ok(Self { pages, anew, page_size: page_size.cast_unsigned() })
    }

    /// Whether the WAL began anew since the last call, by whatever process.
    pub fn began_anew(&self) -> bool {
        self.anew.swap(false, Ordering::Relaxed)
    }

    /// To be called where what follows from it could not be done: the next call of [`Self::began_anew`] says so again.
    pub fn put_off(&self) {
        self.anew.store(true, Ordering::Relaxed);
    }

    /// Bytes written since the WAL began anew. The file itself may be larger: it is not truncated.
    pub fn bytes(&self) -> u64 {
        u64::from(self.pages.load(Ordering::Relaxed).cast_unsigned()) * self.page_size
    }
}

/// Moves the WAL into the file as far as readers allow, and says whether that was all of it; `all`: also truncates it.
/// The automatic checkpoint would swallow its errors.
pub fn checkpoint(conn: &Connection, all: bool) -> Result<bool, StoreError> {
    let statement = if all { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
    Ok(conn.query_row(statement, [], |row| Ok(row.get::<_, i64>(1)? == row.get::<_, i64>(2)?))?)
}

/// The last checkpoint of a file that is sound. Closing it then leaves no WAL, unless somebody else has it open.
pub fn finish(conn: &Connection) -> Result<(), StoreError> {
    checkpoint(conn, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// What is wrong with the structure of the file, in SQLite's words; nothing, if all is well.
pub fn integrity(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare("PRAGMA integrity_check(20)")?;
    let told: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(told.into_iter().filter(|line| line != "ok").collect())
}
