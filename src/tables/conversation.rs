//! A conversation: how much chat it has, and its last message.

use crate::change;
use crate::ids::{ConversationKey, ReceiverType, id_order};

/// A message in the order of its conversation: sent time, number, id.
pub type Place<'a> = (i64, i64, &'a str);

/// The parties of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parties {
    Group {
        guid: String,
    },
    /// In ascending order of the uids.
    Pair {
        low: String,
        high: String,
    },
}

impl change::Conversation {
    pub fn parties(&self) -> Parties {
        let Self { sender, receiver_type, receiver } = self;
        let (low, high) = if sender <= receiver { (sender, receiver) } else { (receiver, sender) };
        match receiver_type {
            ReceiverType::Group => Parties::Group { guid: receiver.clone() },
            ReceiverType::User => Parties::Pair { low: low.clone(), high: high.clone() },
        }
    }
}

/// The last message: its time and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    pub sent_at: i64,
    pub message_id: String,
}

impl Last {
    pub fn place(&self) -> Place<'_> {
        (self.sent_at, id_order(&self.message_id), &self.message_id)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// `None` only until the row is made.
    pub parties: Option<Parties>,
    /// Chat that is not deleted and not blocked.
    pub messages_count: i64,
    pub last: Option<Last>,
    /// The time that places the conversation in lists: that of its last message, else that of its newest chat. `None`:
    /// lists leave the conversation out.
    pub active_at: Option<i64>,
}

/// What lists, counts and conversations see of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub conversation: Option<ConversationKey>,
    /// Chat, not deleted, not blocked, its time known.
    pub listed: bool,
    pub may_be_last: bool,
    pub sent_at: Option<i64>,
}

impl Listing {
    /// The conversation that lists the message, if any.
    pub fn shown_in(&self) -> Option<&ConversationKey> {
        self.conversation.as_ref().filter(|_| self.listed)
    }
}

impl Conversation {
    /// Lists a message from now on.
    pub fn list(&mut self, message_id: &str, listing: &Listing) {
        self.messages_count += 1;
        let Some(sent_at) = listing.sent_at else { return };
        let new = Last { sent_at, message_id: message_id.to_owned() };
        if listing.may_be_last && self.last.as_ref().is_none_or(|last| new.place() > last.place()) {
            self.active_at = Some(sent_at);
            self.last = Some(new);
        } else if self.last.is_none() {
            self.active_at = self.active_at.max(Some(sent_at));
        }
    }

    /// Lists a message no more. True if another message has to be found: the new last message, or, without a last
    /// message, the newest chat.
    pub fn unlist(&mut self, message_id: &str, listing: &Listing) -> bool {
        self.messages_count -= 1;
        match &self.last {
            Some(last) => last.message_id == message_id,
            None => self.active_at == listing.sent_at,
        }
    }
}
