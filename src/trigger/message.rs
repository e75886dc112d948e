//! Messages: sent, edited, deleted, mentioned, pinned.

use super::message_part::{MessagePart, Role};
use super::parts::Object;
use super::{Payload, Ref, Rejection, call, missing};
use crate::change::{Changes, Dated, Message};
use crate::ids::Time;
use crate::merge::{Fact, rank};

/// The message of a payload: `data.message`, or `data` itself in the older system.
fn object<'a>(data: &Object<'a>) -> Object<'a> {
    data.object("message").unwrap_or_else(|| data.clone())
}

pub(super) fn message(data: &Object<'_>) -> Result<MessagePart, Rejection> {
    MessagePart::read(&object(data)).ok_or_else(|| missing("data.message.id"))
}

/// The message inside an action on it, if this is one.
fn acted_on(outer: &Object<'_>) -> Option<MessagePart> {
    let is_action = outer.text("category").flatten().as_deref() == Some("action");
    if is_action { MessagePart::read(&outer.entity("on")?) } else { None }
}

/// A new message. Edits, deletions, joins and calls echo here too, as messages of category `action` or `call`; such
/// an echo may carry facts about the message it is about, and is none itself.
#[derive(Debug)]
struct Sent {
    message: MessagePart,
    echoed: Option<MessagePart>,
    deletes: bool,
}

pub fn sent(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let outer = object(data);
    let message = message(data)?;
    if outer.text("category").flatten().as_deref() == Some("call") {
        return call::echo(&outer, message);
    }
    let deletes = outer.object("data").and_then(|data| data.text("action").flatten()).as_deref() == Some("deleted");
    let about_message = outer.text("type").flatten().as_deref() == Some("message");
    Ok(Box::new(Sent { echoed: acted_on(&outer).filter(|_| about_message), message, deletes }))
}

impl Payload for Sent {
    fn occurred_at(&self) -> Option<Time> {
        self.message.row.sent_at.flatten()
    }

    fn refs(&self) -> Vec<Ref> {
        let echoed = self.echoed.iter().map(|message| Ref::about("message", &message.id));
        std::iter::once(Ref::sets("message", &self.message.id)).chain(echoed).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.message.put(fact, Role::Fact(rank::FACT), out);
        self.message.put_counts(fact, out);
        if let Some(echoed) = &self.echoed {
            echoed.put(fact, Role::Copy, out);
            if self.deletes && echoed.deleted_at().is_none() {
                let undated = fact.copy(Some(Time(0)), rank::DELETED_COPY);
                echoed.put_deletion(Dated::of(fact), self.message_sender(), undated, out);
            }
        }
    }
}

impl Sent {
    fn message_sender(&self) -> Option<String> {
        self.message.row.sender_uid.clone().flatten()
    }
}

/// An edit or deletion, in either shape: documented, an action message around the message; live, the message itself.
#[derive(Debug)]
struct Acted {
    message: MessagePart,
    /// The action around it: its time and its actor.
    action: Option<MessagePart>,
    actor: Option<String>,
}

fn acted(data: &Object<'_>) -> Result<Acted, Rejection> {
    let outer = object(data);
    // The action's own id names nothing that is kept.
    let whole = MessagePart::read_as(outer.id("id").unwrap_or_default(), &outer);
    if whole.is_chat() {
        return Ok(Acted { message: message(data)?, action: None, actor: None });
    }
    let message = acted_on(&outer).ok_or_else(|| missing("data.message.data.entities.on.entity.id"))?;
    let by = outer.entity("by").and_then(|by| by.id("uid"));
    let actor = by.or_else(|| whole.row.sender_uid.clone().flatten());
    Ok(Acted { message, action: Some(whole), actor })
}

impl Acted {
    fn action_at(&self) -> Option<Time> {
        self.action.as_ref()?.row.sent_at.flatten()
    }

    fn put_action(&self, fact: &Fact, out: &mut Changes) {
        if let Some(action) = &self.action {
            action.put_people(fact, out);
        }
    }
}

#[derive(Debug)]
struct Edited(Acted);

pub fn edited(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let mut acted = acted(data)?;
    acted.message.edited_by = acted.message.edited_by.take().or_else(|| acted.actor.clone());
    acted.message.edited_at = acted.message.edited_at.or_else(|| acted.action_at());
    Ok(Box::new(Edited(acted)))
}

impl Payload for Edited {
    fn occurred_at(&self) -> Option<Time> {
        self.0.message.edited_at
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::sets("message", &self.0.message.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put_action(fact, out);
        self.0.message.put(fact, Role::Fact(rank::EDITED), out);
    }
}

/// The message inside is sparse: a tombstone takes nothing from the action around it but who deleted and when, for in
/// a group an admin may delete what others sent.
#[derive(Debug)]
struct Deleted(Acted);

pub fn deleted(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    Ok(Box::new(Deleted(acted(data)?)))
}

impl Payload for Deleted {
    fn occurred_at(&self) -> Option<Time> {
        self.0.message.deleted_at().or_else(|| self.0.action_at())
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::sets("message", &self.0.message.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put_action(fact, out);
        let message = &self.0.message;
        message.put(fact, Role::Copy, out);
        let at = message.deleted_at().map_or_else(|| Dated::of(fact), Dated::told);
        let by = message.deleted_by().or_else(|| self.0.actor.clone());
        message.put_deletion(at, by, fact.stamp(rank::DELETED), out);
    }
}

/// Fires beside `message_sent` for the same message.
#[derive(Debug)]
struct Mentioned(MessagePart);

pub fn mentioned(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    Ok(Box::new(Mentioned(message(data)?)))
}

impl Payload for Mentioned {
    fn occurred_at(&self) -> Option<Time> {
        self.0.row.sent_at.flatten()
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::sets("message", &self.0.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put(fact, Role::Copy, out);
    }
}

#[derive(Debug)]
struct Pinned(MessagePart);

pub fn pinned(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    Ok(Box::new(Pinned(message(data)?)))
}

impl Payload for Pinned {
    fn occurred_at(&self) -> Option<Time> {
        self.0.pinned_at()
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("message", &self.0.id), Ref::sets("pin", &self.0.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put(fact, Role::Copy, out);
        let dated = self.0.pinned_at().map_or_else(|| Dated::of(fact), Dated::told);
        out.put_message(&self.0.id, self.0.pin(dated), fact.stamp(rank::FACT));
    }
}

#[derive(Debug)]
struct Unpinned(MessagePart);

pub fn unpinned(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    // The snapshot may still show the pin that is being taken away.
    Ok(Box::new(Unpinned(message(data)?.without_pin())))
}

impl Payload for Unpinned {
    fn occurred_at(&self) -> Option<Time> {
        None
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("message", &self.0.id), Ref::sets("pin", &self.0.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.0.put(fact, Role::Copy, out);
        let row =
            Message { pinned_at: Some(None), pinned_at_from: Some(None), pinned_by: Some(None), ..Message::default() };
        out.put_message(&self.0.id, row, fact.stamp(rank::FACT));
    }
}
