//! Rows to take away: of the views, and all that is about one person. Secrets stay.

use super::erasures::ROWS;
use crate::ids::Time;
use crate::json;
use crate::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, ToSql, named_params};
use serde_json::Value;

/// Columns that hold JSON.
const JSON: [&str; 5] = ["tags", "metadata", "attachments", "data", "mentions"];
/// Columns for chatfold alone.
const INTERNAL: [&str; 12] = [
    "app_id",
    "registers",
    "facts",
    "digest",
    "first_text",
    "message_no",
    "uncounted",
    "may_be_last",
    "chat",
    "listed",
    "step",
    "low_length",
];
const VIEWS: &str = "SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB 'v_*' ORDER BY rowid";
const EVENT: &str = "SELECT trigger, occurred_at, received_at, deliveries, outcome FROM events WHERE seq = ?1";
const COLUMNS: &str = "SELECT name, type FROM pragma_table_info(?1) ORDER BY cid";
const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM events";

/// Columns of 0 and 1.
const BOOLEANS: [&str; 5] = ["is_owner", "created", "online", "audio_only", "reviewed"];
/// Times by another name than `…_at` and `…_since`.
const TIMES: [&str; 4] = ["at", "since", "anchor", "before"];

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// What a column holds, apart from nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Real,
    /// 0 or 1.
    Boolean,
    /// A text in RFC 3339.
    Time,
}

/// Takes each row, as the names of its columns and their values.
pub type Each<'a> = &'a mut dyn FnMut(&[String], Vec<Value>) -> anyhow::Result<()>;

/// The views of a file.
pub fn views(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare(VIEWS)?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Hands over the rows of a view that [`views`] named, of one app or of all. How many there were.
pub fn view(conn: &Connection, view: &str, app_id: Option<&str>, each: Each<'_>) -> anyhow::Result<u64> {
    // The schema was compared with ours when the file was opened: no view holds SQL of anybody else.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true)?;
    let sql = format!("SELECT * FROM {view} WHERE :app IS NULL OR app_id = :app");
    rows(conn, &sql, named_params! { ":app": app_id }, each)
}

/// The columns of a view that [`views`] named.
pub fn columns(conn: &Connection, view: &str) -> Result<Vec<Column>, StoreError> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true)?;
    let mut statement = conn.prepare(COLUMNS)?;
    let columns = statement.query_map([view], |row| {
        let (name, declared) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        let kind = kind(&name, &declared);
        Ok(Column { name, kind })
    })?;
    Ok(columns.collect::<Result<_, _>>()?)
}

/// A column that is an expression, as each time is, has no declared type.
fn kind(name: &str, declared: &str) -> Kind {
    match declared {
        _ if BOOLEANS.contains(&name) => Kind::Boolean,
        "INTEGER" => Kind::Integer,
        "REAL" => Kind::Real,
        "" if is_time(name) => Kind::Time,
        _ => Kind::Text,
    }
}

/// The tables that may hold rows about a person.
pub fn tables() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(table, _)| *table)
}

/// Hands over the rows of a table that are about a person, with times as people read them. How many there were.
pub fn about(conn: &Connection, table: &str, app_id: &str, uid: &str, each: Each<'_>) -> anyhow::Result<u64> {
    let Some((_, about)) = ROWS.iter().find(|(name, _)| *name == table) else { return Ok(0) };
    let sql = format!("SELECT * FROM {table} WHERE app_id = :app AND ({about})");
    let mut shown = |columns: &[String], values: Vec<Value>| {
        let kept = columns.iter().zip(values).filter(|(column, _)| !INTERNAL.contains(&column.as_str()));
        let (columns, values): (Vec<String>, Vec<Value>) =
            kept.map(|(column, value)| (column.clone(), as_time(column, value))).unzip();
        each(&columns, values)
    };
    rows(conn, &sql, named_params! { ":app": app_id, ":uid": uid }, &mut shown)
}

/// What the log says of an event beside its body.
pub fn event(conn: &Connection, seq: i64) -> Result<Vec<(&'static str, Value)>, StoreError> {
    let row = conn.prepare_cached(EVENT)?.query_row([seq], |row| {
        let time = |column| row.get::<_, i64>(column).map(|ms| Value::from(Time(ms).rfc3339()));
        Ok(vec![
            ("seq", seq.into()),
            ("trigger", row.get::<_, String>(0)?.into()),
            ("occurred_at", time(1)?),
            ("received_at", time(2)?),
            ("deliveries", row.get::<_, i64>(3)?.into()),
            ("outcome", row.get::<_, String>(4)?.into()),
        ])
    });
    Ok(row.optional()?.unwrap_or_default())
}

/// The newest log position.
pub fn newest(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row(NEWEST, [], |row| row.get(0))?)
}

fn rows(conn: &Connection, sql: &str, params: &[(&str, &dyn ToSql)], each: Each<'_>) -> anyhow::Result<u64> {
    let mut statement = conn.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let (mut rows, mut count) = (statement.query(params)?, 0);
    while let Some(row) = rows.next()? {
        let cell = |(at, name): (usize, &String)| Ok::<_, rusqlite::Error>(value(name, row.get_ref(at)?));
        let values = columns.iter().enumerate().map(cell).collect::<Result<_, _>>()?;
        each(&columns, values)?;
        count += 1;
    }
    Ok(count)
}

/// A value without the secrets in it, which a row folded by an older rule may hold. JSON that is too much for other
/// parsers stays a text.
fn value(column: &str, value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(int) => int.into(),
        ValueRef::Real(real) => real.into(),
        ValueRef::Text(bytes) => {
            let text = json::without_secrets(String::from_utf8_lossy(bytes)).into_owned();
            let parsed = JSON.contains(&column).then(|| serde_json::from_str(&text).ok()).flatten();
            parsed.unwrap_or(Value::String(text))
        }
    }
}

fn is_time(column: &str) -> bool {
    TIMES.contains(&column) || column.ends_with("_at") || column.ends_with("_since")
}

fn as_time(column: &str, value: Value) -> Value {
    match value.as_i64().filter(|_| is_time(column)) {
        None => value,
        Some(0) => Value::Null,
        Some(ms) => Time(ms).rfc3339().into(),
    }
}
