//! Apps.

use super::activity::Activity;
use super::context::Ask;
use super::event::{Event, EventConnection};
use super::filter::EventFilter;
use super::objects as async_graphql;
use super::page::Paging;
use super::responses::{Asked, Responses};
use super::scalars::{BigInt, DateTime};
use super::traffic::{self, Traffic, TrafficStep, TriggerTraffic};
use crate::ids::TokenScope;
use crate::store::sqlite::read::app as row;
use crate::store::sqlite::state;
use async_graphql::{Context, Object, Result};

pub struct App(pub row::App);

/// A CometChat app this file has events of. Nothing ever crosses from one app to another.
#[Object]
impl App {
    /// CometChat's id of the app.
    async fn app_id(&self) -> &str {
        &self.0.app_id
    }

    /// The region its deliveries name.
    async fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// When its first event arrived.
    async fn first_seen_at(&self) -> DateTime {
        DateTime(self.0.first_seen_at)
    }

    /// When its newest event arrived.
    async fn last_event_at(&self) -> DateTime {
        DateTime(self.0.last_event_at)
    }

    /// How many events the log has of it.
    async fn events_count(&self) -> BigInt {
        BigInt(self.0.events_count)
    }

    /// What went on in it, day by day.
    #[graphql(complexity = "200 + child_complexity")]
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From that time on.")] after: DateTime,
        #[graphql(desc = "Up to before that time, at most 92 days later.")] before: DateTime,
        #[graphql(desc = "Whose days, by its IANA name.", default_with = "Some(\"UTC\".to_owned())")] time_zone: Option<
            String,
        >,
    ) -> Option<Result<Activity>> {
        Some(Activity::read(ctx, &self.0.app_id, None, after, before, time_zone.as_deref()))
    }

    /// Deliveries over time, oldest first: the last minutes or hours up to now.
    #[graphql(complexity = "50 + child_complexity")]
    async fn traffic(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How long each step is.", default_with = "TrafficStep::Minute")] step: TrafficStep,
        #[graphql(
            desc = "How many steps, at most 360 minutes or 72 hours; the running one is the last.",
            default = 60
        )]
        last: i32,
    ) -> Option<Result<Vec<Traffic>>> {
        Some(traffic::traffic(ctx, &self.0.app_id, step, last))
    }

    /// Its triggers by name, at most 200, and what they brought in the last hours.
    #[graphql(complexity = "50 + child_complexity")]
    async fn triggers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In how many hours up to now, at most 72.", default = 48)] hours: i32,
    ) -> Option<Result<Vec<TriggerTraffic>>> {
        Some(traffic::triggers(ctx, &self.0.app_id, hours))
    }

    /// Its events, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<EventFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<EventConnection> {
        Event::list(ctx, self.0.app_id.as_str().into(), filter, &Paging { first, after, last, before })
    }

    /// How long customers waited for an agent, day by day: in conversations an agent takes part in, as one of the two, as
    /// a member of the group now, or by writing in it.
    #[graphql(complexity = "200 + child_complexity")]
    async fn responses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From that time on.")] after: DateTime,
        #[graphql(desc = "Up to before that time, at most 92 days later.")] before: DateTime,
        #[graphql(desc = "Whose days, by its IANA name.", default_with = "Some(\"UTC\".to_owned())")] time_zone: Option<
            String,
        >,
        #[graphql(
            desc = "Agents are those of these roles; at most 20.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        roles: Option<Vec<String>>,
        #[graphql(
            desc = "And those who carry one of these tags; at most 20.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        tags: Option<Vec<String>>,
    ) -> Option<Result<Responses>> {
        let asked = Asked { after, before, time_zone, roles, tags };
        Some(Responses::read(ctx, &self.0.app_id, None, asked))
    }

    /// One number for what the tables say about it: equal wherever the same facts were heard. All its rows are read
    /// for it: where that takes longer than a request may, `chatfold inspect` tells it of the whole file. Asks for a
    /// token of the scope content, for the number confirms a guess at what was said.
    async fn state_hash(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        let hash = || ctx.read(|conn| state::of_app(conn, &self.0.app_id)).map(|state| state.total.to_string());
        Some(ctx.needs(TokenScope::Content).and_then(|()| hash()))
    }
}
