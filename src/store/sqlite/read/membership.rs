//! Who is, or was, in a group; and who was at an instant.

use super::super::table::Reader;
use super::list::{EXAMINED, Part, Scan, run, scan};
use super::{Conn, Found, List, Lookup, Range, Sql, json, rows};
use crate::ids::{Scope, State, Time, TimeSource};
use crate::standing::{MembershipFact, Roster, standing};
use rusqlite::Row;
use std::collections::HashMap;

/// A row of `memberships`, or what it was at an instant.
#[derive(Debug, Clone)]
pub struct Membership {
    pub guid: String,
    pub uid: String,
    pub state: State,
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
    pub changed_at: Time,
    pub changed_at_from: TimeSource,
    pub changed_by: Option<String>,
}

/// A membership, by guid and uid; at an instant where one is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MembershipKey {
    pub guid: String,
    pub uid: String,
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
            let pairs: Vec<[&str; 2]> = present.iter().map(|key| [key.guid.as_str(), key.uid.as_str()]).collect();
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
                    .map(|member| (Self { guid: guid.to_owned(), uid: member.uid.clone(), at: Some(at) }, member)),
            );
        }
        Ok(found)
    }
}

fn membership(row: &Row<'_>) -> Sql<Membership> {
    Ok(Membership {
        guid: row.get("guid")?,
        uid: row.get("uid")?,
        state: row.get("state")?,
        scope: row.get("scope")?,
        joined_at: row.get("joined_at")?,
        changed_at: row.get("changed_at")?,
        changed_at_from: row.get("changed_at_from")?,
        changed_by: row.get("changed_by")?,
    })
}

/// Members of a group by uid.
#[derive(Debug, Clone)]
pub struct Members {
    pub app: String,
    pub guid: String,
    pub states: Vec<&'static str>,
    pub scopes: Option<Vec<&'static str>>,
    /// Who was in it then.
    pub at: Option<i64>,
}

const CURRENT: Scan = scan!("t", by ["uid"] from ":k1",
    matching "(:scopes IS NULL OR scope IN (SELECT value FROM json_each(:scopes)))",
    of "memberships WHERE app_id = :app AND guid = :guid AND state = 'joined'");
const ANY: Scan = scan!("t", by ["uid"] from ":k1",
    matching "(state IN (SELECT value FROM json_each(:states))
              AND (:scopes IS NULL OR scope IN (SELECT value FROM json_each(:scopes))))",
    of "memberships WHERE app_id = :app AND guid = :guid");

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
            return then.members(conn, range, |member| self.shows(member));
        }
        let states = json(&self.states);
        let scopes = self.scopes.as_ref().map(json);
        let scan = if self.states == [State::Joined.as_str()] { &CURRENT } else { &ANY };
        run(
            conn,
            scan,
            &[(":app", &self.app), (":guid", &self.guid), (":states", &states), (":scopes", &scopes)],
            range,
        )
    }
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
#[derive(Debug, Clone)]
pub struct Memberships {
    pub app: String,
    pub uid: String,
    pub states: Vec<&'static str>,
    pub scopes: Option<Vec<&'static str>>,
    pub deleted: bool,
}

/// What a membership must satisfy.
macro_rules! of_user {
    () => {
        "((:scopes IS NULL OR m.scope IN (SELECT value FROM json_each(:scopes)))
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
        let scan = if self.states == [State::Joined.as_str()] { &OF_USER } else { &OF_USER_ANY };
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":uid", &self.uid),
            (":states", &states),
            (":scopes", &scopes),
            (":deleted", &self.deleted),
        ];
        run(conn, scan, params, range)
    }
}

/// A group at an instant: the same function as for the present, over the facts not later (contract 4.3).
struct Instant<'a> {
    app: &'a str,
    guid: &'a str,
    at: i64,
}

/// Facts by person.
type People = Vec<(String, Vec<MembershipFact>)>;

/// The facts of a page of people, whole people only. Later facts are yielded, too, so that they count as examined; and
/// no bound on the time: it would make the index by time look better, all of which has to be sorted.
macro_rules! facts {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT uid, at <= :at,
                 at, at_from, seq, occurred_at, arrived_at, group_created_at, by_uid, state, scope, old_scope, joined_at
             FROM membership_changes
             WHERE app_id = :app AND guid = :guid AND ",
            $which,
            "
             ORDER BY uid",
            $order,
            ", at, seq
             LIMIT :limit"
        )
    };
}

const FACTS_RISING: &str = facts!("uid > :uid", "");
const FACTS_FALLING: &str = facts!("uid < :uid", " DESC");
const FACTS_LAST: &str = facts!("1", " DESC");
const FACTS_OF: &str = facts!("at <= :at AND uid IN (SELECT value FROM json_each(:uids))", "");
const ROSTERS: &str =
    "SELECT at, created FROM rosters WHERE app_id = :app AND guid = :guid AND at <= :at ORDER BY at, seq";

impl Instant<'_> {
    /// Those who match, by uid, over at most [`EXAMINED`] facts a page; of one person all facts, however many: the
    /// bounds of the request end it with an error.
    fn members(&self, conn: &Conn, range: Range<'_>, shows: impl Fn(&Membership) -> bool) -> Sql<Found> {
        let from = range.from.map(|key| key[0].text().to_owned());
        let sql = match (range.falling, &from) {
            (true, None) => FACTS_LAST,
            (true, Some(_)) => FACTS_FALLING,
            (false, _) => FACTS_RISING,
        };
        let limit = EXAMINED as i64 + 1;
        let (mut people, facts) = self.facts(conn, sql, &[(":uid", &from.unwrap_or_default()), (":limit", &limit)])?;
        let cut = facts > EXAMINED;
        // The last person's facts may not be complete: they begin the next page, unless they are all of this one.
        if cut && people.len() > 1 {
            people.pop();
        } else if cut && let Some((uid, facts)) = people.last_mut() {
            let (mut person, _) = self.facts(conn, FACTS_OF, &[(":uids", &json([uid.as_str()])), (":limit", &-1)])?;
            *facts = person.pop().map(|(_, facts)| facts).unwrap_or_default();
        }
        let rosters = self.rosters(conn)?;
        let mut found = Found::default();
        let last = people.last().map(|(uid, _)| vec![Part::Text(uid.clone())]);
        for (uid, facts) in people {
            let member = if facts.is_empty() { None } else { self.member(&uid, &facts, &rosters) };
            let Some(member) = member else { continue };
            if shows(&member) {
                if found.keys.len() == range.want {
                    found.more = true;
                    return Ok(found);
                }
                found.keys.push(vec![Part::Text(uid)]);
            }
        }
        if cut {
            found.more = true;
            found.stopped = last;
        }
        Ok(found)
    }

    /// The named people.
    fn of(&self, conn: &Conn, uids: &[&str]) -> Sql<Vec<Membership>> {
        let (people, _) = self.facts(conn, FACTS_OF, &[(":uids", &json(uids)), (":limit", &-1)])?;
        let rosters = self.rosters(conn)?;
        Ok(people.iter().filter_map(|(uid, facts)| self.member(uid, facts, &rosters)).collect())
    }

    /// By person those that are not later than the instant, none for some; and how many were examined.
    fn facts(&self, conn: &Conn, sql: &str, params: super::Params<'_>) -> Sql<(People, usize)> {
        let mut all: Vec<(&str, &dyn rusqlite::types::ToSql)> = params.to_vec();
        all.extend([(":app", &self.app as &dyn rusqlite::types::ToSql), (":guid", &self.guid), (":at", &self.at)]);
        let mut people = People::new();
        let read = |row: &Row<'_>| {
            let (uid, counts, fact): (String, bool, MembershipFact) = Reader::of(row).next()?;
            Ok((uid, Some(fact).filter(|_| counts)))
        };
        let examined = rows(conn, sql, &all, read)?;
        let count = examined.len();
        for (uid, fact) in examined {
            match people.last_mut() {
                Some((last, facts)) if *last == uid => facts.extend(fact),
                _ => people.push((uid, fact.into_iter().collect())),
            }
        }
        Ok((people, count))
    }

    fn rosters(&self, conn: &Conn) -> Sql<Vec<Roster>> {
        rows(conn, ROSTERS, &[(":app", &self.app), (":guid", &self.guid), (":at", &self.at)], |row| {
            Ok(Roster { at: row.get("at")?, created: row.get("created")? })
        })
    }

    fn member(&self, uid: &str, facts: &[MembershipFact], rosters: &[Roster]) -> Option<Membership> {
        let then = standing(facts, rosters)?;
        Some(Membership {
            guid: self.guid.to_owned(),
            uid: uid.to_owned(),
            state: then.state,
            scope: then.scope,
            joined_at: then.joined_at,
            changed_at: then.changed_at,
            changed_at_from: then.changed_at_from,
            changed_by: then.changed_by,
        })
    }
}
