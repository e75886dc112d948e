//! Who is, or was, in a group; and who was at an instant.

use super::list::{Key, ReadRows, Scan, Wanted, run, scan, walk};
use super::membership_then::Instant;
use super::presence::{self, Presence};
use super::user::{self, User};
use super::{Conn, Found, List, Lookup, Range, Sql, Values, json, rows};
use crate::ids::{Scope, State, Time, TimeSource};
use crate::store::sqlite::functions::folded;
use rusqlite::Row;
use std::collections::HashMap;
use std::sync::Arc;

/// A row of `memberships`, or what it was at an instant.
#[derive(Debug, Clone)]
pub struct Membership {
    pub guid: Arc<str>,
    pub uid: Arc<str>,
    pub state: State,
    pub scope: Option<Scope>,
    /// Not read where a list gives what its index holds.
    pub rest: Option<Rest>,
    /// The person, where a list has read that too.
    pub person: Option<Person>,
}

/// What no index of memberships holds.
#[derive(Debug, Clone)]
pub struct Rest {
    pub joined_at: Option<Time>,
    pub changed_at: Time,
    pub changed_at_from: TimeSource,
    pub changed_by: Option<Arc<str>>,
}

/// A person, and the presence if it was read: then `None` where nothing was told.
#[derive(Debug, Clone)]
pub struct Person {
    pub row: Arc<User>,
    pub presence: Option<Option<Presence>>,
}

/// A membership, by guid and uid; at an instant where one is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MembershipKey {
    pub guid: Arc<str>,
    pub uid: Arc<str>,
    pub at: Option<i64>,
}

const BY_KEY: &str = "
    SELECT m.guid, m.uid, m.state, m.scope, m.joined_at, m.changed_at, m.changed_at_from, m.changed_by
    FROM json_each(:keys) k
    CROSS JOIN memberships m
        ON m.app_id = :app AND m.guid = json_extract(k.value, '$[0]') AND m.uid = json_extract(k.value, '$[1]')";

impl Lookup for MembershipKey {
    type Found = Membership;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Membership)>> {
        let (past, present): (Vec<&Self>, Vec<&Self>) = keys.iter().partition(|key| key.at.is_some());
        let mut found = Vec::new();
        if !present.is_empty() {
            let pairs: Vec<[&str; 2]> = present.iter().map(|key| [&*key.guid, &*key.uid]).collect();
            let pairs = serde_json::json!(pairs).to_string();
            found = rows(conn, BY_KEY, &[(":app", &app), (":keys", &pairs)], |row| {
                let membership = membership(row)?;
                Ok((Self { guid: membership.guid.clone(), uid: membership.uid.clone(), at: None }, membership))
            })?;
        }
        let mut instants: HashMap<(&str, i64), Vec<&str>> = HashMap::new();
        for key in past {
            instants.entry((&key.guid, key.at.unwrap_or_default())).or_default().push(&key.uid);
        }
        for ((guid, at), uids) in instants {
            let then = Instant { app, guid, at };
            let members = then.of(conn, &uids)?;
            found.extend(
                members
                    .into_iter()
                    .map(|member| (Self { guid: guid.into(), uid: member.uid.clone(), at: Some(at) }, member)),
            );
        }
        Ok(found)
    }
}

fn membership(row: &Row<'_>) -> Sql<Membership> {
    let mut row = Values::of(row);
    let (guid, uid, state, scope) = (row.next()?, row.next()?, row.next()?, row.next()?);
    Ok(Membership { guid, uid, state, scope, rest: Some(rest(&mut row)?), person: None })
}

fn rest(row: &mut Values<'_>) -> Sql<Rest> {
    Ok(Rest { joined_at: row.next()?, changed_at: row.next()?, changed_at_from: row.next()?, changed_by: row.next()? })
}

/// Members of a group by uid.
#[derive(Debug, Clone, Default)]
pub struct Members {
    pub app: String,
    pub guid: String,
    pub states: Vec<&'static str>,
    pub scopes: Option<Vec<&'static str>>,
    /// A part of the person's name.
    pub name: Option<String>,
    /// Who was in it then.
    pub at: Option<i64>,
}

/// What a membership of a group must satisfy.
macro_rules! of_group {
    () => {
        "(:scopes IS NULL OR m.scope IN (SELECT value FROM json_each(:scopes)))
         AND (:name IS NULL OR EXISTS (
             SELECT 1 FROM users u WHERE u.app_id = :app AND u.uid = m.uid AND instr(folded(u.name), :name) > 0))"
    };
}

const CURRENT: Scan = scan!("t", by ["m.uid"] from ":k1", matching concat!("(", of_group!(), ")"),
    of "memberships m WHERE m.app_id = :app AND m.guid = :guid AND m.state = 'joined'");
const ANY: Scan = scan!("t", by ["m.uid"] from ":k1",
    matching concat!("(m.state IN (SELECT value FROM json_each(:states)) AND ", of_group!(), ")"),
    of "memberships m WHERE m.app_id = :app AND m.guid = :guid");

/// Writes a walk over those joined, with what is read of each. The walk itself reads its index alone: a column that is
/// not there would have it walk the table, and all who have left.
macro_rules! joined {
    (with $columns:expr, of $joins:expr) => {
        scan!("t", by ["m.uid"] from ":k1", matching "1", with concat!(", m.scope", $columns),
            of concat!("memberships m ", $joins, " WHERE m.app_id = :app AND m.guid = :guid AND m.state = 'joined'"))
    };
}

macro_rules! person {
    () => {
        "LEFT JOIN users u ON u.app_id = :app AND u.uid = m.uid"
    };
}

macro_rules! present {
    () => {
        concat!(person!(), " LEFT JOIN presence p ON p.app_id = :app AND p.uid = m.uid")
    };
}

const JOINED: Scan = joined!(with "", of "");
const JOINED_PEOPLE: Scan = joined!(with concat!(", ", user::columns!()), of person!());
const JOINED_PRESENT: Scan =
    joined!(with concat!(", ", user::columns!(), ", p.uid IS NOT NULL, ", presence::columns!()), of present!());
const JOINED_WHOLE: Scan = joined!(with concat!(", ", user::columns!(), ", p.uid IS NOT NULL, ", presence::columns!(),
    ", w.joined_at, w.changed_at, w.changed_at_from, w.changed_by"),
    of concat!("CROSS JOIN memberships w ON w.app_id = :app AND w.guid = :guid AND w.uid = m.uid ", present!()));

impl List for Members {
    fn name(&self) -> &'static str {
        "group.members"
    }

    fn kinds(&self) -> &'static str {
        "t"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        if let Some(at) = self.at {
            let then = Instant { app: &self.app, guid: &self.guid, at };
            return Ok(then.members(conn, range, self.name.as_deref(), |member| self.shows(member))?.0);
        }
        let states = json(&self.states);
        let scopes = self.scopes.as_ref().map(json);
        let name = self.name.as_deref().map(folded);
        let scan = if self.states == [State::Joined.as_str()] { &CURRENT } else { &ANY };
        let params: super::Params<'_> =
            &[(":app", &self.app), (":guid", &self.guid), (":states", &states), (":scopes", &scopes), (":name", &name)];
        run(conn, scan, params, range)
    }

    fn read(&self, conn: &Conn, range: Range<'_>, wanted: Wanted) -> Sql<(Found, Option<ReadRows>)> {
        if let Some(at) = self.at {
            let then = Instant { app: &self.app, guid: &self.guid, at };
            let (found, members) = then.members(conn, range, self.name.as_deref(), |member| self.shows(member))?;
            return Ok((found, Some(Box::new(members))));
        }
        if self.states != [State::Joined.as_str()] || self.scopes.is_some() || self.name.is_some() {
            return Ok((self.scan(conn, range)?, None));
        }
        let scan = match wanted {
            Wanted { person: false, .. } => &JOINED,
            Wanted { rest: true, .. } => &JOINED_WHOLE,
            Wanted { presence: true, .. } => &JOINED_PRESENT,
            _ => &JOINED_PEOPLE,
        };
        let guid: Arc<str> = self.guid.as_str().into();
        let map = |key: &Key, row: &mut Values<'_>| {
            let uid: Arc<str> = key[0].text().into();
            let scope = row.next()?;
            let person = if wanted.person { Some(person(&uid, row, wanted.presence || wanted.rest)?) } else { None };
            let rest = if wanted.person && wanted.rest { Some(rest(row)?) } else { None };
            Ok(Membership { guid: Arc::clone(&guid), uid, state: State::Joined, scope, rest, person })
        };
        let params: super::Params<'_> = &[(":app", &self.app), (":guid", &self.guid)];
        let (found, members) = walk(conn, scan, params, range, |_| false, map)?;
        Ok((found, Some(Box::new(members))))
    }
}

/// Reads a person that was joined, with the presence where that was joined too.
fn person(uid: &Arc<str>, row: &mut Values<'_>, with_presence: bool) -> Sql<Person> {
    row.skip();
    let user = user::user(Arc::clone(uid), row)?;
    let mut person = Person { row: Arc::new(user), presence: None };
    if with_presence {
        let told: bool = row.next()?;
        person.presence = Some(Some(presence::presence(row)?).filter(|_| told));
    }
    Ok(person)
}

impl Members {
    fn shows(&self, member: &Membership) -> bool {
        self.states.contains(&member.state.as_str())
            && self
                .scopes
                .as_ref()
                .is_none_or(|scopes| member.scope.is_some_and(|scope| scopes.contains(&scope.as_str())))
    }
}

/// Groups of a person by guid.
#[derive(Debug, Clone, Default)]
pub struct Memberships {
    pub app: String,
    pub uid: String,
    pub states: Vec<&'static str>,
    pub scopes: Option<Vec<&'static str>>,
    /// A part of the group's name.
    pub name: Option<String>,
    pub deleted: bool,
}

/// What a membership of a person must satisfy.
macro_rules! of_user {
    () => {
        "((:scopes IS NULL OR m.scope IN (SELECT value FROM json_each(:scopes)))
         AND (:name IS NULL OR EXISTS (
             SELECT 1 FROM groups g WHERE g.app_id = :app AND g.guid = m.guid AND instr(folded(g.name), :name) > 0))
         AND (:deleted OR NOT EXISTS (
             SELECT 1 FROM groups g WHERE g.app_id = :app AND g.guid = m.guid AND g.deleted_at IS NOT NULL)))"
    };
}

const OF_USER: Scan = scan!("t", by ["m.guid"] from ":k1", matching of_user!(),
    of "memberships m WHERE m.app_id = :app AND m.uid = :uid AND m.current");
const OF_USER_ANY: Scan = scan!("t", by ["m.guid"] from ":k1", matching of_user!(),
    of "memberships m WHERE m.app_id = :app AND m.uid = :uid AND m.state IN (SELECT value FROM json_each(:states))");

impl List for Memberships {
    fn name(&self) -> &'static str {
        "user.memberships"
    }

    fn kinds(&self) -> &'static str {
        "t"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let states = json(&self.states);
        let scopes = self.scopes.as_ref().map(json);
        let name = self.name.as_deref().map(folded);
        let scan = if self.states == [State::Joined.as_str()] { &OF_USER } else { &OF_USER_ANY };
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":uid", &self.uid),
            (":states", &states),
            (":scopes", &scopes),
            (":name", &name),
            (":deleted", &self.deleted),
        ];
        run(conn, scan, params, range)
    }
}
