//! The entry points.
#![expect(clippy::too_many_arguments, reason = "they are the arguments of fields in the schema")]

use super::app::App;
use super::block::BlockConnection;
use super::call::{CallSession, CallSessionConnection};
use super::context::Ask;
use super::conversation::{Conversation, ConversationConnection};
use super::entity::explained;
use super::enums::ReceiverType;
use super::error::{Result, bad_input};
use super::event::{Event, EventConnection};
use super::filter::{
    CallSessionFilter, ConversationFilter, EventFilter, GroupFilter, GroupOrder, MessageFilter, UserFilter,
};
use super::group::{Group, GroupConnection};
use super::message::{Message, MessageConnection};
use super::message_list::Of;
use super::node::Node;
use super::objects as async_graphql;
use super::page::{Page, Paging};
use super::scalars::{BigInt, Json};
use super::status::Status;
use super::user::{User, UserConnection};
use crate::ids;
use crate::store::sqlite::read::app;
use crate::store::sqlite::read::block::Blocks;
use crate::store::sqlite::read::conversation::Conversations;
use async_graphql::futures_util::future::try_join_all;
use async_graphql::{Context, ID, Object};

/// One thing of an app, for a nullable field: an error is that field's own.
macro_rules! find {
    ($ctx:ident, $named:ident, |$app:ident| $find:expr) => {
        match $ctx.app($named) {
            Ok($app) => $find.await.transpose(),
            Err(error) => Some(Err(error)),
        }
    };
}

pub struct Query;

/// All queries. One request reads one state of the file, and `extensions.chatfold.seq` names its log position. A token
/// may be limited to apps and to a scope: `metadata` shows who, when and how many; `content` also shows texts and
/// custom data; `admin` also shows the bodies of events. A field that the scope does not show is null, with the error
/// `FORBIDDEN`: one error for each field, not for each row.
#[Object]
impl Query {
    /// The object with this global id. Null if there is none.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Option<Result<Node>> {
        Node::find(ctx, &id).await.transpose()
    }

    /// The objects with these global ids, in the same order. Null in the place of an id without an object.
    #[graphql(complexity = "1 + ids.len() * child_complexity")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > 100 {
            return Err(bad_input("ids", "expected at most 100 ids"));
        }
        try_join_all(ids.iter().map(|id| Node::find(ctx, id))).await
    }

    /// The apps in this file, by id. At most 200.
    async fn apps(&self, ctx: &Context<'_>) -> Result<Vec<App>> {
        let only = ctx.asking().caller.apps.as_deref();
        Ok(ctx.read(|conn| app::all(conn, only))?.into_iter().map(App).collect())
    }

    /// One app.
    async fn app(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
    ) -> Option<Result<App>> {
        let found = ctx.app(app_id).and_then(|app| ctx.read(|conn| app::all(conn, Some(&[app.to_string()]))));
        found.map(|found| found.into_iter().next().map(App)).transpose()
    }

    /// The state of this file.
    async fn status(&self, ctx: &Context<'_>) -> Status {
        let asking = ctx.asking();
        Status::new(asking.newest, asking.snapshot.fold_version())
    }

    /// One group. Deleted groups too.
    async fn group(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the group.")] guid: String,
    ) -> Option<Result<Group>> {
        find!(ctx, app_id, |app| Group::find(ctx, &app, &guid))
    }

    /// Groups, by guid or in the order of `orderBy`.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "Only groups that match this filter.")] filter: Option<GroupFilter>,
        #[graphql(desc = "The order of the groups. Default: by guid, smallest first.")] order_by: Option<GroupOrder>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<GroupConnection> {
        Group::list(ctx, ctx.app(app_id)?, filter, order_by, &Paging { first, after, last, before })
    }

    /// One person.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the person.")] uid: String,
    ) -> Option<Result<User>> {
        find!(ctx, app_id, |app| User::find(ctx, &app, &uid))
    }

    /// People, by uid.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "Only users that match this filter.")] filter: Option<UserFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<UserConnection> {
        User::list(ctx, ctx.app(app_id)?, filter, &Paging { first, after, last, before })
    }

    /// One conversation. Two conversations may have the same id. Then an error names them, and `receiverType` or `uid`
    /// selects one.
    async fn conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the conversation.")] conversation_id: String,
        #[graphql(desc = "Whether the conversation is one to one (`USER`) or a group's (`GROUP`).")]
        receiver_type: Option<ReceiverType>,
        #[graphql(desc = "The uid of one of the two people of a one-to-one conversation.")] uid: Option<String>,
    ) -> Option<Result<Conversation>> {
        find!(ctx, app_id, |app| Conversation::named(ctx, &app, conversation_id, receiver_type, uid))
    }

    /// Conversations with at least one message, newest activity first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn conversations(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "Only conversations that match this filter.")] filter: Option<ConversationFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<ConversationConnection> {
        let app = ctx.app(app_id)?;
        let filter = filter.unwrap_or_default();
        let types = |all: Vec<_>| all.into_iter().map(|kind| ids::ReceiverType::from(kind).as_str()).collect();
        let list = Conversations { app: app.to_string(), uid: filter.uid, types: filter.types.map(types) };
        Conversation::list(ctx, app, list, &Paging { first, after, last, before })
    }

    /// One message, of any category and in any state.
    async fn message(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the message.")] message_id: String,
    ) -> Option<Result<Message>> {
        find!(ctx, app_id, |app| Message::find(ctx, &app, &message_id))
    }

    /// Messages, newest first. Of two messages with the same time, the one with the greater id comes first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "Only messages that match this filter.")] filter: Option<MessageFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let paging = Paging { first, after, last, before };
        Message::list(ctx, &ctx.app(app_id)?, filter.unwrap_or_default(), Of::default(), &paging)
    }

    /// All blocks that are in force now, by the uid of the person who blocks, then of the person who is blocked.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn blocks(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<BlockConnection> {
        let app = ctx.app(app_id)?;
        let list = Blocks { app: app.to_string(), blocker: None, blocked: None };
        Page::read(ctx, app, list, &Paging { first, after, last, before }).map(BlockConnection)
    }

    /// The newest call or meeting with this session id.
    async fn call_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the session.")] session_id: String,
    ) -> Option<Result<CallSession>> {
        find!(ctx, app_id, |app| CallSession::newest(ctx, &app, &session_id))
    }

    /// Calls and meetings, newest first. The order is by start, or by the time they began to ring if the start is not
    /// known.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn call_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "Only calls and meetings that match this filter.")] filter: Option<CallSessionFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<CallSessionConnection> {
        CallSession::list(ctx, ctx.app(app_id)?, filter, &Paging { first, after, last, before })
    }

    /// Why the tables hold these values for a group, membership, message, person or call. The answer lists its
    /// deliveries in the order of the log, which values each delivery won or lost, by which rule, and the row in the
    /// tables. The JSON is the same as that of `chatfold explain --json`. It shows texts of deleted messages, so it
    /// needs a token of the scope `admin`. An object with more than 2,000 events is an error here: use `chatfold
    /// explain`.
    #[graphql(complexity = "500")]
    async fn explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(
            desc = "The name of the object: `group:GUID`, `membership:GUID/UID`, `message:ID`, `user:UID` or `call:SESSION`."
        )]
        entity: String,
    ) -> Option<Result<Json>> {
        ctx.app(app_id).and_then(|app| explained(ctx, &app, &entity)).transpose()
    }

    /// One event of the log.
    async fn event(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "The log position of the event.")] seq: BigInt,
    ) -> Option<Result<Event>> {
        find!(ctx, app_id, |app| Event::find(ctx, &app, seq.0))
    }

    /// Events of the log, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The app's id. You may leave it out if the token or the file has only one app, or if the server has a `default_app`."
        )]
        app_id: Option<String>,
        #[graphql(desc = "Only events that match this filter.")] filter: Option<EventFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<EventConnection> {
        Event::list(ctx, ctx.app(app_id)?, filter, &Paging { first, after, last, before })
    }
}
