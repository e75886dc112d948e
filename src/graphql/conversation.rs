//! Conversations.

use super::context::Ask;
use super::enums::ReceiverType;
use super::error::{Result, bad_input};
use super::filter::MessageFilter;
use super::group::Group;
use super::message::{Message, MessageConnection};
use super::message_list::Of;
use super::node_id::{NodeKey, encode};
use super::objects as async_graphql;
use super::page::{Page, Paging, connection, text};
use super::responses::{Asked, Responses};
use super::scalars::{DateTime, int};
use super::user::User;
use crate::ids::{self, ConversationKey};
use crate::store::sqlite::read::Lookup;
use crate::store::sqlite::read::conversation::{
    self as row, MarkersCount, MarkersOf, Namesakes, UNREAD_MOST, UnreadOf,
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
        encode(&self.app, &NodeKey::Conversation(self.row.key.clone()))
    }

    /// The app it belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the conversation. That of a group and that of a one to one, and those of two one to ones, may be
    /// spelled alike, where uids or guids hold `_user_` or begin with `group_`.
    async fn conversation_id(&self) -> &str {
        &self.row.key.id
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
        let is_another = filter.conversation_id.take().is_some_and(|id| id != self.row.key.id)
            || filter.receiver_type.take().is_some_and(|kind| ids::ReceiverType::from(kind) != self.row.kind);
        let of = Of { conversation: Some(self.row.key.clone()), contradicts: is_another };
        Message::list(ctx, &self.app, filter, of, &Paging { first, after, last, before })
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
        Some(Responses::read(ctx, &self.app, Some(&self.row.key), asked))
    }

    /// How far people have read, by uid; at most 200.
    async fn read_markers(&self, ctx: &Context<'_>) -> Result<Vec<ReadMarker>> {
        let rows = ctx.load(&self.app, MarkersOf(self.row.key.clone())).await?.unwrap_or_default();
        Ok(rows.into_iter().map(|row| ReadMarker { app: Arc::clone(&self.app), row }).collect())
    }

    /// How many read markers there are.
    async fn read_markers_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = ctx.load(&self.app, MarkersCount(self.row.key.clone())).await?;
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
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, key: ConversationKey) -> Result<Option<Self>> {
        let row = ctx.load(app, key).await?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// The conversation with an id, of a type and with a party where these are given.
    pub async fn named(
        ctx: &Context<'_>,
        app: &Arc<str>,
        id: String,
        kind: Option<ReceiverType>,
        uid: Option<String>,
    ) -> Result<Option<Self>> {
        let mut rows = ctx.load(app, Namesakes(id)).await?.unwrap_or_default();
        rows.retain(|row| is_of(row, kind) && uid.as_ref().is_none_or(|uid| row.is_party(uid)));
        let row = only(rows, "conversationId", "expected receiverType or uid beside it")?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// The key of the conversation that a filter of messages names.
    pub fn key_named(ctx: &Context<'_>, app: &str, id: String, kind: Option<ReceiverType>) -> Result<ConversationKey> {
        let asked = [Namesakes(id.clone())];
        let found = ctx.read(|conn| Namesakes::look_up(conn, app, &asked))?;
        let mut rows: Vec<_> = found.into_iter().flat_map(|(_, rows)| rows).collect();
        rows.retain(|row| is_of(row, kind));
        let way_out = "expected filter.receiverType beside it (or ask for `messages` of one `conversation`)";
        if let Some(row) = only(rows, "filter.conversationId", way_out)? {
            return Ok(row.key);
        }
        let least = i64::from(kind == Some(ReceiverType::User));
        let unlisted = ctx.read(|conn| row::unlisted(conn, app, &id, least))?;
        let unlisted = unlisted.filter(|key| kind != Some(ReceiverType::Group) || key.low_length == 0);
        Ok(unlisted.unwrap_or(ConversationKey { id, low_length: least }))
    }

    /// A group's, also where nothing was said in it yet.
    pub async fn of_group(ctx: &Context<'_>, app: &Arc<str>, guid: &str) -> Result<Self> {
        let key = ConversationKey::of_group(guid);
        let found = Self::find(ctx, app, key.clone()).await?;
        Ok(found.unwrap_or_else(|| {
            let row = row::Conversation {
                key,
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
        let keys =
            page.keys.iter().map(|key| ConversationKey { id: text(&key[1]).to_owned(), low_length: key[2].int() });
        let rows = ctx.load_all(&page.app, keys.collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self { app: Arc::clone(&page.app), row }).collect())
    }

    async fn unread(&self, ctx: &Context<'_>, uid: String) -> Result<Option<i64>> {
        let row = &self.row;
        if row.kind == ids::ReceiverType::User && !row.is_party(&uid) {
            return Ok(None);
        }
        let (conversation, guid) = (row.key.clone(), row.guid.clone());
        ctx.load(&self.app, UnreadOf { conversation, uid, guid, unread: ctx.asking().unread }).await
    }
}

fn is_of(row: &row::Conversation, kind: Option<ReceiverType>) -> bool {
    kind.is_none_or(|kind| row.kind == kind.into())
}

/// The only one of the conversations with an id; an error that names them where there are several.
fn only(mut rows: Vec<row::Conversation>, argument: &str, way_out: &str) -> Result<Option<row::Conversation>> {
    if rows.len() < 2 {
        return Ok(rows.pop());
    }
    let name = |row: &row::Conversation| match (&row.guid, &row.low_uid, &row.high_uid) {
        (Some(guid), ..) => format!("that of the group {guid}"),
        (None, low, high) => {
            format!("that of {} and {}", low.as_deref().unwrap_or_default(), high.as_deref().unwrap_or_default())
        }
    };
    let names: Vec<String> = rows.iter().map(name).collect();
    let names = names.join(", ");
    Err(bad_input(argument, &format!("{way_out}, for several conversations have this id: {names}")))
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
        User::get(ctx, &self.app, self.row.uid.as_str()).await
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
