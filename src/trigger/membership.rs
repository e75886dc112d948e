//! Memberships: who came, left, was put out, banned, let in again, or given another scope.

use super::parts::{GroupPart, Object, UserPart};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes, MembershipChange};
use crate::ids::{Scope, State, Time};
use crate::merge::Fact;

/// All eight triggers have one shape: a group, members by uid, and mostly who did it.
#[derive(Debug)]
struct Membership {
    group: GroupPart,
    members: Vec<Member>,
    by: Option<UserPart>,
    /// `None`: a scope change.
    state: Option<State>,
}

#[derive(Debug)]
struct Member {
    user: UserPart,
    scope: Option<Scope>,
    old_scope: Option<Scope>,
}

/// Without a state: the fact tells a scope alone.
pub fn read(data: &Object<'_>, state: Option<State>) -> Result<Box<dyn Payload>, Rejection> {
    let group = data.object("group").as_ref().and_then(GroupPart::read).ok_or_else(|| missing("data.group.guid"))?;
    let members: Vec<Member> =
        data.entries("members").into_iter().filter_map(|(uid, user)| member(uid, &user)).collect();
    if members.is_empty() {
        return Err(Rejection("data.members: expected at least one member".into()));
    }
    let by = data.object("by").as_ref().and_then(UserPart::read);
    Ok(Box::new(Membership { group, members, by, state }))
}

fn member(uid: String, object: &Object<'_>) -> Option<Member> {
    let user = if uid.is_empty() { UserPart::read(object)? } else { UserPart::read_as(uid, object) };
    let scope = |key| object.text(key).flatten().and_then(|word| Scope::from_word(&word));
    Some(Member { user, scope: scope("scope"), old_scope: scope("oldScope") })
}

impl Payload for Membership {
    fn occurred_at(&self) -> Option<Time> {
        self.group.updated_at
    }

    fn not_before(&self) -> Option<Time> {
        self.group.created_at
    }

    /// A ban on behalf of a user is delivered with the actor as its member; nobody can ban himself.
    fn anomaly(&self) -> Option<String> {
        let by = &self.by.as_ref()?.uid;
        let names_actor = matches!(self.state, Some(State::Banned | State::Unbanned))
            && self.members.iter().all(|member| member.user.uid == *by);
        names_actor.then(|| format!("data.members names the actor {by}, not whom the act is about (a known defect of the vendor's): membership left as it was"))
    }

    fn refs(&self) -> Vec<Ref> {
        let guid = &self.group.guid;
        let members = self.members.iter().map(|member| Ref::sets_of("membership", &[guid, &member.user.uid]));
        let users = self.members.iter().map(|member| Ref::about("user", &member.user.uid));
        // A creation of the group ends every membership before it.
        let group = [Ref::about("group", guid), Ref::set_by("roster", guid)];
        group.into_iter().chain(members).chain(users).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.group.put(fact, out);
        if let Some(by) = &self.by {
            by.put(fact, out);
        }
        for member in &self.members {
            member.user.put(fact, out);
            let told = self.state.is_none() || self.state == Some(State::Joined);
            out.put(Change::Membership(MembershipChange {
                guid: self.group.guid.clone(),
                uid: member.user.uid.clone(),
                by: self.by.as_ref().map(|by| by.uid.clone()),
                state: self.state,
                scope: member.scope.filter(|_| told),
                old_scope: member.old_scope.filter(|_| self.state.is_none()),
                joined_at: None,
                group_created_at: self.group.created_at,
            }));
        }
    }
}
