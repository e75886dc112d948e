//! Groups: created, updated, deleted, handed over.

use super::parts::{GroupPart, Object, UserPart, users};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes, Group, MembershipChange};
use crate::ids::{Scope, State, Time};
use crate::merge::{Fact, rank};

fn group(data: &Object<'_>) -> Result<GroupPart, Rejection> {
    data.object("group").as_ref().and_then(GroupPart::read).ok_or_else(|| missing("data.group.guid"))
}

/// A group was made. Its `scope` and `joinedAt` are the creator's membership, not the group's.
#[derive(Debug)]
struct Created {
    group: GroupPart,
    members: Vec<UserPart>,
    creator: Option<String>,
    scope: Option<Scope>,
    joined_at: Option<Time>,
}

pub fn created(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let group = group(data)?;
    let members = users(data, "members");
    let object = data.object("group");
    let scope_of = |object: &Object<'_>| object.text("scope").flatten().and_then(|word| Scope::from_word(&word));
    let scope = object.as_ref().and_then(scope_of);
    let joined_at = object.as_ref().and_then(|group| group.time("joinedAt").flatten());
    let has_joined = object.as_ref().and_then(|group| group.flag("hasJoined"));
    let owner = group.owner.clone().flatten();
    let creator = match members.as_slice() {
        // Made with an API key, the owner need not be in.
        [] => owner.filter(|_| has_joined == Some(true) || joined_at.is_some() || scope.is_some()),
        [only] => owner.or_else(|| Some(only.uid.clone())),
        _ => owner,
    };
    let own = creator.as_ref().and_then(|uid| data.object("members")?.object(uid));
    let scope = scope.or_else(|| own.as_ref().and_then(scope_of));
    let joined_at = joined_at.or_else(|| own.as_ref().and_then(|member| member.time("joinedAt").flatten()));
    Ok(Box::new(Created { group, members, creator, scope, joined_at }))
}

impl Payload for Created {
    fn occurred_at(&self) -> Option<Time> {
        self.group.created_at
    }

    fn refs(&self) -> Vec<Ref> {
        let guid = &self.group.guid;
        let creator = self.creator.iter().map(|uid| Ref::sets_of("membership", &[guid, uid]));
        let own = [Ref::about("group", guid), Ref::sets("lifecycle", guid), Ref::sets("roster", guid)];
        own.into_iter().chain(creator).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let guid = &self.group.guid;
        self.group.put_fact(fact, out);
        if self.group.owner.is_some() {
            let telling = Group { owner: self.group.owner.clone(), ..Group::default() }.telling(fact.stamp(rank::FACT));
            out.put(Change::Group { guid: guid.clone(), telling });
        }
        for member in &self.members {
            member.put(fact, out);
        }
        if let Some(at) = self.group.created_at {
            out.put(Change::Creation { guid: guid.clone(), at });
        }
        if let Some(uid) = &self.creator {
            out.put_user(uid, fact.copy(None, rank::COPY));
            out.put(Change::Membership(MembershipChange {
                guid: guid.clone(),
                uid: uid.clone(),
                state: Some(State::Joined),
                scope: self.scope,
                joined_at: self.joined_at,
                ..MembershipChange::default()
            }));
        }
    }
}

#[derive(Debug)]
struct Updated(GroupPart);

pub fn updated(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    Ok(Box::new(Updated(group(data)?)))
}

impl Payload for Updated {
    fn occurred_at(&self) -> Option<Time> {
        self.0.updated_at
    }

    fn not_before(&self) -> Option<Time> {
        self.0.created_at
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("group", &self.0.guid), Ref::sets("profile", &self.0.guid)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put_fact(fact, out);
    }
}

/// Carries the group as last updated; nothing in it says when it was deleted.
#[derive(Debug)]
struct Deleted(GroupPart);

pub fn deleted(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    Ok(Box::new(Deleted(group(data)?)))
}

impl Payload for Deleted {
    fn occurred_at(&self) -> Option<Time> {
        None
    }

    fn not_before(&self) -> Option<Time> {
        self.0.created_at
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("group", &self.0.guid), Ref::sets("lifecycle", &self.0.guid)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put(fact, out);
        out.put(Change::Deletion { guid: self.0.guid.clone(), created_at: self.0.created_at });
    }
}

/// `owner` is the new one; becoming it proves a member.
#[derive(Debug)]
struct OwnerTransferred {
    group: GroupPart,
    old_owner: Option<String>,
}

pub fn owner_transferred(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let old_owner = data.object("group").and_then(|group| group.id("oldOwner"));
    Ok(Box::new(OwnerTransferred { group: group(data)?, old_owner }))
}

impl Payload for OwnerTransferred {
    fn occurred_at(&self) -> Option<Time> {
        self.group.updated_at
    }

    fn not_before(&self) -> Option<Time> {
        self.group.created_at
    }

    fn refs(&self) -> Vec<Ref> {
        let guid = &self.group.guid;
        let own = [Ref::about("group", guid), Ref::sets("owner", guid)];
        // Becoming the owner proves a member: a fact about that membership.
        let owner = self.group.owner.iter().flatten();
        let owner = owner.flat_map(|uid| [Ref::about("user", uid), Ref::sets_of("membership", &[guid, uid])]);
        own.into_iter().chain(owner).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let guid = &self.group.guid;
        self.group.put(fact, out);
        if let Some(uid) = &self.old_owner {
            out.put_user(uid, fact.copy(None, rank::COPY));
        }
        if self.group.owner.is_some() {
            let telling = Group { owner: self.group.owner.clone(), ..Group::default() }.telling(fact.stamp(rank::FACT));
            out.put(Change::Group { guid: guid.clone(), telling });
        }
        if let Some(uid) = self.group.owner.clone().flatten() {
            // There is no `by`: who acted is who updated the group.
            let by = self.group.row.updated_by.clone().flatten();
            out.put(Change::Membership(MembershipChange {
                guid: guid.clone(),
                uid,
                by,
                group_created_at: self.group.created_at,
                ..MembershipChange::default()
            }));
        }
    }
}
