//! `users`, `moderation`, `presence` and `connections`: tables of nothing but registers.

use super::App;
use super::Key;
use super::rows::{registers, take_row};
use super::table::{FromColumns, Hashed, Reader, Stored, table};
use crate::change::{Connection as Socket, Moderation, Presence, User};
use crate::store::StoreError;
use crate::tables::registers::{Columns, Registers};
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};

/// App, uid, platform, connect time.
pub type ConnectionKey = (App, String, String, i64);

type Users = Registers<User>;
type Verdicts = Registers<Moderation>;
type Presences = Registers<Presence>;
type Connections = Registers<Socket>;

table! {
    "users": Users by (uid)
    columns |it| { row => [registers(User::COLUMNS, &[])] }
}

table! {
    "moderation": Verdicts by (message_id)
    columns |it| {
        row => [registers(Moderation::COLUMNS, &columns![failed_at: IfTold, failed_at_from: LeftOut])],
    }
}

table! {
    "presence": Presences by (uid)
    columns |it| {
        row => [registers(Presence::COLUMNS, &columns![
            changed_at: IfTold, changed_at_from: LeftOut, last_seen_at: IfTold, last_seen_at_from: LeftOut,
            offline_at: LeftOut,
        ])],
    }
}

/// Whether a connection that has not ended itself is open.
macro_rules! still_open {
    ($connection:literal) => {
        concat!(
            "still_open(",
            $connection,
            ".seen_at, (SELECT p.offline_at FROM presence p WHERE p.app_id = ",
            $connection,
            ".app_id AND p.uid = ",
            $connection,
            ".uid))"
        )
    };
}
pub(super) use still_open;

/// What is shown of a connection. The times that decide this may be those of arrivals.
const STILL_OPEN: Hashed = Hashed::As(still_open!("connections"));

table! {
    "connections": Connections by (uid, platform, connected_at)
    columns |it| {
        row => [registers(Socket::COLUMNS, &[Column { name: "seen_at", hashed: STILL_OPEN }])],
    }
}

impl<T: Columns> FromColumns for Registers<T>
where
    Self: Stored,
{
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        Ok(take_row(Self::table().name, T::COLUMNS.len(), T::COLUMNS.len(), from)?.into())
    }
}

const KNOWN_USERS: &str = "SELECT uid FROM users WHERE app_id = ?1 AND uid IN (SELECT value FROM json_each(?2))";

/// Which of many people have a row.
pub fn known_users(conn: &Connection, app: &App, uids: &[&str]) -> Result<HashSet<String>, StoreError> {
    let uids = serde_json::json!(uids).to_string();
    let mut statement = conn.prepare_cached(KNOWN_USERS)?;
    Ok(statement.query_map((&**app, uids), |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The people that there are among many.
pub fn load_users(
    conn: &Connection,
    app: &App,
    uids: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<HashMap<Key, Users>, StoreError> {
    let uids: Vec<_> = uids.into_iter().collect();
    let found = Users::table().load_many(conn, app, &uids.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
    Ok(found.into_iter().map(|(uid, row)| ((App::clone(app), uid), row)).collect())
}
