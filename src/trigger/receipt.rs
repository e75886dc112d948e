//! Receipts: delivered and read, by one person or by all.

use super::parts::{Object, UserPart};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes, Conversation, Dated, Message, ReadMarker, Receipt as Row};
use crate::ids::{ReceiverType, Time};
use crate::merge::{Fact, rank};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Delivered,
    Read,
    DeliveredToAll,
    ReadByAll,
}

#[derive(Debug)]
struct Receipt {
    what: What,
    message_id: String,
    /// Who received or read. Of an aggregate: nobody, whatever the payload says.
    reader: Option<String>,
    reader_part: Option<UserPart>,
    author: Option<String>,
    receiver_type: Option<ReceiverType>,
    receiver: Option<String>,
    at: Option<Time>,
}

pub fn read(data: &Object<'_>, what: What) -> Result<Box<dyn Payload>, Rejection> {
    let body = data.object("body");
    let action = body.as_ref().and_then(|body| body.text("action").flatten());
    // The names are those of the SDK; an aggregate may also come under the plain trigger.
    let what = match action.as_deref() {
        Some("deliveredToAll") => What::DeliveredToAll,
        Some("readByAll") => What::ReadByAll,
        _ => what,
    };
    let reader_part = body.as_ref().and_then(|body| UserPart::read(&body.object("user")?));
    // The older system names the same things directly under `data`.
    let message_id = body.as_ref().and_then(|body| body.id("messageId")).or_else(|| data.id("messageId"));
    let legacy_at = data.time(if what == What::Read { "readAt" } else { "deliveredAt" }).flatten();
    let reader = data
        .id("sender")
        .or_else(|| data.id("receiptSender"))
        .or_else(|| reader_part.as_ref().map(|user| user.uid.clone()));
    let aggregate = matches!(what, What::DeliveredToAll | What::ReadByAll);
    if reader.is_none() && !aggregate {
        return Err(missing("data.sender"));
    }
    Ok(Box::new(Receipt {
        what,
        message_id: message_id.ok_or_else(|| missing("data.body.messageId"))?,
        reader: reader.filter(|_| !aggregate),
        reader_part: reader_part.filter(|_| !aggregate),
        author: data.id("messageSender"),
        receiver_type: data.receiver_type(),
        receiver: data.id("receiver").or_else(|| data.id("receiptReceiver")),
        at: body.as_ref().and_then(|body| body.time("timestamp").flatten()).or(legacy_at),
    }))
}

impl Receipt {
    /// Between whom: the author and, in a 1:1, the reader; in a group, the group.
    fn conversation(&self) -> Option<Conversation> {
        match self.receiver_type? {
            ReceiverType::Group => {
                let sender = self.author.clone().or_else(|| self.reader.clone())?;
                Some(Conversation { sender, receiver_type: ReceiverType::Group, receiver: self.receiver.clone()? })
            }
            ReceiverType::User => {
                let author = self.author.clone().or_else(|| self.receiver.clone())?;
                let other = self.reader.clone().filter(|reader| *reader != author).or_else(|| self.receiver.clone())?;
                Some(Conversation { sender: author, receiver_type: ReceiverType::User, receiver: other })
            }
        }
    }

    /// What a receipt tells of a message that may never have been heard of.
    fn message(&self) -> Message {
        let conversation = self.conversation();
        let told = conversation.as_ref().filter(|_| self.author.is_some());
        Message {
            sender_uid: self.author.clone().map(Some),
            receiver_type: told.map(|it| Some(it.receiver_type.as_str().to_owned())),
            receiver_id: told.map(|it| Some(it.receiver.clone())),
            delivered_to_all_at: self.at.filter(|_| self.what == What::DeliveredToAll).map(Some),
            read_by_all_at: self.at.filter(|_| self.what == What::ReadByAll).map(Some),
            ..Message::default()
        }
    }
}

impl Payload for Receipt {
    fn occurred_at(&self) -> Option<Time> {
        self.at
    }

    fn refs(&self) -> Vec<Ref> {
        let reader = self.reader.as_deref().unwrap_or("");
        vec![Ref::about("message", &self.message_id), Ref::sets_of("receipt", &[&self.message_id, reader])]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        let stub = fact.copy(None, rank::COPY);
        for uid in self.reader.iter().chain(&self.author) {
            out.put_user(uid, stub);
        }
        if let Some(part) = &self.reader_part {
            part.put(fact, out);
        }
        if let (Some(ReceiverType::Group), Some(guid)) = (self.receiver_type, &self.receiver) {
            out.put_group(guid, stub);
        }
        let conversation = self.conversation();
        if let Some(conversation) = &conversation {
            out.put(Change::Conversation(conversation.clone()));
        }
        // Whatever the message itself tells is better known.
        out.put_message(&self.message_id, self.message(), fact.copy(Some(Time(0)), rank::COPY));
        let Some(uid) = self.reader.clone() else { return };
        let dated = Dated::of(fact);
        out.put(Change::Receipt(Row {
            message_id: self.message_id.clone(),
            uid: uid.clone(),
            delivered: (self.what == What::Delivered).then_some(dated),
            read: (self.what == What::Read).then_some(dated),
        }));
        // A read receipt is a high-water mark: clients send one for the newest message of what was opened.
        if let (What::Read, Some(it)) = (self.what, conversation) {
            let message_id = self.message_id.clone();
            out.put(Change::ReadMarker(ReadMarker { conversation: it.key(), uid, message_id, at: self.at }));
        }
    }
}
