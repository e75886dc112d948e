//! The store's one verb: each change goes to the file of its table.

use super::rows::At;
use super::{block, call, conversation, edit, group, membership, message, presence, reaction, receipt, user};
use crate::change::Change;
use crate::merge::Fact;
use crate::store::StoreError;
use rusqlite::Connection;

/// Changes of this app make the store panic.
#[cfg(test)]
pub const PANICS: &str = "a_panic_of_the_store";

/// Merges one change into the tables.
pub fn put(conn: &Connection, app_id: &str, fact: &Fact, change: Change) -> Result<(), StoreError> {
    #[cfg(test)]
    assert!(app_id != PANICS || !matches!(change, Change::Message { .. }));
    let at = At { conn, app_id, fact };
    match change {
        Change::User { uid, telling } => user::put(&at, &uid, telling),
        Change::Group { guid, telling } => group::put(&at, &guid, telling),
        Change::Creation { guid, at: created_at } => group::put_creation(&at, &guid, created_at),
        Change::Deletion { guid, created_at } => group::put_deletion(&at, &guid, created_at),
        Change::Membership(change) => membership::put(&at, &change),
        Change::Message { message_id, telling, deleted } => message::put(&at, &message_id, telling, deleted),
        Change::MessageEdit(it) => edit::put(&at, &it.message_id, it.version),
        Change::Conversation(conversation) => conversation::put(&at, &conversation),
        Change::Receipt(receipt) => receipt::put(&at, &receipt),
        Change::ReadMarker(marker) => receipt::put_marker(&at, &marker),
        Change::Reaction(reaction) => reaction::put(&at, &reaction),
        Change::Moderation { message_id, telling } => message::put_moderation(&at, &message_id, telling),
        Change::Presence { uid, telling } => presence::put(&at, &uid, telling),
        Change::Connection { uid, platform, connected_at, telling } => {
            presence::put_connection(&at, &uid, &platform, connected_at, telling)
        }
        Change::Block { blocker, blocked, blocks } => block::put(&at, &blocker, &blocked, blocks),
        Change::Call { session_key, fact } => call::put(&at, &session_key, &fact),
    }
}
