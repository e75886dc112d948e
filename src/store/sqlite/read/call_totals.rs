//! Calls and meetings of a group or a person in a span of time, together.

use super::activity::{LOOKED_AT, walk};
use super::call::of_group_and_person;
use super::{Conn, Params, Sql};
use crate::ids::{CallKind, CallStatus};
use std::collections::BTreeMap;

/// Whose, and when: started, else initiated. `starts` are the first instants of its periods.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub app: &'a str,
    pub guid: Option<&'a str>,
    pub uid: Option<&'a str>,
    pub starts: &'a [i64],
    pub until: i64,
}

/// All of a period together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub calls: i64,
    pub meetings: i64,
    pub seconds: i64,
    /// Time in them: of all people, or of the one asked for.
    pub present: i64,
    /// By the word of the status; those without one are left out.
    pub statuses: BTreeMap<&'static str, i64>,
}

const SESSIONS: &str = concat!(
    "
    SELECT s.order_at, s.kind, s.status, s.seconds, s.counts,
        CASE WHEN s.counts THEN (
            SELECT coalesce(sum(length_ms(nullif(p.joined_at, 0), p.left_at)), 0) / 1000 FROM call_participants p
            WHERE p.app_id = :app AND p.session_key = s.session_key AND p.kind = s.kind AND p.anchor = s.anchor
            AND (:uid IS NULL OR coalesce(p.uid = :uid, 0)))
        ELSE 0 END AS present
    FROM (
        SELECT c.session_key, c.kind, c.anchor, c.order_at, c.status, coalesce(c.duration_seconds, 0) AS seconds,
            ",
    of_group_and_person!(),
    " AS counts
        FROM call_sessions c
        WHERE c.app_id = :app AND c.order_at >= :from AND c.order_at < :until
        ORDER BY c.order_at LIMIT :limit) s"
);

/// Counts, period by period; and whether everything was looked at.
pub fn count(conn: &Conn, span: Span<'_>) -> Sql<(Vec<Totals>, bool)> {
    let limit = LOOKED_AT + 1;
    let from = span.starts.first().copied().unwrap_or(span.until);
    let params: Params<'_> = &[
        (":app", &span.app),
        (":guid", &span.guid),
        (":uid", &span.uid),
        (":from", &from),
        (":until", &span.until),
        (":limit", &limit),
    ];
    let mut periods = vec![Totals::default(); span.starts.len()];
    let all = walk(conn, SESSIONS, params, |row| {
        if !row.get::<_, bool>("counts")? {
            return Ok(());
        }
        let at: i64 = row.get("order_at")?;
        let Some(totals) = periods.get_mut(span.starts.partition_point(|start| *start <= at).saturating_sub(1)) else {
            return Ok(());
        };
        let is_call = row.get::<_, CallKind>("kind")? == CallKind::Call;
        *(if is_call { &mut totals.calls } else { &mut totals.meetings }) += 1;
        totals.seconds = totals.seconds.saturating_add(row.get("seconds")?);
        totals.present = totals.present.saturating_add(row.get("present")?);
        if let Some(status) = row.get::<_, Option<CallStatus>>("status")? {
            *totals.statuses.entry(status.as_str()).or_default() += 1;
        }
        Ok(())
    })?;
    Ok((periods, all))
}
