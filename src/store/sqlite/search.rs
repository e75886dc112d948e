//! `message_search`, the full-text index over `messages.text`: the one place that knows how it is kept.
//!
//! It holds no text, only which words are where: `rowid` = number of the app × 2^44 + number of the message, so that an
//! app is a range of rowids and newest first is the order of the index. Ids that are no number, or a greater one, have
//! no row in it. What a transaction changed is noted, and indexed at once before the commit: a savepoint per event would
//! write a segment of the index each.

use super::compare::Difference;
use super::layout::Layout;
use crate::ids::id_order;
use crate::store::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Rows};
use std::time::Instant;

/// Its name, to which a rebuild puts `next_` and `old_`.
pub(super) const INDEX: &str = "message_search";
/// Numbers of messages in one app that have a place.
pub(super) const SPAN: i64 = 1 << 44;
/// Apps that have one.
const APPS: i64 = 1 << 19;
/// Rows of a replaced index deleted by one statement of a sweep.
const SWEPT: i64 = 100;
/// Differences told in words.
const TOLD: usize = 5;

/// Chat whose time is known and that is not deleted can be listed. Messages that moderation blocked, and the steps of
/// agents, are found by who asks for them.
macro_rules! text {
    () => {
        "iif((chat OR step) AND NOT deleted AND sent_at IS NOT NULL, text, NULL)"
    };
}

const PENDING: &str = "CREATE TEMP TABLE IF NOT EXISTS pending_search (app_id, message_id, PRIMARY KEY (app_id, message_id)) WITHOUT ROWID";
const TOUCH: &str = "INSERT INTO temp.pending_search (app_id, message_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const TOUCHED: &str = concat!(
    "SELECT m.app_id, m.message_id, ",
    text!(),
    " FROM temp.pending_search p CROSS JOIN main.messages m ON m.app_id = p.app_id AND m.message_id = p.message_id"
);
const SETTLED: &str = "DELETE FROM temp.pending_search";
const NUMBER: &str = "SELECT number FROM app_numbers WHERE app_id = ?1";
const NEXT_NUMBER: &str = "SELECT number FROM next_app_numbers WHERE app_id = ?1";
const ADD_NUMBER: &str = "
    INSERT INTO app_numbers (app_id, number) SELECT ?1, (SELECT 1 + count(*) FROM app_numbers)
    WHERE NOT EXISTS (SELECT 1 FROM app_numbers WHERE app_id = ?1)";
const PUT: &str = "INSERT OR REPLACE INTO message_search (rowid, text) VALUES (?1, ?2)";
const REMOVE: &str = "DELETE FROM message_search WHERE rowid = ?1";
const NEXT_PUT: &str = "INSERT OR REPLACE INTO next_message_search (rowid, text) VALUES (?1, ?2)";
const NEXT_REMOVE: &str = "DELETE FROM next_message_search WHERE rowid = ?1";
const SCHEMA: &str = "SELECT sql FROM sqlite_schema WHERE name = ?1";
const RENAME: &str = "
    ALTER TABLE message_search RENAME TO old_message_search; ALTER TABLE next_message_search RENAME TO message_search;";
const WORDS: &str =
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_words USING fts5vocab('main', 'message_search', 'instance')";
const ALL_WORDS: &str = "SELECT term, doc, offset FROM temp.search_words";
const APP: &str = "SELECT app_id FROM app_numbers WHERE number = ?1";

/// Makes what the writer notes in.
pub(super) fn prepare(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch(PENDING)?)
}

/// Gives the app of a message its number: whatever is known of the message, and in the order of the log, so that it
/// does not matter how the log is cut into transactions.
pub(super) fn enroll(conn: &Connection, app_id: &str) -> Result<(), StoreError> {
    conn.prepare_cached(ADD_NUMBER)?.execute([app_id])?;
    Ok(())
}

/// Notes that what can be found of a message changed.
pub(super) fn touch(conn: &Connection, app_id: &str, message_id: &str) -> Result<(), StoreError> {
    if id_order(message_id) < SPAN {
        conn.prepare_cached(TOUCH)?.execute((app_id, message_id))?;
    }
    Ok(())
}

/// Indexes what was noted since the last commit.
pub(super) fn settle(conn: &Connection) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(TOUCHED)?;
    let touched: Vec<(String, String, Option<String>)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    if touched.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(touched.len());
    for (app_id, message_id, text) in touched {
        let rowid = number(conn, NUMBER, &app_id)?.and_then(|number| rowid(number, &message_id));
        rows.extend(rowid.map(|rowid| (rowid, text)));
    }
    write(conn, [PUT, REMOVE], rows)?;
    conn.prepare_cached(SETTLED)?.execute([])?;
    Ok(())
}

fn number(conn: &Connection, sql: &str, app_id: &str) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(sql)?.query_row([app_id], |row| row.get(0)).optional()?)
}

fn rowid(number: i64, message_id: &str) -> Option<i64> {
    let no = id_order(message_id);
    (number < APPS && no < SPAN).then(|| number * SPAN + no)
}

/// By rising rowid: going back in a transaction makes the index write a segment more.
fn write(conn: &Connection, [put, remove]: [&str; 2], mut rows: Vec<(i64, Option<String>)>) -> Result<(), StoreError> {
    rows.sort_unstable_by_key(|(rowid, _)| *rowid);
    for (rowid, text) in rows {
        match text {
            Some(text) => conn.prepare_cached(put)?.execute((rowid, text))?,
            None => conn.prepare_cached(remove)?.execute([rowid])?,
        };
    }
    Ok(())
}

/// Makes the empty shadow.
pub(super) fn create_next(conn: &Connection) -> Result<(), StoreError> {
    let sql: String = conn.query_row(SCHEMA, [INDEX], |row| row.get(0))?;
    let body = sql.find(INDEX).map_or("", |at| sql[at + INDEX.len()..].trim_start_matches('"'));
    Ok(conn.execute_batch(&format!("CREATE VIRTUAL TABLE next_{INDEX}{body}"))?)
}

/// Indexes rows of `messages` in the shadow, as they were put into its other shadow.
pub(super) fn fill_next(conn: &Connection, layout: &Layout, rows: &[Vec<Value>]) -> Result<(), StoreError> {
    let place = |name: &str| layout.columns.iter().position(|column| column == name);
    let (Some(chat), Some(step), Some(deleted), Some(sent_at), Some(text)) =
        (place("chat"), place("step"), place("deleted"), place("sent_at"), place("text"))
    else {
        return Ok(());
    };
    let key = layout.key_places();
    let mut indexed = Vec::with_capacity(rows.len());
    for row in rows {
        let is = |place: usize| row[place] == Value::Integer(1);
        let listable = (is(chat) || is(step)) && !is(deleted) && row[sent_at] != Value::Null;
        let text = if let (true, Value::Text(text)) = (listable, &row[text]) { Some(text.clone()) } else { None };
        let rowid = next_rowid(conn, key.iter().map(|place| &row[*place]))?;
        indexed.extend(rowid.map(|rowid| (rowid, text)));
    }
    write(conn, [NEXT_PUT, NEXT_REMOVE], indexed)
}

/// Takes a message that is no more out of the shadow.
pub(super) fn remove_next(conn: &Connection, key: &[Value]) -> Result<(), StoreError> {
    let rowid = next_rowid(conn, key.iter())?;
    write(conn, [NEXT_PUT, NEXT_REMOVE], rowid.map(|rowid| (rowid, None)).into_iter().collect())
}

/// Numbers of apps are copied before messages are.
fn next_rowid<'a>(conn: &Connection, mut key: impl Iterator<Item = &'a Value>) -> Result<Option<i64>, StoreError> {
    let (Some(Value::Text(app_id)), Some(Value::Text(message_id))) = (key.next(), key.next()) else {
        return Ok(None);
    };
    Ok(number(conn, NEXT_NUMBER, app_id)?.and_then(|number| rowid(number, message_id)))
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
