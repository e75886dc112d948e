//! Messages.

use super::context::Ask;
use super::conversation::Conversation;
use super::enums::{ReceiverType, TimeSource};
use super::error::Result;
use super::group::Group;
use super::json::stored;
use super::message_parts::{Attachment, MessageEdit, Moderation, ReactionGroup, Receipt, attachments};
use super::node_id::encode_message;
use super::objects::{self as async_graphql, Nodes};
use super::page::{Page, Paging, connection};
use super::scalars::{DateTime, Json, int};
use super::user::User;
use crate::ids;
use crate::store::sqlite::read::first_text::FirstText;
use crate::store::sqlite::read::message::{self as row, AttachmentsOf, DataOf, MessageKey, MetadataOf, TextOf};
use crate::store::sqlite::read::message_list::{Listed, Messages, id_of};
use crate::store::sqlite::read::message_parts::{
    EditsCount, EditsOf, ModerationOf, ReactionsCount, ReactionsOf, ReadersCount, ReadersOf, ReceiptsCount, ReceiptsOf,
    RepliersCount, RepliersOf, RepliesCount,
};
use crate::store::sqlite::read::user::User as UserRow;
use crate::store::sqlite::read::{Lookup, PLAIN_LIST, texts};
use async_graphql::{Context, ID, Object};
use std::sync::Arc;

#[derive(Clone)]
pub struct Message {
    app: Arc<str>,
    row: Arc<row::Message>,
    /// What it says, if a list has read that.
    text: Option<Option<Arc<str>>>,
    /// Who sent it, if a list has read that.
    sender: Option<Arc<UserRow>>,
}

connection!(MessageConnection, MessageEdge, Message, "messages");

/// A message. Deleted and blocked messages stay readable. Many fields are null if the server knows the message only
/// from other events, such as a receipt for it.
#[Object]
impl Message {
    /// The global id. Pass it to `node`.
    pub async fn id(&self) -> ID {
        encode_message(&self.app, &self.row.message_id)
    }

    /// The id of the app that this message belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the message.
    async fn message_id(&self) -> &str {
        &self.row.message_id
    }

    /// The conversation of the message.
    async fn conversation(&self, ctx: &Context<'_>) -> Option<Result<Conversation>> {
        Conversation::find(ctx, &self.app, self.row.conversation.clone()?).await.transpose()
    }

    /// The person who sent the message.
    async fn sender(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        match &self.sender {
            Some(sender) => Some(Ok(User::of(&self.app, Arc::clone(sender), None))),
            None => User::maybe(ctx, &self.app, self.row.sender_uid.clone()).await,
        }
    }

    /// Whether the message was sent to a person or to a group.
    async fn receiver_type(&self) -> Option<ReceiverType> {
        self.receiver().map(Into::into)
    }

    /// The person the message was sent to. Null if it was sent to a group.
    async fn receiver_user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        let uid = self.row.receiver_id.as_deref().filter(|_| self.receiver() == Some(ids::ReceiverType::User));
        User::maybe(ctx, &self.app, uid).await
    }

    /// The group the message was sent to. Null if it was sent to a person.
    async fn receiver_group(&self, ctx: &Context<'_>) -> Option<Result<Group>> {
        let guid = self.row.receiver_id.as_deref().filter(|_| self.receiver() == Some(ids::ReceiverType::Group));
        Group::maybe(ctx, &self.app, guid).await
    }

    /// CometChat's category of the message, such as `message` or `custom`.
    async fn category(&self) -> Option<&str> {
        self.row.category.as_deref()
    }

    /// CometChat's type of the message, such as `text` or `image`.
    #[graphql(name = "type")]
    async fn kind(&self) -> Option<&str> {
        self.row.kind.as_deref()
    }

    /// The text as it is now. Null once the message is deleted.
    async fn text(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        if let Some(text) = &self.text {
            return text.as_deref().map(|text| Ok(text.to_owned()));
        }
        let text = ctx.load_said(&self.app, TextOf(self.row.message_id.clone())).await;
        text.map(|text| text.map(|text| text.to_string())).transpose()
    }

    /// The text as it was sent, before any edit. Null if no event had it, and once the message is deleted.
    async fn original_text(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        ctx.load_said(&self.app, FirstText(self.row.message_id.clone())).await.transpose()
    }

    /// CometChat's `data` of the message, without secrets. Null once the message is deleted.
    async fn data(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let data = ctx.load_said(&self.app, DataOf(self.row.message_id.clone())).await;
        data.map(|data| stored(data.as_deref())).transpose()
    }

    /// The message's metadata (custom data), without secrets. Null once the message is deleted.
    async fn metadata(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let metadata = ctx.load_said(&self.app, MetadataOf(self.row.message_id.clone())).await;
        metadata.map(|metadata| stored(metadata.as_deref())).transpose()
    }

    /// The tags of the message.
    async fn tags(&self) -> Vec<String> {
        texts(self.row.tags.as_deref())
    }

    /// The id that the sender's client gave to the message.
    async fn muid(&self) -> Option<&str> {
        self.row.muid.as_deref()
    }

    /// The attachments of the message, at most 200. Empty once the message is deleted.
    async fn attachments(&self, ctx: &Context<'_>) -> Result<Vec<Attachment>> {
        let stored = ctx.load(&self.app, AttachmentsOf(self.row.message_id.clone())).await?;
        Ok(attachments(stored.as_deref()).into_iter().take(PLAIN_LIST).collect())
    }

    /// The number of attachments.
    async fn attachments_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let stored = ctx.load(&self.app, AttachmentsOf(self.row.message_id.clone())).await?;
        Ok(int(attachments(stored.as_deref()).len() as i64))
    }

    /// The people that the text mentions, at most 200.
    async fn mentions(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let mut uids = texts(self.row.mentions.as_deref());
        uids.truncate(PLAIN_LIST);
        User::all(ctx, &self.app, uids).await
    }

    /// The number of people that the text mentions.
    async fn mentions_count(&self) -> i32 {
        int(texts(self.row.mentions.as_deref()).len() as i64)
    }

    /// The message that this message replies to. The thread belongs to that message.
    async fn parent(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Self::maybe(ctx, &self.app, self.row.parent_id.as_deref()).await
    }

    /// The replies to this message, oldest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn replies(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the list. Default 50, at most 200.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end of the list, at most 200.")] last: Option<i32>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let list = Messages {
            app: self.app.to_string(),
            parent: Some(self.row.message_id.to_string()),
            oldest_first: true,
            ..Messages::default()
        };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before }).map(MessageConnection)
    }

    /// The number of replies.
    async fn replies_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, RepliesCount).await
    }

    /// The people who replied to this message, by uid. At most 200.
    async fn thread_participants(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let uids = ctx.load(&self.app, RepliersOf(self.row.message_id.clone())).await?.unwrap_or_default();
        User::all(ctx, &self.app, uids).await
    }

    /// The number of people who replied to this message.
    async fn thread_participants_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, RepliersCount).await
    }

    /// The message that this message quotes.
    async fn quoted(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Self::maybe(ctx, &self.app, self.row.quoted_id.as_deref()).await
    }

    /// When the message was sent.
    async fn sent_at(&self) -> Option<DateTime> {
        self.row.sent_at.map(DateTime)
    }

    /// When a person last edited the text. Changes by a machine, such as a link preview or a vote, do not count.
    async fn edited_at(&self) -> Option<DateTime> {
        self.row.edited_at.map(DateTime)
    }

    /// The person who edited the text last.
    async fn edited_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.edited_by.as_deref()).await
    }

    /// When the message was deleted: the time in the event, or else the time the event arrived. Null if the message is
    /// not deleted.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.row.deleted_at.map(DateTime)
    }

    /// How the time `deletedAt` is known.
    async fn deleted_at_from(&self) -> Option<TimeSource> {
        self.row.deleted_at_from.map(Into::into)
    }

    /// The person who deleted the message.
    async fn deleted_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.deleted_by.as_deref()).await
    }

    /// The text after each edit that changed it, oldest first. At most 200 edits.
    async fn edits(&self, ctx: &Context<'_>) -> Result<Vec<MessageEdit>> {
        self.parts(ctx, EditsOf, MessageEdit::new).await
    }

    /// The number of edits.
    async fn edits_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, EditsCount).await
    }

    /// The reactions to this message, at most 200. The same emoji with and without the variation selector U+FE0F counts
    /// as one reaction.
    async fn reactions(&self, ctx: &Context<'_>) -> Result<Nodes<ReactionGroup>> {
        let id = self.row.message_id.clone();
        self.parts(ctx, ReactionsOf, move |app, row| ReactionGroup::new(app, id.clone(), row)).await.map(Nodes)
    }

    /// The number of reactions: a person who gave two emojis counts twice.
    async fn reactions_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, ReactionsCount).await
    }

    /// The receipts for this message: who got it and who read it, by uid. At most 200. A receipt for a later message is
    /// not listed here; see `readBy`.
    async fn receipts(&self, ctx: &Context<'_>) -> Result<Vec<Receipt>> {
        self.parts(ctx, ReceiptsOf, Receipt::new).await
    }

    /// The number of people with a receipt for this message.
    async fn receipts_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, ReceiptsCount).await
    }

    /// The people known to have read this message: they read it, or a later message of the conversation. By uid, at
    /// most 200.
    async fn read_by(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let uids = ctx.load(&self.app, ReadersOf(self.row.message_id.clone())).await?.unwrap_or_default();
        User::all(ctx, &self.app, uids).await
    }

    /// The number of people known to have read this message.
    async fn read_by_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, ReadersCount).await
    }

    /// When every member of the group had received the message.
    async fn delivered_to_all_at(&self) -> Option<DateTime> {
        self.row.delivered_to_all_at.map(DateTime)
    }

    /// When every member of the group had read the message.
    async fn read_by_all_at(&self) -> Option<DateTime> {
        self.row.read_by_all_at.map(DateTime)
    }

    /// The newest verdict of moderation. Null if there is none.
    async fn moderation(&self, ctx: &Context<'_>) -> Option<Result<Moderation>> {
        let found = ctx.load(&self.app, ModerationOf(self.row.message_id.clone())).await;
        found.map(|row| row.map(Moderation::new)).transpose()
    }

    /// When the message was pinned: the time in the event, or else the time the event arrived. Null if the message is
    /// not pinned.
    async fn pinned_at(&self) -> Option<DateTime> {
        self.row.pinned_at.map(DateTime)
    }

    /// How the time `pinnedAt` is known.
    async fn pinned_at_from(&self) -> Option<TimeSource> {
        self.row.pinned_at_from.map(Into::into)
    }

    /// The person who pinned the message.
    async fn pinned_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.pinned_by.as_deref()).await
    }
}

impl Message {
    /// The message, if it was heard of.
    pub async fn find(ctx: &Context<'_>, app: &Arc<str>, id: &str) -> Result<Option<Self>> {
        let row = ctx.load(app, MessageKey(id.into())).await?;
        Ok(row.map(|row| Self::of(app, row)))
    }

    /// For nullable fields.
    pub async fn maybe(ctx: &Context<'_>, app: &Arc<str>, id: Option<&str>) -> Option<Result<Self>> {
        Self::find(ctx, app, id?).await.transpose()
    }

    async fn of_page(ctx: &Context<'_>, page: &Page) -> Result<Vec<Self>> {
        if let Some(rows) = page.rows::<Listed>() {
            let of = |Listed { row, text, sender }| Self { app: Arc::clone(&page.app), row, text, sender };
            return Ok(rows.into_iter().map(of).collect());
        }
        let keys = page.keys.iter().map(|key| MessageKey(id_of(key).into()));
        let rows = ctx.load_all(&page.app, keys.collect()).await?;
        Ok(rows.into_iter().flatten().map(|row| Self::of(&page.app, row)).collect())
    }

    fn of(app: &Arc<str>, row: Arc<row::Message>) -> Self {
        Self { app: Arc::clone(app), row, text: None, sender: None }
    }

    fn receiver(&self) -> Option<ids::ReceiverType> {
        self.row.receiver_type.as_deref().and_then(ids::ReceiverType::from_word)
    }

    async fn count<K: Lookup<Found = i64>>(&self, ctx: &Context<'_>, key: fn(Arc<str>) -> K) -> Result<i32> {
        Ok(int(ctx.load(&self.app, key(self.row.message_id.clone())).await?.unwrap_or_default()))
    }

    async fn parts<R: Clone + Send + Sync, K: Lookup<Found = Vec<R>>, T>(
        &self,
        ctx: &Context<'_>,
        key: fn(Arc<str>) -> K,
        make: impl Fn(&Arc<str>, R) -> T,
    ) -> Result<Vec<T>> {
        let rows = ctx.load(&self.app, key(self.row.message_id.clone())).await?.unwrap_or_default();
        Ok(rows.into_iter().map(|row| make(&self.app, row)).collect())
    }
}
