//! Whether people are online.

use super::context::Ask;
use super::enums::TimeSource;
use super::error::Result;
use super::objects as async_graphql;
use super::scalars::{DateTime, int};
use crate::store::sqlite::read::presence::{self as row, ConnectionsOf, PresenceOf};
use async_graphql::{Context, Object, SimpleObject};
use std::sync::Arc;

#[derive(Clone)]
pub struct Presence {
    app: Arc<str>,
    uid: Arc<str>,
    row: row::Presence,
}

/// An open connection of a person.
#[derive(SimpleObject)]
pub struct ClientSession {
    /// The platform of the client, such as `web` or `ios`.
    platform: Option<String>,
    /// When the connection was opened.
    connected_at: Option<DateTime>,
}

/// Whether a person is online.
#[Object]
impl Presence {
    /// Whether the newest status is online. If `lastSeenAt` is long ago, the server may have missed the change to
    /// offline. So lists of people online leave out everybody without a status in the last 24 hours.
    async fn online(&self) -> bool {
        self.row.online
    }

    /// When the person went online or offline last: the newest time in an event, or else the time that event arrived.
    /// Null if no change is known.
    async fn changed_at(&self) -> Option<DateTime> {
        self.row.changed_at.map(DateTime)
    }

    /// How the time `changedAt` is known.
    async fn changed_at_from(&self) -> Option<TimeSource> {
        self.row.changed_at_from.map(Into::into)
    }

    /// The newest time at which the person was seen online or offline: a time in an event, or else the time that event
    /// arrived.
    async fn last_seen_at(&self) -> Option<DateTime> {
        self.row.last_seen_at.map(DateTime)
    }

    /// How the time `lastSeenAt` is known.
    async fn last_seen_at_from(&self) -> Option<TimeSource> {
        self.row.last_seen_at_from.map(Into::into)
    }

    /// The open connections, at most 200.
    async fn connections(&self, ctx: &Context<'_>) -> Result<Vec<ClientSession>> {
        let rows = self.open(ctx).await?;
        Ok(rows
            .into_iter()
            .map(|row| ClientSession { platform: row.platform, connected_at: row.connected_at.map(DateTime) })
            .collect())
    }

    /// The number of open connections.
    async fn connections_count(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(self.open(ctx).await?.len() as i64))
    }
}

impl Presence {
    /// The presence, if any was told.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, uid: &Arc<str>) -> Result<Option<Self>> {
        let row = ctx.load(app, PresenceOf(Arc::clone(uid))).await?;
        Ok(row.map(|row| Self::of(app, uid, row)))
    }

    /// From its row.
    pub fn of(app: &Arc<str>, uid: &Arc<str>, row: row::Presence) -> Self {
        Self { app: Arc::clone(app), uid: Arc::clone(uid), row }
    }

    async fn open(&self, ctx: &Context<'_>) -> Result<Vec<row::Connection>> {
        Ok(ctx.load(&self.app, ConnectionsOf(Arc::clone(&self.uid))).await?.unwrap_or_default())
    }
}
