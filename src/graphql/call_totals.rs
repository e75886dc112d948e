//! Totals of the calls and meetings of a group or a person.

use super::context::Ask;
use super::enums::{CallStatus, Period};
use super::error::{Result, bad_input};
use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::days::{NoDays, periods};
use crate::ids;
use crate::store::sqlite::read::call_totals::{Span, Totals, count};
use async_graphql::{ComplexObject, Context, SimpleObject};
use std::sync::Arc;

/// Totals of calls and meetings in a time span.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct CallTotals {
    /// The number of calls.
    calls_count: i32,
    /// The number of meetings.
    meetings_count: i32,
    /// The length of all calls and meetings together, in seconds.
    duration_seconds: i32,
    /// The time that people were in these calls and meetings, all stays together, in seconds. Under a user, only the
    /// stays of that user count. A stay without a known beginning or end is not counted.
    stays_seconds: i32,
    /// The number of calls and meetings in each state.
    statuses: Vec<CallStatusCount>,
    /// Whether every call in the span was counted. Counting stops at 50,000 calls and meetings of the app.
    exact: bool,
    #[graphql(skip)]
    whose: Whose,
    #[graphql(skip)]
    span: (DateTime, DateTime),
}

/// Totals of calls and meetings in one day, week or month.
#[derive(SimpleObject)]
pub struct PeriodCalls {
    /// The first day of the period, such as `2026-01-05`. A week begins on Monday.
    date: String,
    /// The number of calls.
    calls_count: i32,
    /// The number of meetings.
    meetings_count: i32,
    /// The length of all calls and meetings together, in seconds.
    duration_seconds: i32,
    /// The time that people were in these calls and meetings, in seconds, counted as in `CallTotals`.
    stays_seconds: i32,
    /// The number of calls and meetings in each state.
    statuses: Vec<CallStatusCount>,
}

/// A state, and how many calls and meetings are in it.
#[derive(SimpleObject)]
pub struct CallStatusCount {
    /// The state.
    status: CallStatus,
    /// The number of calls and meetings in this state.
    count: i32,
}

/// The group or person whose calls are counted.
#[derive(Clone)]
pub struct Whose {
    pub app: Arc<str>,
    pub guid: Option<String>,
    pub uid: Option<String>,
}

impl CallTotals {
    /// Counts the calls of a group or a person.
    pub fn read(ctx: &Context<'_>, whose: Whose, after: DateTime, before: DateTime) -> Result<Self> {
        if before.0 <= after.0 {
            return Err(bad_input("before", "expected a time later than `after`"));
        }
        let (found, exact) = whose.count(ctx, &[after.0.0], before)?;
        let all = found.into_iter().next().unwrap_or_default();
        Ok(Self {
            calls_count: int(all.calls),
            meetings_count: int(all.meetings),
            duration_seconds: int(all.seconds),
            stays_seconds: int(all.present),
            statuses: statuses(&all),
            exact,
            whose,
            span: (after, before),
        })
    }
}

#[ComplexObject]
impl CallTotals {
    /// The same totals for each period of the span, first to last. Periods without calls are listed too. At most 92
    /// periods.
    #[graphql(complexity = "200 + child_complexity")]
    async fn periods(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The length of a period.", default_with = "Period::Month")] by: Period,
        #[graphql(
            desc = "The time zone of the days, by its IANA name, such as `Europe/Berlin`.",
            default_with = "Some(\"UTC\".to_owned())"
        )]
        time_zone: Option<String>,
    ) -> Option<Result<Vec<PeriodCalls>>> {
        Some(self.by(ctx, by, time_zone.as_deref().unwrap_or("UTC")))
    }
}

impl CallTotals {
    fn by(&self, ctx: &Context<'_>, by: Period, zone: &str) -> Result<Vec<PeriodCalls>> {
        let (after, before) = self.span;
        let periods = periods(after.0, before.0, zone, by.into()).map_err(|error| match error {
            NoDays::Zone => bad_input("timeZone", "expected an IANA name, such as Europe/Berlin or UTC"),
            NoDays::Span => bad_input(
                "by",
                "the time span has more than 92 of these periods. Expected a longer period, or a shorter time span",
            ),
        })?;
        let starts: Vec<i64> = periods.iter().map(|period| period.start.0).collect();
        let (found, _) = self.whose.count(ctx, &starts, before)?;
        let period = |(period, totals): (crate::days::Day, Totals)| PeriodCalls {
            date: period.date,
            calls_count: int(totals.calls),
            meetings_count: int(totals.meetings),
            duration_seconds: int(totals.seconds),
            stays_seconds: int(totals.present),
            statuses: statuses(&totals),
        };
        Ok(periods.into_iter().zip(found).map(period).collect())
    }
}

impl Whose {
    fn count(&self, ctx: &Context<'_>, starts: &[i64], before: DateTime) -> Result<(Vec<Totals>, bool)> {
        let (guid, uid) = (self.guid.as_deref(), self.uid.as_deref());
        ctx.read(|conn| count(conn, Span { app: &self.app, guid, uid, starts, until: before.0.0 }))
    }
}

fn statuses(totals: &Totals) -> Vec<CallStatusCount> {
    let status = |(word, count): (&&str, &i64)| {
        let status = ids::CallStatus::from_word(word)?.into();
        Some(CallStatusCount { status, count: int(*count) })
    };
    totals.statuses.iter().filter_map(status).collect()
}
