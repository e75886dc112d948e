//! `conversations`: how much chat each has, and its last message.

use super::rows::At;
use crate::change::Conversation;
use crate::ids::{ConversationKey, ReceiverType, id_order};
use crate::store::StoreError;
use rusqlite::OptionalExtension;

const PUT: &str = "
    INSERT INTO conversations (app_id, conversation_id, low_length, type, guid, low_uid, high_uid)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT DO NOTHING";
const COUNT: &str = "
    UPDATE conversations SET messages_count = messages_count + ?4
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3";
const STORED: &str = "
    SELECT last_message_id, last_message_at, active_at FROM conversations
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3";
/// Behind the bound are only messages that may not be the last.
const LAST: &str = "
    SELECT message_id, sent_at FROM messages
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND listed AND may_be_last
        AND (sent_at, message_no, message_id) <= (?4, ?5, ?6)
    ORDER BY sent_at DESC, message_no DESC, message_id DESC LIMIT 1";
const NEWEST: &str = "
    SELECT sent_at FROM messages WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3 AND listed
    ORDER BY sent_at DESC, message_no DESC, message_id DESC LIMIT 1";
const WRITE: &str = "
    UPDATE conversations SET last_message_id = ?4, last_message_at = ?5, active_at = ?6
    WHERE app_id = ?1 AND conversation_id = ?2 AND low_length = ?3";

/// A message in the order of its conversation: sent time, number, id.
type Place<'a> = (i64, i64, &'a str);

/// What lists, counts and conversations see of a message.
#[derive(PartialEq)]
pub(super) struct Listing {
    pub conversation: Option<ConversationKey>,
    pub listed: bool,
    pub may_be_last: bool,
    pub sent_at: Option<i64>,
}

impl Listing {
    /// The conversation that lists the message.
    fn shown_in(&self) -> Option<&ConversationKey> {
        self.conversation.as_ref().filter(|_| self.listed)
    }

    /// The place of the message in a conversation, where it may be the last there.
    fn place<'a>(&self, conversation: &ConversationKey, message_id: &'a str) -> Option<Place<'a>> {
        let counts = self.may_be_last && self.shown_in() == Some(conversation);
        self.sent_at.filter(|_| counts).map(|sent_at| (sent_at, id_order(message_id), message_id))
    }
}

pub(super) fn put(at: &At<'_>, conversation: &Conversation) -> Result<(), StoreError> {
    let Conversation { sender, receiver_type, receiver } = conversation;
    let ConversationKey { id, low_length } = conversation.key();
    let group = (*receiver_type == ReceiverType::Group).then_some(receiver);
    let (low, high) = if sender <= receiver { (sender, receiver) } else { (receiver, sender) };
    let pair = group.is_none();
    let row = (at.app_id, id, low_length, receiver_type.as_str(), group, pair.then_some(low), pair.then_some(high));
    at.conn.prepare_cached(PUT)?.execute(row)?;
    Ok(())
}

/// Moves the counts and the last messages of the conversations that list a message, or listed it before. The message
/// itself is written already.
pub(super) fn follow(
    at: &At<'_>,
    message_id: &str,
    conversation: Option<&Conversation>,
    before: &Listing,
    after: &Listing,
) -> Result<(), StoreError> {
    for (listing, change) in [(before, -1), (after, 1)] {
        let Some(key) = listing.shown_in() else { continue };
        if let Some(conversation) = conversation {
            put(at, conversation)?;
        }
        at.conn.prepare_cached(COUNT)?.execute((at.app_id, &key.id, key.low_length, change))?;
    }
    let mut touched: Vec<&ConversationKey> = [before, after].into_iter().filter_map(Listing::shown_in).collect();
    touched.dedup();
    touched.into_iter().try_for_each(|conversation| settle_last(at, conversation, message_id, before, after))
}

/// Looks for the last message only where it was this one: a conversation may hold any number of messages that may not be
/// the last.
fn settle_last(
    at: &At<'_>,
    conversation: &ConversationKey,
    message_id: &str,
    before: &Listing,
    after: &Listing,
) -> Result<(), StoreError> {
    let ConversationKey { id, low_length } = conversation;
    let key = (at.app_id, id, low_length);
    let stored: Option<(Option<String>, Option<i64>, Option<i64>)> =
        at.conn.prepare_cached(STORED)?.query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((stored_id, stored_at, stored_active_at)) = stored else { return Ok(()) };
    let place = |listing: &Listing| listing.place(conversation, message_id);
    let known = stored_id.as_deref().zip(stored_at).map(|(last, sent_at)| (sent_at, id_order(last), last));
    let was_last = known.is_some_and(|(_, _, last)| last == message_id);
    let found: Option<(String, i64)>;
    let last = if was_last {
        let (sent_at, no, newest) = place(before).max(place(after)).unwrap_or((i64::MAX, i64::MAX, message_id));
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let bound = (at.app_id, id, low_length, sent_at, no, newest);
        found = at.conn.prepare_cached(LAST)?.query_row(bound, read).optional()?;
        found.as_ref().map(|(last, sent_at)| (last.as_str(), *sent_at))
    } else {
        known.max(place(after)).map(|(sent_at, _, last)| (last, sent_at))
    };
    let (last_id, last_at) = last.unzip();
    let active_at = match last_at {
        Some(last_at) => Some(last_at),
        None => at.conn.prepare_cached(NEWEST)?.query_row(key, |row| row.get(0)).optional()?,
    };
    if (last_id, last_at, active_at) != (stored_id.as_deref(), stored_at, stored_active_at) {
        at.conn.prepare_cached(WRITE)?.execute((at.app_id, id, low_length, last_id, last_at, active_at))?;
    }
    Ok(())
}
