//! `presence` and `connections`.

use super::rows::{At, Table};
use crate::change::{Connection, Presence};
use crate::ids::Time;
use crate::merge::{Row, Rule, Telling};
use crate::store::StoreError;
use rusqlite::Connection as Engine;
use rusqlite::types::ToSql;
use std::collections::BTreeMap;
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
    telling: Telling,
) -> Result<(), StoreError> {
    merge(at, &CONNECTIONS, &[&at.app_id, &uid, &platform, &connected_at.0], Connection::RULES, telling)
}

fn merge(at: &At<'_>, table: &Table, keys: &[&dyn ToSql], rules: &[Rule], telling: Telling) -> Result<(), StoreError> {
    let mut row = table.load(at.conn, keys)?.map_or_else(|| Row::new(rules.len()), |(row, _)| row);
    if row.merge(rules, telling) {
        table.write(at.conn, keys, &row, &[])?;
    }
    Ok(())
}

/// The registers of a person's presence.
pub(super) fn stored(conn: &Engine, app_id: &str, uid: &str) -> Result<Option<Row>, StoreError> {
    Ok(PRESENCE.load(conn, &[&app_id, &uid])?.map(|(row, _)| row))
}

const CONNECTIONS_OF: &str = "SELECT platform, connected_at FROM connections WHERE app_id = ?1 AND uid = ?2";

/// By platform and connect time.
type Connections = BTreeMap<(String, Time), Row>;

/// The registers of each of a person's connections.
pub(super) fn stored_connections(conn: &Engine, app_id: &str, uid: &str) -> Result<Connections, StoreError> {
    let mut statement = conn.prepare_cached(CONNECTIONS_OF)?;
    let keys = statement.query_map((app_id, uid), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut found = Connections::new();
    for key in keys {
        let (platform, connected_at): (String, i64) = key?;
        if let Some((row, _)) = CONNECTIONS.load(conn, &[&app_id, &uid, &platform, &connected_at])? {
            found.insert((platform, Time(connected_at)), row);
        }
    }
    Ok(found)
}
