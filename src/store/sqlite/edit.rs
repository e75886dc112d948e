//! `message_edits`, and `message_additions` for what was told as an edit and left the text as it was (contract 4.4).

use super::Key;
use super::table::{Table, columns, in_columns};
use crate::edits::{Digest, Version};
use crate::merge;
use crate::store::StoreError;
use crate::tables::edits::Edits;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// By whether the table holds edits.
pub(super) static TABLES: LazyLock<[Table; 2]> = LazyLock::new(|| {
    ["message_additions", "message_edits"].map(|name| {
        let place = columns![edited_at, rank: LeftOut, fact_at: LeftOut, seq: LeftOut, digest];
        Table::new(name, &columns![message_id], &place, &columns![text, edited_by], &[])
    })
});

in_columns!(merge::Key { at, rank, fact_at, seq });
in_columns!(Version { key, digest, text, by });

pub fn load(conn: &Connection, key: &Key) -> Result<Option<Edits>, StoreError> {
    let mut stored: Vec<(Version, bool)> = Vec::new();
    for (table, is_edit) in TABLES.iter().zip([false, true]) {
        stored.extend(table.load_all(conn, key)?.into_iter().map(|version| (version, is_edit)));
    }
    stored.sort_by_key(|(version, _)| version.place());
    Ok((!stored.is_empty()).then_some(Edits(stored)))
}

/// Rows by their place in the two tables.
type ByPlace<'a> = BTreeMap<((merge::Key, Digest), bool), &'a (Version, bool)>;

fn by_place(edits: &Edits) -> ByPlace<'_> {
    edits.0.iter().map(|row| ((row.0.place(), row.1), row)).collect()
}

pub fn save(conn: &Connection, key: &Key, stored: Option<&Edits>, now: &Edits) -> Result<(), StoreError> {
    let (before, after) = (stored.map(by_place).unwrap_or_default(), by_place(now));
    for ((place, is_edit), _) in before.iter().filter(|(place, row)| after.get(place) != Some(row)) {
        TABLES[usize::from(*is_edit)].delete(conn, &(key, place))?;
    }
    for ((place, is_edit), (Version { text, by, .. }, _)) in
        after.iter().filter(|(place, row)| before.get(place) != Some(row))
    {
        TABLES[usize::from(*is_edit)].append(conn, &(key, place), &(text, by))?;
    }
    Ok(())
}
