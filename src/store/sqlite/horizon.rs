//! `horizons`: up to when events of a family were cut from the log.

use super::table::table;
use crate::ids::Time;
use crate::store::StoreError;
use crate::tables::horizon::Horizon;
use rusqlite::Connection;

table! {
    "horizons": Horizon by (family)
    fields { before }
}

/// A horizon of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub app_id: String,
    pub family: String,
    pub before: Time,
}

const ALL: &str = "SELECT app_id, family, before FROM horizons ORDER BY app_id, family";

/// All horizons, by app and family.
pub fn all(conn: &Connection) -> Result<Vec<Reached>, StoreError> {
    let mut statement = conn.prepare_cached(ALL)?;
    let rows = statement
        .query_map([], |row| Ok(Reached { app_id: row.get(0)?, family: row.get(1)?, before: Time(row.get(2)?) }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
