//! `reactions`: present while any of its ids is not ended.

use super::rows::At;
use crate::change::Reaction;
use crate::reactions::Facts;
use crate::store::StoreError;
use rusqlite::OptionalExtension;

const LOAD: &str = "SELECT facts FROM reactions WHERE app_id = ?1 AND message_id = ?2 AND reaction = ?3 AND uid = ?4";
const WRITE: &str = "
    INSERT INTO reactions (app_id, message_id, reaction, uid, present, reacted_at, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (app_id, message_id, reaction, uid) DO UPDATE SET
        present = excluded.present, reacted_at = excluded.reacted_at, facts = excluded.facts";

pub(super) fn put(at: &At<'_>, reaction: &Reaction) -> Result<(), StoreError> {
    let key = (at.app_id, &reaction.message_id, &reaction.reaction, &reaction.uid);
    let stored: Option<String> = at.conn.prepare_cached(LOAD)?.query_row(key, |row| row.get(0)).optional()?;
    let mut facts: Facts = stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    facts.add(reaction);
    let since = facts.present_since();
    let text = serde_json::to_string(&facts).unwrap_or_default();
    at.conn.prepare_cached(WRITE)?.execute((key.0, key.1, key.2, key.3, since.is_some(), since, text))?;
    Ok(())
}
