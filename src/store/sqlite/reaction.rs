//! `reactions`: a row holds what was told in one spelling of an emoji.

use super::App;
use super::receipt::dated;
use crate::reactions::Facts;
use crate::store::{StoreError, read_json, write_json};
use crate::tables::reaction::Reaction;
use rusqlite::Connection;

/// App, message, emoji, uid.
pub type ReactionKey = (App, String, String, String);

const LOAD: &str = "
    SELECT reaction, facts, reacted_at, reacted_at_from FROM reactions
    WHERE app_id = ?1 AND message_id = ?2 AND emoji = ?3 AND uid = ?4";
const WRITE: &str = "
    INSERT INTO reactions (app_id, message_id, emoji, uid, reaction, present, reacted_at, reacted_at_from, first_at, facts)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (app_id, message_id, emoji, uid, reaction) DO UPDATE SET
        present = excluded.present, reacted_at = excluded.reacted_at, reacted_at_from = excluded.reacted_at_from,
        first_at = excluded.first_at, facts = excluded.facts";

pub fn load(conn: &Connection, key: &ReactionKey) -> Result<Option<Reaction>, StoreError> {
    let mut statement = conn.prepare_cached(LOAD)?;
    let mut rows = statement.query((&key.0, &key.1, &key.2, &key.3))?;
    let mut found = Reaction::default();
    while let Some(row) = rows.next()? {
        let facts: Facts = read_json("reactions.facts", &row.get::<_, String>(1)?)?;
        found.spellings.insert(row.get(0)?, (facts, dated(row, 2)?));
    }
    Ok((!found.spellings.is_empty()).then_some(found))
}

pub fn save(
    conn: &Connection,
    (app, message_id, emoji, uid): &ReactionKey,
    stored: Option<&Reaction>,
    now: &Reaction,
) -> Result<(), StoreError> {
    for (reaction, spelling) in &now.spellings {
        if stored.and_then(|stored| stored.spellings.get(reaction)) == Some(spelling) {
            continue;
        }
        let (facts, since) = spelling;
        let text = write_json(facts)?;
        let (at, from) = since.map(|since| (since.at.0, since.from.as_str())).unzip();
        let values = (app, message_id, emoji, uid, reaction, since.is_some(), at, from, facts.first(), text);
        conn.prepare_cached(WRITE)?.execute(values)?;
    }
    Ok(())
}
