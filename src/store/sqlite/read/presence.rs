//! Whether people are online, and over which connections.

use super::{Conn, Lookup, Sql, gather, json, rows};
use crate::ids::{Time, TimeSource};

/// A row of `presence`.
#[derive(Debug, Clone)]
pub struct Presence {
    pub uid: String,
    pub online: bool,
    pub changed_at: Option<Time>,
    pub changed_at_from: Option<TimeSource>,
    pub last_seen_at: Option<Time>,
    pub last_seen_at_from: Option<TimeSource>,
}

/// A person's presence, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PresenceOf(pub String);

const BY_UID: &str = "
    SELECT uid, coalesce(online, 0) AS online, changed_at, changed_at_from, last_seen_at, last_seen_at_from
    FROM presence
    WHERE app_id = :app AND uid IN (SELECT value FROM json_each(:keys))";

impl Lookup for PresenceOf {
    type Found = Presence;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Presence)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, BY_UID, &[(":app", &app), (":keys", &keys)], |row| {
            let presence = Presence {
                uid: row.get("uid")?,
                online: row.get("online")?,
                changed_at: row.get("changed_at")?,
                changed_at_from: row.get("changed_at_from")?,
                last_seen_at: row.get("last_seen_at")?,
                last_seen_at_from: row.get("last_seen_at_from")?,
            };
            Ok((Self(presence.uid.clone()), presence))
        })
    }
}

/// An open row of `connections`.
#[derive(Debug, Clone)]
pub struct Connection {
    pub platform: Option<String>,
    pub connected_at: Option<Time>,
}

/// A person's open connections, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionsOf(pub String);

/// Open until its own disconnect or a later offline.
const OPEN: &str = "
    SELECT c.uid, c.platform, c.connected_at
    FROM json_each(:keys) k
    CROSS JOIN connections c ON c.app_id = :app AND c.uid = k.value
    LEFT JOIN presence p ON p.app_id = c.app_id AND p.uid = c.uid
    WHERE c.open = 1 AND c.seen_at >= coalesce(p.offline_at, 0)
    ORDER BY c.uid, c.connected_at, c.platform";

impl Lookup for ConnectionsOf {
    type Found = Vec<Connection>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<Connection>)>> {
        let uids = json(keys.iter().map(|key| &key.0));
        let found = rows(conn, OPEN, &[(":app", &app), (":keys", &uids)], |row| {
            let connection = Connection {
                platform: Some(row.get::<_, String>("platform")?).filter(|platform| !platform.is_empty()),
                connected_at: Some(row.get::<_, i64>("connected_at")?).filter(|at| *at != 0).map(Time),
            };
            Ok((Self(row.get("uid")?), connection))
        })?;
        Ok(gather(keys, found))
    }
}
