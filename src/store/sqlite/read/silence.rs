//! Feeds that went silent, compared with their own rhythm.

use super::traffic::{self, Trigger};
use super::{Conn, Sql};
use crate::ids::Time;
use crate::quiet;

const HOUR_MS: i64 = 3_600_000;
/// Hours of which the rhythm of a feed is learnt: the last before its silence.
const HOURS: i64 = 48;
/// A trigger that is silent for longer, while others go on, was switched off.
const SWITCHED_OFF: i64 = 30 * 24 * HOUR_MS;

/// A silence that is unusual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// `None`: all of the app's deliveries.
    pub trigger: Option<String>,
    /// When the newest delivery came.
    pub since: Time,
    /// How many deliveries of the trigger would have come since.
    pub missed: Option<u64>,
}

/// How many deliveries of an app came in each of the two days of hours up to its newest delivery. A silence is unusual
/// against that.
pub struct Rhythm {
    app: String,
    /// When the first hour begins.
    pub from: Time,
    hours: Vec<(Time, u64)>,
    newest: Time,
    /// Hours since then.
    silent: u64,
}

impl Rhythm {
    pub fn read(conn: &Conn, app: &str, now: Time) -> Sql<Self> {
        let hour = |at: Time| at.0.div_euclid(HOUR_MS);
        let (first, newest) = traffic::ends(conn, app)?.unwrap_or((now, now));
        // Before its first delivery an app has no rhythm.
        let from = Time((hour(newest) - HOURS + 1).max(hour(first)) * HOUR_MS);
        let hours = traffic::over_time(conn, app, from, newest, HOUR_MS / 60_000)?;
        Ok(Self {
            app: app.to_owned(),
            from,
            hours: hours.into_iter().map(|(at, it)| (at, it.all().unsigned_abs())).collect(),
            newest,
            silent: (hour(now) - hour(newest)).max(0).unsigned_abs(),
        })
    }

    /// Whether nothing at all came for unusually long.
    pub fn is_silent(&self) -> bool {
        let counts: Vec<u64> = self.hours.iter().map(|(_, count)| *count).collect();
        quiet::is_silent(&counts, self.silent)
    }

    /// How many deliveries of these triggers would have come since the last one, if that is unusual. `deliveries` of them
    /// came since `from`.
    pub fn missed(&self, conn: &Conn, triggers: &[String], deliveries: i64, last_at: Time) -> Sql<Option<u64>> {
        let sum = |from: Time| self.hours.iter().filter(|(at, _)| *at >= from).map(|(_, count)| count).sum::<u64>();
        if last_at >= self.from {
            return Ok(quiet::missed(deliveries.unsigned_abs(), sum(self.from), sum(last_at)));
        }
        if self.newest.0 - last_at.0 > SWITCHED_OFF {
            return Ok(None);
        }
        // The rhythm of these is that of their own last two days.
        let before = traffic::by_trigger(conn, &self.app, Time(last_at.0 - HOURS * HOUR_MS), last_at)?;
        let since = traffic::by_trigger(conn, &self.app, Time(last_at.0 + 60_000), self.newest)?;
        let all = |counts: &[(String, i64)]| counts.iter().map(|(_, count)| count.unsigned_abs()).sum::<u64>();
        let of_these = before.iter().filter(|(trigger, _)| triggers.contains(trigger));
        let of_these = of_these.map(|(_, count)| count.unsigned_abs()).sum();
        Ok(quiet::missed(of_these, all(&before) + all(&since), all(&since)))
    }
}

/// Unusual silences of an app, compared with its own rhythm of two days.
pub fn silences(conn: &Conn, app: &str, now: Time) -> Sql<Vec<Silence>> {
    let rhythm = Rhythm::read(conn, app, now)?;
    let triggers = traffic::delivered(conn, app, rhythm.from)?;
    let newest = triggers.iter().map(|it| it.last_at).max().filter(|_| rhythm.is_silent());
    let mut found: Vec<Silence> =
        newest.map(|since| Silence { trigger: None, since, missed: None }).into_iter().collect();
    for Trigger { trigger, outcomes, last_at } in triggers {
        if let Some(missed) = rhythm.missed(conn, std::slice::from_ref(&trigger), outcomes.all(), last_at)? {
            found.push(Silence { trigger: Some(trigger), since: last_at, missed: Some(missed) });
        }
    }
    Ok(found)
}
