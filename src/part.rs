//! A part of the tables: the rows that may change when a few events of the log are written anew.
//!
//! A change reads and writes the rows of its own entity alone ([`Piece`]). So these rows follow from the changes that name
//! the entity, and from their facts. An entity of which the events say the same before and after
//! keeps its rows. All events that name one of the others are folded again, and of each event only the changes of these.
//!
//! Three things look at more than one entity, and whoever folds a part takes care of them:
//!
//! - A conversation counts the messages that it lists.
//! - An event is judged as a whole: where folding a part judges one otherwise than the log does, the whole log is to be
//!   folded.
//! - Horizons decide about events of the whole app. They are folded with every part. If an event that is written anew
//!   tells one, there is no part ([`Part::is_whole`]).

use crate::change::{Change, Changes};
use crate::envelope::Envelope;
use crate::ids::{ConversationKey, Outcome, TimeSource};
use crate::merge::Fact;
use crate::trigger::{Ref, Role};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// An entity whose rows depend on no rows of another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// Profile, presence and connections.
    User(String),
    /// Profile, memberships and member lists.
    Group(String),
    /// The message itself, its edits, its verdict.
    Message(String),
    /// Message and reader.
    Receipt(String, String),
    /// Message and person.
    Reaction(String, String),
    /// Conversation and reader.
    Marker(ConversationKey, String),
    Conversation(ConversationKey),
    /// Who blocks whom.
    Block(String, String),
    /// All calls of one session key.
    Call(String),
}

impl Piece {
    /// The message that it is.
    pub fn message(&self) -> Option<&String> {
        match self {
            Self::Message(id) => Some(id),
            _ => None,
        }
    }

    /// `None`: a horizon, which is of the whole app.
    fn of(change: &Change) -> Option<Self> {
        Some(match change {
            Change::User { uid, .. } | Change::Presence { uid, .. } | Change::Connection { uid, .. } => {
                Self::User(uid.clone())
            }
            Change::Group { guid, .. }
            | Change::Creation { guid, .. }
            | Change::Existence { guid, .. }
            | Change::Deletion { guid, .. } => Self::Group(guid.clone()),
            Change::Membership(it) => Self::Group(it.guid.clone()),
            Change::Roster(it) => Self::Group(it.guid.clone()),
            Change::Message { message_id, .. } | Change::Moderation { message_id, .. } => {
                Self::Message(message_id.clone())
            }
            Change::MessageEdit(it) => Self::Message(it.message_id.clone()),
            Change::Conversation(it) => Self::Conversation(it.key()),
            Change::Receipt(it) => Self::Receipt(it.message_id.clone(), it.uid.clone()),
            Change::ReadMarker(it) => Self::Marker(it.conversation.clone(), it.uid.clone()),
            Change::Reaction(it) => Self::Reaction(it.message_id.clone(), it.uid.clone()),
            Change::Block { blocker, blocked, .. } => Self::Block(blocker.clone(), blocked.clone()),
            Change::Call { session_key, .. } => Self::Call(session_key.clone()),
            Change::Horizon { .. } => return None,
        })
    }
}

/// Whether what a change does depends on nothing of the event but what the change says. Other changes look at the
/// fingerprint of the event too.
fn says_all(change: &Change) -> bool {
    !matches!(
        change,
        Change::Creation { .. }
            | Change::Deletion { .. }
            | Change::Membership(_)
            | Change::Roster(_)
            | Change::Block { .. }
    )
}

/// Whether two changes of one piece do the same.
fn do_the_same(one: &Change, other: &Change) -> bool {
    match (one, other) {
        // The key tells the parties.
        (Change::Conversation(_), Change::Conversation(_)) => true,
        _ => says_all(one) && one == other,
    }
}

/// An entry of `event_refs`: kind, key, log position.
pub type Reference = (&'static str, String, i64);

/// The rows of one app that may change.
#[derive(Debug, Clone, Default)]
pub struct Part {
    pub app_id: String,
    pub pieces: HashSet<Piece>,
    /// The references of the events before these were written anew.
    pub references: BTreeSet<Reference>,
    /// Log positions of the events that were written anew.
    events: HashSet<i64>,
    /// The part cannot be told: everything may change.
    pub is_whole: bool,
}

impl Part {
    pub fn of(app_id: &str) -> Self {
        Self { app_id: app_id.to_owned(), ..Self::default() }
    }

    /// The event of this fact is written anew.
    pub fn add(&mut self, fact: &Fact, before: &Envelope, after: &Envelope) {
        let is_alike = (&before.app_id, &before.trigger, before.told_at, before.outcome)
            == (&after.app_id, &after.trigger, after.told_at, after.outcome);
        let is_dated = before.told_at.is_none_or(|at| (fact.occurred_from, fact.occurred_at) == (TimeSource::Told, at));
        self.is_whole |= !is_alike || !is_dated || before.app_id != self.app_id;
        self.events.insert(fact.seq);
        let spoken = before.payload.iter().flat_map(|payload| payload.refs());
        self.references
            .extend(spoken.filter(|it| it.role != Role::SetBy).map(|Ref { kind, key, .. }| (kind, key, fact.seq)));
        let (was, is) = (changes(before, fact), changes(after, fact));
        let (was, is) = (by_piece(&was), by_piece(&is));
        for (piece, changes) in was.iter().chain(&is) {
            let (was, is) = (was.get(piece), is.get(piece));
            let stays = was.zip(is).is_some_and(|(was, is)| {
                was.len() == is.len() && was.iter().zip(is).all(|(one, other)| do_the_same(one, other))
            });
            match piece {
                None => self.is_whole |= !changes.is_empty(),
                Some(piece) if !stays => drop(self.pieces.insert(piece.clone())),
                Some(_) => {}
            }
        }
    }

    /// Keeps the changes of the part.
    pub fn cut_out(&self, changes: &mut Changes) {
        changes.retain(|change| Piece::of(change).is_none_or(|piece| self.pieces.contains(&piece)));
    }

    /// Whether the event at a log position was written anew.
    pub fn is_anew(&self, seq: i64) -> bool {
        self.events.contains(&seq)
    }
}

fn changes(envelope: &Envelope, fact: &Fact) -> Changes {
    let mut changes = Changes::default();
    if let Some(payload) = envelope.payload.as_ref().filter(|_| envelope.outcome == Outcome::Applied) {
        payload.reduce(&Fact { fingerprint: envelope.fingerprint, ..fact.clone() }, &mut changes);
    }
    changes
}

fn by_piece(changes: &Changes) -> BTreeMap<Option<Piece>, Vec<&Change>> {
    let mut all: BTreeMap<Option<Piece>, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        all.entry(Piece::of(change)).or_default().push(change);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Time;

    fn sent(sender: &str, text: &str) -> Envelope {
        let body = format!(
            r#"{{"trigger":"message_sent","appId":"a","data":{{"message":{{"id":"7","sender":"{sender}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":1767614400,"data":{{"text":"{text}","entities":{{"receiver":{{"entity":{{"guid":"g","name":"G"}},"entityType":"group"}}}}}}}}}}}}"#
        );
        Envelope::parse(body.as_bytes()).unwrap()
    }

    fn fact(envelope: &Envelope) -> Fact {
        Fact {
            seq: 5,
            trigger: envelope.trigger.clone(),
            received_at: Time(1_767_614_401_000),
            arrived_at: None,
            occurred_at: envelope.told_at.unwrap(),
            occurred_from: TimeSource::Told,
            floor: None,
            fingerprint: envelope.fingerprint,
        }
    }

    #[test]
    fn a_message_without_its_sender_touches_neither_its_group_nor_its_conversation() {
        let (before, after) = (sent("ann", "hi"), sent("erased-1", ""));
        let mut part = Part::of("a");
        part.add(&fact(&before), &before, &after);
        let touched = [Piece::User("ann".into()), Piece::User("erased-1".into()), Piece::Message("7".into())];
        assert_eq!(part.pieces, touched.into());
        assert!(!part.is_whole && part.is_anew(5) && !part.is_anew(6));
    }

    #[test]
    fn an_event_that_tells_another_time_than_the_log_has_leaves_no_part() {
        let (before, after) = (sent("ann", "hi"), sent("erased-1", ""));
        let mut part = Part::of("a");
        part.add(&Fact { occurred_at: Time(1), ..fact(&before) }, &before, &after);
        assert!(part.is_whole);
    }
}
