//! `message_edits`, and `message_additions` for what was told as an edit and left the text as it was (contract 4.4).

use super::Key;
use crate::edits::{Digest, Version};
use crate::merge;
use crate::store::StoreError;
use crate::tables::edits::Edits;
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;

const ALL: &str = "
    SELECT edited_at, rank, fact_at, seq, digest, text, edited_by, 1 AS is_edit
    FROM message_edits WHERE app_id = ?1 AND message_id = ?2
    UNION ALL
    SELECT edited_at, rank, fact_at, seq, digest, text, edited_by, 0
    FROM message_additions WHERE app_id = ?1 AND message_id = ?2
    ORDER BY edited_at, rank, fact_at, seq, digest";

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
    let key = merge::Key { at: row.get(0)?, rank: row.get(1)?, fact_at: row.get(2)?, seq: row.get(3)? };
    Ok((Version { key, digest: row.get(4)?, text: row.get(5)?, by: row.get(6)? }, row.get(7)?))
}

pub fn load(conn: &Connection, (app, message_id): &Key) -> Result<Option<Edits>, StoreError> {
    let mut statement = conn.prepare_cached(ALL)?;
    let rows = statement.query_map((app, message_id), version)?;
    let stored: Vec<(Version, bool)> = rows.collect::<Result<_, _>>()?;
    Ok((!stored.is_empty()).then_some(Edits(stored)))
}

/// Rows by their place in the two tables.
type ByPlace<'a> = BTreeMap<((merge::Key, Digest), bool), &'a (Version, bool)>;

fn by_place(edits: &Edits) -> ByPlace<'_> {
    edits.0.iter().map(|row| ((row.0.place(), row.1), row)).collect()
}

pub fn save(conn: &Connection, (app, message_id): &Key, stored: Option<&Edits>, now: &Edits) -> Result<(), StoreError> {
    let (before, after) = (stored.map(by_place).unwrap_or_default(), by_place(now));
    for (_, row) in before.iter().filter(|(place, row)| after.get(place) != Some(row)) {
        let (Version { key, digest, .. }, is_edit) = row;
        let place = (app, message_id, key.at, key.rank, key.fact_at, key.seq, digest);
        conn.prepare_cached(REMOVE[usize::from(*is_edit)])?.execute(place)?;
    }
    for (_, row) in after.iter().filter(|(place, row)| before.get(place) != Some(row)) {
        let (Version { key, digest, text, by }, is_edit) = row;
        let values = (app, message_id, key.at, key.rank, key.fact_at, key.seq, digest, text, by);
        conn.prepare_cached(ADD[usize::from(*is_edit)])?.execute(values)?;
    }
    Ok(())
}
