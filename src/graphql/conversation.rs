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
use crate::store::sqlite::read::conversation::{self as row, MarkersCount, MarkersOf, Namesakes};
use crate::store::sqlite::read::unread::{UNREAD_MOST, UnreadOf};
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
    /// The global id. Pass it to `node`.
    pub async fn id(&self) -> ID {
        encode(&self.app, &NodeKey::Conversation(self.row.key.clone()))
    }

    /// The id of the app that this conversation belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the conversation. Two conversations may have the same id. For example, that of the person
    /// `group_7` with `zoe` and that of the group `7_user_zoe` both have the id `group_7_user_zoe`.
    async fn conversation_id(&self) -> &str {
        &self.row.key.id
    }

    /// Whether the conversation is one to one (`USER`) or a group's (`GROUP`).
    #[graphql(name = "type")]
    async fn kind(&self) -> ReceiverType {
        self.row.kind.into()
    }

    /// The group. Null if the conversation is one to one.
    async fn group(&self, ctx: &Context<'_>) -> Option<Result<Group>> {
        Group::maybe(ctx, &self.app, self.row.guid.as_deref()).await
    }

    /// The two people of a one-to-one conversation. Empty for a group: read `group { members }` instead.
    async fn participants(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let mut uids: Vec<String> = [&self.row.low_uid, &self.row.high_uid].into_iter().flatten().cloned().collect();
        uids.dedup();
        User::all(ctx, &self.app, uids).await
    }

    /// The newest message that is not deleted and not blocked. Custom messages with `updateConversation: false` do not
    /// count.
    async fn last_message(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Message::maybe(ctx, &self.app, self.row.last_message_id.as_deref()).await
    }

    /// The number of messages that are not deleted and not blocked. Replies count too.
    async fn messages_count(&self) -> i32 {
        int(self.row.messages_count)
    }

    /// The messages of this conversation, newest first.
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
        let is_another = filter.conversation_id.take().is_some_and(|id| id != self.row.key.id)
            || filter.receiver_type.take().is_some_and(|kind| ids::ReceiverType::from(kind) != self.row.kind);
        let of = Of { conversation: Some(self.row.key.clone()), contradicts: is_another };
        Message::list(ctx, &self.app, filter, of, &Paging { first, after, last, before })
    }

    /// How long customers waited for an answer of an agent in this conversation, day by day.
    #[graphql(complexity = "200 + child_complexity")]
    async fn responses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The start of the time span.")] after: DateTime,
        #[graphql(desc = "The end of the time span, not included. At most 92 days after the start.")] before: DateTime,
        #[graphql(
            desc = "The time zone of the days, by its IANA name, such as `Europe/Berlin`.",
            default_with = "Some(\"UTC\".to_owned())"
        )]
        time_zone: Option<String>,
        #[graphql(
            desc = "A person with one of these roles is an agent. At most 20 roles.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        roles: Option<Vec<String>>,
        #[graphql(
            desc = "A person with one of these tags is an agent too. At most 20 tags.",
            default_with = "Some(vec![\"agent\".to_owned()])"
        )]
        tags: Option<Vec<String>>,
    ) -> Option<Result<Responses>> {
        let asked = Asked { after, before, time_zone, roles, tags };
        Some(Responses::read(ctx, &self.app, Some(&self.row.key), asked))
    }

    /// How far each person has read, by uid. At most 200 people.
    async fn read_markers(&self, ctx: &Context<'_>) -> Result<Vec<ReadMarker>> {
        let rows = ctx.load(&self.app, MarkersOf(self.row.key.clone())).await?.unwrap_or_default();
        Ok(rows.into_iter().map(|row| ReadMarker { app: Arc::clone(&self.app), row }).collect())
    }

    /// The number of read markers.
    async fn read_markers_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = ctx.load(&self.app, MarkersCount(self.row.key.clone())).await?;
        Ok(int(count.unwrap_or_default()))
    }

    /// The number of messages from others that this person has not read here, as CometChat's own clients count. Replies
    /// in threads do not count. Custom messages count only if `incrementUnreadCount` is true in their metadata. The
    /// settings `[unread]` can change both. Counting stops at 1,000. Null if the person is known not to be in the
    /// group, or is not one of the two people of a one-to-one conversation.
    async fn unread_count(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The uid of the person.")] uid: String,
    ) -> Option<Result<i32>> {
        let count = self.unread(ctx, uid).await.transpose()?;
        Some(count.map(|count| int(count.min(UNREAD_MOST))))
    }

    /// Whether `unreadCount` is the whole count. Null if `unreadCount` is null.
    async fn unread_count_exact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The uid of the person.")] uid: String,
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
        let row = only(rows, "conversationId", "Add receiverType or uid")?;
        Ok(row.map(|row| Self { app: Arc::clone(app), row }))
    }

    /// The key of the conversation that a filter of messages names.
    pub fn key_named(ctx: &Context<'_>, app: &str, id: String, kind: Option<ReceiverType>) -> Result<ConversationKey> {
        let asked = [Namesakes(id.clone())];
        let found = ctx.read(|conn| Namesakes::look_up(conn, app, &asked))?;
        let mut rows: Vec<_> = found.into_iter().flat_map(|(_, rows)| rows).collect();
        rows.retain(|row| is_of(row, kind));
        let way_out = "Add filter.receiverType, or ask for `messages` of one `conversation`";
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
        if let Some(rows) = page.rows::<row::Conversation>() {
            return Ok(rows.into_iter().map(|row| Self { app: Arc::clone(&page.app), row }).collect());
        }
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
        (Some(guid), ..) => format!("the conversation of the group {guid}"),
        (None, low, high) => {
            format!(
                "the conversation of {} and {}",
                low.as_deref().unwrap_or_default(),
                high.as_deref().unwrap_or_default()
            )
        }
    };
    let names: Vec<String> = rows.iter().map(name).collect();
    let names = names.join(", ");
    Err(bad_input(argument, &format!("several conversations have this id: {names}. {way_out}")))
}

pub struct ReadMarker {
    app: Arc<str>,
    row: row::ReadMarker,
}

/// How far a person has read: this message and all before it. A person has at most two markers in a conversation: one
/// for messages whose id is a number, one for all others.
#[Object]
impl ReadMarker {
    /// The person who read.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, self.row.uid.as_str()).await
    }

    /// The id of the last message read.
    async fn message_id(&self) -> &str {
        &self.row.message_id
    }

    /// When the person first read this message. Null if no receipt told a time.
    async fn at(&self) -> Option<DateTime> {
        self.row.at.map(DateTime)
    }
}
