//! Whether people are online, and over which connections.

use super::super::registers::still_open;
use super::{Conn, Lookup, Sql, Values, by_place, gather};
use crate::ids::{Time, TimeSource};
use std::sync::Arc;

/// A row of `presence`.
#[derive(Debug, Clone, Copy)]
pub struct Presence {
    pub online: bool,
    pub changed_at: Option<Time>,
    pub changed_at_from: Option<TimeSource>,
    pub last_seen_at: Option<Time>,
    pub last_seen_at_from: Option<TimeSource>,
}

/// A person's presence, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PresenceOf(pub Arc<str>);

/// The columns of a presence `p`.
macro_rules! columns {
    () => {
        "coalesce(p.online, 0), p.changed_at, p.changed_at_from, p.last_seen_at, p.last_seen_at_from"
    };
}
pub(super) use columns;

const BY_UID: &str = concat!(
    "SELECT k.key, ",
    columns!(),
    " FROM json_each(:keys) k CROSS JOIN presence p ON p.app_id = :app AND p.uid = k.value"
);

impl Lookup for PresenceOf {
    type Found = Presence;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Presence)>> {
        by_place(conn, BY_UID, app, keys, |key| &key.0, presence)
    }
}

/// Reads the columns.
pub(super) fn presence(row: &mut Values<'_>) -> Sql<Presence> {
    Ok(Presence {
        online: row.next()?,
        changed_at: row.next()?,
        changed_at_from: row.next()?,
        last_seen_at: row.next()?,
        last_seen_at_from: row.next()?,
    })
}

/// An open row of `connections`.
#[derive(Debug, Clone)]
pub struct Connection {
    pub platform: Option<String>,
    pub connected_at: Option<Time>,
}

/// A person's open connections, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionsOf(pub Arc<str>);

/// Open until its own disconnect or a later offline.
const OPEN: &str = concat!(
    "SELECT k.key, c.platform, c.connected_at
    FROM json_each(:keys) k
    CROSS JOIN connections c ON c.app_id = :app AND c.uid = k.value
    WHERE c.open = 1 AND ",
    still_open!("c"),
    " ORDER BY k.key, c.connected_at, c.platform"
);

impl Lookup for ConnectionsOf {
    type Found = Vec<Connection>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<Connection>)>> {
        let found = by_place(
            conn,
            OPEN,
            app,
            keys,
            |key| &key.0,
            |row| {
                Ok(Connection {
                    platform: Some(row.next::<String>()?).filter(|platform| !platform.is_empty()),
                    connected_at: Some(row.next::<i64>()?).filter(|at| *at != 0).map(Time),
                })
            },
        )?;
        Ok(gather(keys, found))
    }
}
