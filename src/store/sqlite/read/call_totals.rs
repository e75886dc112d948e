//! Calls and meetings of a group or a person in a span of time, together.

use super::activity::LOOKED_AT;
use super::{Conn, Params, Sql, prepare};
use crate::ids::{CallKind, CallStatus};
use std::collections::BTreeMap;

/// Whose, and when: started, else initiated.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub app: &'a str,
    pub guid: Option<&'a str>,
    pub uid: Option<&'a str>,
    pub from: i64,
    pub until: i64,
}

/// All of them together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub calls: i64,
    pub meetings: i64,
    pub seconds: i64,
    /// By the word of the status; those without one are left out.
    pub statuses: BTreeMap<&'static str, i64>,
    /// Everything was looked at.
    pub exact: bool,
}

const SESSIONS: &str = "
    SELECT c.kind, c.status, coalesce(c.duration_seconds, 0) AS seconds,
        (:guid IS NULL OR coalesce(c.receiver_type = 'group' AND c.receiver_id = :guid, 0))
        AND (:uid IS NULL OR coalesce(c.initiator_uid = :uid, 0)
            OR coalesce(c.receiver_type = 'user' AND c.receiver_id = :uid, 0)
            OR EXISTS (
                SELECT 1 FROM call_participants p WHERE p.app_id = :app AND p.uid = :uid
                AND p.session_key = c.session_key AND p.kind = c.kind AND p.anchor = c.anchor)) AS counts
    FROM call_sessions c
    WHERE c.app_id = :app AND c.order_at >= :from AND c.order_at < :until
    ORDER BY c.order_at LIMIT :limit";

/// Counts.
pub fn count(conn: &Conn, span: Span<'_>) -> Sql<Totals> {
    let limit = LOOKED_AT + 1;
    let params: Params<'_> = &[
        (":app", &span.app),
        (":guid", &span.guid),
        (":uid", &span.uid),
        (":from", &span.from),
        (":until", &span.until),
        (":limit", &limit),
    ];
    let mut totals = Totals { exact: true, ..Totals::default() };
    let mut statement = prepare(conn, SESSIONS, params)?;
    let mut rows = statement.raw_query();
    for looked_at in 0.. {
        let Some(row) = rows.next()? else { break };
        if looked_at == LOOKED_AT {
            totals.exact = false;
            break;
        }
        if !row.get::<_, bool>("counts")? {
            continue;
        }
        let kind: String = row.get("kind")?;
        let is_call = CallKind::from_word(&kind) == Some(CallKind::Call);
        *(if is_call { &mut totals.calls } else { &mut totals.meetings }) += 1;
        totals.seconds = totals.seconds.saturating_add(row.get("seconds")?);
        let status: Option<String> = row.get("status")?;
        if let Some(status) = status.as_deref().and_then(CallStatus::from_word) {
            *totals.statuses.entry(status.as_str()).or_default() += 1;
        }
    }
    Ok(totals)
}
