//! `reactions`: present while any of its ids is not ended. A row holds what was told in one spelling of an emoji; a
//! removal counts for all of them.

use super::receipt::dated;
use super::rows::At;
use crate::change::{Dated, Reaction};
use crate::reactions::{Ends, Facts, emoji};
use crate::store::StoreError;
use std::collections::BTreeMap;

const LOAD: &str = "
    SELECT reaction, facts, reacted_at, reacted_at_from FROM reactions
    WHERE app_id = ?1 AND message_id = ?2 AND emoji = ?3 AND uid = ?4";
const WRITE: &str = "
    INSERT INTO reactions (app_id, message_id, emoji, uid, reaction, present, reacted_at, reacted_at_from, first_at, facts)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (app_id, message_id, emoji, uid, reaction) DO UPDATE SET
        present = excluded.present, reacted_at = excluded.reacted_at, reacted_at_from = excluded.reacted_at_from,
        first_at = excluded.first_at, facts = excluded.facts";

pub(super) fn put(at: &At<'_>, told: &Reaction) -> Result<(), StoreError> {
    let emoji = emoji(&told.reaction);
    let key = (at.app_id, &told.message_id, &emoji, &told.uid);
    let read = |row: &rusqlite::Row<'_>| {
        let facts: String = row.get(1)?;
        Ok((row.get(0)?, (serde_json::from_str(&facts).unwrap_or_default(), dated(row, 2)?)))
    };
    let mut spellings: BTreeMap<String, (Facts, Option<Dated>)> =
        at.conn.prepare_cached(LOAD)?.query_map(key, read)?.collect::<Result<_, _>>()?;
    spellings.entry(told.reaction.clone()).or_default().0.add(told);
    let ends: Ends<'_> = spellings.values().map(|(facts, _)| facts).collect();
    for (reaction, (facts, known)) in &spellings {
        let since = facts.present_since(&ends);
        if since == *known && *reaction != told.reaction {
            continue;
        }
        let text = serde_json::to_string(facts).unwrap_or_default();
        let (since_at, from) = since.map(|it| (it.at.0, it.from.as_str())).unzip();
        let row = (key.0, key.1, key.2, key.3, reaction, since.is_some(), since_at, from, facts.first(), text);
        at.conn.prepare_cached(WRITE)?.execute(row)?;
    }
    Ok(())
}
