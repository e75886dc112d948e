//! Messages and reactions in an app or a group, day by day.

use super::context::Ask;
use super::error::{Result, bad_input};
use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::days::{Day, NoDays, days};
use crate::ids::ConversationKey;
use crate::store::sqlite::read::activity::{Span, count};
use crate::store::sqlite::read::app::messages_horizon;
use async_graphql::{Context, SimpleObject};

/// Messages and reactions in a time span, day by day.
#[derive(SimpleObject)]
pub struct Activity {
    /// One entry for each day, first to last. Days without messages are listed too.
    days: Vec<DayActivity>,
    /// The reactions given in the span, most frequent first. At most 200.
    top_reactions: Vec<ReactionCount>,
    /// How many messages sent in the span moderation blocks now, by the rule that caught them. Most frequent first, at
    /// most 200.
    blocked_by_rule: Vec<RuleCount>,
    /// Whether every message and reaction in the span was counted. Counting stops at 50,000 messages and 50,000
    /// reactions of the app. Messages that were cut from the log are not counted: see `status { horizons }`.
    exact: bool,
}

/// Messages and reactions of one day.
#[derive(SimpleObject)]
pub struct DayActivity {
    /// The day, in the time zone of the query, such as `2026-01-05`.
    date: String,
    /// The number of messages sent on this day, without deleted and blocked messages.
    messages_count: i32,
    /// The number of people who sent these messages.
    active_senders_count: i32,
    /// The number of reactions given on this day, without reactions taken back.
    reactions_count: i32,
}

/// A reaction, and how often people gave it.
#[derive(SimpleObject)]
pub struct ReactionCount {
    /// The reaction, such as an emoji.
    reaction: String,
    /// How often people gave this reaction.
    count: i32,
}

/// A moderation rule, and how many messages it caught.
#[derive(SimpleObject)]
pub struct RuleCount {
    /// The id of the rule. Null if CometChat sent none.
    rule: Option<String>,
    /// The number of messages that this rule caught.
    count: i32,
}

impl Activity {
    /// Counts the messages and reactions of one conversation or of the whole app.
    pub fn read(
        ctx: &Context<'_>,
        app: &str,
        conversation: Option<&ConversationKey>,
        after: DateTime,
        before: DateTime,
        time_zone: Option<&str>,
    ) -> Result<Self> {
        let days = days_of(after, before, time_zone)?;
        let starts = days.iter().map(|day| day.start.0).collect();
        let found = ctx.read(|conn| count(conn, &Span { app, conversation, starts, until: before.0.0 }))?;
        let day = |(day, found): (crate::days::Day, crate::store::sqlite::read::activity::Day)| DayActivity {
            date: day.date,
            messages_count: int(found.messages),
            active_senders_count: int(found.senders),
            reactions_count: int(found.reactions),
        };
        Ok(Self {
            days: days.into_iter().zip(found.days).map(day).collect(),
            top_reactions: found
                .reactions
                .into_iter()
                .map(|(reaction, count)| ReactionCount { reaction, count: int(count) })
                .collect(),
            blocked_by_rule: found
                .blocked
                .into_iter()
                .map(|(rule, count)| RuleCount { rule, count: int(count) })
                .collect(),
            exact: found.exact && !is_cut(ctx, app, after)?,
        })
    }
}

/// Whether messages sent after this time may have been cut from the log.
pub(super) fn is_cut(ctx: &Context<'_>, app: &str, after: DateTime) -> Result<bool> {
    let horizon = ctx.read(|conn| messages_horizon(conn, app))?;
    Ok(horizon.is_some_and(|horizon| after.0 < horizon))
}

/// The days between two times.
pub(super) fn days_of(after: DateTime, before: DateTime, time_zone: Option<&str>) -> Result<Vec<Day>> {
    days(after.0, before.0, time_zone.unwrap_or("UTC")).map_err(|error| match error {
        NoDays::Zone => bad_input("timeZone", "expected an IANA name, such as Europe/Berlin or UTC"),
        NoDays::Span => bad_input("before", "expected a time later than `after`, by at most 92 days"),
    })
}
