//! Reactions: added and taken back.

use super::parts::{Object, UserPart};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes, Dated, Message, Reaction as Row};
use crate::ids::Time;
use crate::merge::{Fact, rank};
use crate::tables::reaction::emoji;

#[derive(Debug)]
struct Reaction {
    id: Option<String>,
    message_id: String,
    reaction: String,
    uid: String,
    by: Option<UserPart>,
    /// When it was added, even where the event takes it back.
    reacted_at: Option<Time>,
    added: bool,
}

pub fn read(data: &Object<'_>, added: bool) -> Result<Box<dyn Payload>, Rejection> {
    let object = data.object("reaction").ok_or_else(|| missing("data.reaction"))?;
    let by = object.object("reactedBy").as_ref().and_then(UserPart::read);
    let uid = object.id("uid").or_else(|| by.as_ref().map(|by| by.uid.clone()));
    Ok(Box::new(Reaction {
        id: object.id("id"),
        message_id: object.id("messageId").ok_or_else(|| missing("data.reaction.messageId"))?,
        reaction: object.id("reaction").ok_or_else(|| missing("data.reaction.reaction"))?,
        uid: uid.ok_or_else(|| missing("data.reaction.uid"))?,
        by,
        reacted_at: object.time("reactedAt").flatten(),
        added,
    }))
}

impl Payload for Reaction {
    fn occurred_at(&self) -> Option<Time> {
        self.reacted_at.filter(|_| self.added)
    }

    fn refs(&self) -> Vec<Ref> {
        vec![
            Ref::about("message", &self.message_id),
            Ref::sets_of("reaction", &[&self.message_id, &self.uid, &emoji(&self.reaction)]),
        ]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let stub = fact.copy(None, rank::COPY);
        match &self.by {
            Some(by) => by.put(fact, out),
            None => out.put_user(&self.uid, stub),
        }
        out.put_user(&self.uid, stub);
        out.put_message(&self.message_id, Message::default(), stub);
        out.put(Change::Reaction(Row {
            message_id: self.message_id.clone(),
            uid: self.uid.clone(),
            reaction: self.reaction.clone(),
            id: self.id.clone(),
            at: self.reacted_at.map_or_else(|| Dated::of(fact), Dated::told),
            added: self.added,
        }));
    }
}
