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

    /// Takes the last message of those that are left. If there is none, `newest` finds the time of the newest chat that
    /// is left.
    pub fn relist<E>(&mut self, last: Option<Last>, newest: impl FnOnce() -> Result<Option<i64>, E>) -> Result<(), E> {
        self.active_at = match &last {
            Some(last) => Some(last.sent_at),
            None => newest()?,
        };
        self.last = last;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(sent_at: i64, may_be_last: bool) -> Listing {
        Listing { conversation: None, listed: true, may_be_last, sent_at: Some(sent_at) }
    }

    #[test]
    fn the_last_message_is_the_latest_then_the_greatest_number() {
        let messages = [("9", 50), ("10", 50), ("8", 40)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut conversation = Conversation::default();
            order.iter().for_each(|place| conversation.list(messages[*place].0, &listing(messages[*place].1, true)));
            assert_eq!(conversation.last, Some(Last { sent_at: 50, message_id: "10".into() }), "{order:?}");
            assert_eq!((conversation.messages_count, conversation.active_at), (3, Some(50)));
        }
    }

    #[test]
    fn a_message_that_may_not_be_last_places_the_conversation_only_where_no_other_does() {
        let mut conversation = Conversation::default();
        conversation.list("5", &listing(70, false));
        assert_eq!((&conversation.last, conversation.active_at), (&None, Some(70)));
        conversation.list("4", &listing(60, true));
        assert_eq!(conversation.active_at, Some(60));
        conversation.list("6", &listing(80, false));
        assert_eq!(conversation.active_at, Some(60));
    }

    #[test]
    fn another_last_message_is_looked_for_only_when_the_last_one_goes() {
        let mut conversation = Conversation::default();
        conversation.list("4", &listing(60, true));
        conversation.list("5", &listing(70, true));
        assert!(!conversation.unlist("4", &listing(60, true)));
        assert!(conversation.unlist("5", &listing(70, true)));
        assert_eq!(conversation.messages_count, 0);
    }

    #[test]
    fn what_is_left_places_the_conversation() {
        let mut conversation = Conversation::default();
        conversation.list("5", &listing(70, true));
        let last = Last { sent_at: 60, message_id: "4".into() };
        let newest = |at: Option<i64>| move || Ok::<_, std::convert::Infallible>(at);
        assert_eq!(conversation.relist(Some(last.clone()), newest(Some(65))), Ok(()));
        assert_eq!((&conversation.last, conversation.active_at), (&Some(last), Some(60)));
        assert_eq!(conversation.relist(None, newest(Some(50))), Ok(()));
        assert_eq!((&conversation.last, conversation.active_at), (&None, Some(50)));
        assert_eq!(conversation.relist(None, newest(None)), Ok(()));
        assert_eq!(conversation.active_at, None, "no list holds the conversation");
    }

    #[test]
    fn a_pair_is_the_same_from_either_side() {
        let parties = |sender: &str, receiver: &str| {
            change::Conversation { sender: sender.into(), receiver_type: ReceiverType::User, receiver: receiver.into() }
                .parties()
        };
        assert_eq!(parties("bob", "ann"), Parties::Pair { low: "ann".into(), high: "bob".into() });
        assert_eq!(parties("ann", "bob"), parties("bob", "ann"));
    }
}
