//! `blocks`: one row a pair.

use super::rows::At;
use crate::blocks::Facts;
use crate::ids::TimeSource;
use crate::store::StoreError;
use rusqlite::OptionalExtension;

const LOAD: &str = "SELECT facts FROM blocks WHERE app_id = ?1 AND blocker_uid = ?2 AND blocked_uid = ?3";
const WRITE: &str = "
    INSERT INTO blocks (app_id, blocker_uid, blocked_uid, since, since_from, current, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (app_id, blocker_uid, blocked_uid) DO UPDATE SET
        since = excluded.since, since_from = excluded.since_from, current = excluded.current, facts = excluded.facts";

pub(super) fn put(at: &At<'_>, blocker: &str, blocked: &str, blocks: bool) -> Result<(), StoreError> {
    let stored: Option<String> =
        at.conn.prepare_cached(LOAD)?.query_row((at.app_id, blocker, blocked), |row| row.get(0)).optional()?;
    let mut facts: Facts = stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    facts.add(at.fact, blocks);
    let since = facts.blocked.first();
    let from = since.and_then(|since| TimeSource::from_word(&since.from)).map(TimeSource::as_str);
    let text = serde_json::to_string(&facts).unwrap_or_default();
    at.conn.prepare_cached(WRITE)?.execute((
        at.app_id,
        blocker,
        blocked,
        since.map(|since| since.occurred_at),
        from,
        since.is_some(),
        text,
    ))?;
    Ok(())
}
