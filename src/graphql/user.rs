//! People.

use super::block::BlockConnection;
use super::call_totals::{CallTotals, Whose};
use super::context::Ask;
use super::conversation::ConversationConnection;
use super::error::Result;
use super::filter::{MembershipFilter, MessageFilter, UserFilter, include, name_part, scopes, states};
use super::json::stored;
use super::membership::MembershipConnection;
use super::message::{Message, MessageConnection};
use super::message_list::Of;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::{Page, Paging, connection, text};
use super::presence::Presence;
use super::scalars::{DateTime, Json};
use crate::ids::TokenScope;
use crate::store::sqlite::read::block::Blocks;
use crate::store::sqlite::read::conversation::Conversations;
use crate::store::sqlite::read::membership::Memberships;
use crate::store::sqlite::read::presence::Presence as PresenceRow;
use crate::store::sqlite::read::private::UserPrivate;
use crate::store::sqlite::read::texts;
use crate::store::sqlite::read::user::{self as row, UserKey, UserMetadata, Users};
use async_graphql::{Context, ID, Object};
use std::sync::Arc;

#[derive(Clone)]
pub struct User {
    app: Arc<str>,
    row: Arc<row::User>,
    /// The presence, if it was read with the person: then `None` where nothing was told.
    presence: Option<Option<PresenceRow>>,
}

connection!(UserConnection, UserEdge, User, "users");

/// A person, as the events describe them.
#[Object]
impl User {
    /// The global id. Pass it to `node`.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::User(self.row.uid.to_string()))
    }

    /// The id of the app that this person belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the person.
    async fn uid(&self) -> &str {
        &self.row.uid
    }

    /// The name of the person.
    async fn name(&self) -> Option<&str> {
        self.row.name.as_deref()
    }

    /// The address of the person's picture.
    async fn avatar(&self) -> Option<&str> {
        self.row.avatar.as_deref()
    }

    /// The address of the person's profile.
    async fn link(&self) -> Option<&str> {
        self.row.link.as_deref()
    }

    /// The role of the person in the app.
    async fn role(&self) -> Option<&str> {
        self.row.role.as_deref()
    }

    /// The status message that the person wrote.
    async fn status_message(&self) -> Option<&str> {
        self.row.status_message.as_deref()
    }

    /// The tags of the person.
    async fn tags(&self) -> Vec<String> {
        texts(self.row.tags.as_deref())
    }

    /// The person's metadata (custom data), without secrets.
    async fn metadata(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let metadata = ctx.load_said(&self.app, UserMetadata(self.row.uid.clone())).await;
        metadata.map(|metadata| stored(metadata.as_deref())).transpose()
    }

    /// The private part of the person's metadata (`@private`): the keys that the setting `privacy.show_private` names.
    /// Null if it names none of them. Needs a token of the scope admin.
    async fn private(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let keys = Arc::clone(&ctx.asking().show_private);
        if let Err(error) = ctx.needs(TokenScope::Admin) {
            return Some(Err(error));
        }
        if keys.is_empty() {
            return None;
        }
        let private = ctx.load(&self.app, UserPrivate { uid: Arc::clone(&self.row.uid), keys }).await;
        private.map(|private| stored(private.as_deref())).transpose()
    }

    /// When the person was last active, as CometChat says.
    async fn last_active_at(&self) -> Option<DateTime> {
        self.row.last_active_at.map(DateTime)
    }

    /// Whether the person is online. Null if no event told that.
    async fn presence(&self, ctx: &Context<'_>) -> Option<Result<Presence>> {
        match self.presence {
            Some(known) => known.map(|row| Ok(Presence::of(&self.app, &self.row.uid, row))),
            None => Presence::find(ctx, &self.app, &self.row.uid).await.transpose(),
        }
    }

    /// The person's memberships, by guid. Without a filter, only groups that are not deleted and that the person is in.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn memberships(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only memberships that match this filter.")] filter: Option<MembershipFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<MembershipConnection> {
        let filter = filter.unwrap_or_default();
        let list = Memberships {
            app: self.app.to_string(),
            uid: self.row.uid.to_string(),
            states: states(filter.states),
            scopes: scopes(filter.scopes),
            name: name_part(filter.name_contains)?,
            deleted: include(filter.include_deleted),
        };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before }).map(MembershipConnection)
    }

    /// The person's conversations, newest activity first: one to one, and of the groups that the person is in.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn conversations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<ConversationConnection> {
        let list = Conversations { app: self.app.to_string(), uid: Some(self.row.uid.to_string()), types: None };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before }).map(ConversationConnection)
    }

    /// The people that this person blocks now, by uid.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn blocks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<BlockConnection> {
        let list = Blocks { app: self.app.to_string(), blocker: Some(self.row.uid.to_string()), blocked: None };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before }).map(BlockConnection)
    }

    /// The people who block this person now, by uid.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn blocked_by(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<BlockConnection> {
        let list = Blocks { app: self.app.to_string(), blocker: None, blocked: Some(self.row.uid.to_string()) };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before }).map(BlockConnection)
    }

    /// Totals of the calls and meetings that this person started, was called in, or took part in, in a time span.
    #[graphql(complexity = "200 + child_complexity")]
    async fn call_totals(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The start of the time span. A call counts by its start, or by the time it began to ring if the start is not known."
        )]
        after: DateTime,
        #[graphql(desc = "The end of the time span, not included.")] before: DateTime,
    ) -> Option<Result<CallTotals>> {
        let whose = Whose { app: Arc::clone(&self.app), guid: None, uid: Some(self.row.uid.to_string()) };
        Some(CallTotals::read(ctx, whose, after, before))
    }

    /// The messages that this person sent, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only messages that match this filter.")] filter: Option<MessageFilter>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let mut filter = filter.unwrap_or_default();
        let contradicts = filter.sender_uid.as_ref().is_some_and(|uid| **uid != *self.row.uid);
        filter.sender_uid = Some(self.row.uid.to_string());
        let of = Of { conversation: None, contradicts };
        Message::list(ctx, &self.app, filter, of, &Paging { first, after, last, before })
    }
}

impl User {
    /// The person, if any event named them.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, uid: &str) -> Result<Option<Self>> {
        let row = ctx.load(app, UserKey(uid.into())).await?;
        Ok(row.map(|row| Self::of(app, row, None)))
    }

    /// The person. If only the uid is known, a person with the uid alone.
    pub async fn get(ctx: &Context<'_>, app: &Arc<str>, uid: impl Into<Arc<str>>) -> Result<Self> {
        let uid = uid.into();
        let found = ctx.load(app, UserKey(Arc::clone(&uid))).await?;
        Ok(Self::new(app, &uid, found))
    }

    /// The same for a nullable field.
    pub async fn maybe(ctx: &Context<'_>, app: &Arc<str>, uid: Option<impl Into<Arc<str>>>) -> Option<Result<Self>> {
        Some(Self::get(ctx, app, uid?).await)
    }

    /// Several people, in the order of the uids.
    pub async fn all(ctx: &Context<'_>, app: &Arc<str>, uids: Vec<String>) -> Result<Vec<Self>> {
        let uids: Vec<Arc<str>> = uids.into_iter().map(Into::into).collect();
        let rows = ctx.load_all(app, uids.iter().cloned().map(UserKey).collect()).await?;
        Ok(uids.iter().zip(rows).map(|(uid, row)| Self::new(app, uid, row)).collect())
    }

    /// A person from its row, and from the presence if that was read too.
    pub fn of(app: &Arc<str>, row: Arc<row::User>, presence: Option<Option<PresenceRow>>) -> Self {
        Self { app: Arc::clone(app), row, presence }
    }

    /// A page of users.
    pub fn list(
        ctx: &Context<'_>,
        app: Arc<str>,
        filter: Option<UserFilter>,
        paging: &Paging,
    ) -> Result<UserConnection> {
        let filter = filter.unwrap_or_default();
        let list = Users {
            app: app.to_string(),
            uids: filter.uids,
            roles: filter.roles,
            online: filter.online,
            last_seen_after: filter.last_seen_after.map(|at| at.0.0),
            online_after: filter.online_after.map(|at| at.0.0),
            name_contains: name_part(filter.name_contains)?,
        };
        Page::read(ctx, app, list, paging).map(UserConnection)
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        Self::all(ctx, &page.app, page.keys.iter().map(|key| text(&key[0]).to_owned()).collect()).await
    }

    fn new(app: &Arc<str>, uid: &Arc<str>, found: Option<Arc<row::User>>) -> Self {
        let row = found.unwrap_or_else(|| Arc::new(row::User { uid: Arc::clone(uid), ..row::User::default() }));
        Self::of(app, row, None)
    }
}
