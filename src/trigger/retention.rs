//! What chatfold tells of its own log: up to when events of a family were cut, and what an event that was cut told of
//! people and groups.

use super::parts::{GroupPart, Object, UserPart};
use super::{Payload, Ref, Rejection};
use crate::change::{Change, Changes};
use crate::ids::Time;
use crate::merge::{Fact, Stamp};

#[derive(Debug)]
struct Cut {
    family: String,
    before: Time,
    last_id: i64,
    at: Time,
}

pub fn cut(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let time = |key: &str| {
        let expected = || Rejection(format!("data.{key}: expected a unix time"));
        data.time(key).flatten().ok_or_else(expected)
    };
    let family = data.text("family").flatten().ok_or_else(|| Rejection("data.family: expected text".into()))?;
    let last_id = data.int("lastId").flatten().unwrap_or(-1);
    Ok(Box::new(Cut { family, before: time("before")?, last_id, at: time("cutAt")? }))
}

impl Payload for Cut {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        Vec::new()
    }

    fn reduce(&self, _: &Fact, out: &mut Changes) {
        out.put(Change::Horizon { family: self.family.clone(), before: self.before, last_id: self.last_id });
    }
}

/// What is left of an event about messages that were cut: the people and groups that it described.
#[derive(Debug)]
struct Kept {
    at: Option<Time>,
    users: Vec<(Order, UserPart)>,
    groups: Vec<(Order, GroupPart)>,
}

/// How the description is ordered among others: its own time, else that of the event, and its rank.
#[derive(Debug)]
struct Order {
    at: Option<Time>,
    rank: u8,
}

impl Order {
    fn read(entry: &Object<'_>) -> Self {
        let rank = entry.int("rank").flatten().and_then(|rank| u8::try_from(rank).ok());
        Self { at: entry.time("at").flatten(), rank: rank.unwrap_or_default() }
    }

    fn stamp(&self, fact: &Fact) -> Stamp {
        fact.copy(self.at, self.rank)
    }
}

pub fn kept(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let entries = |key: &str| data.entries(key).into_iter().map(|(_, entry)| (Order::read(&entry), entry));
    let user = |(order, entry): (Order, Object<'_>)| Some((order, UserPart::read(&entry.object("user")?)?));
    let group = |(order, entry): (Order, Object<'_>)| Some((order, GroupPart::read(&entry.object("group")?)?));
    Ok(Box::new(Kept {
        at: data.time("at").flatten(),
        users: entries("users").filter_map(user).collect(),
        groups: entries("groups").filter_map(group).collect(),
    }))
}

impl Payload for Kept {
    fn occurred_at(&self) -> Option<Time> {
        self.at
    }

    fn refs(&self) -> Vec<Ref> {
        Vec::new()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        for (order, user) in &self.users {
            user.put_under(order.stamp(fact), out);
        }
        for (order, group) in &self.groups {
            let telling = group.row.clone().telling(order.stamp(fact));
            out.put(Change::Group { guid: group.guid.clone(), telling });
        }
    }
}
