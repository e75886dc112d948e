//! `horizons`: up to when events of a family were cut from the log.

use super::table::table;
use crate::ids::Time;
use crate::store::StoreError;
use crate::tables::horizon::Horizon;
use rusqlite::Connection;

table! {
    "horizons": Horizon by (family)
    fields { before, last_id }
}

/// A horizon of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub app_id: String,
    pub family: String,
    pub before: Time,
    /// See [`Horizon`].
    pub last_id: i64,
}

const ALL: &str = "SELECT app_id, family, before, last_id FROM horizons ORDER BY app_id, family";

/// All horizons, by app and family.
pub fn all(conn: &Connection) -> Result<Vec<Reached>, StoreError> {
    let mut statement = conn.prepare_cached(ALL)?;
    let rows = statement.query_map([], |row| {
        Ok(Reached { app_id: row.get(0)?, family: row.get(1)?, before: Time(row.get(2)?), last_id: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
