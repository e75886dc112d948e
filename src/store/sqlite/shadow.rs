//! Shadow tables: a second set beside the live ones, filled while those go on, which takes their place at once.
//!
//! `next_…` is being filled, `old_…` was replaced and is emptied bit by bit: dropping a large table at once would hold
//! up deliveries. Names of indexes are global, so that those of two sets take turns in their suffix.

use super::layout::Layout;
use super::projection::PROJECTION;
use super::search;
use crate::store::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The ending of an index's name that every other set has.
pub(super) const SUFFIX: &str = "_b";
/// Rows deleted by one statement of a sweep.
const SWEPT: i64 = 100;
/// Values read at once are no more than this, large as single rows may be.
const BYTES: usize = 1 << 20;

const SCHEMA: &str =
    "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type DESC, rowid";
const LEFT: &str = "
    SELECT name FROM sqlite_schema
    WHERE type = 'table' AND (name GLOB 'next_*' OR name GLOB 'old_*') ORDER BY name";
const VIEWS: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY rowid";
const HAS_ROWID: &str = "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ?1 AND wr = 0";

/// A row of a live table as it is now, or that there is none any more.
pub struct LiveRow {
    pub key: Vec<Value>,
    pub row: Option<Vec<Value>>,
}

/// Layouts of all tables of the projection.
pub fn layouts(conn: &Connection) -> Result<Vec<Layout>, StoreError> {
    PROJECTION.iter().map(|table| Layout::of(conn, table)).collect()
}

/// Makes the empty shadows, with all indexes, as the live tables are.
pub fn create(conn: &Connection) -> Result<(), StoreError> {
    for table in PROJECTION.iter() {
        let mut statement = conn.prepare(SCHEMA)?;
        let found: Vec<(String, String, String)> = statement
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        for (kind, name, sql) in found {
            let body = &sql[sql.find('(').unwrap_or(sql.len())..];
            if kind == "table" {
                conn.execute_batch(&format!("CREATE TABLE next_{table} {body}"))?;
            } else {
                let unique = if sql.starts_with("CREATE UNIQUE") { "UNIQUE " } else { "" };
                let name = name.strip_suffix(SUFFIX).map_or_else(|| format!("{name}{SUFFIX}"), str::to_owned);
                conn.execute_batch(&format!("CREATE {unique}INDEX {name} ON next_{table} {body}"))?;
            }
        }
    }
    search::create_next(conn)
}

/// The next rows of a table in the order of its key.
pub fn rows(
    conn: &Connection,
    layout: &Layout,
    after: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let key = layout.key.join(", ");
    let after_key = match after {
        Some(_) => format!("WHERE ({key}) > ({})", places(layout.key.len())),
        None => String::new(),
    };
    let select =
        format!("SELECT {} FROM {} {after_key} ORDER BY {key} LIMIT {limit}", layout.columns.join(", "), layout.table);
    let mut statement = conn.prepare_cached(&select)?;
    let mut found = statement.query(params_from_iter(after.unwrap_or_default()))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < BYTES
        && let Some(row) = found.next()?
    {
        let values = read(row, layout.columns.len())?;
        bytes += values.iter().map(size).sum::<usize>();
        rows.push(values);
    }
    Ok(rows)
}

fn read(row: &Row<'_>, width: usize) -> rusqlite::Result<Vec<Value>> {
    (0..width).map(|column| row.get(column)).collect()
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

fn places(count: usize) -> String {
    let all: Vec<String> = (1..=count).map(|place| format!("?{place}")).collect();
    all.join(", ")
}

/// Puts rows into a shadow that has none of them yet.
pub fn insert(conn: &Connection, layout: &Layout, rows: &[Vec<Value>]) -> Result<(), StoreError> {
    replace(conn, layout, rows, HashMap::new())
}

/// Puts rows into a shadow; `indexed` are the texts that the full-text index has of them.
fn replace(
    conn: &Connection,
    layout: &Layout,
    rows: &[Vec<Value>],
    indexed: HashMap<i64, String>,
) -> Result<(), StoreError> {
    put(conn, &format!("next_{}", layout.table), layout, rows)?;
    if layout.table == "messages" {
        search::fill_next(conn, layout, rows, indexed)?;
    }
    Ok(())
}

/// Puts rows into a table of this layout.
pub(super) fn put(conn: &Connection, table: &str, layout: &Layout, rows: &[Vec<Value>]) -> Result<(), StoreError> {
    let columns = layout.columns.join(", ");
    let insert = format!("INSERT INTO {table} ({columns}) VALUES ({})", places(layout.columns.len()));
    let mut statement = conn.prepare_cached(&insert)?;
    for row in rows {
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

/// From now on the keys of rows that change are kept.
pub fn track(conn: &Connection, layout: &Layout) -> Result<(), StoreError> {
    let Layout { table, key, .. } = layout;
    let columns = key.join(", ");
    let note = |row: &str| {
        let values: Vec<String> = key.iter().map(|column| format!("{row}.{column}")).collect();
        let known: Vec<String> = key.iter().map(|column| format!("{column} = {row}.{column}")).collect();
        format!(
            "INSERT INTO changed_{table} ({columns}) SELECT {} WHERE NOT EXISTS (SELECT 1 FROM changed_{table} WHERE {})",
            values.join(", "),
            known.join(" AND ")
        )
    };
    conn.execute_batch(&format!(
        "CREATE TEMP TABLE changed_{table} ({columns}, PRIMARY KEY ({columns})) WITHOUT ROWID;
         CREATE TEMP TRIGGER added_{table} AFTER INSERT ON main.{table} BEGIN {}; END;
         CREATE TEMP TRIGGER updated_{table} AFTER UPDATE ON main.{table} BEGIN {}; END;
         CREATE TEMP TRIGGER removed_{table} AFTER DELETE ON main.{table} BEGIN {}; END;",
        note("new"),
        note("new"),
        note("old"),
    ))?;
    Ok(())
}

/// Some of the rows that changed, which count as unchanged from now on.
pub fn take_changes(conn: &Connection, layout: &Layout, limit: usize) -> Result<Vec<LiveRow>, StoreError> {
    let Layout { table, key, columns } = layout;
    let by: Vec<String> = (1..).zip(key).map(|(place, column)| format!("{column} = ?{place}")).collect();
    let by = by.join(" AND ");
    let keys: Vec<Vec<Value>> = conn
        .prepare_cached(&format!("SELECT {} FROM temp.changed_{table} LIMIT {limit}", key.join(", ")))?
        .query_map([], |row| read(row, key.len()))?
        .collect::<Result<_, _>>()?;
    let mut select = conn.prepare_cached(&format!("SELECT {} FROM main.{table} WHERE {by}", columns.join(", ")))?;
    let mut forget = conn.prepare_cached(&format!("DELETE FROM temp.changed_{table} WHERE {by}"))?;
    let mut changes = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    for key in keys {
        if bytes >= BYTES {
            break;
        }
        let row = select.query_row(params_from_iter(&key), |row| read(row, columns.len())).optional()?;
        bytes += row.iter().flatten().map(size).sum::<usize>();
        forget.execute(params_from_iter(&key))?;
        changes.push(LiveRow { key, row });
    }
    Ok(changes)
}

/// Makes a shadow's rows what they became.
pub fn apply(conn: &Connection, layout: &Layout, changes: Vec<LiveRow>) -> Result<(), StoreError> {
    let by: Vec<String> = (1..).zip(&layout.key).map(|(place, column)| format!("{column} = ?{place}")).collect();
    let delete = format!("DELETE FROM next_{} WHERE {}", layout.table, by.join(" AND "));
    let mut delete = conn.prepare_cached(&delete)?;
    let mut rows = Vec::with_capacity(changes.len());
    let mut indexed = HashMap::new();
    for change in changes {
        if layout.table == "messages" {
            indexed.extend(search::next_text(conn, &change.key)?);
        }
        delete.execute(params_from_iter(&change.key))?;
        rows.extend(change.row);
    }
    replace(conn, layout, &rows, indexed)
}

/// The shadows take the place of the live tables, inside the caller's transaction. Views are
/// made anew, with the same text.
pub fn swap(conn: &Connection) -> Result<(), StoreError> {
    let mut statement = conn.prepare(VIEWS)?;
    let views: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    // A view that is there gets the new name of a table into its text. And each renaming parses the whole schema, which
    // takes longest for views: deliveries wait meanwhile.
    // The owner's own views may need quotes.
    let drop = |name: &str| conn.execute_batch(&format!("DROP VIEW \"{}\"", name.replace('"', "\"\"")));
    views.iter().try_for_each(|(name, _)| drop(name))?;
    PROJECTION.iter().try_for_each(|table| {
        conn.execute_batch(&format!(
            "ALTER TABLE {table} RENAME TO old_{table}; ALTER TABLE next_{table} RENAME TO {table};"
        ))
    })?;
    search::swap(conn)?;
    views.iter().try_for_each(|(_, sql)| Ok(conn.execute_batch(sql)?))
}

/// Tables that a rebuild left: shadows never finished, and tables replaced.
pub fn left(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let found: Vec<String> = conn.prepare(LEFT)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let ours = |name: &String| {
        let table = name.strip_prefix("next_").or_else(|| name.strip_prefix("old_"));
        table.is_some_and(|table| table == search::INDEX || PROJECTION.contains(&table))
    };
    Ok(found.into_iter().filter(ours).collect())
}

/// Deletes rows of a table that [`left`] named for about as long as told, and the table once it is empty. True when it
/// is gone.
pub fn sweep(conn: &Connection, table: &str, budget: Duration) -> Result<bool, StoreError> {
    let until = Instant::now() + budget;
    if table.ends_with(search::INDEX) {
        return search::sweep(conn, table, until);
    }
    let key = if conn.prepare(HAS_ROWID)?.exists([table])? { "rowid".to_owned() } else { primary_key(conn, table)? };
    let delete = format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT {SWEPT})");
    let mut statement = conn.prepare(&delete)?;
    while Instant::now() < until {
        if statement.execute([])? == 0 {
            drop(statement);
            conn.execute_batch(&format!("DROP TABLE {table}"))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Drops a table that [`left`] named at once.
pub fn drop_at_once(conn: &Connection, table: &str) -> Result<(), StoreError> {
    Ok(conn.execute_batch(&format!("DROP TABLE {table}"))?)
}

fn primary_key(conn: &Connection, table: &str) -> Result<String, StoreError> {
    let mut statement = conn.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
    let key: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(key.join(", "))
}
