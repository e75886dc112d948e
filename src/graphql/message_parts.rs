//! Attachments, edits, reactions, receipts and moderation of a message.

use super::context::Ask;
use super::enums::TimeSource;
use super::error::Result;
use super::objects as async_graphql;
use super::scalars::{BigInt, DateTime, int};
use super::user::User;
use crate::store::sqlite::read::message_parts::{self as row, ReactorsOf};
use async_graphql::{ComplexObject, Context, Object, SimpleObject};
use std::sync::Arc;

pub struct Attachment {
    name: Option<String>,
    extension: Option<String>,
    mime_type: Option<String>,
    size: Option<i64>,
    url: Option<String>,
}

/// A file sent with a message.
#[Object]
impl Attachment {
    /// The name of the file.
    async fn name(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.name.as_deref())
    }

    /// The extension of the file's name.
    async fn extension(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.extension.as_deref())
    }

    /// The media type of the file, such as `image/png`.
    async fn mime_type(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.mime_type.as_deref())
    }

    /// The size of the file in bytes.
    async fn size(&self, ctx: &Context<'_>) -> Option<Result<BigInt>> {
        ctx.said(|| self.size.map(BigInt))
    }

    /// The address of the file.
    async fn url(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.url.as_deref())
    }
}

/// Reads a stored list of attachments.
pub fn attachments(stored: Option<&str>) -> Vec<Attachment> {
    let Some(serde_json::Value::Array(items)) = stored.and_then(|text| serde_json::from_str(text).ok()) else {
        return Vec::new();
    };
    let read = |item: &serde_json::Value| {
        let text = |names: [&str; 2]| {
            names.iter().find_map(|name| item.get(name)).and_then(|value| value.as_str()).map(str::to_owned)
        };
        let size = item.get("size").and_then(|size| size.as_i64().or_else(|| size.as_str()?.parse().ok()));
        Attachment {
            name: text(["name", "name"]),
            extension: text(["extension", "extension"]),
            mime_type: text(["mimeType", "mime_type"]),
            size,
            url: text(["url", "url"]),
        }
    };
    items.iter().filter(|item| item.is_object()).map(read).collect()
}

pub struct MessageEdit {
    app: Arc<str>,
    row: row::Edit,
}

/// The text of a message after an edit.
#[Object]
impl MessageEdit {
    /// The text. Null once the message is deleted.
    async fn text(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.row.text.as_deref())
    }

    /// When the message was edited.
    async fn edited_at(&self) -> DateTime {
        DateTime(self.row.edited_at)
    }

    /// The person who edited the message.
    async fn edited_by(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::maybe(ctx, &self.app, self.row.edited_by.as_deref()).await
    }
}

impl MessageEdit {
    /// From its row.
    pub fn new(app: &Arc<str>, row: row::Edit) -> Self {
        Self { app: Arc::clone(app), row }
    }
}

pub struct ReactionGroup {
    app: Arc<str>,
    message_id: Arc<str>,
    row: row::ReactionGroup,
}

/// A reaction to a message, and the people who gave it.
#[Object]
impl ReactionGroup {
    /// The reaction, such as an emoji: as it was first given, with or without the variation selector U+FE0F.
    async fn reaction(&self) -> &str {
        &self.row.reaction
    }

    /// The number of people who gave this reaction.
    async fn count(&self) -> i32 {
        int(self.row.count)
    }

    /// The people who gave this reaction, by uid. At most 200.
    async fn users(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let key = ReactorsOf { message_id: self.message_id.to_string(), emoji: self.row.emoji.clone() };
        let uids = ctx.load(&self.app, key).await?.unwrap_or_default();
        User::all(ctx, &self.app, uids).await
    }
}

impl ReactionGroup {
    /// From its row.
    pub fn new(app: &Arc<str>, message_id: Arc<str>, row: row::ReactionGroup) -> Self {
        Self { app: Arc::clone(app), message_id, row }
    }
}

pub struct Receipt {
    app: Arc<str>,
    row: row::Receipt,
}

/// Whether one person received and read a message.
#[Object]
impl Receipt {
    /// The person who received or read the message.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        User::get(ctx, &self.app, self.row.uid.as_str()).await
    }

    /// When this person received the message: the earliest time in an event, or else the time the receipt arrived.
    async fn delivered_at(&self) -> Option<DateTime> {
        self.row.delivered_at.map(DateTime)
    }

    /// How the time `deliveredAt` is known.
    async fn delivered_at_from(&self) -> Option<TimeSource> {
        self.row.delivered_at_from.map(Into::into)
    }

    /// When this person read the message: the earliest time in an event, or else the time the receipt arrived.
    async fn read_at(&self) -> Option<DateTime> {
        self.row.read_at.map(DateTime)
    }

    /// How the time `readAt` is known.
    async fn read_at_from(&self) -> Option<TimeSource> {
        self.row.read_at_from.map(Into::into)
    }
}

impl Receipt {
    /// From its row.
    pub fn new(app: &Arc<str>, row: row::Receipt) -> Self {
        Self { app: Arc::clone(app), row }
    }
}

/// What moderation decided about a message.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Moderation {
    /// The newest verdict, in CometChat's word. Lists leave out messages with the verdict `disapproved`.
    status: Option<String>,
    /// Whether a person gave the verdict.
    reviewed: bool,
    /// The id of the rule that caught the message.
    rule: Option<String>,
    /// When moderation of this message failed: the newest time in an event, or else the time the event arrived. Null if
    /// it did not fail.
    failed_at: Option<DateTime>,
    /// How the time `failedAt` is known.
    failed_at_from: Option<TimeSource>,
    #[graphql(skip)]
    failure: Option<String>,
}

#[ComplexObject]
impl Moderation {
    /// Why moderation failed.
    async fn failure(&self, ctx: &Context<'_>) -> Option<Result<&str>> {
        ctx.said(|| self.failure.as_deref())
    }
}

impl Moderation {
    /// From its row.
    pub fn new(row: row::Moderation) -> Self {
        Self {
            status: row.status,
            reviewed: row.reviewed,
            rule: row.rule,
            failed_at: row.failed_at.map(DateTime),
            failed_at_from: row.failed_at_from.map(Into::into),
            failure: row.failure,
        }
    }
}
