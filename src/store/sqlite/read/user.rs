//! People.

use super::list::{Scan, run, scan};
use super::{Conn, Found, List, Lookup, Range, Sql, Values, by_place, column, json};
use crate::clock;
use crate::ids::Time;
use crate::store::sqlite::functions::folded;
use std::sync::Arc;

/// A row of `users`.
#[derive(Debug, Clone, Default)]
pub struct User {
    pub uid: Arc<str>,
    pub name: Option<String>,
    pub avatar: Option<String>,
    pub link: Option<String>,
    pub role: Option<String>,
    pub status_message: Option<String>,
    pub tags: Option<String>,
    pub last_active_at: Option<Time>,
}

/// A person, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserKey(pub Arc<str>);

/// The columns of a person `u`.
macro_rules! columns {
    () => {
        "u.uid, u.name, u.avatar, u.link, u.role, u.status_message, u.tags, u.last_active_at"
    };
}
pub(super) use columns;

const BY_UID: &str = concat!(
    "SELECT k.key, ",
    columns!(),
    " FROM json_each(:keys) k CROSS JOIN users u ON u.app_id = :app AND u.uid = k.value"
);

impl Lookup for UserKey {
    type Found = Arc<User>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Arc<User>)>> {
        by_place(
            conn,
            BY_UID,
            app,
            keys,
            |key| &key.0,
            |row| {
                let uid = row.next()?;
                user(uid, row).map(Arc::new)
            },
        )
    }
}

/// Reads the columns behind the uid.
pub(super) fn user(uid: Arc<str>, row: &mut Values<'_>) -> Sql<User> {
    Ok(User {
        uid,
        name: row.next()?,
        avatar: row.next()?,
        link: row.next()?,
        role: row.next()?,
        status_message: row.next()?,
        tags: row.next()?,
        last_active_at: row.next()?,
    })
}

column!(
    /// The custom data of a person, by uid.
    UserMetadata: "metadata" of "users" by "uid"
);

/// Users by uid.
#[derive(Debug, Clone, Default)]
pub struct Users {
    pub app: String,
    pub uids: Option<Vec<String>>,
    pub roles: Option<Vec<String>>,
    pub online: Option<bool>,
    pub last_seen_after: Option<i64>,
    /// In the list of who is online, or heard of since.
    pub online_after: Option<i64>,
    pub name_contains: Option<String>,
}

/// What a user must satisfy, as far as asked.
macro_rules! matching {
    () => {
        "((:roles IS NULL OR u.role IN (SELECT value FROM json_each(:roles)))
         AND (:name IS NULL OR instr(folded(u.name), :name) > 0)
         AND (:online IS NULL OR :online = EXISTS (
             SELECT 1 FROM presence p WHERE p.app_id = :app AND p.uid = u.uid
             AND counts_as_online(p.online, p.last_seen_at, :now)))
         AND (:seen IS NULL OR EXISTS (
             SELECT 1 FROM presence p WHERE p.app_id = :app AND p.uid = u.uid AND p.last_seen_at >= :seen))
         AND (:since IS NULL OR EXISTS (
             SELECT 1 FROM presence p
             WHERE p.app_id = :app AND p.uid = u.uid
             AND (p.last_seen_at >= :since OR counts_as_online(p.online, p.last_seen_at, :now)))))"
    };
}

const ALL: Scan = scan!("t", by ["u.uid"] from ":k1", matching matching!(), of "users u WHERE u.app_id = :app");
const NAMED: Scan = scan!("t", by ["u.uid"] from ":k1", matching matching!(),
    of "users u WHERE u.app_id = :app AND u.uid IN (SELECT value FROM json_each(:uids))");
const ONLINE: Scan = scan!("t", by ["p.uid"] from ":k1", matching matching!(),
    of "presence p CROSS JOIN users u ON u.app_id = p.app_id AND u.uid = p.uid WHERE p.app_id = :app AND p.online");
const HEARD_OF: Scan = scan!("t", by ["p.uid"] from ":k1", matching matching!(),
    of "presence p CROSS JOIN users u ON u.app_id = p.app_id AND u.uid = p.uid WHERE p.app_id = :app");

impl List for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn kinds(&self) -> &'static str {
        "t"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let scan = match (&self.uids, self.online) {
            (Some(_), _) => &NAMED,
            (None, Some(true)) => &ONLINE,
            _ if self.last_seen_after.is_some() || self.online_after.is_some() => &HEARD_OF,
            _ => &ALL,
        };
        let uids = self.uids.as_ref().map(json);
        let roles = self.roles.as_ref().map(json);
        let name = self.name_contains.as_deref().map(folded);
        let now = clock::now().0;
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":uids", &uids),
            (":roles", &roles),
            (":name", &name),
            (":online", &self.online),
            (":seen", &self.last_seen_after),
            (":since", &self.online_after),
            (":now", &now),
        ];
        run(conn, scan, params, range)
    }
}
