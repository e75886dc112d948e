//! `message_edits`, and `message_additions` for what was told as an edit and left the text as it was (contract 4.4).

use super::rows::At;
use crate::edits::{Digest, Version, digest, judge, read_digest};
use crate::merge::Key;
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Row};

/// A question to both tables, which are of one shape. The places are those of the key of a message: `?1` and `?2`.
macro_rules! both {
    ($columns:literal, $which:literal, $after:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", 1 AS is_edit FROM message_edits WHERE app_id = ?1 AND message_id = ?2",
            $which,
            " UNION ALL SELECT ",
            $columns,
            ", 0 FROM message_additions WHERE app_id = ?1 AND message_id = ?2",
            $which,
            $after
        )
    };
}

const SECOND: &str = both!(
    "edited_at, rank, fact_at, seq, digest, text, edited_by",
    " AND edited_at = ?3",
    " ORDER BY edited_at, rank, fact_at, seq, digest"
);
const ALL: &str = both!(
    "edited_at, rank, fact_at, seq, digest, text, edited_by",
    "",
    " ORDER BY edited_at, rank, fact_at, seq, digest"
);
const BEFORE: &str = both!(
    "edited_at, rank, fact_at, seq, digest",
    " AND edited_at < ?3",
    " ORDER BY edited_at DESC, rank DESC, fact_at DESC, seq DESC, digest DESC LIMIT 1"
);
const NEXT: &str = both!("edited_at", " AND edited_at > ?3", " ORDER BY edited_at LIMIT 1");
const FIRST_TEXT: &str = "SELECT first_text, deleted FROM messages WHERE app_id = ?1 AND message_id = ?2";
const LAST: &str = "
    UPDATE messages SET (edited_at, edited_by) = (
        SELECT edited_at, edited_by FROM message_edits WHERE app_id = ?1 AND message_id = ?2
        ORDER BY edited_at DESC, rank DESC, fact_at DESC, seq DESC, digest DESC LIMIT 1)
    WHERE app_id = ?1 AND message_id = ?2";
const BLANK: [&str; 2] = [
    "UPDATE message_edits SET text = NULL WHERE app_id = ?1 AND message_id = ?2",
    "UPDATE message_additions SET text = NULL WHERE app_id = ?1 AND message_id = ?2",
];

/// The statements that write to one of the tables: by whether it holds edits.
macro_rules! of {
    ($before:literal, $after:literal) => {
        [concat!($before, "message_additions", $after), concat!($before, "message_edits", $after)]
    };
}

const REMOVE: [&str; 2] = of!(
    "DELETE FROM ",
    " WHERE app_id = ?1 AND message_id = ?2 AND edited_at = ?3 AND rank = ?4 AND fact_at = ?5 AND seq = ?6 AND digest = ?7"
);
const ADD: [&str; 2] = of!(
    "INSERT INTO ",
    " (app_id, message_id, edited_at, rank, fact_at, seq, digest, text, edited_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
);

fn version(row: &Row<'_>) -> rusqlite::Result<(Version, bool)> {
    let key = Key { at: row.get(0)?, rank: row.get(1)?, fact_at: row.get(2)?, seq: row.get(3)? };
    Ok((Version { key, digest: row.get(4)?, text: row.get(5)?, by: row.get(6)? }, row.get(7)?))
}

/// All that was told as an edit of a message, in order, and whether it is one.
pub(super) fn stored(conn: &Connection, app_id: &str, message_id: &str) -> Result<Vec<(Version, bool)>, StoreError> {
    let mut statement = conn.prepare_cached(ALL)?;
    let rows = statement.query_map((app_id, message_id), version)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes a text told as an edit. The message has its row.
pub(super) fn put(at: &At<'_>, message_id: &str, told: Version) -> Result<(), StoreError> {
    let deleted: bool = at.conn.prepare_cached(FIRST_TEXT)?.query_row((at.app_id, message_id), |row| row.get(1))?;
    let told = Version { text: told.text.filter(|_| !deleted), ..told };
    let edited_at = told.key.at;
    let known = second(at, message_id, edited_at)?;
    let mut versions: Vec<Version> = known.iter().map(|(version, _)| version.clone()).collect();
    match versions.iter_mut().find(|version| version.digest == told.digest) {
        Some(version) => version.merge(told),
        None => versions.push(told),
    }
    let before = text_before(at, message_id, edited_at)?;
    let last = settle(at, message_id, before, &known, versions)?;
    let next: Option<i64> =
        at.conn.prepare_cached(NEXT)?.query_row((at.app_id, message_id, edited_at), |row| row.get(0)).optional()?;
    if let Some(next) = next {
        settle_again(at, message_id, last, next)?;
    }
    at.conn.prepare_cached(LAST)?.execute((at.app_id, message_id))?;
    Ok(())
}

/// Judges the earliest edits anew: another text is known to be the one first sent.
pub(super) fn put_first_text(at: &At<'_>, message_id: &str) -> Result<(), StoreError> {
    let first: Option<i64> =
        at.conn.prepare_cached(NEXT)?.query_row((at.app_id, message_id, i64::MIN), |row| row.get(0)).optional()?;
    let Some(first) = first else { return Ok(()) };
    let before = text_before(at, message_id, first)?;
    settle_again(at, message_id, before, first)?;
    at.conn.prepare_cached(LAST)?.execute((at.app_id, message_id))?;
    Ok(())
}

/// Takes the texts away, for the message is deleted. Their digests stay, to judge what arrives late.
pub(super) fn blank(at: &At<'_>, message_id: &str) -> Result<(), StoreError> {
    for statement in BLANK {
        at.conn.prepare_cached(statement)?.execute((at.app_id, message_id))?;
    }
    Ok(())
}

/// What is known of one second.
fn second(at: &At<'_>, message_id: &str, edited_at: i64) -> Result<Vec<(Version, bool)>, StoreError> {
    let mut statement = at.conn.prepare_cached(SECOND)?;
    let rows = statement.query_map((at.app_id, message_id, edited_at), version)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The text before that second: the last one told, else the one first sent.
fn text_before(at: &At<'_>, message_id: &str, edited_at: i64) -> Result<Digest, StoreError> {
    let told: Option<Digest> =
        at.conn.prepare_cached(BEFORE)?.query_row((at.app_id, message_id, edited_at), |row| row.get(4)).optional()?;
    if let Some(told) = told {
        return Ok(told);
    }
    let first: Option<String> =
        at.conn.prepare_cached(FIRST_TEXT)?.query_row((at.app_id, message_id), |row| row.get(0))?;
    Ok(first.as_deref().and_then(read_digest).unwrap_or_else(|| digest(None)))
}

/// Judges the known versions of one second after another text.
fn settle_again(at: &At<'_>, message_id: &str, before: Digest, edited_at: i64) -> Result<(), StoreError> {
    let known = second(at, message_id, edited_at)?;
    let versions = known.iter().map(|(version, _)| version.clone()).collect();
    settle(at, message_id, before, &known, versions)?;
    Ok(())
}

/// Writes the versions of one second, of which there is at least one, each into the table it belongs to. The last text.
fn settle(
    at: &At<'_>,
    message_id: &str,
    before: Digest,
    known: &[(Version, bool)],
    versions: Vec<Version>,
) -> Result<Digest, StoreError> {
    let judged = judge(before, versions);
    let last = judged.last().map_or(before, |(version, _)| version.digest);
    for row in known.iter().filter(|row| !judged.contains(row)) {
        let (Version { key, digest, .. }, is_edit) = row;
        let place = (at.app_id, message_id, key.at, key.rank, key.fact_at, key.seq, digest);
        at.conn.prepare_cached(REMOVE[usize::from(*is_edit)])?.execute(place)?;
    }
    for row in judged.iter().filter(|row| !known.contains(row)) {
        let (Version { key, digest, text, by }, is_edit) = row;
        let values = (at.app_id, message_id, key.at, key.rank, key.fact_at, key.seq, digest, text, by);
        at.conn.prepare_cached(ADD[usize::from(*is_edit)])?.execute(values)?;
    }
    Ok(last)
}
