//! Everything that has a global id.

use super::call::CallSession;
use super::context::Ask;
use super::conversation::Conversation;
use super::error::Result;
use super::event::Event;
use super::group::Group;
use super::membership::Membership;
use super::message::Message;
use super::node_id::{NodeKey, decode};
use super::user::User;
use crate::store::sqlite::read::call::CallKey;
use crate::store::sqlite::read::membership::MembershipKey;
use async_graphql::{Context, ID, Interface};
use concrete as async_graphql;
use std::sync::Arc;

/// What the macro looks for; a node is resolved as the object that it is.
mod concrete {
    pub use ::async_graphql::*;

    pub mod resolver_utils {
        use super::super::Node;
        use crate::graphql::objects;
        pub use ::async_graphql::resolver_utils::*;
        use ::async_graphql::{ContextSelectionSet, ServerResult, Value};

        pub async fn resolve_container(ctx: &ContextSelectionSet<'_>, node: &Node) -> ServerResult<Value> {
            match node {
                Node::Group(group) => objects::resolve_container(ctx, group).await,
                Node::Membership(membership) => objects::resolve_container(ctx, membership).await,
                Node::User(user) => objects::resolve_container(ctx, user).await,
                Node::Conversation(conversation) => objects::resolve_container(ctx, conversation).await,
                Node::Message(message) => objects::resolve_container(ctx, &**message).await,
                Node::CallSession(session) => objects::resolve_container(ctx, session).await,
                Node::Event(event) => objects::resolve_container(ctx, event).await,
            }
        }
    }
}

/// An object with a global id. `node` reads the object by this id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The global id. Pass it to `node`."))]
pub enum Node {
    Group(Group),
    Membership(Membership),
    User(User),
    Conversation(Conversation),
    Message(Box<Message>),
    CallSession(CallSession),
    Event(Event),
}

impl Node {
    /// What the id names; `None` where that does not exist, or is not for this caller.
    pub async fn find(ctx: &Context<'_>, id: &str) -> Result<Option<Self>> {
        let Some((app, key)) = decode(id).filter(|(app, _)| ctx.asking().caller.may_read(app)) else {
            return Ok(None);
        };
        let app: Arc<str> = app.into();
        Ok(match key {
            NodeKey::Group(guid) => Group::find(ctx, &app, &guid).await?.map(Self::Group),
            NodeKey::Membership(guid, uid) => {
                Membership::find(ctx, &app, MembershipKey { guid: guid.into(), uid: uid.into(), at: None })
                    .await?
                    .map(Self::Membership)
            }
            NodeKey::User(uid) => User::find(ctx, &app, &uid).await?.map(Self::User),
            NodeKey::Conversation(key) => Conversation::find(ctx, &app, key).await?.map(Self::Conversation),
            NodeKey::Message(id) => Message::find(ctx, &app, &id).await?.map(Box::new).map(Self::Message),
            NodeKey::Call(session_key, kind, anchor) => {
                CallSession::find(ctx, &app, CallKey { session_key, kind, anchor }).await?.map(Self::CallSession)
            }
            NodeKey::Event(seq) => Event::find(ctx, &app, seq).await?.map(Self::Event),
        })
    }
}
