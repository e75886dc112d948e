//! Calls and meetings of a group or a person, together.

use super::context::Ask;
use super::enums::CallStatus;
use super::error::{Result, bad_input};
use super::scalars::{DateTime, int};
use crate::ids;
use crate::store::sqlite::read::call_totals::{Span, count};
use async_graphql::{Context, SimpleObject};

/// Calls and meetings in a span of time, together.
#[derive(SimpleObject)]
pub struct CallTotals {
    /// How many calls.
    calls_count: i32,
    /// How many meetings.
    meetings_count: i32,
    /// How long they took together.
    duration_seconds: i32,
    /// How many came to which state.
    statuses: Vec<CallStatusCount>,
    /// Whether all of it was counted: counting stops at 50,000 calls and meetings of the app.
    exact: bool,
}

/// How many calls and meetings are in a state.
#[derive(SimpleObject)]
pub struct CallStatusCount {
    /// The state.
    status: CallStatus,
    /// How many.
    count: i32,
}

impl CallTotals {
    /// Counts those of a group or a person.
    pub fn read(
        ctx: &Context<'_>,
        app: &str,
        (guid, uid): (Option<&str>, Option<&str>),
        after: DateTime,
        before: DateTime,
    ) -> Result<Self> {
        if before.0 <= after.0 {
            return Err(bad_input("before", "expected a time behind `after`"));
        }
        let span = Span { app, guid, uid, from: after.0.0, until: before.0.0 };
        let found = ctx.read(|conn| count(conn, span))?;
        let status = |(word, count): (&str, i64)| {
            let status = ids::CallStatus::from_word(word)?.into();
            Some(CallStatusCount { status, count: int(count) })
        };
        Ok(Self {
            calls_count: int(found.calls),
            meetings_count: int(found.meetings),
            duration_seconds: int(found.seconds),
            statuses: found.statuses.into_iter().filter_map(status).collect(),
            exact: found.exact,
        })
    }
}
