//! `presence` and `connections`.

use super::rows::{At, Table};
use crate::change::{Connection, Presence};
use crate::ids::Time;
use crate::merge::{Row, Rule, Telling, Value};
use crate::store::StoreError;
use rusqlite::types::ToSql;
use std::sync::LazyLock;

static PRESENCE: LazyLock<Table> = LazyLock::new(|| Table::new("presence", &["app_id", "uid"], Presence::COLUMNS, &[]));
static CONNECTIONS: LazyLock<Table> = LazyLock::new(|| {
    Table::new("connections", &["app_id", "uid", "platform", "connected_at"], Connection::COLUMNS, &[])
});

pub(super) fn put(at: &At<'_>, uid: &str, telling: Telling) -> Result<(), StoreError> {
    merge(at, &PRESENCE, &[&at.app_id, &uid], Presence::RULES, telling)
}

pub(super) fn put_connection(
    at: &At<'_>,
    uid: &str,
    platform: &str,
    connected_at: Time,
    mut telling: Telling,
) -> Result<(), StoreError> {
    let seen = Connection::COLUMNS.iter().position(|column| *column == "seen_at");
    // A disconnect alone tells nothing of when it was open.
    if let Some(seen) = seen.filter(|seen| telling.fields.iter().all(|(field, _)| field != seen)) {
        telling.fields.push((seen, Value::Int(connected_at.0)));
    }
    merge(at, &CONNECTIONS, &[&at.app_id, &uid, &platform, &connected_at.0], Connection::RULES, telling)
}

fn merge(at: &At<'_>, table: &Table, keys: &[&dyn ToSql], rules: &[Rule], telling: Telling) -> Result<(), StoreError> {
    let mut row = table.load(at.conn, keys)?.map_or_else(|| Row::new(rules.len()), |(row, _)| row);
    if row.merge(rules, telling) {
        table.write(at.conn, keys, &row, &[])?;
    }
    Ok(())
}
