//! The outbox of a node: deliveries on their way into the shared log, in a file of their own. What is added is on disk.

use super::{checkpoint, retention};
use crate::ids::Time;
use crate::store::{Delivery, DeliveryId, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS outbox (
        -- Deliveries that were answered 200 and are not known to be in the shared log, oldest first.
        n           INTEGER PRIMARY KEY,
        id          BLOB NOT NULL,
        received_at INTEGER NOT NULL,
        app_id      TEXT NOT NULL,
        webhook     TEXT,
        body        BLOB NOT NULL
    ) STRICT";
const SIZE: &str = "SELECT count(*), coalesce(sum(length(body)), 0) FROM outbox";
const ADD: &str = "INSERT INTO outbox (id, received_at, app_id, webhook, body) VALUES (?1, ?2, ?3, ?4, ?5)";
const OLDEST: &str = "SELECT n, id, received_at, app_id, webhook, body FROM outbox ORDER BY n LIMIT ?1";
const REMOVE: &str = "DELETE FROM outbox WHERE n <= ?1";

/// Opens the outbox and makes its table, in a file that exists.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(super::real(path), flags)?;
    conn.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 8388608; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;",
    )?;
    conn.execute_batch(TABLE)?;
    Ok(conn)
}

/// Number of deliveries, and bytes of their bodies.
pub fn size(conn: &Connection) -> Result<(u64, u64), StoreError> {
    let (rows, bytes): (i64, i64) = conn.query_row(SIZE, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((rows.cast_unsigned(), bytes.cast_unsigned()))
}

/// Keeps deliveries, all or none, in their order.
pub fn add<'a>(conn: &mut Connection, deliveries: impl Iterator<Item = &'a Delivery>) -> Result<(), StoreError> {
    let transaction = conn.transaction()?;
    {
        let mut add = transaction.prepare_cached(ADD)?;
        for it in deliveries {
            add.execute((&it.id, it.received_at.0, &it.app_id, &it.webhook, &it.body))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The oldest deliveries: at most so many, and so many bytes but for a single one. Number of the last of them.
pub fn oldest(conn: &Connection, rows: usize, bytes: usize) -> Result<(Vec<Delivery>, i64), StoreError> {
    let mut statement = conn.prepare_cached(OLDEST)?;
    let mut found = statement.query([rows as i64])?;
    let (mut deliveries, mut last, mut size) = (Vec::new(), 0, 0);
    while let Some(row) = found.next()? {
        let it = Delivery {
            id: row.get::<_, DeliveryId>(1)?,
            received_at: Time(row.get(2)?),
            app_id: row.get(3)?,
            webhook: row.get(4)?,
            body: row.get(5)?,
        };
        if !deliveries.is_empty() && size + it.body.len() > bytes {
            break;
        }
        size += it.body.len();
        last = row.get(0)?;
        deliveries.push(it);
    }
    Ok((deliveries, last))
}

/// Removes the oldest deliveries up to a number.
pub fn remove(conn: &Connection, last: i64) -> Result<(), StoreError> {
    conn.prepare_cached(REMOVE)?.execute([last])?;
    Ok(())
}

/// Gives what an empty outbox took back to the disk. No chat is left in the file or in its WAL.
pub fn shrink(conn: &Connection) -> Result<(), StoreError> {
    retention::vacuum(conn, 0)?;
    checkpoint(conn, true)?;
    Ok(())
}
