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

/// What can be asked. One request sees one state of the file; `extensions.chatfold.seq` says which. A token may be bound
/// to apps and to a scope: `metadata` shows who, when and how many, `content` what was said and custom data too, `admin`
/// the bodies of events too; a field beyond it is null, with the error FORBIDDEN, which is told once a field, not once a
/// row.
#[Object]
impl Query {
    /// Whatever a global id names.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Option<Result<Node>> {
        Node::find(ctx, &id).await.transpose()
    }

    /// What several global ids name, in their order, null for those that name nothing.
    #[graphql(complexity = "1 + ids.len() * child_complexity")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > 100 {
            return Err(bad_input("ids", "expected at most 100"));
        }
        try_join_all(ids.iter().map(|id| Node::find(ctx, id))).await
    }

    /// The apps this file has events of, by id; at most 200.
    async fn apps(&self, ctx: &Context<'_>) -> Result<Vec<App>> {
        let only = ctx.asking().caller.apps.as_deref();
        Ok(ctx.read(|conn| app::all(conn, only))?.into_iter().map(App).collect())
    }

    /// An app.
    async fn app(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id; may be left out where only one can be meant.")] app_id: Option<String>,
    ) -> Option<Result<App>> {
        let found = ctx.app(app_id).and_then(|app| ctx.read(|conn| app::all(conn, Some(&[app.to_string()]))));
        found.map(|found| found.into_iter().next().map(App)).transpose()
    }

    /// How this file stands, and what it shows.
    async fn status(&self, ctx: &Context<'_>) -> Status {
        let asking = ctx.asking();
        Status::new(asking.newest, asking.snapshot.fold_version())
    }

    /// A group, deleted or not.
    async fn group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the group.")] guid: String,
    ) -> Option<Result<Group>> {
        find!(ctx, app_id, |app| Group::find(ctx, &app, &guid))
    }

    /// Groups, by guid unless ordered otherwise.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Which of them.")] filter: Option<GroupFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<GroupOrder>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<GroupConnection> {
        Group::list(ctx, ctx.app(app_id)?, filter, order_by, &Paging { first, after, last, before })
    }

    /// A person.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the person.")] uid: String,
    ) -> Option<Result<User>> {
        find!(ctx, app_id, |app| User::find(ctx, &app, &uid))
    }

    /// People, by uid.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Which of them.")] filter: Option<UserFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<UserConnection> {
        User::list(ctx, ctx.app(app_id)?, filter, &Paging { first, after, last, before })
    }

    /// A conversation. Several may have the same id, for uids and guids may look like parts of one: then the error names
    /// them, and `receiverType` or `uid` tells which is meant.
    async fn conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the conversation.")] conversation_id: String,
        #[graphql(desc = "Whether it is one to one or a group's.")] receiver_type: Option<ReceiverType>,
        #[graphql(desc = "One of the two people of a one to one.")] uid: Option<String>,
    ) -> Option<Result<Conversation>> {
        find!(ctx, app_id, |app| Conversation::named(ctx, &app, conversation_id, receiver_type, uid))
    }

    /// Conversations in which something was said, newest activity first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn conversations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Which of them.")] filter: Option<ConversationFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<ConversationConnection> {
        let app = ctx.app(app_id)?;
        let filter = filter.unwrap_or_default();
        let types = |all: Vec<_>| all.into_iter().map(|kind| ids::ReceiverType::from(kind).as_str()).collect();
        let list = Conversations { app: app.to_string(), uid: filter.uid, types: filter.types.map(types) };
        Conversation::list(ctx, app, list, &Paging { first, after, last, before })
    }

    /// A message, whatever its category and state.
    async fn message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the message.")] message_id: String,
    ) -> Option<Result<Message>> {
        find!(ctx, app_id, |app| Message::find(ctx, &app, &message_id))
    }

    /// Messages, newest first; of equal times the greater id first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Which of them.")] filter: Option<MessageFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let paging = Paging { first, after, last, before };
        Message::list(ctx, &ctx.app(app_id)?, filter.unwrap_or_default(), Of::default(), &paging)
    }

    /// Who blocks whom now, by who blocks and who is blocked.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn blocks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<BlockConnection> {
        let app = ctx.app(app_id)?;
        let list = Blocks { app: app.to_string(), blocker: None, blocked: None };
        Page::read(ctx, app, list, &Paging { first, after, last, before }).map(BlockConnection)
    }

    /// The newest call or meeting of a session id.
    async fn call_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "CometChat's id of the session.")] session_id: String,
    ) -> Option<Result<CallSession>> {
        find!(ctx, app_id, |app| CallSession::newest(ctx, &app, &session_id))
    }

    /// Calls and meetings, newest first: by start, else by initiation.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn call_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Which of them.")] filter: Option<CallSessionFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<CallSessionConnection> {
        CallSession::list(ctx, ctx.app(app_id)?, filter, &Paging { first, after, last, before })
    }

    /// Why the tables say of an entity what they say: its deliveries in the order of the log, which registers each won
    /// or lost and by which rule, and the row they came to; as `chatfold explain --json` prints it. It tells what the log
    /// says, of what is deleted too: asks for a token of the scope admin. Of an entity with more than 2,000 events only
    /// `chatfold explain` tells.
    #[graphql(complexity = "500")]
    async fn explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Such as `group:GUID`, `membership:GUID/UID`, `message:ID`, `user:UID`, `call:SESSION`.")]
        entity: String,
    ) -> Option<Result<Json>> {
        ctx.app(app_id).and_then(|app| explained(ctx, &app, &entity)).transpose()
    }

    /// An event of the log.
    async fn event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Its log position.")] seq: BigInt,
    ) -> Option<Result<Event>> {
        find!(ctx, app_id, |app| Event::find(ctx, &app, seq.0))
    }

    /// Events of the log, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The app; may be left out where only one can be meant.")] app_id: Option<String>,
        #[graphql(desc = "Which of them.")] filter: Option<EventFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<EventConnection> {
        Event::list(ctx, ctx.app(app_id)?, filter, &Paging { first, after, last, before })
    }
}
