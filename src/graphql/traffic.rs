//! The deliveries of an app by time, trigger and outcome.

use super::context::Ask;
use super::error::{Result, bad_input};
use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::clock;
use crate::ids::Time;
use crate::store::sqlite::read::silence;
use crate::store::sqlite::read::traffic::{self as row, Outcomes, over_time};
use async_graphql::{Context, Enum, SimpleObject};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The length of the steps in which deliveries are counted.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum TrafficStep {
    /// One minute, for at most the last 6 hours.
    Minute,
    /// One hour, for at most the last 72 hours.
    Hour,
}

/// The deliveries of one step of time.
#[derive(SimpleObject)]
pub struct Traffic {
    /// When the step begins.
    at: DateTime,
    /// The number of deliveries that arrived in the step.
    deliveries_count: i32,
    /// The number of deliveries by outcome.
    outcomes: OutcomeCounts,
}

/// The number of deliveries by outcome.
#[derive(SimpleObject)]
pub struct OutcomeCounts {
    /// Deliveries that changed the tables.
    applied: i32,
    /// Deliveries that were known already: retries, and copies by a second webhook.
    duplicate: i32,
    /// Deliveries of a trigger that is unknown, or has no tables.
    ignored: i32,
    /// Deliveries that contradict themselves.
    anomaly: i32,
    /// Deliveries that do not name the object they are about (dead letters).
    rejected: i32,
}

/// The deliveries of one trigger.
#[derive(SimpleObject)]
pub struct TriggerTraffic {
    /// CometChat's name of the trigger, such as `message_sent`.
    trigger: String,
    /// The number of deliveries in the last hours.
    deliveries_count: i32,
    /// The number of deliveries by outcome.
    outcomes: OutcomeCounts,
    /// When the newest event of this trigger arrived, at any time.
    last_at: DateTime,
}

/// A silence that is unusual, compared with a rhythm of two days.
#[derive(SimpleObject)]
pub struct Silence {
    /// The trigger that stopped while other deliveries went on. Null: nothing comes at all.
    trigger: Option<String>,
    /// When the newest event of the app, or of the trigger, arrived.
    since: DateTime,
    /// About how many deliveries of the trigger would have come since.
    missed_count: Option<i32>,
}

impl From<Outcomes> for OutcomeCounts {
    fn from(it: Outcomes) -> Self {
        Self {
            applied: int(it.applied),
            duplicate: int(it.duplicate),
            ignored: int(it.ignored),
            anomaly: int(it.anomaly),
            rejected: int(it.rejected),
        }
    }
}

/// The last steps up to now, oldest first. The last step is not over yet.
pub fn traffic(ctx: &Context<'_>, app: &str, step: TrafficStep, last: i32) -> Result<Vec<Traffic>> {
    let (length, most) = match step {
        TrafficStep::Minute => (MINUTE_MS, 360),
        TrafficStep::Hour => (HOUR_MS, 72),
    };
    if !(1..=most).contains(&last) {
        return Err(bad_input("last", &format!("expected a number from 1 to {most}")));
    }
    let now = clock::now();
    let running = now.0.div_euclid(length) * length;
    let from = Time(running - i64::from(last - 1) * length);
    let steps = ctx.read(|conn| over_time(conn, app, from, now, length / MINUTE_MS))?;
    let step = |(at, counts): (Time, Outcomes)| Traffic {
        at: DateTime(at),
        deliveries_count: int(counts.all()),
        outcomes: counts.into(),
    };
    Ok(steps.into_iter().map(step).collect())
}

/// Every trigger of the app.
pub fn triggers(ctx: &Context<'_>, app: &str, hours: i32) -> Result<Vec<TriggerTraffic>> {
    if !(1..=72).contains(&hours) {
        return Err(bad_input("hours", "expected a number from 1 to 72"));
    }
    let since = Time(clock::now().0 - i64::from(hours) * HOUR_MS);
    let all = ctx.read(|conn| row::triggers(conn, app, since))?;
    let trigger = |it: row::Trigger| TriggerTraffic {
        trigger: it.trigger,
        deliveries_count: int(it.outcomes.all()),
        outcomes: it.outcomes.into(),
        last_at: DateTime(it.last_at),
    };
    Ok(all.into_iter().map(trigger).collect())
}

/// Nothing at all, and then single triggers.
pub fn silences(ctx: &Context<'_>, app: &str) -> Result<Vec<Silence>> {
    let all = ctx.read(|conn| silence::silences(conn, app, clock::now()))?;
    let silence = |it: silence::Silence| Silence {
        trigger: it.trigger,
        since: DateTime(it.since),
        missed_count: it.missed.map(|missed| int(missed.cast_signed())),
    };
    Ok(all.into_iter().map(silence).collect())
}
