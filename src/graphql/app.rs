//! An app, its events and its counts.

use super::activity::Activity;
use super::context::Ask;
use super::event::{Event, EventConnection};
use super::filter::{EventFilter, GroupFilter};
use super::group::{Group, GroupConnection};
use super::objects as async_graphql;
use super::page::Paging;
use super::reconcile::Reconcile;
use super::responses::{Asked, Responses};
use super::scalars::{BigInt, DateTime};
use super::traffic::{self, Silence, Traffic, TrafficStep, TriggerTraffic};
use crate::ids::TokenScope;
use crate::store::sqlite::read::app as row;
use crate::store::sqlite::{reconcile, state};
use async_graphql::{Context, Object, Result};

pub struct App(pub row::App);

/// A CometChat app. Data of one app never mixes with data of another app.
#[Object]
impl App {
    /// CometChat's id of the app.
    async fn app_id(&self) -> &str {
        &self.0.app_id
    }

    /// The region in the newest delivery that names one.
    async fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// When the first event of this app arrived.
    async fn first_seen_at(&self) -> DateTime {
        DateTime(self.0.first_seen_at)
    }

    /// When the newest event of this app arrived.
    async fn last_event_at(&self) -> DateTime {
        DateTime(self.0.last_event_at)
    }

    /// The number of events of this app in the log.
    async fn events_count(&self) -> BigInt {
        BigInt(self.0.events_count)
    }

    /// The newest reconcile of this app with CometChat's API, by the server or by `chatfold reconcile`. Null: there was none.
    #[graphql(complexity = "5 + child_complexity")]
    async fn reconcile(&self, ctx: &Context<'_>) -> Option<Result<Reconcile>> {
        let ended = ctx.read(|conn| reconcile::ended(conn, &self.0.app_id));
        ended.map(|ended| ended.map(Reconcile::from)).transpose()
    }

    /// Messages and reactions in this app, day by day.
    #[graphql(complexity = "200 + child_complexity")]
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The start of the time span.")] after: DateTime,
        #[graphql(desc = "The end of the time span, not included. At most 92 days after the start.")] before: DateTime,
        #[graphql(
            desc = "The time zone of the days, by its IANA name, such as `Europe/Berlin`.",
            default_with = "Some(\"UTC\".to_owned())"
        )]
        time_zone: Option<String>,
    ) -> Option<Result<Activity>> {
        Some(Activity::read(ctx, &self.0.app_id, None, after, before, time_zone.as_deref()))
    }

    /// How many deliveries arrived, step by step up to now, oldest first.
    #[graphql(complexity = "50 + child_complexity")]
    async fn traffic(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The length of each step.", default_with = "TrafficStep::Minute")] step: TrafficStep,
        #[graphql(
            desc = "The number of steps: at most 360 minutes or 72 hours. The last step is not over yet.",
            default = 60
        )]
        last: i32,
    ) -> Option<Result<Vec<Traffic>>> {
        Some(traffic::traffic(ctx, &self.0.app_id, step, last))
    }

    /// The triggers of this app by name, at most 200, and how many deliveries each had in the last hours.
    #[graphql(complexity = "50 + child_complexity")]
    async fn triggers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of hours up to now, at most 72.", default = 48)] hours: i32,
    ) -> Option<Result<Vec<TriggerTraffic>>> {
        Some(traffic::triggers(ctx, &self.0.app_id, hours))
    }

    /// Unusual silences of this app: nothing comes at all, or a trigger stopped in the last 30 days.
    #[graphql(complexity = "50 + child_complexity")]
    async fn silences(&self, ctx: &Context<'_>) -> Option<Result<Vec<Silence>>> {
        Some(traffic::silences(ctx, &self.0.app_id))
    }

    /// The groups of this app, by guid.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only groups that match this filter.")] filter: Option<GroupFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<GroupConnection> {
        Group::list(ctx, self.0.app_id.as_str().into(), filter, None, &Paging { first, after, last, before })
    }

    /// The events of this app, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only events that match this filter.")] filter: Option<EventFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<EventConnection> {
        Event::list(ctx, self.0.app_id.as_str().into(), filter, &Paging { first, after, last, before })
    }

    /// How long customers waited for an answer of an agent, day by day. This counts conversations in which an agent
    /// takes part: as one of the two people, as a member of the group now, or as a sender.
    #[graphql(complexity = "200 + child_complexity")]
    async fn responses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The start of the time span.")] after: DateTime,
        #[graphql(desc = "The end of the time span, not included. At most 92 days after the start.")] before: DateTime,
        #[graphql(
            desc = "The time zone of the days, by its IANA name, such as `Europe/Berlin`.",
            default_with = "Some(\"UTC\".to_owned())"
        )]
        time_zone: Option<String>,
        #[graphql(
            desc = "A person with one of these roles is an agent. At most 20 roles.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        roles: Option<Vec<String>>,
        #[graphql(
            desc = "A person with one of these tags is an agent too. At most 20 tags.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        tags: Option<Vec<String>>,
    ) -> Option<Result<Responses>> {
        let asked = Asked { after, before, time_zone, roles, tags };
        Some(Responses::read(ctx, &self.0.app_id, None, asked))
    }

    /// One number for all rows of this app. Two files that heard the same facts give the same number. The server reads
    /// all rows for it. If that takes too long for a query, use `chatfold inspect`, which prints the number of the
    /// whole file. Needs a token of the scope `content`, because the number can confirm a guess at the text of
    /// messages.
    async fn state_hash(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        let hash = || ctx.read(|conn| state::of_app(conn, &self.0.app_id)).map(|state| state.total.to_string());
        Some(ctx.needs(TokenScope::Content).and_then(|()| hash()))
    }
}
