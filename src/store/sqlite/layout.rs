//! What columns and which key a table has, as the file itself tells. For what treats all tables alike.

use crate::store::StoreError;
use rusqlite::Connection;

/// The columns of one table, and those of its key: its primary key, else its unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub table: &'static str,
    pub columns: Vec<String>,
    pub key: Vec<String>,
}

const COLUMNS: &str = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";
const UNIQUE: &str = "
    SELECT c.name FROM pragma_index_list(?1) AS i, pragma_index_info(i.name) AS c
    WHERE i.\"unique\" ORDER BY i.name, c.seqno";

impl Layout {
    /// Reads it of a table of this schema.
    pub fn of(conn: &Connection, table: &'static str) -> Result<Self, StoreError> {
        let mut statement = conn.prepare_cached(COLUMNS)?;
        let all: Vec<(String, i64)> =
            statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let mut key: Vec<(i64, String)> =
            all.iter().filter(|(_, pk)| *pk > 0).map(|(name, pk)| (*pk, name.clone())).collect();
        key.sort();
        let mut key: Vec<String> = key.into_iter().map(|(_, name)| name).collect();
        if key.is_empty() {
            let mut statement = conn.prepare_cached(UNIQUE)?;
            key = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
        Ok(Self { table, columns: all.into_iter().map(|(name, _)| name).collect(), key })
    }

    /// Places of the key's columns in a row.
    pub fn key_places(&self) -> Vec<usize> {
        self.key.iter().filter_map(|key| self.columns.iter().position(|column| column == key)).collect()
    }
}
