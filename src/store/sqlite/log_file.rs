//! The log of a chatfold file of any edition, read so that a new file can take it in.

use super::open;
use crate::ids::Time;
use crate::store::StoreError;
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::path::Path;

/// A table whose rows are in the file: no view, and no virtual table, which is code that runs.
const IS_TABLE: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql LIKE 'CREATE TABLE %'";
/// Columns that are computed when they are read, by SQL of whoever made the file.
const COMPUTED: &str = "SELECT 1 FROM pragma_table_xinfo(?1) WHERE hidden <> 0";
/// Columns that `events` has in every edition.
const EVENTS: &str =
    "SELECT seq, received_at, last_received_at, deliveries, body, NULL, false FROM events ORDER BY seq";
/// The same with each further delivery at its own place.
const DELIVERIES: &str = "
    SELECT seq AS position, received_at, received_at, 1, body, NULL, false FROM events
    UNION ALL
    SELECT d.position, d.received_at, d.received_at, 1, e.body, d.webhook_id, true
    FROM deliveries AS d JOIN events AS e ON e.seq = d.seq WHERE d.position <> d.seq
    ORDER BY position";

/// A chatfold file, opened to read its log. Nothing else of the file is read.
pub struct LogFile {
    conn: Connection,
    /// Whether it keeps each further delivery of an event.
    has_deliveries: bool,
}

/// A delivery as the log keeps it: that of an event, or a further one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub body: String,
    pub received_at: Time,
    /// Arrival of the newest delivery of the same fact.
    pub last_received_at: Time,
    /// How often the fact was delivered, at least 1; 1 where the log keeps each further delivery.
    pub deliveries: u64,
    /// Of a further delivery the webhook, whatever the body says.
    pub webhook: Option<Option<String>>,
}

impl LogFile {
    /// Opens a file of any edition, read-only. Refuses one that is not chatfold's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let conn = open::open_any_edition(path)?;
        let is_so = |sql, table| -> Result<bool, StoreError> { Ok(conn.prepare(sql)?.exists([table])?) };
        if !is_so(IS_TABLE, "events")? {
            return Err(StoreError::Unusable(format!("{} has no table events, so it holds no log", path.display())));
        }
        if is_so(COMPUTED, "events")? {
            return Err(StoreError::Unusable(format!(
                "the table events of {} computes columns, which the table of a log never does. It is not read",
                path.display()
            )));
        }
        let has_deliveries = is_so(IS_TABLE, "deliveries")? && !is_so(COMPUTED, "deliveries")?;
        Ok(Self { conn, has_deliveries })
    }

    /// Hands over each delivery in the order of the log, until `take` breaks off.
    pub fn for_each(&self, mut take: impl FnMut(Delivered) -> ControlFlow<()>) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare(if self.has_deliveries { DELIVERIES } else { EVENTS })?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let event = Delivered {
                received_at: Time(row.get(1)?),
                last_received_at: Time(row.get(2)?),
                deliveries: row.get::<_, i64>(3)?.max(1).cast_unsigned(),
                body: row.get(4)?,
                webhook: if row.get(6)? { Some(row.get(5)?) } else { None },
            };
            if take(event).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn deliveries_are_merged_by_position_and_not_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let conn = crate::store::sqlite::open_writer(&dir.path().join("t.db")).unwrap();
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", super::DELIVERIES)).unwrap();
        let plan: Vec<String> = statement.query_map([], |row| row.get("detail")).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().any(|step| step.contains("MERGE")), "{plan:?}");
        assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
