//! How long customers wait for an agent's answer, day by day.

use super::activity::{days_of, is_cut};
use super::context::Ask;
use super::error::{Result, bad_input};
use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::ids::ConversationKey;
use crate::responses::Day;
use crate::store::sqlite::read::responses::{Span, count};
use async_graphql::{Context, SimpleObject};

/// Most roles or tags that can be asked for.
const MOST: usize = 20;

/// How long customers waited for an agent. A *question* is the first message of a customer since the last message of an
/// agent in the conversation, or since the conversation began. Its *answer* is the next message of an agent there.
/// Deleted and blocked messages do not count. A question counts on the day it was asked. A question is unanswered if no
/// answer came before `before`. A question asked before `after` that is still open then does not count, and messages
/// added to it do not count either.
#[derive(SimpleObject)]
pub struct Responses {
    /// One entry for each day, first to last. Days without questions are listed too.
    days: Vec<DayResponses>,
    /// The number of questions with an answer.
    answered_count: i32,
    /// The number of questions without an answer.
    unanswered_count: i32,
    /// The median wait in seconds: half of the answers took no longer. Null without answers.
    median_seconds: Option<i32>,
    /// The 90th percentile of the waits in seconds: nine of ten answers took no longer. Null without answers.
    p90_seconds: Option<i32>,
    /// The longest wait in seconds. Null without answers.
    max_seconds: Option<i32>,
    /// Whether every message in the span was read. Reading stops at 50,000 messages of the app. Messages that were cut
    /// from the log are not read: see `status { horizons }`.
    exact: bool,
}

/// The questions of one day.
#[derive(SimpleObject)]
pub struct DayResponses {
    /// The day, in the time zone of the query, such as `2026-01-05`.
    date: String,
    /// The number of questions asked on this day that were answered, on this day or later.
    answered_count: i32,
    /// The number of questions asked on this day that were not answered.
    unanswered_count: i32,
    /// The median wait in seconds: half of the answers took no longer. Null without answers.
    median_seconds: Option<i32>,
    /// The 90th percentile of the waits in seconds: nine of ten answers took no longer. Null without answers.
    p90_seconds: Option<i32>,
    /// The longest wait in seconds. Null without answers.
    max_seconds: Option<i32>,
}

/// The arguments of `responses`.
pub struct Asked {
    pub after: DateTime,
    pub before: DateTime,
    pub time_zone: Option<String>,
    pub roles: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
}

impl Responses {
    /// Counts the questions of one conversation or of the whole app.
    pub fn read(ctx: &Context<'_>, app: &str, conversation: Option<&ConversationKey>, asked: Asked) -> Result<Self> {
        let days = days_of(asked.after, asked.before, asked.time_zone.as_deref())?;
        let (roles, tags) = (asked.roles.unwrap_or_default(), asked.tags.unwrap_or_default());
        for (argument, words) in [("roles", &roles), ("tags", &tags)] {
            if words.len() > MOST {
                return Err(bad_input(argument, &format!("expected at most {MOST} {argument}")));
            }
        }
        let starts = days.iter().map(|day| day.start.0).collect();
        let span = Span { app, conversation, starts, until: asked.before.0.0, roles: &roles, tags: &tags };
        let found = ctx.read(|conn| count(conn, &span))?;
        let mut all = Day::default();
        for day in &found.days {
            all.waits.extend(&day.waits);
            all.unanswered += day.unanswered;
        }
        all.waits.sort_unstable();
        let day = |(day, found): (crate::days::Day, Day)| DayResponses {
            date: day.date,
            answered_count: int(found.waits.len() as i64),
            unanswered_count: int(found.unanswered),
            median_seconds: within(&found.waits, 50),
            p90_seconds: within(&found.waits, 90),
            max_seconds: within(&found.waits, 100),
        };
        Ok(Self {
            days: days.into_iter().zip(found.days).map(day).collect(),
            answered_count: int(all.waits.len() as i64),
            unanswered_count: int(all.unanswered),
            median_seconds: within(&all.waits, 50),
            p90_seconds: within(&all.waits, 90),
            max_seconds: within(&all.waits, 100),
            exact: found.exact && !is_cut(ctx, app, asked.after)?,
        })
    }
}

/// Nearest-rank percentile of the waits, in whole seconds.
fn within(waits: &[i64], percent: usize) -> Option<i32> {
    let rank = (waits.len() * percent).div_ceil(100);
    waits.get(rank.checked_sub(1)?).map(|wait| int(wait / 1000))
}
