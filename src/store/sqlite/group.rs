//! `groups` and `rosters`.

use super::Key;
use super::rows::Table;
use crate::change;
use crate::ids::Time;
use crate::merge::{Row, Value};
use crate::standing;
use crate::store::{StoreError, read_json, write_json};
use crate::tables::group::{Group, Roster, Rosters};
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use std::sync::LazyLock;

/// The last two fields share one column: the owner as told, else as snapshots say.
const OWNER: usize = change::Group::COLUMNS.len() - 2;
const OWNER_COPY: usize = change::Group::COLUMNS.len() - 1;

static GROUPS: LazyLock<Table> = LazyLock::new(|| {
    let fields = [
        "name",
        "type",
        "description",
        "icon",
        "tags",
        "metadata",
        "created_at",
        "updated_at",
        "updated_by",
        "reported_members_count",
        "owner_uid",
    ];
    let extras =
        ["members_count", "members_known_since", "history_since", "deleted_at", "deleted_at_from", "lifecycle"];
    Table::new("groups", &["app_id", "guid"], &fields, &extras).hiding(1)
});

const ROSTERS: &str = "SELECT at, created, seq FROM rosters WHERE app_id = ?1 AND guid = ?2 ORDER BY seq, at";
const ADD_ROSTER: &str = "INSERT INTO rosters (app_id, guid, at, seq, created) VALUES (?1, ?2, ?3, ?4, ?5)";

pub fn load(conn: &Connection, (app, guid): &Key) -> Result<Option<Group>, StoreError> {
    stored(conn, app, guid)
}

/// A group by app and guid.
pub(super) fn stored(conn: &Connection, app_id: &str, guid: &str) -> Result<Option<Group>, StoreError> {
    let Some((mut row, extras)) = GROUPS.load(conn, &[&app_id, &guid])? else { return Ok(None) };
    if row.keys[OWNER].is_none() {
        row.values[OWNER_COPY] = std::mem::replace(&mut row.values[OWNER], Value::Null);
    }
    let int = |place: usize| if let Some(SqlValue::Integer(int)) = extras.get(place) { Some(*int) } else { None };
    let lifecycle = if let Some(SqlValue::Text(text)) = extras.get(5) { text.as_str() } else { "" };
    Ok(Some(Group {
        row,
        lifecycle: read_json("groups.lifecycle", lifecycle)?,
        members_count: int(0).unwrap_or_default(),
        members_known_since: int(1),
        history_since: int(2),
    }))
}

pub fn save(conn: &Connection, (app, guid): &Key, now: &Group) -> Result<(), StoreError> {
    let mut row: Row = now.row.clone();
    if row.keys[OWNER].is_none() {
        row.values[OWNER] = std::mem::replace(&mut row.values[OWNER_COPY], Value::Null);
    }
    let deleted_at = now.lifecycle.deleted_at();
    let int = |value: Option<i64>| value.map_or(SqlValue::Null, SqlValue::Integer);
    let extras = [
        SqlValue::Integer(now.members_count),
        int(now.members_known_since),
        int(now.history_since),
        int(deleted_at.map(|deleted| deleted.at.0)),
        deleted_at.map_or(SqlValue::Null, |deleted| SqlValue::Text(deleted.from.as_str().to_owned())),
        SqlValue::Text(write_json(&now.lifecycle)?),
    ];
    GROUPS.write(conn, &[app, guid], &row, &extras)
}

pub fn load_rosters(conn: &Connection, (app, guid): &Key) -> Result<Option<Rosters>, StoreError> {
    let mut statement = conn.prepare_cached(ROSTERS)?;
    let rows = statement.query_map((app, guid), |row| {
        let roster = standing::Roster { at: Time(row.get(0)?), created: row.get(1)? };
        Ok(Roster { roster, seq: row.get(2)? })
    })?;
    Ok(Some(Rosters(rows.collect::<Result<_, _>>()?)))
}

/// Lists are added and never changed.
pub fn save_rosters(
    conn: &Connection,
    (app, guid): &Key,
    stored: Option<&Rosters>,
    now: &Rosters,
) -> Result<(), StoreError> {
    let known = stored.map_or(0, |stored| stored.0.len());
    for Roster { roster, seq } in now.0.iter().skip(known) {
        let values = (app, guid, roster.at.0, seq, roster.created);
        conn.prepare_cached(ADD_ROSTER)?.execute(values)?;
    }
    Ok(())
}
