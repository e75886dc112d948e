//! The schema of a file, compared with the one that the migrations make.
//!
//! A file from elsewhere may hold SQL of its own in triggers, views, generated columns, expressions of indexes, checks
//! and virtual tables. A file that holds anything but our own schema is refused before anything else of it is read.

use super::projection::PROJECTION;
use super::search;
use super::shadow::SUFFIX;
use crate::store::StoreError;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// VM steps between two looks at how long the schema is.
const STEPS: i32 = 1_000;
/// Looks after which reading the schema ends. Our own schema takes two, some thousand objects take all of them.
const LOOKS: u32 = 50;

const OBJECTS: &str = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type DESC, name";

/// Tables that SQLite or a replicator keeps in a file, and that hold no SQL of anybody's.
const TOLERATED: &[(&str, &str)] = &[
    ("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"),
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
    ("_litestream_seq", "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)"),
    ("_litestream_lock", "CREATE TABLE _litestream_lock (id INTEGER)"),
];

/// A row of `sqlite_schema`.
struct Object {
    kind: String,
    name: String,
    table: String,
    sql: Option<String>,
}

/// Which of the sets of tables an object belongs to: a rebuild keeps up to two beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Set {
    Live,
    Next,
    Old,
}

/// Kind and name of an object, as the migrations name it.
type Name = (String, String);

/// Table and text of an object, as the migrations write them: without its own name, which a rebuild changes.
type Definition = (String, String);

/// What the migrations make.
pub(super) struct Schema {
    objects: BTreeMap<Name, Definition>,
}

impl Schema {
    /// Of a file that holds what the migrations make and nothing else.
    pub(super) fn of(conn: &Connection) -> Result<Self, StoreError> {
        let objects = read(conn)?.iter().map(|object| (object.canonical_name().1, object.definition())).collect();
        Ok(Self { objects })
    }

    /// Refuses a file whose schema is another. Shadow tables of a rebuild are part of ours.
    pub(super) fn check(&self, conn: &Connection, path: &Path) -> Result<(), StoreError> {
        let found = read(conn)?;
        let mut seen = BTreeSet::new();
        for object in &found {
            let tolerated = |(name, sql): &(&str, &str)| object.name == *name && object.sql.as_deref() == Some(*sql);
            if TOLERATED.iter().any(tolerated) {
                continue;
            }
            let (set, name) = object.canonical_name();
            match self.objects.get(&name) {
                Some(expected) if *expected != object.definition() => return Err(altered(object, path)),
                Some(_) if seen.insert((set, name)) => {}
                _ => return Err(extra(object, path)),
            }
        }
        let missing = self.objects.keys().find(|name| !seen.contains(&(Set::Live, (*name).clone())));
        match missing {
            Some((kind, name)) => Err(StoreError::Unusable(format!(
                "{} lacks the {kind} {name:?} that every chatfold file has: the file is damaged or was changed by hand. \
                 Use a backup of it, or read its deliveries into a new file",
                path.display()
            ))),
            None => Ok(()),
        }
    }
}

impl Object {
    /// The set it belongs to, and the name it has in a file that was never rebuilt.
    fn canonical_name(&self) -> (Set, Name) {
        let (set, table) = split(&self.table);
        let shadowed = is_shadowed(table);
        let auto = |name: &str| {
            let number = name.strip_prefix("sqlite_autoindex_")?.strip_prefix(self.table.as_str())?;
            Some(format!("sqlite_autoindex_{table}{number}"))
        };
        let name = match self.kind.as_str() {
            "table" if self.name == self.table => table.to_owned(),
            "index" if shadowed => {
                auto(&self.name).unwrap_or_else(|| self.name.strip_suffix(SUFFIX).unwrap_or(&self.name).to_owned())
            }
            _ => self.name.clone(),
        };
        (set, (self.kind.clone(), name))
    }

    /// What it is, whatever name a rebuild gave it. A text that does not name the object as its row does stays whole:
    /// it equals no other.
    fn definition(&self) -> Definition {
        let table = split(&self.table).1.to_owned();
        let sql = self.sql.clone().unwrap_or_default();
        let unnamed = match self.kind.as_str() {
            "table" => without_name(&sql, &["CREATE TABLE ", "CREATE VIRTUAL TABLE "], &self.name),
            "index" => {
                without_name(&sql, &["CREATE INDEX ", "CREATE UNIQUE INDEX "], &self.name).and_then(|(begin, rest)| {
                    let (_, rest) = without_name(rest, &["ON "], &self.table)?;
                    Some((begin, rest))
                })
            }
            _ => None,
        };
        (table, unnamed.map_or_else(|| sql.clone(), |(begin, rest)| format!("{begin}… {rest}")))
    }

    fn words(&self) -> String {
        if self.kind == "table" || self.kind == "view" {
            format!("the {} {:?}", self.kind, self.name)
        } else {
            format!("the {} {:?} on {:?}", self.kind, self.name, self.table)
        }
    }
}

/// Divides a text into its beginning and what follows the name, where it begins so and names this.
fn without_name<'a>(sql: &'a str, begins: &[&'static str], name: &str) -> Option<(&'static str, &'a str)> {
    let (begin, rest) = begins.iter().find_map(|begin| Some((*begin, sql.strip_prefix(begin)?)))?;
    let quoted = |quote: char| rest.strip_prefix(quote)?.strip_prefix(name)?.strip_prefix(quote);
    let plain = || {
        let rest = rest.strip_prefix(name)?;
        (!rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')).then_some(rest)
    };
    let rest = quoted('"').or_else(|| quoted('\'')).or_else(plain)?;
    Some((begin, rest.trim_start()))
}

/// The set a table belongs to, and its name in the live one.
fn split(table: &str) -> (Set, &str) {
    for (prefix, set) in [("next_", Set::Next), ("old_", Set::Old)] {
        if let Some(base) = table.strip_prefix(prefix).filter(|base| is_shadowed(base)) {
            return (set, base);
        }
    }
    (Set::Live, table)
}

/// Whether a rebuild makes this table anew.
fn is_shadowed(table: &str) -> bool {
    PROJECTION.contains(&table) || table == search::INDEX || search::is_part(table)
}

fn read(conn: &Connection) -> Result<Vec<Object>, rusqlite::Error> {
    let mut statement = conn.prepare(OBJECTS)?;
    let objects = statement.query_map([], |row| {
        Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    objects.collect()
}

/// Runs what opens a file and reads its schema, which SQLite does at the first statement that needs one. A schema of
/// many thousand objects takes minutes and gigabytes to read: reading ends long before.
pub(super) fn bounded<T>(
    conn: &mut Connection,
    path: &Path,
    opening: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut looks = 0;
    let handler = move || {
        looks += 1;
        looks > LOOKS
    };
    conn.progress_handler(STEPS, Some(handler))?;
    let opened = opening(conn);
    conn.progress_handler(0, None::<fn() -> bool>)?;
    opened.map_err(|error| match error {
        StoreError::Engine(engine) if engine.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            StoreError::Unusable(format!(
                "{} holds far more tables than chatfold makes, so chatfold did not write this file",
                path.display()
            ))
        }
        error => error,
    })
}

fn altered(object: &Object, path: &Path) -> StoreError {
    StoreError::Unusable(format!(
        "{}: {} is not as chatfold makes it: the file comes from another edition or was changed by hand. Use a backup \
         of it, or read its deliveries into a new file",
        path.display(),
        object.words()
    ))
}

fn extra(object: &Object, path: &Path) -> StoreError {
    let kind = object.kind.to_uppercase();
    StoreError::Unusable(format!(
        "{} holds {}, which chatfold did not make. SQL in a file from elsewhere may run, so only chatfold's own SQL is \
         allowed. If you made it, remove it with an SQLite shell ({}), and keep it in a file of your own that attaches \
         this one. If you did not make it, do not trust the file",
        path.display(),
        object.words(),
        format_args!("DROP {kind} \"{}\"", object.name.replace('"', "\"\"")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::params_from_iter;

    /// Tables about deliveries and about the file: a rebuild leaves them alone.
    const BOOKKEEPING: &[&str] = &[
        "events",
        "feeds",
        "deliveries",
        "cut_facts",
        "unfinished",
        "backfill",
        "verified",
        "asked_ids",
        "reconciles",
        "event_counts",
        "refused",
        "tokens",
        "settings",
        "runs",
        "erasures",
        "migrations",
        "shared_log",
    ];

    fn file() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = super::super::open_writer(&dir.path().join("t.db")).unwrap();
        (dir, conn)
    }

    fn tables(conn: &Connection) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
            AND name NOT LIKE 'message_search%'";
        conn.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn every_table_is_folded_or_bookkeeping() {
        let (_dir, conn) = file();
        let mut known: Vec<&str> = PROJECTION.iter().chain(BOOKKEEPING).copied().collect();
        let mut there = tables(&conn);
        known.sort_unstable();
        there.sort_unstable();
        assert_eq!(there, known);
    }

    #[test]
    fn putting_in_a_row_makes_no_temporary_table() {
        let (_dir, conn) = file();
        for table in tables(&conn) {
            let columns = super::super::layout::Layout::of(&conn, table.leak()).unwrap();
            let places = vec!["?"; columns.columns.len()].join(", ");
            let explain = format!("EXPLAIN INSERT INTO {} VALUES ({places})", columns.table);
            let mut program = conn.prepare(&explain).unwrap();
            let values = params_from_iter(columns.columns.iter().map(|_| 1));
            let steps = program.query_map(values, |row| row.get(1)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(!steps.iter().any(|step| step == "OpenEphemeral"), "{}: {steps:?}", columns.table);
        }
    }
}
