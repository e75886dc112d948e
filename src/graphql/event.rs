//! The log.

use super::context::Ask;
use super::enums::{EventOutcome, TimeSource};
use super::error::Result;
use super::filter::EventFilter;
use super::json::value;
use super::node_id::{NodeKey, encode};
use super::page::{Page, Paging, connection};
use super::scalars::{BigInt, DateTime, Json, int};
use crate::ids;
use crate::store::sqlite::read::event::{self as row, BodyOf, EventKey, Events};
use async_graphql::{Context, ID, Object, Value};
use std::sync::Arc;

#[derive(Clone)]
pub struct Event {
    app: Arc<str>,
    row: row::Event,
}

connection!(EventConnection, EventEdge, Event, "events");

/// One fact in the log. Several deliveries may have carried it.
#[Object]
impl Event {
    /// The global id, for `node`.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::Event(self.row.seq))
    }

    /// The app it belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// Its log position.
    async fn seq(&self) -> BigInt {
        BigInt(self.row.seq)
    }

    /// What happened, in CometChat's word.
    async fn trigger(&self) -> &str {
        &self.row.trigger
    }

    /// The region its delivery named.
    async fn region(&self) -> Option<&str> {
        self.row.region.as_deref()
    }

    /// The webhook that told it first.
    async fn webhook_id(&self) -> Option<&str> {
        self.row.webhook_id.as_deref()
    }

    /// When its first delivery arrived.
    async fn received_at(&self) -> DateTime {
        DateTime(self.row.received_at)
    }

    /// When it happened, as far as can be known.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.row.occurred_at)
    }

    /// How `occurredAt` is known.
    async fn occurred_from(&self) -> TimeSource {
        self.row.occurred_from.into()
    }

    /// How often it was delivered.
    async fn deliveries(&self) -> i32 {
        int(self.row.deliveries)
    }

    /// What became of it.
    async fn outcome(&self) -> EventOutcome {
        self.row.outcome.into()
    }

    /// Why it was not applied, or which fields were not understood.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// What was received, without secrets; null with `bodyError` where that is no JSON value we can show. Asks for a
    /// token of the scope admin.
    async fn body(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        match self.parsed(ctx).await {
            Ok(Some(parsed)) => parsed.ok().map(|body| Ok(Json(body))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Why `body` is null.
    async fn body_error(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        match self.parsed(ctx).await {
            Ok(parsed) => parsed.and_then(std::result::Result::err).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Event {
    /// The event, if it is of this app.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, seq: i64) -> Result<Option<Self>> {
        let row = ctx.load(app, EventKey(seq)).await?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// A page of events.
    pub fn list(
        ctx: &Context<'_>,
        app: Arc<str>,
        filter: Option<EventFilter>,
        paging: &Paging,
    ) -> Result<EventConnection> {
        let filter = filter.unwrap_or_default();
        let list = Events {
            app: app.to_string(),
            triggers: filter.triggers,
            message: filter.message_id,
            outcomes: filter
                .outcomes
                .map(|all| all.into_iter().map(|outcome| ids::Outcome::from(outcome).as_str()).collect()),
            received_after: filter.received_after.map(|at| at.0.0),
            received_before: filter.received_before.map(|at| at.0.0),
            after_seq: filter.after_seq.map(|seq| seq.0),
        };
        Page::read(ctx, app, list, paging).map(EventConnection)
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        let rows = ctx.load_all(&page.app, page.keys.iter().map(|key| EventKey(key[0].int())).collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }

    async fn parsed(&self, ctx: &Context<'_>) -> Result<Option<std::result::Result<Value, String>>> {
        ctx.needs(ids::TokenScope::Admin)?;
        let body = ctx.load(&self.app, BodyOf(self.row.seq)).await?;
        Ok(body.map(|body| value(&body)))
    }
}
