//! `blocks`: a register a pair, which also remembers the blocks since the newest unblock.

use super::rows::At;
use crate::ids::TimeSource;
use crate::merge::{Key, rank};
use crate::store::StoreError;
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

/// A fact's order key, and what people see of its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Dated {
    at: i64,
    seq: i64,
    occurred_at: i64,
    from: String,
}

/// What decides about one pair.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Facts {
    unblocked: Option<Dated>,
    /// Newer than that; the earliest is `since`.
    blocked: Vec<Dated>,
}

const LOAD: &str = "SELECT facts FROM blocks WHERE app_id = ?1 AND blocker_uid = ?2 AND blocked_uid = ?3";
const WRITE: &str = "
    INSERT INTO blocks (app_id, blocker_uid, blocked_uid, since, since_from, current, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (app_id, blocker_uid, blocked_uid) DO UPDATE SET
        since = excluded.since, since_from = excluded.since_from, current = excluded.current, facts = excluded.facts";

pub(super) fn put(at: &At<'_>, blocker: &str, blocked: &str, blocks: bool) -> Result<(), StoreError> {
    let stored: Option<String> =
        at.conn.prepare_cached(LOAD)?.query_row((at.app_id, blocker, blocked), |row| row.get(0)).optional()?;
    let mut facts: Facts = stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let known = facts.blocked.iter().chain(&facts.unblocked).map(|dated| dated.at).max();
    let Key { at: order_at, seq, .. } = at.fact.stamp(rank::FACT).key(known);
    let dated = Dated {
        at: order_at,
        seq,
        occurred_at: at.fact.occurred_at.0,
        from: at.fact.occurred_from.as_str().to_owned(),
    };
    if blocks {
        facts.blocked.push(dated);
    } else {
        facts.unblocked = facts.unblocked.max(Some(dated));
    }
    let ended = facts.unblocked.clone();
    facts.blocked.retain(|block| Some(block) > ended.as_ref());
    facts.blocked.sort();
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
