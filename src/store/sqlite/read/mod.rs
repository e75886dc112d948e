//! What is read back from the tables: one file per table family, its statements beside their caller.
//!
//! Two shapes only. A *list* ([`List`]) walks one index and yields keys; a *look-up* ([`Lookup`]) takes many keys at
//! once, as one JSON parameter, and yields what belongs to them. So a page of any size costs the same statements.

pub mod activity;
pub mod allowance;
pub mod app;
pub mod block;
pub mod call;
pub mod call_totals;
pub mod change;
pub mod conversation;
pub mod drift;
pub mod event;
pub mod explain;
pub mod first_text;
pub mod gaps;
pub mod group;
pub mod list;
pub mod membership;
pub mod membership_change;
pub mod membership_period;
pub mod membership_then;
pub mod message;
pub mod message_list;
pub mod message_parts;
pub mod message_search;
mod named;
pub mod presence;
pub mod private;
pub mod responses;
pub mod search;
pub mod server;
pub mod silence;
pub mod snapshot;
pub mod traffic;
pub mod unread;
pub mod user;

use rusqlite::types::{FromSql, ToSql, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, Rows};
use std::cell::Cell;
use std::hash::Hash;

pub use allowance::Amount;
pub use list::{Found, Key, List, Part, Range, ReadRows, Wanted};
pub use snapshot::{ReadError, Snapshot};

/// What the engine answers.
pub type Sql<T> = rusqlite::Result<T>;
/// A connection inside a snapshot.
pub type Conn = Connection;

/// Longest a plain list gets; its count says how many there are.
pub const PLAIN_LIST: usize = 200;

/// A question about one key, asked for many keys with one statement.
pub trait Lookup: Clone + Eq + Hash + Send + Sync + 'static {
    /// What belongs to a key.
    type Found: Clone + Send + Sync + 'static;

    /// Answers all keys of one app; those without an answer are left out.
    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Self::Found)>>;
}

thread_local! {
    static STATEMENTS: Cell<u64> = const { Cell::new(0) };
}

/// The next row, counted: lists in lists are counted by what is in them, too.
fn next<'r, 's>(rows: &'r mut Rows<'s>) -> Sql<Option<&'r Row<'s>>> {
    let row = rows.next()?;
    row.map_or(Ok(()), allowance::take)?;
    Ok(row)
}

/// Statements run on this thread so far: a request runs on one thread, so the difference is what it cost.
pub fn statements() -> u64 {
    STATEMENTS.get()
}

type Params<'a> = &'a [(&'a str, &'a dyn ToSql)];

/// Prepares, binds those of the parameters that the statement names, and counts.
fn prepare<'c>(conn: &'c Conn, sql: &str, params: Params<'_>) -> Sql<CachedStatement<'c>> {
    STATEMENTS.set(STATEMENTS.get() + 1);
    let mut statement = conn.prepare_cached(sql)?;
    for (name, value) in params {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(statement)
}

fn rows<T>(conn: &Conn, sql: &str, params: Params<'_>, mut map: impl FnMut(&Row<'_>) -> Sql<T>) -> Sql<Vec<T>> {
    let mut statement = prepare(conn, sql, params)?;
    let mut found = statement.raw_query();
    let mut all = Vec::new();
    while let Some(row) = next(&mut found)? {
        all.push(map(row)?);
    }
    Ok(all)
}

/// Declares the look-up of one column that may be large, by the key of its row.
macro_rules! column {
    ($(#[$doc:meta])+ $name:ident: $column:literal of $table:literal by $key:literal) => {
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(pub std::sync::Arc<str>);

        impl $crate::store::sqlite::read::Lookup for $name {
            type Found = std::sync::Arc<str>;

            fn look_up(
                conn: &$crate::store::sqlite::read::Conn,
                app: &str,
                keys: &[Self],
            ) -> $crate::store::sqlite::read::Sql<Vec<(Self, Self::Found)>> {
                let sql = concat!(
                    "SELECT k.key, x.", $column, " FROM json_each(:keys) k CROSS JOIN ", $table,
                    " x ON x.app_id = :app AND x.", $key, " = k.value WHERE x.", $column, " IS NOT NULL"
                );
                $crate::store::sqlite::read::by_place(conn, sql, app, keys, |key| &key.0, |row| row.next())
            }
        }
    };
}
use column;

/// Looks up texts, as `:keys`, with a statement whose first column is the place of the key. `map` gets the rest of a row.
fn by_place<K: Clone, T>(
    conn: &Conn,
    sql: &str,
    app: &str,
    keys: &[K],
    text: impl Fn(&K) -> &str,
    map: impl Fn(&mut Values<'_>) -> Sql<T>,
) -> Sql<Vec<(K, T)>> {
    let texts = json(keys.iter().map(text));
    let last = PLAIN_LIST as i64 - 1;
    let mut statement = prepare(conn, sql, &[(":app", &app), (":keys", &texts), (":last", &last)])?;
    let mut found = statement.raw_query();
    let mut all = Vec::with_capacity(keys.len());
    while let Some(row) = found.next()? {
        allowance::pass(row)?;
        let mut values = Values::of(row);
        let place: i64 = values.next()?;
        all.push((keys[place as usize].clone(), map(&mut values)?));
        allowance::bring(values.bytes)?;
    }
    Ok(all)
}

/// Rows of many keys, gathered per key in the order of the keys; at most [`PLAIN_LIST`] each.
fn gather<K: Clone + Eq + Hash, T>(keys: &[K], found: Vec<(K, T)>) -> Vec<(K, Vec<T>)> {
    let mut by_key: foldhash::HashMap<&K, Vec<T>> = keys.iter().map(|key| (key, Vec::new())).collect();
    for (key, value) in found {
        if let Some(values) = by_key.get_mut(&key)
            && values.len() < PLAIN_LIST
        {
            values.push(value);
        }
    }
    by_key.into_iter().map(|(key, values)| (key.clone(), values)).collect()
}

/// Texts as one parameter.
fn json<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut out = vec![b'['];
    for text in texts {
        if out.len() > 1 {
            out.push(b',');
        }
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(&mut out, text.as_ref());
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}

/// The values of a row, one after the other; those taken are counted.
struct Values<'r> {
    row: &'r Row<'r>,
    next: usize,
    /// Of texts and blobs.
    bytes: u64,
}

impl<'r> Values<'r> {
    fn of(row: &'r Row<'r>) -> Self {
        Self::from(row, 0)
    }

    /// From a column on.
    fn from(row: &'r Row<'r>, next: usize) -> Self {
        Self { row, next, bytes: 0 }
    }

    fn skip(&mut self) {
        self.next += 1;
    }

    fn next<T: FromSql>(&mut self) -> Sql<T> {
        let value = self.row.get_ref(self.next)?;
        if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value {
            self.bytes += bytes.len() as u64;
        }
        self.next += 1;
        T::column_result(value).map_err(Into::into)
    }
}

/// The texts of a stored JSON array; anything else in it is left out.
pub fn texts(stored: Option<&str>) -> Vec<String> {
    let Some(serde_json::Value::Array(items)) = stored.and_then(|text| serde_json::from_str(text).ok()) else {
        return Vec::new();
    };
    items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;
