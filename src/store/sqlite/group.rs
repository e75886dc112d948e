//! `groups` and `rosters`.

use super::membership;
use super::rows::{At, Table};
use crate::change::Group;
use crate::ids::Time;
use crate::lifecycle::Lifecycle;
use crate::merge::{Row, Telling, Value};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::sync::LazyLock;

/// The last two fields share one column: the owner as told, else as snapshots say.
const OWNER: usize = Group::COLUMNS.len() - 2;
const OWNER_COPY: usize = Group::COLUMNS.len() - 1;

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
    Table::new("groups", &["app_id", "guid"], &fields, &[]).hiding(1)
});

const EXISTS: &str = "SELECT 1 FROM groups WHERE app_id = ?1 AND guid = ?2";
const LIFECYCLE: &str = "SELECT lifecycle FROM groups WHERE app_id = ?1 AND guid = ?2";
const WRITE_LIFECYCLE: &str =
    "UPDATE groups SET lifecycle = ?3, deleted_at = ?4, deleted_at_from = ?5 WHERE app_id = ?1 AND guid = ?2";
const ROSTER: &str = "INSERT INTO rosters (app_id, guid, at, digest, seq, created) VALUES (?1, ?2, ?3, ?4, ?5, 1) ON CONFLICT DO NOTHING";
const KNOWN_SINCE: &str = "
    UPDATE groups SET
        members_known_since = min(coalesce(members_known_since, ?3), ?3),
        history_since = min(coalesce(history_since, ?3), ?3)
    WHERE app_id = ?1 AND guid = ?2";

pub(super) fn put(at: &At<'_>, guid: &str, telling: Telling) -> Result<(), StoreError> {
    if telling.fields.is_empty() && at.conn.prepare_cached(EXISTS)?.exists((at.app_id, guid))? {
        return Ok(());
    }
    let known = stored(at.conn, at.app_id, guid)?;
    let new = known.is_none();
    let mut row = known.unwrap_or_else(|| Row::new(Group::COLUMNS.len()));
    if row.merge(Group::RULES, telling) || new {
        if row.keys[OWNER].is_none() {
            row.values[OWNER] = std::mem::replace(&mut row.values[OWNER_COPY], Value::Null);
        }
        GROUPS.write(at.conn, &[&at.app_id, &guid], &row, &[])?;
    }
    Ok(())
}

/// The registers of a group, each where it belongs.
pub(super) fn stored(conn: &Connection, app_id: &str, guid: &str) -> Result<Option<Row>, StoreError> {
    Ok(GROUPS.load(conn, &[&app_id, &guid])?.map(|(mut row, _)| {
        if row.keys[OWNER].is_none() {
            row.values[OWNER_COPY] = std::mem::replace(&mut row.values[OWNER], Value::Null);
        }
        row
    }))
}

/// What was heard of a guid's creations and deletions.
pub(super) fn lifecycle(conn: &Connection, app_id: &str, guid: &str) -> Result<Lifecycle, StoreError> {
    let stored: Option<String> =
        conn.prepare_cached(LIFECYCLE)?.query_row((app_id, guid), |row| row.get(0)).optional()?;
    Ok(stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

fn write_lifecycle(at: &At<'_>, guid: &str, lifecycle: &Lifecycle) -> Result<(), StoreError> {
    let text = serde_json::to_string(lifecycle).unwrap_or_default();
    let (deleted_at, from) = lifecycle.deleted_at().map(|it| (it.at.0, it.from.as_str())).unzip();
    at.conn.prepare_cached(WRITE_LIFECYCLE)?.execute((at.app_id, guid, text, deleted_at, from))?;
    Ok(())
}

/// A creation is a complete roster of the creator alone, and may revive a deleted group.
pub(super) fn put_creation(at: &At<'_>, guid: &str, created_at: Time) -> Result<(), StoreError> {
    let mut known = lifecycle(at.conn, at.app_id, guid)?;
    known.created.insert(created_at.0);
    write_lifecycle(at, guid, &known)?;
    at.conn.prepare_cached(ROSTER)?.execute((at.app_id, guid, created_at.0, at.fact.fingerprint, at.fact.seq))?;
    at.conn.prepare_cached(KNOWN_SINCE)?.execute((at.app_id, guid, created_at.0))?;
    membership::restand_group(at, guid)
}

pub(super) fn put_deletion(at: &At<'_>, guid: &str, created_at: Option<Time>) -> Result<(), StoreError> {
    let mut known = lifecycle(at.conn, at.app_id, guid)?;
    known.delete(at.fact, created_at);
    write_lifecycle(at, guid, &known)
}
