//! `reactions`: a row holds what was told in one spelling of an emoji.

use super::App;
use super::table::{FromColumns, Json, Reader, Stored, table};
use crate::store::StoreError;
use crate::tables::reaction::{Reaction, Spelling};
use rusqlite::Connection;

/// App, message, emoji, uid.
pub type ReactionKey = (App, String, String, String);

table! {
    "reactions": Spelling by (message_id, emoji, uid) and (reaction)
    columns |it| { facts: LeftOut = Json(&it.facts), since => (reacted_at: IfTold, reacted_at_from: LeftOut) }
    derived |it| { present = it.since.is_some(), first_at: LeftOut = it.facts.first() }
}

impl FromColumns for Spelling {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        Ok(Self { facts: from.json("reactions.facts")?, since: from.next()? })
    }
}

pub fn load(conn: &Connection, key: &ReactionKey) -> Result<Option<Reaction>, StoreError> {
    let spellings = Spelling::table().load_all(conn, key)?;
    Ok((!spellings.is_empty()).then(|| Reaction { spellings: spellings.into_iter().collect() }))
}

pub fn save(conn: &Connection, key: &ReactionKey, stored: Option<&Reaction>, now: &Reaction) -> Result<(), StoreError> {
    let is_stored = |reaction, spelling| stored.and_then(|it| it.spellings.get(reaction)) == Some(spelling);
    for (reaction, spelling) in now.spellings.iter().filter(|(reaction, spelling)| !is_stored(*reaction, *spelling)) {
        Spelling::table().save(conn, &(key, reaction), spelling)?;
    }
    Ok(())
}
