//! What can be subscribed to: every applied fact after a position, in the order of the log.

use super::context::Ask;
use super::enums::ReceiverType;
use super::error::{Result, bad_input};
use super::live::{Batch, Decoded};
use super::node::Node;
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime, int};
use async_graphql::futures_util::future::try_join_all;
use async_graphql::futures_util::stream::{self, Stream};
use async_graphql::{Context, InputObject, Object, Subscription};
use std::sync::Arc;

/// Selects changes. A change must match every field that is given.
#[derive(InputObject, Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Only changes by these triggers.
    pub triggers: Option<Vec<String>>,
    /// Only changes about this group, its memberships or its messages.
    pub guid: Option<String>,
    /// Only changes about this person, or about a message that this person sent.
    pub uid: Option<String>,
    /// Only changes about messages of the conversation with this id. Two conversations seldom have the same id; if they
    /// do, changes of both match.
    pub conversation_id: Option<String>,
    /// Only with `conversationId`: whether that conversation is one to one (`USER`) or a group's (`GROUP`).
    pub receiver_type: Option<ReceiverType>,
}

/// One applied fact, and what it is about.
pub struct Change(Arc<Decoded>);

/// One applied event.
#[Object]
impl Change {
    /// The log position of the event. To go on after a break, pass the last one you saw as `afterSeq`.
    async fn seq(&self) -> BigInt {
        BigInt(self.0.seq)
    }

    /// CometChat's name of what happened, such as `message_sent`.
    async fn trigger(&self) -> &str {
        &self.0.trigger
    }

    /// When the event happened, as far as that is known.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }

    /// The event in the log.
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<super::event::Event>> {
        super::event::Event::find(ctx, &self.0.app, self.0.seq).await
    }

    /// The objects that the event is about, as they are now. At most 200.
    async fn nodes(&self, ctx: &Context<'_>) -> Result<Vec<Node>> {
        let nodes = try_join_all(self.0.nodes.iter().map(|id| Node::find(ctx, id))).await?;
        Ok(nodes.into_iter().flatten().collect())
    }

    /// The number of objects that the event is about.
    async fn nodes_count(&self) -> i32 {
        int(self.0.nodes_count as i64)
    }
}

/// What can be subscribed to.
pub struct Subscription;

/// Live updates, over the protocol `graphql-transport-ws`.
#[Subscription]
impl Subscription {
    /// Every applied event after a log position, then every new one, in the order of the log. No change is left out and
    /// none is sent twice, also if the connection breaks and you go on with `afterSeq`.
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "The last log position that you have seen. Without it, only changes from now on.")]
        after_seq: Option<BigInt>,
        #[graphql(desc = "Only changes that match this filter.")] filter: Option<ChangeFilter>,
    ) -> Result<impl Stream<Item = Change> + use<>> {
        let batch = ctx.data_opt::<Arc<Batch>>().ok_or_else(|| bad_input("changes", "a websocket is needed"))?;
        let changes = batch.read(ctx.asking(), app_id, after_seq.map(|seq| seq.0), filter.unwrap_or_default())?;
        Ok(stream::iter(changes.into_iter().map(Change)))
    }
}
