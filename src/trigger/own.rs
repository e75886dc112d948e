//! What chatfold reads from the vendor's API: lists and snapshots, of the time at which they were read.
//!
//! A webhook that is newer than the reading wins, an older one loses. A complete list says who is not in it, too. Who is
//! named under `gone` was known, and is not in the list.

use super::message_part::{MessagePart, Role};
use super::parts::{GroupPart, Object, UserPart};
use super::{Payload, Ref, Rejection, message, missing};
use crate::change::{Change, Changes, Dated, Group, ListEntry, MemberList, MembershipChange, Message, Reaction};
use crate::ids::{Scope, State, Time};
use crate::merge::{Fact, rank};
use crate::tables::reaction::emoji;

fn read_at(data: &Object<'_>) -> Result<Time, Rejection> {
    data.time("readAt").flatten().ok_or_else(|| Rejection("data.readAt: expected a unix time".into()))
}

/// The people of a map keyed by uid.
fn people<'a>(data: &Object<'a>, key: &str) -> Vec<(String, Object<'a>)> {
    data.entries(key).into_iter().filter(|(uid, _)| !uid.is_empty()).collect()
}

fn gone(data: &Object<'_>) -> Vec<String> {
    people(data, "gone").into_iter().map(|(uid, _)| uid).collect()
}

fn put_people<'a>(uids: impl IntoIterator<Item = &'a String>, fact: &Fact, out: &mut Changes) {
    for uid in uids {
        out.put_user(uid, fact.copy(None, rank::COPY));
    }
}

/// A person, as the API describes them.
#[derive(Debug)]
struct UserSnapshot {
    at: Time,
    user: UserPart,
}

pub fn user(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let user = data.object("user").as_ref().and_then(UserPart::read).ok_or_else(|| missing("data.user.uid"))?;
    Ok(Box::new(UserSnapshot { at: read_at(data)?, user }))
}

impl Payload for UserSnapshot {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("user", &self.user.uid)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.user.put_fact(fact, out);
    }
}

/// A group, as the API describes it, or that there is none any more.
#[derive(Debug)]
struct GroupSnapshot {
    at: Time,
    group: GroupPart,
    exists: bool,
}

pub fn group(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let group = data.object("group").as_ref().and_then(GroupPart::read).ok_or_else(|| missing("data.group.guid"))?;
    Ok(Box::new(GroupSnapshot { at: read_at(data)?, group, exists: data.flag("exists") != Some(false) }))
}

impl Payload for GroupSnapshot {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        let guid = &self.group.guid;
        let sets = if self.exists { "profile" } else { "lifecycle" };
        vec![Ref::about("group", guid), Ref::sets(sets, guid)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let guid = &self.group.guid;
        if !self.exists {
            out.put(Change::Deletion { guid: guid.clone(), created_at: self.group.created_at });
            return;
        }
        self.group.put_fact(fact, out);
        if self.group.owner.is_some() {
            let telling = Group { owner: self.group.owner.clone(), ..Group::default() }.telling(fact.stamp(rank::FACT));
            out.put(Change::Group { guid: guid.clone(), telling });
        }
        if let Some(created_at) = self.group.created_at {
            out.put(Change::Existence { guid: guid.clone(), created_at });
        }
    }
}

/// The members of a group. An incomplete list says nothing of who is not in it.
#[derive(Debug)]
struct GroupRoster {
    list: MemberList,
    complete: bool,
}

pub fn roster(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let guid = data.id("guid").ok_or_else(|| missing("data.guid"))?;
    let entry = |(uid, member): (String, Object<'_>)| ListEntry {
        uid,
        listed: true,
        scope: member.text("scope").flatten().and_then(|word| Scope::from_word(&word)),
        joined_at: member.time("joinedAt").flatten(),
    };
    let out = |uid| ListEntry { uid, listed: false, scope: None, joined_at: None };
    let listed = people(data, "members").into_iter().map(entry);
    let list = MemberList {
        guid,
        at: read_at(data)?,
        base: data.time("base").flatten(),
        replaces: data.time("replaces").flatten(),
        entries: listed.chain(gone(data).into_iter().map(out)).collect(),
    };
    Ok(Box::new(GroupRoster { list, complete: data.flag("complete") == Some(true) }))
}

impl Payload for GroupRoster {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.list.at)
    }

    /// None for a list that names nobody: a later one may replace it.
    fn refs(&self) -> Vec<Ref> {
        let guid = &self.list.guid;
        if self.list.entries.is_empty() {
            return Vec::new();
        }
        let group = Ref::about("group", guid);
        if self.complete {
            return vec![group, Ref::sets("roster", guid)];
        }
        let members = self.list.entries.iter().map(|entry| Ref::sets_of("membership", &[guid, &entry.uid]));
        [group].into_iter().chain(members).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        out.put_group(&self.list.guid, fact.copy(None, rank::COPY));
        put_people(self.list.entries.iter().map(|entry| &entry.uid), fact, out);
        if self.complete {
            out.put(Change::Roster(self.list.clone()));
        } else {
            for entry in self.list.entries.iter().filter(|entry| entry.listed) {
                out.put(Change::Membership(self.list.says(entry)));
            }
        }
    }
}

/// Who is banned from a group.
#[derive(Debug)]
struct BannedRoster {
    at: Time,
    guid: String,
    banned: Vec<String>,
    gone: Vec<String>,
}

pub fn banned(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let guid = data.id("guid").ok_or_else(|| missing("data.guid"))?;
    let banned = people(data, "banned").into_iter().map(|(uid, _)| uid).collect();
    Ok(Box::new(BannedRoster { at: read_at(data)?, guid, banned, gone: gone(data) }))
}

impl Payload for BannedRoster {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        let guid = &self.guid;
        let people = self.banned.iter().chain(&self.gone).map(|uid| Ref::sets_of("membership", &[guid, uid]));
        [Ref::about("group", guid), Ref::set_by("roster", guid)].into_iter().chain(people).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        out.put_group(&self.guid, fact.copy(None, rank::COPY));
        put_people(self.banned.iter().chain(&self.gone), fact, out);
        for (people, state) in [(&self.banned, State::Banned), (&self.gone, State::Unbanned)] {
            for uid in people {
                out.put(Change::Membership(MembershipChange {
                    guid: self.guid.clone(),
                    uid: uid.clone(),
                    state: Some(state),
                    ..MembershipChange::default()
                }));
            }
        }
    }
}

/// Whom a person blocks.
#[derive(Debug)]
struct BlockedRoster {
    at: Time,
    uid: String,
    /// Since when, where that is told.
    blocked: Vec<(String, Option<Time>)>,
    gone: Vec<String>,
}

pub fn blocked(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let uid = data.id("uid").ok_or_else(|| missing("data.uid"))?;
    let since = |(uid, user): (String, Object<'_>)| (uid, user.time("blockedAt").flatten());
    let blocked = people(data, "blocked").into_iter().map(since).collect();
    Ok(Box::new(BlockedRoster { at: read_at(data)?, uid, blocked, gone: gone(data) }))
}

impl Payload for BlockedRoster {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        let others = self.blocked.iter().map(|(uid, _)| uid).chain(&self.gone);
        let pairs = others.clone().map(|other| Ref::sets_of("block", &[&self.uid, other]));
        let people = [&self.uid].into_iter().chain(others).map(|uid| Ref::about("user", uid));
        people.chain(pairs).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let others = self.blocked.iter().map(|(uid, _)| uid).chain(&self.gone);
        put_people([&self.uid].into_iter().chain(others), fact, out);
        let blocked = self.blocked.iter().map(|(uid, since)| (uid, true, *since));
        for (uid, blocks, since) in blocked.chain(self.gone.iter().map(|uid| (uid, false, None))) {
            out.put(Change::Block { blocker: self.uid.clone(), blocked: uid.clone(), blocks, since });
        }
    }
}

/// A message, as the API has it.
#[derive(Debug)]
struct MessageSnapshot {
    at: Time,
    message: MessagePart,
}

/// What is no chat, an echo of a call or of an act, is a fact of its own time, as a webhook tells it.
pub fn message_snapshot(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let message = message::message(data)?;
    if !message.is_chat() {
        return message::sent(data);
    }
    Ok(Box::new(MessageSnapshot { at: read_at(data)?, message }))
}

impl Payload for MessageSnapshot {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::sets("message", &self.message.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.message.put(fact, Role::Fact(rank::FACT), out);
    }
}

/// Who reacted to a message, and how.
#[derive(Debug)]
struct ReactionsSnapshot {
    at: Time,
    message_id: String,
    reactions: Vec<Reaction>,
}

pub fn reactions(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let at = read_at(data)?;
    let message_id = data.id("messageId").ok_or_else(|| missing("data.messageId"))?;
    let told = |key: &str, added: bool| {
        let reactions = data.entries(key).into_iter().filter_map(|(_, it)| {
            let reacted_at = it.time("reactedAt").flatten().filter(|_| added);
            Some(Reaction {
                message_id: message_id.clone(),
                uid: it.id("uid").or_else(|| it.object("reactedBy")?.id("uid"))?,
                reaction: it.id("reaction")?,
                id: it.id("id").filter(|_| added),
                at: Dated::told(reacted_at.unwrap_or(at)),
                added,
            })
        });
        reactions.collect::<Vec<_>>()
    };
    let reactions = [told("reactions", true), told("gone", false)].concat();
    Ok(Box::new(ReactionsSnapshot { at, message_id, reactions }))
}

impl Payload for ReactionsSnapshot {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        let set = |it: &Reaction| Ref::sets_of("reaction", &[&self.message_id, &it.uid, &emoji(&it.reaction)]);
        [Ref::about("message", &self.message_id)].into_iter().chain(self.reactions.iter().map(set)).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        put_people(self.reactions.iter().map(|it| &it.uid), fact, out);
        out.put_message(&self.message_id, Message::default(), fact.copy(None, rank::COPY));
        for reaction in &self.reactions {
            out.put(Change::Reaction(reaction.clone()));
        }
    }
}
