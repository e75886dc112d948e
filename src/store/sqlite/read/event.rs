//! The log.

use super::list::{Key, Part, Scan, merge, run_until, scan};
use super::{Conn, Found, List, Lookup, Range, Sql, allowance, json, prepare, rows};
use crate::entity::Entity;
use crate::envelope;
use crate::ids::{Outcome, Time, TimeSource};
use std::collections::HashSet;

/// A row of `events`, without its body.
#[derive(Debug, Clone)]
pub struct Event {
    pub seq: i64,
    pub trigger: String,
    pub region: Option<String>,
    pub webhook_id: Option<String>,
    pub received_at: Time,
    pub occurred_at: Time,
    pub occurred_from: TimeSource,
    pub deliveries: i64,
    pub outcome: Outcome,
    pub reason: Option<String>,
}

const NEWEST: &str = "
    SELECT seq, received_at FROM events
    WHERE seq = iif(:apps IS NULL,
        (SELECT max(seq) FROM events WHERE NOT EXISTS (SELECT 1 FROM unfinished WHERE unfinished.seq = events.seq)),
        (SELECT max(newest) FROM
            (SELECT (SELECT max(seq) FROM events
                     WHERE app_id = value AND NOT EXISTS (SELECT 1 FROM unfinished WHERE unfinished.seq = events.seq))
                 AS newest FROM json_each(:apps))))";

/// The newest event of these apps or of all that is finished: its log position, 0 where there is none, and when it arrived.
pub fn newest(conn: &Conn, apps: Option<&[String]>) -> Sql<(i64, Option<Time>)> {
    let apps = apps.map(json);
    let read = |row: &rusqlite::Row<'_>| Ok((row.get("seq")?, Some(row.get("received_at")?)));
    Ok(rows(conn, NEWEST, &[(":apps", &apps)], read)?.pop().unwrap_or_default())
}

const REPEATS: &str = "
    SELECT count(*) AS n FROM deliveries JOIN events USING (seq)
    WHERE position = :position AND (:apps IS NULL OR app_id IN (SELECT value FROM json_each(:apps)))";

/// Whether the newest finished event of these apps, or of all, is at a log position or behind it, or the delivery at that
/// position repeats one of their events.
pub fn has_reached(conn: &Conn, apps: Option<&[String]>, position: i64) -> Sql<bool> {
    if newest(conn, apps)?.0 >= position {
        return Ok(true);
    }
    let apps = apps.map(json);
    let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>("n");
    Ok(rows(conn, REPEATS, &[(":apps", &apps), (":position", &position)], read)?.pop() > Some(0))
}

/// An event, by its log position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventKey(pub i64);

const BY_SEQ: &str = "
    SELECT seq, trigger, region, webhook_id, received_at, occurred_at, occurred_from, deliveries, outcome, reason
    FROM events
    WHERE seq IN (SELECT value FROM json_each(:keys)) AND app_id = :app";

impl Lookup for EventKey {
    type Found = Event;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Event)>> {
        let keys = seqs(keys.iter().map(|key| key.0));
        rows(conn, BY_SEQ, &[(":app", &app), (":keys", &keys)], |row| {
            let event = Event {
                seq: row.get("seq")?,
                trigger: row.get("trigger")?,
                region: row.get("region")?,
                webhook_id: row.get("webhook_id")?,
                received_at: row.get("received_at")?,
                occurred_at: row.get("occurred_at")?,
                occurred_from: row.get("occurred_from")?,
                deliveries: row.get("deliveries")?,
                outcome: row.get("outcome")?,
                reason: row.get("reason")?,
            };
            Ok((Self(event.seq), event))
        })
    }
}

/// The bytes received, secrets included, by log position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BodyOf(pub i64);

const BODY: &str = "SELECT seq, body FROM events WHERE seq IN (SELECT value FROM json_each(:keys)) AND app_id = :app";

impl Lookup for BodyOf {
    type Found = std::sync::Arc<str>;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Self::Found)>> {
        let keys = seqs(keys.iter().map(|key| key.0));
        rows(conn, BODY, &[(":app", &app), (":keys", &keys)], |row| {
            Ok((Self(row.get("seq")?), row.get::<_, String>("body")?.into()))
        })
    }
}

/// The entities that an event names as its trigger does, the first so many of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedBy {
    pub seq: i64,
    pub first: usize,
}

impl Lookup for NamedBy {
    type Found = Vec<Entity>;

    /// One body at a time is in memory.
    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Self::Found)>> {
        let asked = seqs(keys.iter().map(|key| key.seq));
        let mut statement = prepare(conn, BODY, &[(":app", &app), (":keys", &asked)])?;
        let mut bodies = statement.raw_query();
        let mut found = Vec::with_capacity(keys.len());
        while let Some(row) = bodies.next()? {
            allowance::pass(row)?;
            let seq: i64 = row.get("seq")?;
            let asked = || keys.iter().filter(|key| key.seq == seq);
            let most = asked().map(|key| key.first).max().unwrap_or_default();
            let named = named_by(row.get_ref("body")?.as_str()?, most)?;
            found.extend(asked().map(|key| (key.clone(), named.iter().take(key.first).cloned().collect())));
        }
        Ok(found)
    }
}

/// The entities that a body names as its trigger does, the first so many.
pub(super) fn named_by(body: &str, first: usize) -> Sql<Vec<Entity>> {
    let mut named = Vec::new();
    let mut known = HashSet::new();
    if first == 0 {
        return Ok(named);
    }
    let refs = envelope::payload(body).map(|payload| payload.refs()).unwrap_or_default();
    for reference in refs {
        allowance::in_time()?;
        let Some(entity) = Entity::of(&reference) else { continue };
        if known.insert(entity.clone()) {
            named.push(entity);
            if named.len() == first {
                break;
            }
        }
    }
    Ok(named)
}

fn seqs(keys: impl Iterator<Item = i64>) -> String {
    serde_json::json!(keys.collect::<Vec<i64>>()).to_string()
}

/// Events, newest first.
#[derive(Debug, Clone, Default)]
pub struct Events {
    pub app: String,
    pub triggers: Option<Vec<String>>,
    pub outcomes: Option<Vec<&'static str>>,
    pub received_after: Option<i64>,
    pub received_before: Option<i64>,
    pub after_seq: Option<i64>,
    pub before_seq: Option<i64>,
    /// Kinds and keys of `event_refs`, any of them.
    pub about: Option<Vec<(&'static str, String)>>,
    /// A text of the body, secrets left out.
    pub contains: Option<String>,
}

/// What an event must satisfy, as far as asked.
macro_rules! matching {
    () => {
        "((:triggers IS NULL OR trigger IN (SELECT value FROM json_each(:triggers)))
         AND (:outcomes IS NULL OR outcome IN (SELECT value FROM json_each(:outcomes)))
         AND (:after IS NULL OR received_at >= :after) AND (:before IS NULL OR received_at < :before)
         AND (:contains IS NULL OR instr(shown(body), :contains) > 0))"
    };
}

const ALL: Scan = scan!("i", by ["seq"] from ":k1", matching matching!(),
    of "events WHERE app_id = :app");
const TRIGGER: Scan = scan!("i", by ["seq"] from ":k1", matching matching!(),
    of "events WHERE app_id = :app AND trigger = :trigger");
const OUTCOME: Scan = scan!("i", by ["seq"] from ":k1", matching matching!(),
    of "events WHERE app_id = :app AND outcome = :outcome AND outcome <> 'applied'");
const ABOUT: Scan = scan!("i", by ["r.seq"] from ":k1", matching concat!("EXISTS (SELECT 1 FROM events WHERE seq = r.seq AND ", matching!(), ")"),
    of "event_refs r WHERE r.app_id = :app AND r.kind = :kind AND r.key = :key");

impl List for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn falling(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static str {
        "i"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let triggers = self.triggers.as_ref().map(json);
        let outcomes = self.outcomes.as_ref().map(json);
        let trigger = self.triggers.as_deref().and_then(|all| if let [one] = all { Some(one) } else { None });
        let outcome = self.outcomes.as_deref().and_then(|all| if let [one] = all { Some(*one) } else { None });
        let scan = match (trigger, outcome) {
            (_, Some(outcome)) if outcome != Outcome::Applied.as_str() => &OUTCOME,
            (Some(_), _) => &TRIGGER,
            _ => &ALL,
        };
        // The walk begins at the one bound and ends at the other. As conditions of the statement they would be a span of
        // the table's own key, which the engine takes to be narrower than an index of what is asked for.
        let (after, before) = (self.after_seq.unwrap_or(0), self.before_seq.unwrap_or(i64::MAX));
        let from = range.from.map(|key| key[0].int());
        let from = match range.falling {
            true => from.unwrap_or(i64::MAX).min(before),
            false => from.unwrap_or(0).max(after),
        };
        let from = vec![Part::Int(from)];
        let range = Range { from: Some(&from), ..range };
        let is_beyond = |key: &Key| match range.falling {
            true => key[0].int() <= after,
            false => key[0].int() >= before,
        };
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":contains", &self.contains),
            (":triggers", &triggers),
            (":outcomes", &outcomes),
            (":trigger", &trigger),
            (":outcome", &outcome),
            (":after", &self.received_after),
            (":before", &self.received_before),
        ];
        let Some(about) = &self.about else { return run_until(conn, scan, params, range, is_beyond) };
        let mut walks = Vec::with_capacity(about.len());
        for (kind, key) in about {
            let named: Vec<(&str, &dyn rusqlite::types::ToSql)> =
                params.iter().copied().chain([(":kind", kind as &dyn rusqlite::types::ToSql), (":key", key)]).collect();
            walks.push(run_until(conn, &ABOUT, &named, range, is_beyond)?);
        }
        Ok(merge(walks, range))
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{ReadError, Snapshot};
    use super::*;
    use crate::store::sqlite::{open_pool, open_writer};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// The engine looks at the clock while a statement takes its steps: neither between two rows nor in loops of ours.
    #[test]
    fn a_loop_that_runs_no_statement_ends_too_once_the_time_is_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chatfold.db");
        drop(open_writer(&path).unwrap());
        let pool = open_pool(&path, 1, 1 << 20).unwrap();
        let body = r#"{"trigger":"group_updated","appId":"a","data":{"group":{"guid":"g","updatedAt":1}}}"#;
        let ends = |read: fn(&Conn, &str) -> Sql<Vec<Entity>>| {
            let gone = Arc::new(AtomicBool::new(false));
            let amount = allowance::Amount { rows: 100, bytes: 1 << 20 };
            let snapshot = Snapshot::open(&pool, Duration::from_secs(60), amount, Arc::clone(&gone)).unwrap();
            assert_eq!(snapshot.read(|conn| read(conn, body)).unwrap().len(), 1);
            snapshot.read(|conn| {
                gone.store(true, Ordering::Relaxed);
                read(conn, body)
            })
        };
        let over_names = ends(|_, body| named_by(body, 1));
        let over_rows =
            ends(|conn, _| rows(conn, "SELECT 'g' AS guid", &[], |row| Ok(Entity::Group(row.get("guid")?))));
        for read in [over_names, over_rows] {
            assert_eq!(read.unwrap_err(), ReadError::Timeout);
        }
    }
}
