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

/// A message, deleted or blocked ones too. One first heard of through something else has few values.
#[Object]
impl Message {
    /// The global id, for `node`.
    pub async fn id(&self) -> ID {
        encode_message(&self.app, &self.row.message_id)
    }

    /// The app it belongs to.
    async fn app_id(&self) -> &str {
        &self.app
    }

    /// CometChat's id of the message.
    async fn message_id(&self) -> &str {
        &self.row.message_id
    }

    /// The conversation it is part of.
    async fn conversation(&self, ctx: &Context<'_>) -> Option<Result<Conversation>> {
        Conversation::find(ctx, &self.app, self.row.conversation.clone()?).await.transpose()
    }

    /// Who sent it.
    async fn sender(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        match &self.sender {
            Some(sender) => Some(Ok(User::of(&self.app, Arc::clone(sender), None))),
            None => User::maybe(ctx, &self.app, self.row.sender_uid.clone()).await,
        }
    }

    /// Whether it was sent to a person or to a group.
    async fn receiver_type(&self) -> Option<ReceiverType> {
        self.receiver().map(Into::into)
    }

    /// The person it was sent to.
    async fn receiver_user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        let uid = self.row.receiver_id.as_deref().filter(|_| self.receiver() == Some(ids::ReceiverType::User));
        User::maybe(ctx, &self.app, uid).await
    }

    /// The group it was sent to.
    async fn receiver_group(&self, ctx: &Context<'_>) -> Option<Result<Group>> {
        let guid = self.row.receiver_id.as_deref().filter(|_| self.receiver() == Some(ids::ReceiverType::Group));
        Group::maybe(ctx, &self.app, guid).await
    }

    /// CometChat's category, such as `message` or `custom`.
    async fn category(&self) -> Option<&str> {
        self.row.category.as_deref()
    }

    /// CometChat's type, such as `text` or `image`.
    #[graphql(name = "type")]
    async fn kind(&self) -> Option<&str> {
        self.row.kind.as_deref()
    }

    /// What it says now; null once it is deleted.
    async fn text(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        if let Some(text) = &self.text {
            return text.as_deref().map(|text| Ok(text.to_owned()));
        }
        let text = ctx.load_said(&self.app, TextOf(self.row.message_id.clone())).await;
        text.map(|text| text.map(|text| text.to_string())).transpose()
    }

    /// What it said when it was sent, before any edit; null where that was not heard, and once it is deleted.
    async fn original_text(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        ctx.load_said(&self.app, FirstText(self.row.message_id.clone())).await.transpose()
    }

    /// Its `data` as CometChat has it, without secrets; null once it is deleted.
    async fn data(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let data = ctx.load_said(&self.app, DataOf(self.row.message_id.clone())).await;
        data.map(|data| stored(data.as_deref())).transpose()
    }

    /// Custom data, without secrets; null once it is deleted.
    async fn metadata(&self, ctx: &Context<'_>) -> Option<Result<Json>> {
        let metadata = ctx.load_said(&self.app, MetadataOf(self.row.message_id.clone())).await;
        metadata.map(|metadata| stored(metadata.as_deref())).transpose()
    }

    /// Its tags.
    async fn tags(&self) -> Vec<String> {
        texts(self.row.tags.as_deref())
    }

    /// The id the sender's client gave it.
    async fn muid(&self) -> Option<&str> {
        self.row.muid.as_deref()
    }

    /// Its attachments, at most 200; none once it is deleted.
    async fn attachments(&self, ctx: &Context<'_>) -> Result<Vec<Attachment>> {
        let stored = ctx.load(&self.app, AttachmentsOf(self.row.message_id.clone())).await?;
        Ok(attachments(stored.as_deref()).into_iter().take(PLAIN_LIST).collect())
    }

    /// How many attachments it has.
    async fn attachments_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let stored = ctx.load(&self.app, AttachmentsOf(self.row.message_id.clone())).await?;
        Ok(int(attachments(stored.as_deref()).len() as i64))
    }

    /// Who is mentioned in its text, at most 200.
    async fn mentions(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let mut uids = texts(self.row.mentions.as_deref());
        uids.truncate(PLAIN_LIST);
        User::all(ctx, &self.app, uids).await
    }

    /// How many people are mentioned.
    async fn mentions_count(&self) -> i32 {
        int(texts(self.row.mentions.as_deref()).len() as i64)
    }

    /// The message it replies to, in whose thread it is.
    async fn parent(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Self::maybe(ctx, &self.app, self.row.parent_id.as_deref()).await
    }

    /// Replies to it, oldest first.
    #[graphql(complexity = "crate::graphql::page::cost(first, last, child_complexity)")]
    async fn replies(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning; 50 unless told, at most 200.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, at most 200.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let list = Messages {
            app: self.app.to_string(),
            parent: Some(self.row.message_id.to_string()),
            oldest_first: true,
            ..Messages::default()
        };
        Page::read(ctx, Arc::clone(&self.app), list, &Paging { first, after, last, before }).map(MessageConnection)
    }

    /// How many replies it has.
    async fn replies_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, RepliesCount).await
    }

    /// Who replied to it, by uid; at most 200.
    async fn thread_participants(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let uids = ctx.load(&self.app, RepliersOf(self.row.message_id.clone())).await?.unwrap_or_default();
        User::all(ctx, &self.app, uids).await
    }

    /// How many people replied to it.
    async fn thread_participants_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, RepliersCount).await
    }

    /// The message it quotes.
    async fn quoted(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        Self::maybe(ctx, &self.app, self.row.quoted_id.as_deref()).await
    }

    /// When it was sent.
    async fn sent_at(&self) -> Option<DateTime> {
        self.row.sent_at.map(DateTime)
    }

    /// When its text was last edited. What a machine adds, such as a link preview or a vote, is no edit.
    async fn edited_at(&self) -> Option<DateTime> {
        self.row.edited_at.map(DateTime)
    }

    /// Who edited its text last.
    async fn edited_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.edited_by.as_deref()).await
    }

    /// When it was deleted: as told, else when that was heard.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.row.deleted_at.map(DateTime)
    }

    /// How that time is known.
    async fn deleted_at_from(&self) -> Option<TimeSource> {
        self.row.deleted_at_from.map(Into::into)
    }

    /// Who deleted it.
    async fn deleted_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.deleted_by.as_deref()).await
    }

    /// What it said after each edit that changed the text, oldest first; at most 200.
    async fn edits(&self, ctx: &Context<'_>) -> Result<Vec<MessageEdit>> {
        self.parts(ctx, EditsOf, MessageEdit::new).await
    }

    /// How often it was edited.
    async fn edits_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, EditsCount).await
    }

    /// The reactions to it, at most 200. An emoji with and without the variation selector U+FE0F is one.
    async fn reactions(&self, ctx: &Context<'_>) -> Result<Nodes<ReactionGroup>> {
        let id = self.row.message_id.clone();
        self.parts(ctx, ReactionsOf, move |app, row| ReactionGroup::new(app, id.clone(), row)).await.map(Nodes)
    }

    /// How many reactions it has: every person's every emoji.
    async fn reactions_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, ReactionsCount).await
    }

    /// Who got it and who read it, as told for this very message; by uid, at most 200.
    async fn receipts(&self, ctx: &Context<'_>) -> Result<Vec<Receipt>> {
        self.parts(ctx, ReceiptsOf, Receipt::new).await
    }

    /// How many people it has receipts of.
    async fn receipts_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, ReceiptsCount).await
    }

    /// Who has read it, as far as was told: it, or a later message of the conversation; by uid, at most 200.
    async fn read_by(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let uids = ctx.load(&self.app, ReadersOf(self.row.message_id.clone())).await?.unwrap_or_default();
        User::all(ctx, &self.app, uids).await
    }

    /// How many people have read it.
    async fn read_by_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.count(ctx, ReadersCount).await
    }

    /// When all members of the group had got it.
    async fn delivered_to_all_at(&self) -> Option<DateTime> {
        self.row.delivered_to_all_at.map(DateTime)
    }

    /// When all members of the group had read it.
    async fn read_by_all_at(&self) -> Option<DateTime> {
        self.row.read_by_all_at.map(DateTime)
    }

    /// What moderation says about it; null where it says nothing.
    async fn moderation(&self, ctx: &Context<'_>) -> Option<Result<Moderation>> {
        let found = ctx.load(&self.app, ModerationOf(self.row.message_id.clone())).await;
        found.map(|row| row.map(Moderation::new)).transpose()
    }

    /// When it was pinned: as told, else when that was heard; null while it is not.
    async fn pinned_at(&self) -> Option<DateTime> {
        self.row.pinned_at.map(DateTime)
    }

    /// How that time is known.
    async fn pinned_at_from(&self) -> Option<TimeSource> {
        self.row.pinned_at_from.map(Into::into)
    }

    /// Who pinned it.
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
