//! What went on in an app or a group, day by day.

use super::context::Ask;
use super::error::{Result, bad_input};
use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::days::{Day, NoDays, days};
use crate::ids::ConversationKey;
use crate::store::sqlite::read::activity::{Span, count};
use async_graphql::{Context, SimpleObject};

/// What went on in a span of time.
#[derive(SimpleObject)]
pub struct Activity {
    /// Its days, first to last; days without anything too.
    days: Vec<DayActivity>,
    /// Reactions given in it, most frequent first; at most 200.
    top_reactions: Vec<ReactionCount>,
    /// Messages sent in it that moderation blocks now, by the rule that caught them, most first; at most 200.
    blocked_by_rule: Vec<RuleCount>,
    /// Whether all of it was counted: counting stops at 50,000 messages and 50,000 reactions of the app.
    exact: bool,
}

/// What went on in a day.
#[derive(SimpleObject)]
pub struct DayActivity {
    /// The day in the time zone asked for, such as `2026-01-05`.
    date: String,
    /// Chat sent, that is not deleted and not blocked.
    messages_count: i32,
    /// How many people sent it.
    active_senders_count: i32,
    /// Reactions given that were not taken back.
    reactions_count: i32,
}

/// How often a reaction was given.
#[derive(SimpleObject)]
pub struct ReactionCount {
    /// The reaction, such as an emoji.
    reaction: String,
    /// How often.
    count: i32,
}

/// How many messages a rule of moderation caught.
#[derive(SimpleObject)]
pub struct RuleCount {
    /// Id of the rule; null where none was told.
    rule: Option<String>,
    /// How many.
    count: i32,
}

impl Activity {
    /// Counts it, of a conversation or of all of the app.
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
            exact: found.exact,
        })
    }
}

/// The days of a span asked for.
pub(super) fn days_of(after: DateTime, before: DateTime, time_zone: Option<&str>) -> Result<Vec<Day>> {
    days(after.0, before.0, time_zone.unwrap_or("UTC")).map_err(|error| match error {
        NoDays::Zone => bad_input("timeZone", "expected a name such as Europe/Berlin or UTC"),
        NoDays::Span => bad_input("before", "expected a time behind `after`, by at most 92 days"),
    })
}
