//! A member list as an event: told against the newest list of the group, so that it names only who changed.

use crate::ids::{Scope, State, Time};
use crate::json;
use crate::store::StoreError;
use crate::store::sqlite::backfill as store;
use crate::store::sqlite::{Connection, Key, group};
use crate::tables::group::Roster;
use std::collections::{BTreeMap, HashSet};

/// What a list says of one who is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
}

/// Members by uid.
pub type Members = BTreeMap<String, Member>;

/// The `data` of a complete list, but for its time. `None`: it is not newer than the newest list of the group.
pub fn complete(conn: &Connection, key: &Key, at: Time, now: &Members) -> Result<Option<String>, StoreError> {
    let rosters = group::load_rosters(conn, key)?.unwrap_or_default().0;
    let newest = rosters.iter().max_by_key(|list| list.roster.at);
    if newest.is_some_and(|newest| newest.roster.at >= at) {
        return Ok(None);
    }
    let Some((base, replaces)) = newest.map(|newest| base_of(conn, key, &rosters, newest)).transpose()?.flatten()
    else {
        return Ok(Some(data(now, &[], None, None)));
    };
    let before = members_of(conn, key, &rosters, base)?;
    let changed = now.iter().filter(|(uid, member)| before.get(*uid) != Some(*member));
    let changed: Members = changed.map(|(uid, member)| (uid.clone(), *member)).collect();
    let gone: Vec<&String> = before.keys().filter(|uid| !now.contains_key(*uid)).collect();
    if changed.len() + gone.len() > now.len() {
        return Ok(Some(data(now, &[], None, replaces)));
    }
    Ok(Some(data(&changed, &gone, Some(base.roster.at), replaces)))
}

/// The list that a new one is told against, and since when it replaces lists that only confirmed. `None`: the new one
/// names everybody.
fn base_of<'a>(
    conn: &Connection,
    key: &Key,
    rosters: &'a [Roster],
    newest: &'a Roster,
) -> Result<Option<(&'a Roster, Option<Time>)>, StoreError> {
    if newest.roster.created {
        return Ok(None);
    }
    let confirmed = rosters.iter().find(|list| newest.entries == 0 && Some(list.roster.at) == newest.roster.base);
    let Some(base) = confirmed else { return Ok(Some((newest, None))) };
    let disturbs = |trigger: &str, at, from| newest.is_disturbed(trigger, at, from);
    if store::is_any_later(conn, key, base.roster.seq, disturbs)? {
        return Ok(Some((newest, None)));
    }
    Ok(Some((base, Some(newest.replaces.unwrap_or(newest.roster.at)))))
}

/// Who is in a list, from what it and the lists before it say.
fn members_of(conn: &Connection, key: &Key, rosters: &[Roster], list: &Roster) -> Result<Members, StoreError> {
    let (mut seqs, mut at) = (HashSet::new(), Some(list.roster.at));
    while let Some(list) = at.and_then(|at| rosters.iter().find(|list| list.roster.at == at)) {
        seqs.insert(list.roster.seq);
        at = list.roster.base;
    }
    let mut members = Members::new();
    for row in store::listed(conn, key)?.into_iter().filter(|row| seqs.contains(&row.seq)) {
        match row.state {
            Some(State::Joined) => {
                members.insert(row.uid, Member { scope: row.scope, joined_at: row.joined_at });
            }
            _ => {
                members.remove(&row.uid);
            }
        }
    }
    Ok(members)
}

fn data(members: &Members, gone: &[&String], base: Option<Time>, replaces: Option<Time>) -> String {
    let mut data = r#""complete":true"#.to_owned();
    for (name, at) in [("base", base), ("replaces", replaces)] {
        if let Some(at) = at {
            data += &format!(r#","{name}":{}"#, at.0);
        }
    }
    data += &format!(r#","members":{{{}}}"#, written(members.iter()));
    if !gone.is_empty() {
        let gone: Vec<String> = gone.iter().map(|uid| format!("{}:{{}}", json::quote(uid))).collect();
        data += &format!(r#","gone":{{{}}}"#, gone.join(","));
    }
    data
}

/// Members as they stand in an event.
pub fn written<'a>(members: impl Iterator<Item = (&'a String, &'a Member)>) -> String {
    let member = |(uid, member): (&String, &Member)| {
        let scope = member.scope.map(|scope| format!(r#""scope":"{}""#, scope.as_str()));
        let joined = member.joined_at.map(|at| format!(r#""joinedAt":{}"#, at.0));
        format!("{}:{{{}}}", json::quote(uid), scope.into_iter().chain(joined).collect::<Vec<_>>().join(","))
    };
    members.map(member).collect::<Vec<_>>().join(",")
}
