//! `blocks`: one row a pair.

use super::PairKey;
use crate::blocks::Facts as Block;
use crate::ids::TimeSource;
use crate::store::{StoreError, read_json, write_json};
use rusqlite::{Connection, OptionalExtension};

const LOAD: &str = "SELECT facts FROM blocks WHERE app_id = ?1 AND blocker_uid = ?2 AND blocked_uid = ?3";
const WRITE: &str = "
    INSERT INTO blocks (app_id, blocker_uid, blocked_uid, since, since_from, current, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (app_id, blocker_uid, blocked_uid) DO UPDATE SET
        since = excluded.since, since_from = excluded.since_from, current = excluded.current, facts = excluded.facts";

pub fn load(conn: &Connection, (app, blocker, blocked): &PairKey) -> Result<Option<Block>, StoreError> {
    let stored: Option<String> =
        conn.prepare_cached(LOAD)?.query_row((app, blocker, blocked), |row| row.get(0)).optional()?;
    stored.map(|text| read_json("blocks.facts", &text)).transpose()
}

pub fn save(conn: &Connection, (app, blocker, blocked): &PairKey, now: &Block) -> Result<(), StoreError> {
    let since = now.blocked.first();
    let from = since.and_then(|since| TimeSource::from_word(&since.from)).map(TimeSource::as_str);
    let at = since.map(|since| since.occurred_at);
    let values = (app, blocker, blocked, at, from, since.is_some(), write_json(now)?);
    conn.prepare_cached(WRITE)?.execute(values)?;
    Ok(())
}
