//! People.

use super::list::{Scan, run, scan};
use super::{Conn, Found, List, Lookup, Range, Sql, column, json, rows};
use crate::clock;
use crate::ids::Time;
use crate::store::sqlite::functions::folded;

/// A row of `users`.
#[derive(Debug, Clone, Default)]
pub struct User {
    pub uid: String,
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
pub struct UserKey(pub String);

const BY_UID: &str = "
    SELECT uid, name, avatar, link, role, status_message, tags, last_active_at
    FROM users
    WHERE app_id = :app AND uid IN (SELECT value FROM json_each(:keys))";

impl Lookup for UserKey {
    type Found = User;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, User)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, BY_UID, &[(":app", &app), (":keys", &keys)], |row| {
            let user = User {
                uid: row.get("uid")?,
                name: row.get("name")?,
                avatar: row.get("avatar")?,
                link: row.get("link")?,
                role: row.get("role")?,
                status_message: row.get("status_message")?,
                tags: row.get("tags")?,
                last_active_at: row.get("last_active_at")?,
            };
            Ok((Self(user.uid.clone()), user))
        })
    }
}

/// Who was not heard of for so long is in no list of who is online: the offline may have been lost.
const UNHEARD_MS: i64 = 24 * 60 * 60 * 1000;
column!(
    /// The custom data of a person, by uid.
    UserMetadata, uid, "metadata FROM users WHERE true"
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
             SELECT 1 FROM presence p WHERE p.app_id = :app AND p.uid = u.uid AND p.online AND p.last_seen_at >= :fresh))
         AND (:seen IS NULL OR EXISTS (
             SELECT 1 FROM presence p WHERE p.app_id = :app AND p.uid = u.uid AND p.last_seen_at >= :seen))
         AND (:since IS NULL OR EXISTS (
             SELECT 1 FROM presence p
             WHERE p.app_id = :app AND p.uid = u.uid AND (p.last_seen_at >= :since OR (p.online AND p.last_seen_at >= :fresh)))))"
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
        let fresh = clock::now().0 - UNHEARD_MS;
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":uids", &uids),
            (":roles", &roles),
            (":name", &name),
            (":online", &self.online),
            (":seen", &self.last_seen_after),
            (":since", &self.online_after),
            (":fresh", &fresh),
        ];
        run(conn, scan, params, range)
    }
}
