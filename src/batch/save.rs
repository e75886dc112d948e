//! Saves a batch: first what the messages change in conversations and in the full-text index, then every table, in the
//! order of its keys.

use super::Batch;
use crate::change;
use crate::store::StoreError;
use crate::store::sqlite::{
    self, App, Connection, ConversationKey, Key, call, conversation, edit, events, group, membership, message,
    reaction, search,
};
use crate::tables::conversation::{Last, Listing};
use std::collections::BTreeMap;

/// A message whose place in its conversation changed.
struct Moved {
    key: Key,
    before: Listing,
    after: Listing,
    conversation: Option<change::Conversation>,
}

impl Batch {
    /// Saves everything that the batch changed. The caller commits. If the commit fails, the caller forgets the batch.
    pub fn save(&mut self, conn: &Connection) -> Result<(), StoreError> {
        self.save_refs(conn)?;
        for ((app, minute, trigger, outcome), (n, last_at)) in std::mem::take(&mut self.counts) {
            events::count(conn, &(app, minute, trigger, outcome), n, last_at)?;
        }
        for seq in self.dropped.drain(..) {
            events::remove(conn, seq)?;
        }
        self.kept_dropped = 0;
        let (moved, texts) = self.moved(conn)?;
        let carried = self.carried.take().unwrap_or_else(|| self.carried());
        let tables = &mut self.tables;
        tables.apps.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.feeds.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.numbers.save(|key, _, now| search::save_number(conn, key, now))?;
        tables.users.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.groups.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.rosters.save(|key, stored, now| group::save_rosters(conn, key, stored, now))?;
        tables.memberships.save(|key, _, now| membership::save(conn, key, now))?;
        tables.membership_facts.save(|key, stored, now| membership::save_facts(conn, key, stored, now))?;
        tables.messages.save(|key, _, now| message::save(conn, key, now))?;
        carried.iter().try_for_each(|row| message::save_carried(conn, row))?;
        tables.edits.save(|key, stored, now| edit::save(conn, key, stored, now))?;
        tables.verdicts.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.reactions.save(|key, stored, now| reaction::save(conn, key, stored, now))?;
        tables.receipts.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.read_markers.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.presence.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.connections.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.blocks.save(|key, _, now| sqlite::save(conn, key, now))?;
        tables.sessions.save(|key, stored, now| call::save(conn, key, stored, now))?;
        tables.horizons.save(|key, _, now| sqlite::save(conn, key, now))?;
        self.follow(conn, &moved)?;
        self.tables.conversations.save(|key, _, now| conversation::save(conn, key, now))?;
        search::save(conn, texts)?;
        self.tables.forget_old(self.cache);
        Ok(())
    }

    fn save_refs(&mut self, conn: &Connection) -> Result<(), StoreError> {
        self.refs.sort_unstable();
        self.refs.dedup();
        for (key, seq) in self.refs.drain(..) {
            events::refer(conn, &key, seq)?;
        }
        self.newest_refs.clear();
        self.kept_refs = 0;
        Ok(())
    }

    /// Tags and mentions that changed with the messages.
    pub(super) fn carried(&self) -> Vec<message::Carried> {
        let mut rows = Vec::new();
        for (key, stored, now) in self.tables.messages.changed() {
            message::carried(key, stored, now, &mut rows);
        }
        rows
    }

    /// The messages whose place in a conversation changed, and the texts that the full-text index needs.
    fn moved(&mut self, conn: &Connection) -> Result<(Vec<Moved>, Vec<search::Reindexed>), StoreError> {
        let (mut moved, mut texts) = (Vec::new(), Vec::new());
        for (key, stored, now) in self.tables.messages.changed() {
            let before = stored.map(|it| it.shown.listing.clone()).unwrap_or_default();
            let after = now.shown.listing.clone();
            if before != after {
                moved.push(Moved { key: key.clone(), before, after, conversation: now.conversation() });
            }
            let (was, text) = (stored.and_then(|it| it.searched()), now.searched());
            if was != text {
                texts.push((key.clone(), was.map(str::to_owned), text.map(str::to_owned)));
            }
        }
        let mut indexed = Vec::with_capacity(texts.len());
        for ((app, message_id), was, text) in texts {
            let number = self.tables.numbers.get(&app, || search::load_number(conn, &app))?;
            if let Some(rowid) = number.and_then(|number| search::rowid(*number, &message_id)) {
                indexed.push((rowid, was, text));
            }
        }
        Ok((moved, indexed))
    }

    /// Moves the counts and last messages of conversations. The messages are saved already.
    fn follow(&mut self, conn: &Connection, moved: &[Moved]) -> Result<(), StoreError> {
        // Conversations that lost their last message, and that message.
        let mut lost: BTreeMap<ConversationKey, Option<Last>> = BTreeMap::new();
        for Moved { key: (app, message_id), before, after, conversation: told } in moved {
            for (listing, is_listed) in [(before, false), (after, true)] {
                let Some(conversation) = listing.shown_in() else { continue };
                let key = (App::clone(app), conversation.clone());
                let conversation = self.tables.conversations.edit(&key, || sqlite::load(conn, &key))?;
                if conversation.parties.is_none() {
                    conversation.parties = told.as_ref().map(change::Conversation::parties);
                }
                if is_listed {
                    conversation.list(message_id, listing);
                } else {
                    let last = conversation.last.clone();
                    if conversation.unlist(message_id, listing) {
                        lost.entry(key).or_insert(last);
                    }
                }
            }
        }
        for (key, was) in lost {
            let conversation = self.tables.conversations.edit(&key, || sqlite::load(conn, &key))?;
            let bound = conversation.last.clone().into_iter().chain(was).max_by(|a, b| a.place().cmp(&b.place()));
            let last = conversation::last(conn, &key, bound.as_ref())?;
            conversation.relist(last, || conversation::newest(conn, &key))?;
        }
        Ok(())
    }
}
