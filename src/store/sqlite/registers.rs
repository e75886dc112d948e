//! `users`, `moderation`, `presence` and `connections`: tables of nothing but registers.

use super::rows::Table;
use super::{App, Key};
use crate::change::{Connection as Socket, Moderation, Presence, User};
use crate::store::{StoreError, write_json};
use crate::tables::registers::Registers;
use rusqlite::Connection;
use rusqlite::types::ToSql;
use std::collections::HashMap;
use std::sync::LazyLock;

/// App, uid, platform, connect time.
pub type ConnectionKey = (App, String, String, i64);

static USERS: LazyLock<Table> = LazyLock::new(|| Table::new("users", &["app_id", "uid"], User::COLUMNS, &[]));
static MODERATION: LazyLock<Table> =
    LazyLock::new(|| Table::new("moderation", &["app_id", "message_id"], Moderation::COLUMNS, &[]));
static PRESENCE: LazyLock<Table> = LazyLock::new(|| Table::new("presence", &["app_id", "uid"], Presence::COLUMNS, &[]));
static CONNECTIONS: LazyLock<Table> =
    LazyLock::new(|| Table::new("connections", &["app_id", "uid", "platform", "connected_at"], Socket::COLUMNS, &[]));

/// Rows that have registers alone, and their table.
pub trait Stored: Sized {
    fn table() -> &'static Table;
}

macro_rules! stored {
    ($($row:ident in $table:ident),+) => {
        $(impl Stored for $row {
            fn table() -> &'static Table {
                &$table
            }
        })+
    };
}

stored!(User in USERS, Moderation in MODERATION, Presence in PRESENCE, Socket in CONNECTIONS);

pub fn load<T: Stored>(conn: &Connection, (app, id): &Key) -> Result<Option<Registers<T>>, StoreError> {
    read::<T>(conn, &[app, id])
}

/// The rows that there are among many.
pub fn load_many<T: Stored>(
    conn: &Connection,
    app: &App,
    ids: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<HashMap<Key, Registers<T>>, StoreError> {
    let ids: Vec<_> = ids.into_iter().collect();
    let ids = write_json(&ids.iter().map(AsRef::as_ref).collect::<Vec<&str>>())?;
    let rows = T::table().load_many(conn, app, &ids)?;
    Ok(rows.into_iter().map(|(id, row)| ((App::clone(app), id), row.into())).collect())
}

pub fn save<T: Stored>(conn: &Connection, (app, id): &Key, now: &Registers<T>) -> Result<(), StoreError> {
    T::table().write(conn, &[app, id], &now.row, &[])
}

pub fn load_connection(conn: &Connection, key: &ConnectionKey) -> Result<Option<Registers<Socket>>, StoreError> {
    let (app, uid, platform, connected_at) = key;
    read::<Socket>(conn, &[app, uid, platform, connected_at])
}

pub fn save_connection(conn: &Connection, key: &ConnectionKey, now: &Registers<Socket>) -> Result<(), StoreError> {
    let (app, uid, platform, connected_at) = key;
    CONNECTIONS.write(conn, &[app, uid, platform, connected_at], &now.row, &[])
}

fn read<T: Stored>(conn: &Connection, key: &[&dyn ToSql]) -> Result<Option<Registers<T>>, StoreError> {
    Ok(T::table().load(conn, key)?.map(|(row, _)| row.into()))
}
