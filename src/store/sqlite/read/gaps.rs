//! What is known to be missing: times without a server, events that changed no table, and message ids that no event names.

use super::event::named_by;
use super::named::named_in;
use super::{Conn, Sql, next, prepare, rows};
use crate::entity::{self, Entity};
use crate::ids::{Outcome, Time, id_number};
use crate::store::sqlite::reconcile;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Entities told of one event.
const NAMED: usize = 20;

/// A time without a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The server before was last seen then.
    pub from: Time,
    /// The next one began.
    pub until: Time,
}

/// A shorter one is no gap.
const SHORTEST_MS: i64 = 1_000;

const OUTAGES: &str = "
    SELECT ended, began FROM (SELECT lag(seen_at) OVER (ORDER BY id) AS ended, started_at AS began FROM runs)
    WHERE began - ended >= :shortest ORDER BY began DESC LIMIT :most";

/// Times without a server, newest first.
pub fn outages(conn: &Conn, most: usize) -> Sql<Vec<Outage>> {
    let read = |row: &rusqlite::Row<'_>| Ok(Outage { from: row.get(0)?, until: row.get(1)? });
    rows(conn, OUTAGES, &[(":shortest", &SHORTEST_MS), (":most", &(most as i64))], read)
}

/// A server that runs shows itself once an hour at least.
const SHOWN_WITHIN_MS: i64 = 65 * 60_000;
const SEEN: &str = "SELECT seen_at FROM runs ORDER BY id DESC LIMIT 1";

/// Since when no server shows itself, if none runs now.
pub fn no_server_since(conn: &Conn, now: Time) -> Sql<Option<Time>> {
    let seen: Option<Time> = rows(conn, SEEN, &[], |row| row.get(0))?.pop();
    Ok(seen.filter(|seen| now.0 - seen.0 > SHOWN_WITHIN_MS))
}

/// An event that names entities and changed nothing of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    pub seq: i64,
    pub trigger: String,
    pub outcome: Outcome,
    pub received_at: Time,
    pub occurred_at: Time,
    pub reason: Option<String>,
    /// What it names, at most 20.
    pub entities: Vec<Entity>,
}

const NEWEST_LIST: &str = "
    SELECT at FROM rosters WHERE app_id = :app AND guid = :guid AND NOT created ORDER BY at DESC LIMIT 1";
// Each outcome is walked by itself: the index then gives the newest at once.
const NOT_APPLIED: &str = "
    SELECT seq, trigger, outcome, received_at, occurred_at, reason, body FROM events
    WHERE seq IN (
        SELECT seq FROM (SELECT seq FROM events
            WHERE app_id = :app AND outcome = 'anomaly' AND outcome <> 'applied' AND NOT EXISTS (
                SELECT 1 FROM verified AS v WHERE v.app_id = :app AND v.kind = 'event' AND v.key = CAST(events.seq AS TEXT))
            ORDER BY seq DESC LIMIT :most)
        UNION ALL
        SELECT seq FROM (SELECT seq FROM events
            WHERE app_id = :app AND outcome = 'rejected' AND outcome <> 'applied' AND NOT EXISTS (
                SELECT 1 FROM verified AS v WHERE v.app_id = :app AND v.kind = 'event' AND v.key = CAST(events.seq AS TEXT))
            ORDER BY seq DESC LIMIT :most))
    ORDER BY seq DESC LIMIT :most";

/// Rejected and anomalous events that name an entity, newest first, of the newest `most` for which no reconcile has read
/// what the event names. Events that member lists settle are left out.
pub fn not_applied(conn: &Conn, app: &str, most: usize) -> Sql<Vec<NotApplied>> {
    let mut found = Vec::new();
    let mut statement = prepare(conn, NOT_APPLIED, &[(":app", &app), (":most", &(most as i64))])?;
    let mut events = statement.raw_query();
    while let Some(row) = next(&mut events)? {
        let body = row.get_ref("body")?.as_str()?;
        let mut entities = named_by(body, NAMED)?;
        if entities.is_empty() {
            entities = named_in(body, NAMED);
        }
        let event = NotApplied {
            seq: row.get("seq")?,
            trigger: row.get("trigger")?,
            outcome: row.get("outcome")?,
            received_at: row.get("received_at")?,
            occurred_at: row.get("occurred_at")?,
            reason: row.get("reason")?,
            entities,
        };
        let newest_list = |guid: &str| newest_list(conn, app, guid);
        if !event.entities.is_empty() && !entity::is_settled(&event.entities, event.occurred_at, newest_list)? {
            found.push(event);
        }
    }
    Ok(found)
}

/// When the newest complete member list of a group was read.
fn newest_list(conn: &Conn, app: &str, guid: &str) -> Sql<Option<Time>> {
    Ok(rows(conn, NEWEST_LIST, &[(":app", &app), (":guid", &guid)], |row| row.get(0))?.pop())
}

/// Message ids from `first` to `last` that no event names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub first: i64,
    pub last: i64,
}

impl Hole {
    /// How many ids it has.
    pub fn count(&self) -> i64 {
        self.last - self.first + 1
    }
}

/// Holes in the message ids of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holes {
    /// The newest ones, by rising ids.
    pub newest: Vec<Hole>,
    /// How many there are.
    pub holes: u64,
    /// How many ids they have together.
    pub ids: u64,
    /// The greatest id that events name.
    pub last: Option<i64>,
}

const IDS: &str = "SELECT DISTINCT key FROM event_refs WHERE app_id = :app AND kind = 'message' ORDER BY key";
/// Most digits of an id that is a number.
const DIGITS: usize = 19;

/// The ids of one length: they come in the order of numbers, where all ids come in the order of texts.
#[derive(Debug, Default)]
struct OfLength {
    ends: Option<(i64, i64)>,
    holes: Counted,
}

/// Holes counted, the newest kept.
#[derive(Debug, Default)]
struct Counted {
    newest: VecDeque<Hole>,
    holes: u64,
    ids: u64,
}

impl Counted {
    fn add(&mut self, hole: Hole, most: usize) {
        self.holes += 1;
        self.ids += hole.count().cast_unsigned();
        self.newest.push_back(hole);
        if self.newest.len() > most {
            self.newest.pop_front();
        }
    }

    /// Between two ids that are known, in this order. Ids that CometChat was asked for are no hole.
    fn between(&mut self, before: i64, after: i64, asked: &[RangeInclusive<i64>], most: usize) {
        let mut first = before + 1;
        for range in asked.iter().skip(asked.partition_point(|range| *range.end() < first)) {
            if *range.start() >= after {
                break;
            }
            if *range.start() > first {
                self.add(Hole { first, last: range.start() - 1 }, most);
            }
            first = range.end() + 1;
        }
        if first < after {
            self.add(Hole { first, last: after - 1 }, most);
        }
    }
}

/// The holes between the least and the greatest message id that events name, as far as CometChat was not asked for their
/// ids. `most` of them are kept, the newest. The walk goes over one index and keeps no ids.
pub fn holes(conn: &Conn, app: &str, most: usize) -> Sql<Holes> {
    let asked = reconcile::asked(conn, app)?;
    let mut lengths: [OfLength; DIGITS + 1] = Default::default();
    let mut statement = prepare(conn, IDS, &[(":app", &app)])?;
    let mut ids = statement.raw_query();
    while let Some(row) = next(&mut ids)? {
        let text = row.get_ref(0)?.as_str()?;
        let Some(id) = id_number(text).filter(|id| *id > 0) else { continue };
        let Some(length) = lengths.get_mut(text.len()) else { continue };
        if let Some((_, last)) = length.ends {
            length.holes.between(last, id, &asked, most);
        }
        length.ends = Some((length.ends.map_or(id, |(first, _)| first), id));
    }
    let (mut all, mut before) = (Counted::default(), None);
    for OfLength { ends, holes } in lengths {
        let Some((first, last)) = ends else { continue };
        if let Some(before) = before.replace(last) {
            all.between(before, first, &asked, most);
        }
        let (kept_holes, kept_ids) = (holes.newest.len() as u64, holes.newest.iter().map(Hole::count).sum::<i64>());
        all.holes += holes.holes - kept_holes;
        all.ids += holes.ids - kept_ids.cast_unsigned();
        holes.newest.into_iter().for_each(|hole| all.add(hole, most));
    }
    Ok(Holes { newest: all.newest.into(), holes: all.holes, ids: all.ids, last: before })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open_writer;
    use crate::store::sqlite::runs;

    fn file() -> (tempfile::TempDir, rusqlite::Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("t.db")).unwrap();
        (dir, conn)
    }

    fn holes_of(ids: &[&str], most: usize) -> (Vec<(i64, i64)>, u64, u64) {
        let (_dir, conn) = file();
        for (seq, id) in ids.iter().enumerate() {
            let insert = "INSERT INTO event_refs VALUES ('a', 'message', ?1, ?2)";
            conn.execute(insert, (id, seq as i64)).unwrap();
        }
        let Holes { newest, holes, ids, .. } = holes(&conn, "a", most).unwrap();
        (newest.iter().map(|hole| (hole.first, hole.last)).collect(), holes, ids)
    }

    #[test]
    fn holes_lie_between_ids_as_numbers_whatever_their_length() {
        let ids = ["8", "9", "10", "12", "100", "101", "99", "m-7", "0", "105", "105"];
        assert_eq!(holes_of(&ids, 10), (vec![(11, 11), (13, 98), (102, 104)], 3, 90));
        assert_eq!(holes_of(&["5", "6", "7"], 10), (vec![], 0, 0));
        assert_eq!(holes_of(&[], 10), (vec![], 0, 0));
    }

    #[test]
    fn ids_that_cometchat_was_asked_for_are_no_hole() {
        let (_dir, conn) = file();
        for (seq, id) in ["10", "20", "30", "40"].iter().enumerate() {
            conn.execute("INSERT INTO event_refs VALUES ('a', 'message', ?1, ?2)", (id, seq as i64)).unwrap();
        }
        for (first, last) in [(13, 14), (25, 30), (21, 24), (39, 50)] {
            reconcile::ask(&conn, "a", first, last).unwrap();
        }
        reconcile::ask(&conn, "b", 1, 100).unwrap();
        assert_eq!(reconcile::asked(&conn, "a").unwrap(), [13..=14, 21..=30, 39..=50]);
        let found = holes(&conn, "a", 10).unwrap();
        let ranges: Vec<_> = found.newest.iter().map(|hole| (hole.first, hole.last)).collect();
        assert_eq!((ranges, found.ids, found.last), (vec![(11, 12), (15, 19), (31, 38)], 15, Some(40)));
        reconcile::ask(&conn, "a", 1, 100).unwrap();
        assert_eq!(reconcile::asked(&conn, "a").unwrap(), [1..=100]);
        assert_eq!(holes(&conn, "a", 10).unwrap().holes, 0);
    }

    #[test]
    fn the_newest_holes_are_kept_and_all_are_counted() {
        let ids: Vec<String> = (1..=1_000).filter(|id| id % 2 == 0).map(|id: i64| id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(holes_of(&ids, 2), (vec![(997, 997), (999, 999)], 499, 499));
    }

    #[test]
    fn an_outage_lies_between_the_last_sign_of_a_server_and_the_next_start() {
        let (_dir, conn) = file();
        for (id, started_at, now) in [(1, 1_000, 1_000), (1, 1_000, 61_000), (2, 61_500, 61_500), (3, 90_000, 91_000)] {
            runs::note(&conn, id, Time(started_at), Time(now)).unwrap();
        }
        let outage = Outage { from: Time(61_500), until: Time(90_000) };
        assert_eq!(outages(&conn, 10).unwrap(), [outage], "half a second is none");
    }

    #[test]
    fn only_so_many_runs_are_kept() {
        let (_dir, conn) = file();
        for at in 0..300 {
            let id = runs::next(&conn).unwrap();
            runs::note(&conn, id, Time(at), Time(at)).unwrap();
        }
        let kept: i64 = conn.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 200);
    }
}
