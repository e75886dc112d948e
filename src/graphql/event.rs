//! The log.

use super::context::Ask;
use super::entity::{Entity, refs};
use super::enums::{EventOutcome, TimeSource};
use super::error::{Result, bad_input};
use super::filter::EventFilter;
use super::json::value;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::{Page, Paging, connection};
use super::scalars::{BigInt, DateTime, Json, int};
use crate::entity::Entity as Subject;
use crate::ids;
use crate::store::sqlite::read::PLAIN_LIST;
use crate::store::sqlite::read::event::{self as row, BodyOf, EventKey, Events, NamedBy};
use crate::trigger::without_keys;
use async_graphql::{Context, ID, Object, Value};
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Clone)]
pub struct Event {
    app: Arc<str>,
    row: row::Event,
}

connection!(EventConnection, EventEdge, Event, "events");

/// One event in the log. Several deliveries may have carried the same event.
#[Object]
impl Event {
    /// The global id. Pass it to `node`.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::Event(self.row.seq))
    }

    /// The id of the app that this event belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// The log position of the event.
    async fn seq(&self) -> BigInt {
        BigInt(self.row.seq)
    }

    /// CometChat's name of what happened, such as `message_sent`.
    async fn trigger(&self) -> &str {
        &self.row.trigger
    }

    /// The region in the delivery.
    async fn region(&self) -> Option<&str> {
        self.row.region.as_deref()
    }

    /// The id of the webhook that delivered the event first.
    async fn webhook_id(&self) -> Option<&str> {
        self.row.webhook_id.as_deref()
    }

    /// When the first delivery of this event arrived.
    async fn received_at(&self) -> DateTime {
        DateTime(self.row.received_at)
    }

    /// When the event happened, as far as that is known.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.row.occurred_at)
    }

    /// How the time `occurredAt` is known.
    async fn occurred_from(&self) -> TimeSource {
        self.row.occurred_from.into()
    }

    /// How often the event was delivered.
    async fn deliveries(&self) -> i32 {
        int(self.row.deliveries)
    }

    /// What the server did with the event.
    async fn outcome(&self) -> EventOutcome {
        self.row.outcome.into()
    }

    /// Why the event was not applied, or which fields the server did not understand. Only a token of the scope `admin`
    /// sees the keys of maps in this text; other tokens see `[…]` in place of each key.
    async fn reason(&self, ctx: &Context<'_>) -> Option<Cow<'_, str>> {
        let reason = self.row.reason.as_deref()?;
        match ctx.needs(ids::TokenScope::Admin) {
            Ok(()) => Some(reason.into()),
            Err(_) => Some(without_keys(reason).into()),
        }
    }

    /// The delivery, without secrets. Null if the delivery is not a JSON value that can be shown: then `bodyError`
    /// tells why. Needs a token of the scope `admin`.
    async fn body(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        match self.parsed(ctx).await {
            Ok(Some(parsed)) => parsed.ok().map(|body| Ok(Json(body))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// The objects that this event is about. Objects of which the event only carries a copy are not listed.
    #[graphql(complexity = "Entity::cost(first, child_complexity)")]
    async fn entities(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of objects to list, at most 200.", default_with = "Some(200)")] first: Option<i32>,
    ) -> Result<Vec<Entity>> {
        let first = usize::try_from(first.unwrap_or(200)).ok().filter(|first| *first <= PLAIN_LIST);
        let first = first.ok_or_else(|| bad_input("first", &format!("expected a number from 0 to {PLAIN_LIST}")))?;
        let named = ctx.load(&self.app, NamedBy { seq: self.row.seq, first }).await?.unwrap_or_default();
        Ok(named.into_iter().map(|subject| Entity::new(&self.app, subject)).collect())
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
            outcomes: filter
                .outcomes
                .map(|all| all.into_iter().map(|outcome| ids::Outcome::from(outcome).as_str()).collect()),
            received_after: filter.received_after.map(|at| at.0.0),
            received_before: filter.received_before.map(|at| at.0.0),
            after_seq: filter.after_seq.map(|seq| seq.0),
            before_seq: filter.before_seq.map(|seq| seq.0),
            about: filter.about.as_deref().map(refs),
            contains: filter.body_contains,
        };
        if list.contains.is_some() {
            ctx.needs(ids::TokenScope::Admin)?;
        }
        Page::read(ctx, app, list, paging).map(EventConnection)
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        let rows = ctx.load_all(&page.app, page.keys.iter().map(|key| EventKey(key[0].int())).collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }

    /// A page of the events about an entity.
    pub fn about(ctx: &Context<'_>, app: &Arc<str>, entity: &Subject, paging: &Paging) -> Result<EventConnection> {
        let list = Events { app: app.to_string(), about: Some(vec![entity.reference()]), ..Events::default() };
        Page::read(ctx, Arc::clone(app), list, paging).map(EventConnection)
    }

    async fn parsed(&self, ctx: &Context<'_>) -> Result<Option<std::result::Result<Value, String>>> {
        ctx.needs(ids::TokenScope::Admin)?;
        let body = ctx.load(&self.app, BodyOf(self.row.seq)).await?;
        Ok(body.map(|body| value(&body)))
    }
}
