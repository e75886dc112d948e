//! `shared_log`: of which log outside the file this node has folded how much.

use super::events;
use super::settings::{NODE, set, setting, unset};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

const READ: &str = "SELECT log_id, position, delivery_id FROM shared_log";
const JOIN: &str = "INSERT INTO shared_log (one, log_id, position) VALUES (1, ?1, 0)";
const ADVANCE: &str = "UPDATE shared_log SET position = ?1, delivery_id = ?2";

/// Name of the setting that tells for which log a file is on its way to become the first node.
const FOUNDING: &str = "founding";
const FOUND: &str = "
    INSERT INTO shared_log (one, log_id, position) VALUES (1, ?1, ?2)
    ON CONFLICT (one) DO UPDATE SET log_id = excluded.log_id, position = excluded.position, delivery_id = NULL";

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub log_id: String,
    /// The newest position that is folded; 0: none.
    pub position: i64,
    /// The id of the delivery at that position.
    pub delivery_id: Option<Vec<u8>>,
}

/// How far this node is; `None`: the file has a log of its own.
pub fn read(conn: &Connection) -> Result<Option<Joined>, StoreError> {
    let row = conn
        .prepare_cached(READ)?
        .query_row([], |row| Ok(Joined { log_id: row.get(0)?, position: row.get(1)?, delivery_id: row.get(2)? }));
    Ok(row.optional()?)
}

/// Makes an empty file one of a node. A file with deliveries of its own is refused.
pub fn join(conn: &Connection, log_id: &str) -> Result<(), StoreError> {
    if events::newest_position(conn)? > 0 {
        return Err(StoreError::Unusable(
            "the file holds deliveries that the shared log does not have. Begin a node with a new file (--db)".into(),
        ));
    }
    conn.execute(JOIN, [log_id])?;
    Ok(())
}

/// Which node the file is. `place` tells machine and path: a copy elsewhere is another node, with the id `new`.
pub fn node_id(conn: &Connection, place: &str, new: &str) -> Result<String, StoreError> {
    if let Some(told) = setting(conn, NODE)?
        && let Some((id, there)) = told.split_once(' ')
        && there == place
    {
        return Ok(id.to_owned());
    }
    set(conn, NODE, &format!("{new} {place}"))?;
    Ok(new.to_owned())
}

/// The log that a file is to go on as. Kept before PostgreSQL hears of the log, so that an attempt that broke off
/// can be repeated: `new` is taken by the first attempt alone.
pub fn begin_founding(conn: &Connection, new: &str) -> Result<String, StoreError> {
    if let Some(log_id) = setting(conn, FOUNDING)? {
        return Ok(log_id);
    }
    set(conn, FOUNDING, new)?;
    Ok(new.to_owned())
}

/// Makes a file with deliveries of its own the first node of a log that goes on behind them. Inside a transaction.
pub fn found(conn: &Connection, log_id: &str, position: i64) -> Result<(), StoreError> {
    conn.execute(FOUND, (log_id, position))?;
    unset(conn, FOUNDING)
}

/// The tables are at this position, once the caller commits.
pub fn advance(conn: &Connection, position: i64, delivery_id: &[u8]) -> Result<(), StoreError> {
    conn.prepare_cached(ADVANCE)?.execute((position, delivery_id))?;
    Ok(())
}

/// Refuses the file of a node, for whoever would put deliveries past the shared log.
pub fn refuse(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    match read(conn)? {
        None => Ok(()),
        Some(_) => Err(StoreError::Unusable(format!(
            "{} is the file of a node: what it holds comes from the shared log. Run `chatfold serve` with --log, and post \
             deliveries to a node. While the node of a file serves, `backfill` and `reconcile` hand their events to it",
            path.display()
        ))),
    }
}
