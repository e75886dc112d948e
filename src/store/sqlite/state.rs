//! The state hash: one number for what the tables say, whatever the file, its pages or its engine look like.
//!
//! Log positions, times of arrival, and every time that was not told but taken from an arrival or a feed stay out of
//! it, and so does bookkeeping about which fact won: two servers that heard the same facts show the same number.

use super::projection::tables;
use super::table::{Column, Hashed, Table};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Rows, Statement};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256, shown as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What one table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableState {
    pub table: &'static str,
    pub rows: u64,
    pub hash: Hash,
}

/// What all tables say at one log position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub seq: i64,
    pub tables: Vec<TableState>,
    pub total: Hash,
}

impl State {
    /// As every `--json` prints it.
    pub fn to_json(&self) -> serde_json::Value {
        let table = |it: &TableState| (it.table.to_owned(), json!({ "rows": it.rows, "hash": it.hash.to_string() }));
        let tables: serde_json::Map<_, _> = self.tables.iter().map(table).collect();
        json!({ "seq": self.seq, "hash": self.total.to_string(), "tables": tables })
    }
}

const SEQ: &str = "SELECT coalesce(max(seq), 0) FROM events";
/// The log.
const LOG: [&str; 2] = ["SELECT * FROM events ORDER BY seq", "SELECT * FROM deliveries ORDER BY position"];
const APPS: &str = "SELECT app_id FROM apps ORDER BY app_id";

/// What the facts of calls come to is hashed instead. Each file numbers its apps, and each cuts its own log.
const UNHASHED: [&str; 4] = ["app_numbers", "call_facts", "call_histories", "horizons"];

/// The tables that are hashed, and what selects of each what is hashed, in that order.
fn hashed() -> impl Iterator<Item = (&'static str, String)> {
    let tables = tables().into_iter().filter(|table| !UNHASHED.contains(&table.name));
    tables.map(|table| (table.name, statement(table)))
}

fn statement(table: &Table) -> String {
    let hashed = |Column { name, hashed }: &Column| match hashed {
        Hashed::Value => Some((*name).to_owned()),
        Hashed::IfTold => Some(format!("{name} IS NOT NULL, CASE WHEN {name}_from = 'told' THEN {name} END")),
        Hashed::IfAny => Some(format!("{name} IS NOT NULL")),
        Hashed::As(expression) => Some((*expression).to_owned()),
        Hashed::LeftOut => None,
    };
    let all: Vec<String> = table.columns.iter().filter_map(hashed).collect();
    let order: Vec<String> = (1..=all.len()).map(|place| place.to_string()).collect();
    format!("SELECT {} FROM {} WHERE app_id = ?1 ORDER BY {}", all.join(", "), table.name, order.join(", "))
}

/// What the tables say about one app. Its id is no part of it.
pub fn of_app(conn: &Connection, app_id: &str) -> Result<State> {
    let tables = hashed()
        .map(|(table, select)| {
            let (rows, hash) = rows(&mut conn.prepare(&select)?, app_id)?;
            Ok(TableState { table, rows, hash })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(State { seq: newest_seq(conn)?, total: total(&tables), tables })
}

/// What the tables say about all apps. Read in one snapshot if the caller holds one.
pub fn of_file(conn: &Connection) -> Result<State> {
    let apps: Vec<String> = conn.prepare_cached(APPS)?.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut states = Vec::new();
    for (table, select) in hashed() {
        let mut statement = conn.prepare(&select)?;
        let (mut hash, mut count) = (Sha256::new(), 0);
        for app in &apps {
            let (rows, of_app) = rows(&mut statement, app)?;
            add_bytes(&mut hash, b't', app.as_bytes());
            hash.update(of_app.0);
            count += rows;
        }
        states.push(TableState { table, rows: count, hash: Hash(hash.finalize().into()) });
    }
    Ok(State { seq: newest_seq(conn)?, total: total(&states), tables: states })
}

fn newest_seq(conn: &Connection) -> Result<i64> {
    conn.query_row(SEQ, [], |row| row.get(0))
}

fn rows(statement: &mut Statement<'_>, app_id: &str) -> Result<(u64, Hash)> {
    hash(statement.column_count(), statement.query([app_id])?)
}

/// What the log holds, byte for byte.
pub fn of_log(conn: &Connection) -> Result<Hash> {
    let all = LOG.map(|select| {
        let mut statement = conn.prepare(select)?;
        hash(statement.column_count(), statement.query([])?).map(|(_, hash)| hash)
    });
    let mut log = Sha256::new();
    for hash in all {
        log.update(hash?.0);
    }
    Ok(Hash(log.finalize().into()))
}

/// How many rows there are, and their hash.
fn hash(columns: usize, mut rows: Rows<'_>) -> Result<(u64, Hash)> {
    let (mut hash, mut count) = (Sha256::new(), 0);
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => hash.update(b"n"),
                ValueRef::Integer(int) => add_bytes(&mut hash, b'i', &int.to_be_bytes()),
                ValueRef::Real(real) => add_bytes(&mut hash, b'r', &real.to_bits().to_be_bytes()),
                ValueRef::Text(text) => add_bytes(&mut hash, b't', text),
                ValueRef::Blob(blob) => add_bytes(&mut hash, b'b', blob),
            }
        }
        count += 1;
    }
    Ok((count, Hash(hash.finalize().into())))
}

/// Kind, length, bytes: no two rows read alike.
fn add_bytes(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn total(tables: &[TableState]) -> Hash {
    let mut hash = Sha256::new();
    for table in tables {
        add_bytes(&mut hash, b't', table.table.as_bytes());
        hash.update(table.hash.0);
    }
    Hash(hash.finalize().into())
}

#[cfg(test)]
mod tests;
