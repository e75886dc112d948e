//! Lists that can grow: keyset paging over one index, bounded in what it examines.

use super::{Conn, Params, Sql, Values, allowance, prepare};
use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use std::fmt::Debug;

/// Rows one page examines before it ends early.
pub const EXAMINED: usize = 10_000;

/// One value of a key. Numbers come before texts, as SQLite has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Int(i64),
    Text(String),
}

/// Where a row stands in a list.
pub type Key = Vec<Part>;

impl Part {
    /// The text, empty for a number.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Int(_) => "",
        }
    }

    /// The number, 0 for a text.
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(int) => *int,
            Self::Text(_) => 0,
        }
    }
}

impl ToSql for Part {
    fn to_sql(&self) -> Sql<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(int) => ToSqlOutput::Owned(Value::Integer(*int)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// Begin behind this key.
    pub from: Option<&'a Key>,
    /// By falling keys.
    pub falling: bool,
    /// How many at most.
    pub want: usize,
}

/// What was found of it.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that match, in the order of the walk.
    pub keys: Vec<Key>,
    /// There is, or may be, more behind them.
    pub more: bool,
    /// The walk ended early, here.
    pub stopped: Option<Key>,
}

/// A list: everything that decides its content is in its `Debug` text, which cursors are bound to.
pub trait List: AsAny + Debug + Send + Sync {
    /// Names the list in its cursors.
    fn name(&self) -> &'static str;

    /// Its own order is by falling keys.
    fn falling(&self) -> bool {
        false
    }

    /// One letter for each value of a key: `i` a number, `t` a text.
    fn kinds(&self) -> &'static str;

    /// Walks the index.
    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found>;

    /// The same, with rows of what it finds where the walk itself can read them: they are not looked up by key again.
    fn read(&self, conn: &Conn, range: Range<'_>, _wanted: Wanted) -> Sql<(Found, Option<ReadRows>)> {
        Ok((self.scan(conn, range)?, None))
    }
}

/// Rows in the order of the keys: a vector of what the list is of.
pub type ReadRows = Box<dyn std::any::Any + Send + Sync>;

/// What is selected of the items of a list, beside what its walk reads anyway.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The person whom an item is about or by.
    pub person: bool,
    /// That person's presence.
    pub presence: bool,
    /// What no index of the list holds: the text of a message, the times of a membership.
    pub rest: bool,
}

/// Lets a page ask its list what it is a list of.
pub trait AsAny {
    /// Itself, to be told apart by type.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl<T: List + 'static> AsAny for T {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The two statements of a walk: key columns, then whether the row matches.
pub struct Scan {
    pub kinds: &'static str,
    pub rising: &'static str,
    pub falling: &'static str,
}

/// Writes both statements of a [`Scan`] from its parts; `$from` ends in a WHERE clause. SQLite leaves a condition at its
/// first part that decides it; as a value of its own it would be computed whole.
macro_rules! scan {
    ($kinds:literal, by [$first:literal $(, $more:literal)*] from $binds:literal, matching $ok:expr, of $from:expr) => {
        scan!($kinds, by [$first $(, $more)*] from $binds, matching $ok, with "", of $from)
    };
    ($kinds:literal, by [$first:literal $(, $more:literal)*] from $binds:literal, matching $ok:expr, with $columns:expr,
     of $from:expr) => {
        $crate::store::sqlite::read::list::Scan {
            kinds: $kinds,
            rising: concat!(
                "SELECT ", $first $(, ", ", $more)*, ", CASE WHEN ", $ok, " THEN 1 ELSE 0 END", $columns, " FROM ", $from,
                " AND (", $first $(, ", ", $more)*, ") > (", $binds, ")",
                " ORDER BY ", $first $(, ", ", $more)*, " LIMIT :limit"
            ),
            falling: concat!(
                "SELECT ", $first $(, ", ", $more)*, ", CASE WHEN ", $ok, " THEN 1 ELSE 0 END", $columns, " FROM ", $from,
                " AND (", $first $(, ", ", $more)*, ") < (", $binds, ")",
                " ORDER BY ", $first, " DESC" $(, ", ", $more, " DESC")*, " LIMIT :limit"
            ),
        }
    };
}
pub(super) use scan;

/// The same over an index that is not in the order of the list: all that it yields is read, so it may drive only where
/// that is little; the sort holds no more than a page.
macro_rules! sorted {
    ($kinds:literal, by [$first:literal $(, $more:literal)*] from $binds:literal, matching $ok:expr, of $from:expr) => {
        sorted!($kinds, by [$first $(, $more)*] from $binds, matching $ok, with "", of $from)
    };
    ($kinds:literal, by [$first:literal $(, $more:literal)*] from $binds:literal, matching $ok:expr, with $columns:expr,
     of $from:expr) => {
        $crate::store::sqlite::read::list::Scan {
            kinds: $kinds,
            rising: concat!(
                "SELECT ", $first $(, ", ", $more)*, ", 1", $columns, " FROM ", $from, " AND ", $ok,
                " AND (", $first $(, ", ", $more)*, ") > (", $binds, ")",
                " ORDER BY ", $first $(, ", ", $more)*, " LIMIT :page"
            ),
            falling: concat!(
                "SELECT ", $first $(, ", ", $more)*, ", 1", $columns, " FROM ", $from, " AND ", $ok,
                " AND (", $first $(, ", ", $more)*, ") < (", $binds, ")",
                " ORDER BY ", $first, " DESC" $(, ", ", $more, " DESC")*, " LIMIT :page"
            ),
        }
    };
}
pub(super) use sorted;

/// Names of the parameters of a key.
const KEY_NAMES: [&str; 4] = [":k1", ":k2", ":k3", ":k4"];

/// Walks an index with a pair of statements.
pub(super) fn run(conn: &Conn, scan: &Scan, params: Params<'_>, range: Range<'_>) -> Sql<Found> {
    run_until(conn, scan, params, range, |_| false)
}

/// The same, up to the first key that is beyond what is asked for.
pub(super) fn run_until(
    conn: &Conn,
    scan: &Scan,
    params: Params<'_>,
    range: Range<'_>,
    is_beyond: impl Fn(&Key) -> bool,
) -> Sql<Found> {
    Ok(walk(conn, scan, params, range, is_beyond, |_, _| Ok(()))?.0)
}

/// The same, with a row of each that matches: `map` gets its key and the columns behind those of the walk.
pub(super) fn walk<R>(
    conn: &Conn,
    scan: &Scan,
    params: Params<'_>,
    range: Range<'_>,
    is_beyond: impl Fn(&Key) -> bool,
    map: impl Fn(&Key, &mut Values<'_>) -> Sql<R>,
) -> Sql<(Found, Vec<R>)> {
    let start = start(scan.kinds, range);
    let (limit, page) = (EXAMINED as i64 + 1, range.want as i64 + 1);
    let mut all: Vec<(&str, &dyn ToSql)> = params.to_vec();
    all.push((":limit", &limit));
    all.push((":page", &page));
    for (name, value) in KEY_NAMES.iter().zip(&start) {
        all.push((name, value));
    }
    let mut statement = prepare(conn, if range.falling { scan.falling } else { scan.rising }, &all)?;
    let mut rows = statement.raw_query();
    let mut found = Found::default();
    let mut read = Vec::new();
    // The key of the last row, where that did not match.
    let mut left_out = None;
    for examined in 0.. {
        let Some(row) = rows.next()? else { break };
        allowance::pass(row)?;
        if examined == EXAMINED {
            found.more = true;
            found.stopped = left_out.or_else(|| found.keys.last().cloned());
            break;
        }
        let key = key(row, scan.kinds)?;
        if is_beyond(&key) {
            break;
        }
        let mut values = Values::from(row, scan.kinds.len());
        let matches: bool = values.next()?;
        if matches && found.keys.len() == range.want {
            found.more = true;
            break;
        }
        if matches {
            read.push(map(&key, &mut values)?);
        }
        let bytes: usize = key.iter().map(|part| part.text().len()).sum();
        allowance::bring(values.bytes + bytes as u64)?;
        if matches {
            found.keys.push(key);
            left_out = None;
        } else {
            left_out = Some(key);
        }
    }
    Ok((found, read))
}

fn key(row: &Row<'_>, kinds: &str) -> Sql<Key> {
    kinds
        .bytes()
        .enumerate()
        .map(|(column, kind)| Ok(if kind == b'i' { Part::Int(row.get(column)?) } else { Part::Text(row.get(column)?) }))
        .collect()
}

/// The bound values: the key to begin behind, else one before or after all. Every blob is greater than every text.
fn start(kinds: &str, range: Range<'_>) -> Vec<Value> {
    match range.from {
        Some(key) => key
            .iter()
            .map(|part| match part {
                Part::Int(int) => Value::Integer(*int),
                Part::Text(text) => Value::Text(text.clone()),
            })
            .collect(),
        None => kinds
            .bytes()
            .map(|kind| match kind {
                _ if range.falling => Value::Blob(Vec::new()),
                b'i' => Value::Integer(i64::MIN),
                _ => Value::Text(String::new()),
            })
            .collect(),
    }
}

/// Joins walks over lists of one order, each already bounded.
pub(super) fn merge(parts: Vec<Found>, range: Range<'_>) -> Found {
    let mut merged = Found { more: parts.iter().any(|part| part.more), ..Found::default() };
    // Behind the earliest early end of one list, the others say nothing about what comes between.
    let before = |a: &Key, b: &Key| if range.falling { b.cmp(a) } else { a.cmp(b) };
    merged.stopped = parts.iter().filter_map(|part| part.stopped.clone()).min_by(before);
    for part in parts {
        merged.keys.extend(part.keys);
    }
    merged.keys.sort_by(before);
    merged.keys.dedup();
    if let Some(stopped) = &merged.stopped {
        merged.keys.retain(|key| before(key, stopped).is_le());
    }
    if merged.keys.len() > range.want {
        merged.keys.truncate(range.want);
        merged.more = true;
        merged.stopped = None;
    }
    merged
}
