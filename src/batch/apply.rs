//! Finds the rows that a change is about. `tables` decides what the change does to each row.

use super::Batch;
use crate::change::{self, Change, MembershipChange, MessageEdit, Reaction};
use crate::ids::id_number;
use crate::merge::{Fact, Row, Telling};
use crate::sessions::CallFact;
use crate::standing::Standing;
use crate::store::StoreError;
use crate::store::sqlite::{self, App, Connection, Key, PairKey, call, edit, group, membership, message, reaction};
use crate::tables::horizon::Horizon;
use crate::tables::membership::Membership;
use crate::tables::message::Effects;
use crate::tables::reaction::emoji;

impl Batch {
    /// Applies one change to the rows it is about.
    pub fn apply(&mut self, conn: &Connection, app: &App, fact: &Fact, change: Change) -> Result<(), StoreError> {
        #[cfg(test)]
        assert!(**app != *super::PANICS || !matches!(change, Change::Message { .. }));
        #[cfg(test)]
        if let Some(code) = app.strip_prefix(super::FAILS).and_then(|code| code.parse().ok()) {
            return Err(StoreError::of_code(code));
        }
        let key = |id: String| (App::clone(app), id);
        match change {
            Change::User { uid, telling } => self.user(conn, &key(uid), telling),
            Change::Group { guid, telling } => self.group(conn, &key(guid), telling),
            Change::Creation { guid, at } => self.creation(conn, &key(guid), fact, at),
            Change::Deletion { guid, created_at } => {
                let key = key(guid);
                self.tables.groups.edit(&key, || sqlite::load(conn, &key))?.delete(fact, created_at);
                Ok(())
            }
            Change::Existence { guid, created_at } => {
                let key = key(guid);
                self.tables.groups.edit(&key, || sqlite::load(conn, &key))?.exist(created_at);
                Ok(())
            }
            Change::Membership(told) => self.membership(conn, app, fact, &told),
            Change::Roster(list) => self.list(conn, app, fact, &list),
            Change::Message { message_id, telling, deleted } => self.message(conn, &key(message_id), telling, deleted),
            Change::MessageEdit(told) => self.message_edit(conn, app, told),
            Change::Conversation(told) => {
                let key = (App::clone(app), told.key());
                let known = self.tables.conversations.get(&key, || sqlite::load(conn, &key))?.is_some();
                if !known {
                    self.tables.conversations.edit(&key, || Ok::<_, StoreError>(None))?.parties = Some(told.parties());
                }
                Ok(())
            }
            Change::Receipt(told) => {
                let key = (App::clone(app), told.message_id.clone(), told.uid.clone());
                self.tables.receipts.edit(&key, || sqlite::load(conn, &key))?.apply(&told);
                Ok(())
            }
            Change::ReadMarker(told) => {
                let is_number = id_number(&told.message_id).is_some();
                let key = (App::clone(app), told.conversation.clone(), told.uid.clone(), is_number);
                self.tables.read_markers.edit(&key, || sqlite::load(conn, &key))?.apply(&told);
                Ok(())
            }
            Change::Reaction(told) => self.reaction(conn, app, &told),
            Change::Moderation { message_id, telling } => self.moderation(conn, &key(message_id), telling),
            Change::Presence { uid, telling } => {
                let key = key(uid);
                self.tables.presence.edit(&key, || sqlite::load(conn, &key))?.apply(telling);
                Ok(())
            }
            Change::Connection { uid, platform, connected_at, telling } => {
                let key = (App::clone(app), uid, platform, connected_at.0);
                self.tables.connections.edit(&key, || sqlite::load(conn, &key))?.apply(telling);
                Ok(())
            }
            Change::Block { blocker, blocked, blocks, since } => {
                let key = (App::clone(app), blocker, blocked);
                self.tables.blocks.edit(&key, || sqlite::load(conn, &key))?.apply(fact, blocks, since);
                Ok(())
            }
            Change::Call { session_key, fact: told } => self.call(conn, &key(session_key), &told),
            Change::Horizon { family, before, last_id } => {
                let key = key(family);
                self.tables.horizons.edit(&key, || sqlite::load(conn, &key))?.move_to(Horizon { before, last_id });
                Ok(())
            }
        }
    }

    /// Most facts only name a person. Then making a row is all that is to do.
    fn user(&mut self, conn: &Connection, key: &Key, telling: Telling) -> Result<(), StoreError> {
        let load = || sqlite::load(conn, key);
        if telling.fields.is_empty() {
            return self.tables.users.make(key, load);
        }
        self.tables.users.edit(key, load)?.apply(telling);
        Ok(())
    }

    fn group(&mut self, conn: &Connection, key: &Key, telling: Telling) -> Result<(), StoreError> {
        let load = || sqlite::load(conn, key);
        if telling.fields.is_empty() && self.tables.groups.get(key, load)?.is_some() {
            return Ok(());
        }
        self.tables.groups.edit(key, load)?.apply(telling);
        Ok(())
    }

    fn membership(
        &mut self,
        conn: &Connection,
        app: &App,
        fact: &Fact,
        told: &MembershipChange,
    ) -> Result<(), StoreError> {
        let group = (App::clone(app), told.guid.clone());
        let person = (App::clone(app), told.guid.clone(), told.uid.clone());
        let rosters = self.tables.rosters.get(&group, || group::load_rosters(conn, &group))?;
        let (lists, newest_read) = rosters.map(|it| (it.lists(), it.newest_read())).unwrap_or_default();
        let facts = self.tables.membership_facts.edit(&person, || membership::load_facts(conn, &person))?;
        let at = facts.apply(told, fact, newest_read);
        let standing = facts.stands(&lists);
        let known = self.tables.groups.get(&group, || sqlite::load(conn, &group))?;
        if known.is_none_or(|group| group.history_since.is_none_or(|since| at < since)) {
            self.tables.groups.edit(&group, || sqlite::load(conn, &group))?.hear_of_members(at);
        }
        self.stand(conn, &person, standing, || membership::load(conn, &person))
    }

    /// Saves the standing of a person, and counts the person if that changes.
    pub(super) fn stand(
        &mut self,
        conn: &Connection,
        person: &PairKey,
        standing: Option<Standing>,
        load: impl FnOnce() -> Result<Option<Membership>, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(standing) = standing else { return Ok(()) };
        let known = self.tables.memberships.get(person, load)?;
        if known.and_then(|known| known.standing.as_ref()) == Some(&standing) {
            return Ok(());
        }
        let before = known.is_some_and(Membership::is_current);
        let membership = self.tables.memberships.edit(person, || membership::load(conn, person))?;
        membership.standing = Some(standing);
        let after = membership.is_current();
        if before != after {
            let key = (App::clone(&person.0), person.1.clone());
            let group = self.tables.groups.edit(&key, || sqlite::load(conn, &key))?;
            group.members_count += i64::from(after) - i64::from(before);
        }
        Ok(())
    }

    /// Whether the message has a row that this telling of fields would not change. Most receipts and reactions tell
    /// nothing new of the message. Its data may be large, and are neither read nor copied for them.
    fn knows(&self, conn: &Connection, key: &Key, telling: &Telling) -> Result<bool, StoreError> {
        let is_known = |row: &Row| !row.is_changed_by(change::Message::RULES, telling);
        match self.tables.messages.known(key) {
            Some(known) => Ok(known.is_some_and(|message| is_known(&message.row))),
            None if telling.fields.is_empty() => message::exists(conn, key),
            None => Ok(message::fields(conn, key)?.is_some_and(|row| is_known(&row))),
        }
    }

    fn message(&mut self, conn: &Connection, key: &Key, telling: Telling, deleted: bool) -> Result<(), StoreError> {
        let load = || message::load(conn, key);
        if !deleted && telling.named.is_empty() && self.knows(conn, key, &telling)? {
            return Ok(());
        }
        let effects = self.tables.messages.edit(key, load)?.apply(telling, deleted);
        if effects != Effects::default() && self.tables.edits.get(key, || edit::load(conn, key))?.is_some() {
            let edits = self.tables.edits.edit(key, || edit::load(conn, key))?;
            edits.follow(effects);
            self.tables.messages.edit(key, load)?.edit(edits.last());
        }
        Ok(())
    }

    fn message_edit(&mut self, conn: &Connection, app: &App, told: MessageEdit) -> Result<(), StoreError> {
        let key = (App::clone(app), told.message_id);
        let load = || message::load(conn, &key);
        let Some(message) = self.tables.messages.get(&key, load)? else { return Ok(()) };
        let edits = self.tables.edits.edit(&key, || edit::load(conn, &key))?;
        edits.apply(told.version, message);
        self.tables.messages.edit(&key, load)?.edit(edits.last());
        Ok(())
    }

    /// Merges a verdict; the message is hidden while it is disapproved.
    fn moderation(&mut self, conn: &Connection, key: &Key, telling: Telling) -> Result<(), StoreError> {
        let verdict = self.tables.verdicts.edit(key, || sqlite::load(conn, key))?;
        verdict.apply(telling);
        let blocked = verdict.disapproves();
        let load = || message::load(conn, key);
        let known = self.tables.messages.get(key, load)?.map(|message| message.blocked);
        if known != Some(blocked) {
            self.tables.messages.edit(key, load)?.block(blocked);
        }
        Ok(())
    }

    fn reaction(&mut self, conn: &Connection, app: &App, told: &Reaction) -> Result<(), StoreError> {
        let key = (App::clone(app), told.message_id.clone(), emoji(&told.reaction), told.uid.clone());
        self.tables.reactions.edit(&key, || reaction::load(conn, &key))?.apply(told);
        Ok(())
    }

    fn call(&mut self, conn: &Connection, key: &Key, told: &CallFact) -> Result<(), StoreError> {
        let is_saved = self.tables.sessions.is_saved(key);
        let session = self.tables.sessions.edit(key, || call::load(conn, key))?;
        if is_saved {
            session.begin();
        }
        session.apply(told, |page| call::facts(conn, key, page))
    }
}
