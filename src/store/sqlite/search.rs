//! `message_search`, the full-text index over `messages.text`: the one place that knows how it is kept.
//!
//! The index holds no text, only which words are where: `rowid` = number of the app × 2^44 + number of the message, so
//! that an app is a range of rowids and newest first is the order of the index. A message whose id is no number, or is
//! 2^44 or greater, has no row in the index.
//!
//! A batch indexes its texts together: each time that the index is written, it gets a segment more. FTS5 cannot find the
//! words of a text that it does not keep, so that taking a text out of the index needs that text. `contentless_delete` would do without, but SQLite before 3.43
//! cannot open a file that has such a table.

use super::App;
use super::compare::Difference;
use super::layout::Layout;
use super::table::{Table, columns};
use crate::ids::id_order;
use crate::store::StoreError;
use crate::tables::message::is_searched;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params_from_iter};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::Instant;

/// Its name, to which a rebuild puts `next_` and `old_`.
pub(super) const INDEX: &str = "message_search";
/// The tables in which FTS5 keeps it, by the ends of their names.
const PARTS: &[&str] = &["data", "idx", "docsize", "config"];
/// Numbers of messages in one app that have a place.
pub(super) const SPAN: i64 = 1 << 44;
/// Apps that have one.
const APPS: i64 = 1 << 19;
/// Rows of a replaced index deleted by one statement of a sweep.
const SWEPT: i64 = 100;
/// Differences told in words.
const TOLD: usize = 5;

pub(super) static NUMBERS: LazyLock<Table> =
    LazyLock::new(|| Table::new("app_numbers", &[], &[], &columns![number], &[]));

const NEXT_NUMBER: &str = "SELECT number FROM next_app_numbers WHERE app_id = ?1";
const COUNT: &str = "SELECT count(*) FROM app_numbers";
const LIVE: [&str; 2] = [
    "INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', ?1, ?2)",
    "INSERT INTO message_search (rowid, text) VALUES (?1, ?2)",
];
const NEXT: [&str; 2] = [
    "INSERT INTO next_message_search (next_message_search, rowid, text) VALUES ('delete', ?1, ?2)",
    "INSERT INTO next_message_search (rowid, text) VALUES (?1, ?2)",
];
/// What decides whether a message is in the index, and its text.
const SEARCHED: [&str; 5] = ["chat", "step", "deleted", "sent_at", "text"];
const TEXT: &str = "SELECT chat, step, deleted, sent_at, text FROM messages WHERE app_id = ?1 AND message_id = ?2";
const MERGE: &str = "INSERT INTO message_search (message_search) VALUES ('optimize')";
const NEXT_TEXT: &str =
    "SELECT chat, step, deleted, sent_at, text FROM next_messages WHERE app_id = ?1 AND message_id = ?2";
const SCHEMA: &str = "SELECT sql FROM sqlite_schema WHERE name = ?1";
const RENAME: &str = "
    ALTER TABLE message_search RENAME TO old_message_search; ALTER TABLE next_message_search RENAME TO message_search;";
/// How the index is cut and merged.
const NEXT_SETTINGS: &str = "
    INSERT INTO next_message_search (next_message_search, rank)
    SELECT k, v FROM message_search_config WHERE k <> 'version'";
const WORDS: &str =
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_words USING fts5vocab('main', 'message_search', 'instance')";
const ALL_WORDS: &str = "SELECT term, doc, offset FROM temp.search_words";
const APP: &str = "SELECT app_id FROM app_numbers WHERE number = ?1";

/// Whether a table is one of those in which FTS5 keeps the index.
pub(super) fn is_part(table: &str) -> bool {
    let end = table.strip_prefix(INDEX).and_then(|end| end.strip_prefix('_'));
    end.is_some_and(|end| PARTS.contains(&end))
}

/// Numbers given to apps so far.
pub fn numbers(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached(COUNT)?.query_row([], |row| row.get(0))?)
}

/// The number of an app.
pub fn load_number(conn: &Connection, app: &App) -> Result<Option<i64>, StoreError> {
    NUMBERS.load(conn, app)
}

pub fn save_number(conn: &Connection, app: &App, now: &i64) -> Result<(), StoreError> {
    NUMBERS.append(conn, app, now)
}

/// One message in the index: its row, the text that is in the index, and the text that belongs there.
pub type Reindexed = (i64, Option<String>, Option<String>);

/// Indexes the texts that a batch changed.
pub fn save(conn: &Connection, texts: Vec<Reindexed>) -> Result<(), StoreError> {
    write(conn, LIVE, texts)
}

/// The text that is in the index of a message, with its row there.
pub(super) fn text(conn: &Connection, app: &App, message_id: &str) -> Result<Option<(i64, String)>, StoreError> {
    let row = conn.prepare_cached(TEXT)?.query_row((app, message_id), searched).optional()?;
    let text = row.and_then(|row| text_of(row.each_ref()));
    let number = load_number(conn, app)?;
    Ok(number.and_then(|number| rowid(number, message_id)).zip(text))
}

/// Writes the index as one segment, so that no word stays in it that no text has any more.
pub(super) fn merge(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch(MERGE)?)
}

/// The row of a message, by the number of its app; `None`: it has no place in the index.
pub fn rowid(number: i64, message_id: &str) -> Option<i64> {
    let no = id_order(message_id);
    (number < APPS && no < SPAN).then(|| number * SPAN + no)
}

/// By rising rowid: going back in a transaction makes the index write a segment more.
fn write(conn: &Connection, [remove, add]: [&str; 2], mut rows: Vec<Reindexed>) -> Result<(), StoreError> {
    rows.sort_unstable_by_key(|(rowid, ..)| *rowid);
    for (rowid, was, text) in rows.iter().filter(|(_, was, text)| was != text) {
        for (statement, text) in [(remove, was), (add, text)] {
            if let Some(text) = text {
                conn.prepare_cached(statement)?.execute((rowid, text))?;
            }
        }
    }
    Ok(())
}

/// Makes the empty shadow.
pub(super) fn create_next(conn: &Connection) -> Result<(), StoreError> {
    let sql: String = conn.query_row(SCHEMA, [INDEX], |row| row.get(0))?;
    let body = sql.find(INDEX).map_or("", |at| sql[at + INDEX.len()..].trim_start_matches('"'));
    Ok(conn.execute_batch(&format!("CREATE VIRTUAL TABLE next_{INDEX}{body}; {NEXT_SETTINGS}"))?)
}

/// The values of [`SEARCHED`].
fn searched(row: &Row<'_>) -> rusqlite::Result<[Value; 5]> {
    Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
}

/// The text in the index of a row, by its values of [`SEARCHED`].
fn text_of([chat, step, deleted, sent_at, text]: [&Value; 5]) -> Option<String> {
    let is = |value: &Value| *value == Value::Integer(1);
    let is_in = is_searched(is(chat), is(step), is(deleted), *sent_at != Value::Null);
    match text {
        Value::Text(text) if is_in => Some(text.clone()),
        _ => None,
    }
}

/// The shadow's text of a message that is about to change, by the message's key.
pub(super) fn next_text(conn: &Connection, key: &[Value]) -> Result<Option<(i64, String)>, StoreError> {
    let row = conn.prepare_cached(NEXT_TEXT)?.query_row(params_from_iter(key), searched).optional()?;
    let text = row.and_then(|row| text_of(row.each_ref()));
    Ok(next_rowid(conn, key.iter())?.zip(text))
}

/// Indexes rows of `messages` in the shadow, as they were put into its other shadow; `was` are the texts of these
/// messages, and of messages that are no more, in the index.
pub(super) fn fill_next(
    conn: &Connection,
    layout: &Layout,
    rows: &[Vec<Value>],
    was: HashMap<i64, String>,
) -> Result<(), StoreError> {
    let places = SEARCHED.map(|name| layout.columns.iter().position(|column| column == name));
    let [Some(chat), Some(step), Some(deleted), Some(sent_at), Some(text)] = places else { return Ok(()) };
    let key = layout.key_places();
    let mut indexed: BTreeMap<i64, (Option<String>, Option<String>)> =
        was.into_iter().map(|(rowid, was)| (rowid, (Some(was), None))).collect();
    for row in rows {
        if let Some(text) = text_of([chat, step, deleted, sent_at, text].map(|place| &row[place]))
            && let Some(rowid) = next_rowid(conn, key.iter().map(|place| &row[*place]))?
        {
            indexed.entry(rowid).or_default().1 = Some(text);
        }
    }
    write(conn, NEXT, indexed.into_iter().map(|(rowid, (was, text))| (rowid, was, text)).collect())
}

/// Numbers of apps are copied before messages are.
fn next_rowid<'a>(conn: &Connection, mut key: impl Iterator<Item = &'a Value>) -> Result<Option<i64>, StoreError> {
    let (Some(Value::Text(app_id)), Some(Value::Text(message_id))) = (key.next(), key.next()) else {
        return Ok(None);
    };
    let number: Option<i64> = conn.prepare_cached(NEXT_NUMBER)?.query_row([app_id], |row| row.get(0)).optional()?;
    Ok(number.and_then(|number| rowid(number, message_id)))
}

/// The shadow takes the place of the live index, inside the caller's transaction.
pub(super) fn swap(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch(RENAME)?)
}

/// Deletes parts of a replaced index for about as long as told, and then the index. True when it is gone.
pub(super) fn sweep(conn: &Connection, index: &str, until: Instant) -> Result<bool, StoreError> {
    use rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE;
    // The parts of an index are kept from all hands but its own, which deletes nothing bit by bit.
    conn.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, false)?;
    let emptied = empty(conn, index, until);
    conn.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let emptied = emptied?;
    if emptied {
        conn.execute_batch(&format!("DROP TABLE {index}"))?;
    }
    Ok(emptied)
}

fn empty(conn: &Connection, index: &str, until: Instant) -> Result<bool, StoreError> {
    for (part, key) in [("data", "id"), ("idx", "segid, term"), ("docsize", "id")] {
        let part = format!("{index}_{part}");
        let delete = format!("DELETE FROM {part} WHERE ({key}) IN (SELECT {key} FROM {part} LIMIT {SWEPT})");
        let mut statement = conn.prepare(&delete)?;
        while statement.execute([])? > 0 {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A word in the index: the word, the rowid, its place in the text.
type Word = (String, i64, i64);

/// Compares every word of both indexes. Memory does not grow with them.
pub(super) fn compare(live: &Connection, folded: &Connection) -> Result<Difference, StoreError> {
    let mut difference = Difference { table: INDEX, rows: 0, words: Vec::new() };
    for conn in [live, folded] {
        // The view of the words is a temporary table, which is none of the file's.
        let read_only: bool = conn.pragma_query_value(None, "query_only", |row| row.get(0))?;
        conn.pragma_update(None, "query_only", false)?;
        let made = conn.execute_batch(WORDS);
        conn.pragma_update(None, "query_only", read_only)?;
        made?;
    }
    let (mut ours, mut theirs) = (live.prepare(ALL_WORDS)?, folded.prepare(ALL_WORDS)?);
    let (mut ours, mut theirs) = (ours.query([])?, theirs.query([])?);
    let (mut left, mut right) = (next(&mut ours)?, next(&mut theirs)?);
    while left.is_some() || right.is_some() {
        let missing = left.is_none() || right.as_ref().is_some_and(|right| left.as_ref() > Some(right));
        let extra = !missing && left != right;
        if let Some((_, rowid, _)) = if missing { &right } else { &left }
            && (missing || extra)
        {
            difference.rows += 1;
            if difference.words.len() < TOLD {
                let app: Option<String> = folded.query_row(APP, [rowid / SPAN], |row| row.get(0)).optional()?;
                let what = if missing { "is not found by a word it has" } else { "is found by a word it has not" };
                let app = app.unwrap_or_else(|| "no app".to_owned());
                difference.words.push(format!("{app} / {}: {what}", rowid % SPAN));
            }
        }
        if !missing {
            left = next(&mut ours)?;
        }
        if !extra {
            right = next(&mut theirs)?;
        }
    }
    Ok(difference)
}

fn next(rows: &mut Rows<'_>) -> Result<Option<Word>, StoreError> {
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((row.get(0)?, row.get(1)?, row.get(2)?)))
}
