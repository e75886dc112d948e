//! The log of a chatfold file of any edition, read so that a new file can take it in.

use super::open;
use crate::ids::Time;
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::ops::ControlFlow;
use std::path::Path;

/// A table whose rows are in the file: no view, and no virtual table, which is code that runs.
const HAS_LOG: &str =
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'events' AND sql LIKE 'CREATE TABLE %'";
/// Columns that are computed when they are read, by SQL of whoever made the file.
const COMPUTED: &str = "SELECT 1 FROM pragma_table_xinfo('events') WHERE hidden <> 0";
/// Columns that `events` has in every edition.
const EVENTS: &str = "SELECT received_at, last_received_at, deliveries, body FROM events ORDER BY seq";

/// A chatfold file, opened to read its log. Nothing else of the file is read.
pub struct LogFile {
    conn: Connection,
}

/// An event as its log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub body: String,
    pub received_at: Time,
    /// Arrival of the newest delivery of the same fact.
    pub last_received_at: Time,
    /// How often the fact was delivered, at least 1.
    pub deliveries: u64,
}

impl LogFile {
    /// Opens a file of any edition, read-only. Refuses one that is not chatfold's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let conn = open::open_any_edition(path)?;
        let is_there = |sql| -> Result<bool, StoreError> {
            Ok(conn.prepare(sql)?.query_row([], |_| Ok(())).optional()?.is_some())
        };
        if !is_there(HAS_LOG)? {
            return Err(StoreError::Unusable(format!("{} has no table events: it holds no log", path.display())));
        }
        if is_there(COMPUTED)? {
            return Err(StoreError::Unusable(format!(
                "the table events of {} computes columns, and that of a log holds them: it is not read",
                path.display()
            )));
        }
        Ok(Self { conn })
    }

    /// Hands over each event, oldest first, until `take` breaks off.
    pub fn for_each(&self, mut take: impl FnMut(Delivered) -> ControlFlow<()>) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare(EVENTS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let event = Delivered {
                received_at: Time(row.get(0)?),
                last_received_at: Time(row.get(1)?),
                deliveries: row.get::<_, i64>(2)?.max(1).cast_unsigned(),
                body: row.get(3)?,
            };
            if take(event).is_break() {
                break;
            }
        }
        Ok(())
    }
}
