//! Groups.

use super::list::{Part, Scan, run, scan};
use super::{Conn, Found, Key, List, Lookup, Range, Sql, column, json, rows};
use crate::drift::Drift;
use crate::ids::{Time, TimeSource};
use crate::store::sqlite::functions::folded;
use rusqlite::Row;

/// A row of `groups`.
#[derive(Debug, Clone, Default)]
pub struct Group {
    pub guid: String,
    pub name: Option<String>,
    pub kind: Option<String>,
    pub description: Option<String>,
    pub icon: Option<String>,
    pub tags: Option<String>,
    pub owner_uid: Option<String>,
    pub created_at: Option<Time>,
    pub updated_at: Option<Time>,
    pub updated_by: Option<String>,
    pub reported_members_count: Option<i64>,
    pub members_count: i64,
    pub members_known_since: Option<Time>,
    pub history_since: Option<Time>,
    pub deleted_at: Option<Time>,
    pub deleted_at_from: Option<TimeSource>,
    pub drift: Option<Drift>,
}

/// A group, by guid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupKey(pub String);

const BY_GUID: &str = "
    SELECT guid, name, type, description, icon, tags, owner_uid, created_at, updated_at, updated_by,
           reported_members_count, members_count, members_known_since, history_since, deleted_at,
           deleted_at_from, drift_expected, drift_counted, drift_since
    FROM groups
    WHERE app_id = :app AND guid IN (SELECT value FROM json_each(:keys))";

impl Lookup for GroupKey {
    type Found = Group;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Group)>> {
        let keys = json(keys.iter().map(|key| &key.0));
        rows(conn, BY_GUID, &[(":app", &app), (":keys", &keys)], |row| {
            let group = Group {
                guid: row.get("guid")?,
                name: row.get("name")?,
                kind: row.get("type")?,
                description: row.get("description")?,
                icon: row.get("icon")?,
                tags: row.get("tags")?,
                owner_uid: row.get("owner_uid")?,
                created_at: row.get("created_at")?,
                updated_at: row.get("updated_at")?,
                updated_by: row.get("updated_by")?,
                reported_members_count: row.get("reported_members_count")?,
                members_count: row.get("members_count")?,
                members_known_since: row.get("members_known_since")?,
                history_since: row.get("history_since")?,
                deleted_at: row.get("deleted_at")?,
                deleted_at_from: row.get("deleted_at_from")?,
                drift: drift(row)?,
            };
            Ok((Self(group.guid.clone()), group))
        })
    }
}

/// The drift in a row that has its three columns.
pub(super) fn drift(row: &Row<'_>) -> Sql<Option<Drift>> {
    let Some(since) = row.get("drift_since")? else { return Ok(None) };
    Ok(Some(Drift { expected: row.get("drift_expected")?, counted: row.get("drift_counted")?, since }))
}

column!(
    /// The custom data of a group, by guid.
    GroupMetadata: "metadata" of "groups" by "guid"
);

/// What a list of groups is ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Guid,
    Name,
    Created,
}

/// Groups. Those without the value of the order come behind all others.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    pub app: String,
    pub guids: Option<Vec<String>>,
    pub owner: Option<String>,
    pub kinds: Option<Vec<&'static str>>,
    pub member: Option<String>,
    pub name_contains: Option<String>,
    pub deleted: bool,
    pub drifted: Option<bool>,
    pub order: Order,
    pub falling: bool,
}

/// What a group must satisfy, as far as asked.
macro_rules! matching {
    () => {
        "((:deleted OR g.deleted_at IS NULL)
         AND (:drifted IS NULL OR (g.drift_since IS NOT NULL) = :drifted)
         AND (:owner IS NULL OR coalesce(g.owner_uid = :owner, 0))
         AND (:guids IS NULL OR g.guid IN (SELECT value FROM json_each(:guids)))
         AND (:types IS NULL OR coalesce(g.type IN (SELECT value FROM json_each(:types)), 0))
         AND (:name IS NULL OR coalesce(instr(folded(g.name), :name) > 0, 0))
         AND (:member IS NULL OR EXISTS (
             SELECT 1 FROM memberships m WHERE m.app_id = :app AND m.guid = g.guid AND m.uid = :member AND m.current)))"
    };
}

const ALL: Scan = scan!("t", by ["g.guid"] from ":k1", matching matching!(), of "groups g WHERE g.app_id = :app");
const NAMED: Scan = scan!("t", by ["g.guid"] from ":k1", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.guid IN (SELECT value FROM json_each(:guids))");
const DRIFTED: Scan = scan!("t", by ["g.guid"] from ":k1", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.drift_since IS NOT NULL");
const OWNED: Scan = scan!("t", by ["g.guid"] from ":k1", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.owner_uid = :owner");
const JOINED: Scan = scan!("t", by ["m.guid"] from ":k1", matching matching!(),
    of "memberships m CROSS JOIN groups g ON g.app_id = m.app_id AND g.guid = m.guid
        WHERE m.app_id = :app AND m.uid = :member AND m.current");
const BY_NAME: Scan = scan!("tt", by ["g.name", "g.guid"] from ":k1, :k2", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.name IS NOT NULL");
const NAMELESS: Scan = scan!("t", by ["g.guid"] from ":k1", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.name IS NULL");
const BY_CREATED: Scan = scan!("it", by ["g.created_at", "g.guid"] from ":k1, :k2", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.created_at IS NOT NULL");
const DATELESS: Scan = scan!("t", by ["g.guid"] from ":k1", matching matching!(),
    of "groups g WHERE g.app_id = :app AND g.created_at IS NULL");

impl List for Groups {
    fn name(&self) -> &'static str {
        "groups"
    }

    fn falling(&self) -> bool {
        self.falling
    }

    fn kinds(&self) -> &'static str {
        // The first says whether the value is missing.
        match self.order {
            Order::Guid => "t",
            Order::Name => "itt",
            Order::Created => "iit",
        }
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        match self.order {
            Order::Guid if self.guids.is_some() => self.run(conn, &NAMED, range),
            Order::Guid if self.drifted == Some(true) => self.run(conn, &DRIFTED, range),
            Order::Guid if self.member.is_some() => self.run(conn, &JOINED, range),
            Order::Guid if self.owner.is_some() => self.run(conn, &OWNED, range),
            Order::Guid => self.run(conn, &ALL, range),
            Order::Name => self.with_missing(conn, [&BY_NAME, &NAMELESS], &Part::Text(String::new()), range),
            Order::Created => self.with_missing(conn, [&BY_CREATED, &DATELESS], &Part::Int(0), range),
        }
    }
}

impl Groups {
    fn run(&self, conn: &Conn, scan: &Scan, range: Range<'_>) -> Sql<Found> {
        let guids = self.guids.as_ref().map(json);
        let types = self.kinds.as_ref().map(json);
        let name = self.name_contains.as_deref().map(folded);
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":deleted", &self.deleted),
            (":drifted", &self.drifted),
            (":owner", &self.owner),
            (":guids", &guids),
            (":types", &types),
            (":name", &name),
            (":member", &self.member),
        ];
        run(conn, scan, params, range)
    }

    /// Walks the groups that have the value, then those that have not (or the other way round).
    fn with_missing(&self, conn: &Conn, scans: [&Scan; 2], blank: &Part, range: Range<'_>) -> Sql<Found> {
        let at = range.from.map(|key| (key[0].int(), key[1..].to_vec()));
        let mut found = Found::default();
        let order = if range.falling { [1, 0] } else { [0, 1] };
        for segment in order {
            let from = match &at {
                Some((here, rest)) if *here == segment => {
                    Some(if segment == 0 { rest.clone() } else { rest[1..].to_vec() })
                }
                // Left behind already.
                Some((here, _)) if (*here > segment) != range.falling => continue,
                _ => None,
            };
            let whole = |key: Key| match segment {
                0 => [vec![Part::Int(0)], key].concat(),
                _ => [vec![Part::Int(1), blank.clone()], key].concat(),
            };
            let want = range.want - found.keys.len();
            let part =
                self.run(conn, scans[usize::from(segment == 1)], Range { from: from.as_ref(), want, ..range })?;
            found.keys.extend(part.keys.into_iter().map(whole));
            found.more = part.more;
            found.stopped = part.stopped.map(whole);
            if part.more {
                break;
            }
        }
        Ok(found)
    }
}
