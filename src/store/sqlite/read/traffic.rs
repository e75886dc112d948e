//! Deliveries over time, from the counts kept per minute: never from a walk over the log.

use super::{Conn, Params, Sql, prepare, rows};
use crate::envelope::OWN;
use crate::ids::Time;

const MINUTE_MS: i64 = 60_000;

/// How many deliveries came to which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub applied: i64,
    pub duplicate: i64,
    pub ignored: i64,
    pub anomaly: i64,
    pub rejected: i64,
}

impl Outcomes {
    pub fn all(&self) -> i64 {
        self.applied + self.duplicate + self.ignored + self.anomaly + self.rejected
    }

    fn count(&mut self, outcome: &str, n: i64) {
        match outcome {
            "applied" => self.applied += n,
            "duplicate" => self.duplicate += n,
            "ignored" => self.ignored += n,
            "anomaly" => self.anomaly += n,
            _ => self.rejected += n,
        }
    }
}

/// Counts of the deliveries of an app. The events that chatfold makes of its own readings are no deliveries.
macro_rules! of_deliveries {
    () => {
        " FROM event_counts WHERE app_id = :app AND trigger NOT GLOB 'chatfold.*'"
    };
}

const MINUTES: &str =
    concat!("SELECT minute, outcome, n", of_deliveries!(), " AND minute >= :from AND minute < :until ORDER BY minute");

/// Counts of each step of `minutes` minutes; the first begins with the minute of `from`.
pub fn over_time(conn: &Conn, app: &str, from: Time, until: Time, minutes: i64) -> Sql<Vec<(Time, Outcomes)>> {
    let (from, until) = (from.0.div_euclid(MINUTE_MS), until.0.div_euclid(MINUTE_MS) + 1);
    let step = |at: i64| Time((from + at * minutes) * MINUTE_MS);
    let mut steps: Vec<(Time, Outcomes)> =
        (0..(until - from + minutes - 1) / minutes).map(|at| (step(at), Outcomes::default())).collect();
    let params: Params<'_> = &[(":app", &app), (":from", &from), (":until", &until)];
    let mut statement = prepare(conn, MINUTES, params)?;
    let mut found = statement.raw_query();
    while let Some(row) = super::next(&mut found)? {
        let at = (row.get::<_, i64>(0)? - from) / minutes;
        if let Some((_, counts)) = usize::try_from(at).ok().and_then(|at| steps.get_mut(at)) {
            counts.count(row.get_ref(1)?.as_str()?, row.get(2)?);
        }
    }
    Ok(steps)
}

const ENDS: &str = concat!(
    "SELECT o.minute, n.minute FROM (SELECT minute",
    of_deliveries!(),
    " ORDER BY minute LIMIT 1) AS o, (SELECT minute",
    of_deliveries!(),
    " ORDER BY minute DESC LIMIT 1) AS n"
);

/// The minutes of the first and of the newest delivery of an app.
pub fn ends(conn: &Conn, app: &str) -> Sql<Option<(Time, Time)>> {
    let minutes = rows(conn, ENDS, &[(":app", &app)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    Ok(minutes.first().map(|(first, newest)| (Time(first * MINUTE_MS), Time(newest * MINUTE_MS))))
}

const BY_TRIGGER: &str =
    concat!("SELECT trigger, sum(n)", of_deliveries!(), " AND minute >= :from AND minute <= :until GROUP BY trigger");

/// Deliveries by trigger, from one minute to another.
pub fn by_trigger(conn: &Conn, app: &str, from: Time, until: Time) -> Sql<Vec<(String, i64)>> {
    let (from, until) = (from.0.div_euclid(MINUTE_MS), until.0.div_euclid(MINUTE_MS));
    let params: Params<'_> = &[(":app", &app), (":from", &from), (":until", &until)];
    rows(conn, BY_TRIGGER, params, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// What a trigger brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    pub trigger: String,
    pub outcomes: Outcomes,
    /// When its newest event arrived first.
    pub last_at: Time,
}

/// Each step of the walk is one seek: the triggers of an app are few, whatever the log's length.
const TRIGGERS: &str = "
    WITH RECURSIVE known (trigger) AS (
        SELECT min(trigger) FROM events WHERE app_id = :app
        UNION ALL
        SELECT (SELECT min(e.trigger) FROM events e WHERE e.app_id = :app AND e.trigger > known.trigger)
        FROM known WHERE known.trigger IS NOT NULL
        LIMIT 200)
    SELECT k.trigger, (SELECT e.received_at FROM events e WHERE e.app_id = :app AND e.trigger = k.trigger ORDER BY e.seq DESC LIMIT 1)
    FROM known k WHERE k.trigger IS NOT NULL";
const SINCE: &str = "
    SELECT trigger, outcome, n FROM event_counts WHERE app_id = :app AND minute >= :from";

/// The triggers of an app by name, at most 200, with their deliveries since a time.
pub fn triggers(conn: &Conn, app: &str, since: Time) -> Sql<Vec<Trigger>> {
    let from = since.0.div_euclid(MINUTE_MS);
    let params: Params<'_> = &[(":app", &app), (":from", &from)];
    let mut all = rows(conn, TRIGGERS, params, |row| {
        Ok(Trigger { trigger: row.get(0)?, outcomes: Outcomes::default(), last_at: row.get(1)? })
    })?;
    let mut statement = prepare(conn, SINCE, params)?;
    let mut found = statement.raw_query();
    while let Some(row) = super::next(&mut found)? {
        let trigger = row.get_ref(0)?.as_str()?;
        if let Ok(at) = all.binary_search_by(|it| it.trigger.as_str().cmp(trigger)) {
            all[at].outcomes.count(row.get_ref(1)?.as_str()?, row.get(2)?);
        }
    }
    Ok(all)
}

/// The same, but for the events that chatfold makes of its own readings.
pub fn delivered(conn: &Conn, app: &str, since: Time) -> Sql<Vec<Trigger>> {
    let mut all = triggers(conn, app, since)?;
    all.retain(|it| !it.trigger.starts_with(OWN));
    Ok(all)
}

const DEAD_LETTERS: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM events WHERE app_id = :app AND outcome = 'rejected' AND outcome <> 'applied' LIMIT :most)";

/// The dead letters of an app, counted up to `most`.
pub fn dead_letters(conn: &Conn, app: &str, most: i64) -> Sql<i64> {
    let found = rows(conn, DEAD_LETTERS, &[(":app", &app), (":most", &most)], |row| row.get(0))?;
    Ok(found.into_iter().next().unwrap_or_default())
}
