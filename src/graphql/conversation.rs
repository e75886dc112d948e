//! Conversations.

use super::context::Ask;
use super::enums::ReceiverType;
use super::error::Result;
use super::filter::MessageFilter;
use super::group::Group;
use super::message::{Message, MessageConnection};
use super::node_id::{NodeKey, encode};
use super::page::{Page, Paging, connection, text};
use super::responses::{Asked, Responses};
use super::scalars::{DateTime, int};
use super::user::User;
use crate::ids;
use crate::store::sqlite::read::conversation::{
    self as row, ConversationKey, MarkersCount, MarkersOf, UNREAD_MOST, UnreadOf,
};
use async_graphql::{Context, ID, Object};
use std::sync::Arc;

#[derive(Clone)]
pub struct Conversation {
    app: Arc<str>,
    row: row::Conversation,
}

connection!(ConversationConnection, ConversationEdge, Conversation, "conversations");

/// The conversation of a group, or of two people.
#[Object]
impl Conversation {
    /// The global id, for `node`.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::Conversation(self.row.conversation_id.clone()))
    }

    /// The app it belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the conversation.
    async fn conversation_id(&self) -> &str {
        &self.row.conversation_id
    }

    /// Whether it is one to one or a group's.
    #[graphql(name = "type")]
    async fn kind(&self) -> ReceiverType {
        self.row.kind.into()
    }

    /// The group; null where it is one to one.
    async fn group(&self, ctx: &Context<'_>) -> Option<Result<Group>> {
        Group::maybe(ctx, &self.app, self.row.guid.as_deref()).await
    }

    /// The two people of a one to one; empty for a group, whose members are asked for there.
    async fn participants(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let mut uids: Vec<String> = [&self.row.low_uid, &self.row.high_uid].into_iter().flatten().cloned().collect();
        uids.dedup();
        User::all(ctx, &self.app, uids).await
    }

    /// The newest message that is not deleted and not blocked. A custom message with `updateConversation` false is left
    /// out.
    async fn last_message(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Message::maybe(ctx, &self.app, self.row.last_message_id.as_deref()).await
    }

    /// How many messages it has that are not deleted and not blocked, replies included.
    async fn messages_count(&self) -> i32 {
        int(self.row.messages_count)
    }

    /// Its messages, newest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<MessageFilter>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let mut filter = filter.unwrap_or_default();
        let contradicts = filter.conversation_id.as_ref().is_some_and(|id| *id != self.row.conversation_id);
        filter.conversation_id = Some(self.row.conversation_id.clone());
        Message::list(ctx, &self.app, filter, contradicts, &Paging { first, after, last, before })
    }

    /// How long customers waited for an agent in it, day by day.
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
        Some(Responses::read(ctx, &self.app, Some(&self.row.conversation_id), asked))
    }

    /// How far people have read, by uid; at most 200.
    async fn read_markers(&self, ctx: &Context<'_>) -> Result<Vec<ReadMarker>> {
        let rows = ctx.load(&self.app, MarkersOf(self.row.conversation_id.clone())).await?.unwrap_or_default();
        Ok(rows.into_iter().map(|row| ReadMarker { app: Arc::clone(&self.app), row }).collect())
    }

    /// How many read markers there are.
    async fn read_markers_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = ctx.load(&self.app, MarkersCount(self.row.conversation_id.clone())).await?;
        Ok(int(count.unwrap_or_default()))
    }

    /// How many messages of others a person has not read here, as CometChat's own clients count: without replies in
    /// threads, and custom messages only where their metadata have `incrementUnreadCount` true. The settings `[unread]`
    /// can count these too. Counting stops at 1,000. Null for whoever is known not to be in the group, and for others
    /// than the two of a one to one.
    async fn unread_count(&self, ctx: &Context<'_>, #[graphql(desc = "Whose.")] uid: String) -> Option<Result<i32>> {
        let count = self.unread(ctx, uid).await.transpose()?;
        Some(count.map(|count| int(count.min(UNREAD_MOST))))
    }

    /// Whether `unreadCount` is the whole count; null where that is null.
    async fn unread_count_exact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] uid: String,
    ) -> Option<Result<bool>> {
        let count = self.unread(ctx, uid).await.transpose()?;
        Some(count.map(|count| count <= UNREAD_MOST))
    }
}

impl Conversation {
    /// The conversation, if it was heard of.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, id: &str) -> Result<Option<Self>> {
        let row = ctx.load(app, ConversationKey(id.to_owned())).await?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// A group's, also where nothing was said in it yet.
    pub async fn of_group(ctx: &Context<'_>, app: &Arc<str>, guid: &str) -> Result<Self> {
        let conversation_id = ids::conversation_id("", ids::ReceiverType::Group, guid);
        let found = Self::find(ctx, app, &conversation_id).await?;
        Ok(found.unwrap_or_else(|| {
            let row = row::Conversation {
                conversation_id,
                kind: ids::ReceiverType::Group,
                guid: Some(guid.to_owned()),
                low_uid: None,
                high_uid: None,
                messages_count: 0,
                last_message_id: None,
            };
            Self { app: Arc::clone(app), row }
        }))
    }

    /// A page of conversations.
    pub fn list(
        ctx: &Context<'_>,
        app: Arc<str>,
        list: row::Conversations,
        paging: &Paging,
    ) -> Result<ConversationConnection> {
        Page::read(ctx, app, list, paging).map(ConversationConnection)
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        let keys = page.keys.iter().map(|key| ConversationKey(text(&key[1]).to_owned()));
        let rows = ctx.load_all(&page.app, keys.collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }

    async fn unread(&self, ctx: &Context<'_>, uid: String) -> Result<Option<i64>> {
        let row = &self.row;
        let is_party = |party: &Option<String>| party.as_ref() == Some(&uid);
        if row.kind == ids::ReceiverType::User && !is_party(&row.low_uid) && !is_party(&row.high_uid) {
            return Ok(None);
        }
        let (conversation_id, guid) = (row.conversation_id.clone(), row.guid.clone());
        ctx.load(&self.app, UnreadOf { conversation_id, uid, guid, unread: ctx.asking().unread }).await
    }
}

pub struct ReadMarker {
    app: Arc<str>,
    row: row::ReadMarker,
}

/// How far a person has read: everything up to that message. One marker for each kind of message id.
#[Object]
impl ReadMarker {
    /// Who read.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, &self.row.uid).await
    }

    /// The last message read.
    async fn message_id(&self) -> &str {
        &self.row.message_id
    }

    /// When it was first read; null where no receipt told a time.
    async fn at(&self) -> Option<DateTime> {
        self.row.at.map(DateTime)
    }
}
